"""How photos with a rotation in their metadata are to be read, found out before they are used.

In: gathered photos and a classifier whose backbone knows something. Out: both, read as the photos
look upright, with the verdict.
Not covered: the judgement itself (`models.orientation`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.cache import remembered
from fieldmark.base.progress import Progress
from fieldmark.collect import Gathered, put_pixels, turn_back
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.scan import turned_paths
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.models.orientation import MIN_CHECKED, Verdict, judge_orientation
from fieldmark.planning import Plan, read_as_stored
from fieldmark.stages import key_of

NOTED_CHECKED, UPRIGHT_CHECKED = 96, 384
"""Photos with and without a rotation on which its truth is judged: a few seconds' work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oriented:
    """The photos and the classifier that reads them, settled."""

    gathered: Gathered
    classifier: Classifier
    plan: Plan
    verdict: Verdict | None
    """None where the question did not arise."""
    num_turned: int
    """Photos that note a rotation."""

    @property
    def num_ignored(self) -> int:
        """Photos that note a rotation which is not followed for want of truth."""
        overruled = self.verdict is not None and self.verdict.orientation == "stored"
        return self.num_turned if overruled else 0

    @property
    def told(self) -> str:
        """What to say of it, or nothing."""
        if self.verdict is None:
            return ""
        carry = f"{self.num_turned:,} photos carry a rotation in their metadata"
        if not self.num_ignored:
            return f"{carry}, and are turned as it says."
        return (
            f"{carry}, but look upright without it, so it is ignored. New photos are then read the "
            "same way. To have it obeyed, set data.orientation=exif."
        )


def orient(
    classifier: Classifier,
    gathered: Gathered,
    *,
    paths: Sequence[str],
    plan: Plan,
    progress: Progress,
    turn: Callable[[Gathered, Preprocess], Gathered] = turn_back,
) -> Oriented:
    """Judge the rotations in the metadata, and read the photos without where they are not true.

    Args:
        classifier: with a backbone and a fresh head.
        gathered: photos that were turned as their metadata say, unless the plan says otherwise.
        paths: the photos that may be looked at; in a run those to learn from.
        plan: names the weights and whether the recipe settles the question.
        progress: told of each photo.
        turn: reads the photos without the rotation.
    """
    num_turned = len(turned_paths(gathered.catalog))
    verdict = check_orientation(classifier, gathered.catalog, paths, plan=plan, progress=progress)
    if verdict is not None and verdict.orientation == "stored":
        plan = read_as_stored(plan, verdict)
        classifier = replace(classifier, preprocess=plan.preprocess)
        gathered = turn(gathered, plan.preprocess)
    return Oriented(
        gathered=gathered,
        classifier=classifier,
        plan=plan,
        verdict=verdict,
        num_turned=num_turned,
    )


def check_orientation(
    classifier: Classifier,
    catalog: Catalog,
    paths: Sequence[str],
    *,
    plan: Plan,
    progress: Progress,
) -> Verdict | None:
    """Judge whether the rotations in the photos' metadata can be believed.

    None where the question does not arise: the recipe says how to read them, too few photos carry
    a rotation, or the network knows nothing yet. Only the photos in `paths` are looked at, which
    in a run are those to learn from. A verdict on the same photos is remembered.
    """
    if plan.reading_given or plan.spec.weights is None:
        return None
    turned = set(turned_paths(catalog))
    rows = {row.path: row for row in catalog.usable}
    noted = [rows[path] for path in _sample([p for p in paths if p in turned], most=NOTED_CHECKED)]
    upright = [
        rows[path] for path in _sample([p for p in paths if p not in turned], most=UPRIGHT_CHECKED)
    ]
    if len(noted) < MIN_CHECKED or not upright:
        return None
    depends_on = {
        "features": key_of(classifier, plan=plan),
        "photos": [[row.sha256, row.label] for row in (*noted, *upright)],
    }
    progress.start("Orientation", total=2 * len(noted) + len(upright), unit="photos")
    verdict = remembered(
        "orientation",
        depends_on,
        lambda: asdict(_judge(classifier, catalog, noted, upright, plan=plan, progress=progress)),
        read=lambda known: Verdict(**known),
    )
    believed = "believed" if verdict.orientation == "exif" else "not believed"
    progress.finish(f"{verdict.num_checked} rotated photos checked, metadata {believed}")
    return verdict


def _judge(
    classifier: Classifier,
    catalog: Catalog,
    noted: Sequence[CatalogRow],
    upright: Sequence[CatalogRow],
    *,
    plan: Plan,
    progress: Progress,
) -> Verdict:
    predictor = Predictor(classifier, device=plan.device)
    stored = replace(classifier.preprocess, orientation="stored")

    def features(rows: Sequence[CatalogRow], preprocess: Preprocess) -> NDArray[np.float32]:
        store = PixelStore(capacity=len(rows), size_px=preprocess.size_px)
        paths = [row.path for row in rows]
        put_pixels(paths, root=catalog.root, preprocess=preprocess, store=store)
        return predictor.features(store.array, on_batch=progress.advance)

    return judge_orientation(
        turned_NF=features(noted, classifier.preprocess),
        stored_NF=features(noted, stored),
        labels_N=_labels(noted, classes=catalog.classes),
        upright_MF=features(upright, classifier.preprocess),
        upright_labels_M=_labels(upright, classes=catalog.classes),
    )


def _labels(rows: Sequence[CatalogRow], *, classes: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([classes.index(row.label) for row in rows], dtype=np.int64)


def _sample(paths: Sequence[str], *, most: int) -> list[str]:
    """Return at most `most` paths, evenly spread over the sorted list and so over the classes."""
    step = max(1.0, len(paths) / most)
    return [paths[int(place * step)] for place in range(min(most, len(paths)))]
