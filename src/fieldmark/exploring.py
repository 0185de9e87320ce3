"""An audit alone, from the photos to its page; nothing is trained.

In: a folder of photos and, where weights are at hand, a plan for features. Out: `Exploration`, and
`explore.html`, `findings.json`, `labels.csv`, `catalog.csv` and, where the photos can be divided,
`splits.csv` in a folder of their own.
Without features nothing of torch is imported, so that a second look takes seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark import auditing
from fieldmark.audit.config import AuditConfig
from fieldmark.audit.findings import Audit, write_findings
from fieldmark.base.errors import DataError, SplitError, WeightsError
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder, create_run_folder
from fieldmark.collect import Gathered, Given, divide, gather
from fieldmark.data.catalog import Catalog, write_catalog
from fieldmark.data.scan import turned_paths
from fieldmark.data.splits import SplitConfig, Splits, write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.report.exploration import write_exploration

if TYPE_CHECKING:
    from fieldmark.planning import Plan
    from fieldmark.recipe import Recipe
    from fieldmark.stages import Embedded

MIN_CLASSES = 2
"""Fewer have no labels to doubt, so nothing is computed for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What was found in a folder of photos, and where it is written."""

    path: Path
    """The folder of the files."""
    catalog: Catalog
    audit: Audit
    splits: Splits | None
    """As training would divide the photos; None where it could not."""
    num_doubts: int
    """Photos in `labels.csv`."""

    @property
    def page(self) -> Path:
        """The path of the page."""
        return RunFolder(self.path).explore_html

    @property
    def labels(self) -> Path:
        """The path of the labels in doubt."""
        return RunFolder(self.path).labels_csv


def plan_features(asked: "Recipe", *, must_have: bool, progress: Progress) -> "Plan | None":
    """Settle how features are computed; None where there are no weights for that.

    Args:
        asked: names backbone and weights.
        must_have: whether the user has asked for these weights.
        progress: told where the weights cannot be had.

    Raises:
        WeightsError: the weights that the user has asked for cannot be had.
        RecipeError: values that do not go together.
    """
    from fieldmark.planning import plan

    try:
        return plan(asked)
    except WeightsError as error:
        if must_have:
            raise
        progress.note(
            f"No pretrained weights, so labels and outliers are not checked: {error} "
            "To look without them from the start, give --weights none."
        )
        return None


def explore(
    root: Path,
    path: Path,
    *,
    split: SplitConfig,
    checks: AuditConfig,
    plan: "Plan | None",
    given: Given,
    progress: Progress,
    command: str,
) -> Exploration:
    """Look at a folder of photos and write down what is found.

    Args:
        root: the folder.
        path: the folder to write to, which is made; it is taken away again where nothing came of
            it.
        split: how training would divide the photos.
        checks: which checks are muted.
        plan: how features are computed; None leaves out the checks that need them.
        given: the user's files.
        progress: told of each stage.
        command: to be named on the page.

    Raises:
        FieldmarkError: for everything that the user can put right.
    """
    folder = create_run_folder(path)
    with _taken_away_if_empty(path):
        looked = _look(root, folder, split=split, plan=plan, given=given, progress=progress)
    gathered = looked.gathered
    audited = auditing.audit_photos(
        gathered,
        looked.embedded,
        splits=looked.splits,
        split=split,
        ignore=checks.ignore,
        given=given,
        num_rotations_ignored=looked.num_rotations_ignored,
        progress=progress,
    )
    num_doubts = _write_tables(looked, audited, folder)
    progress.start("Page", total=1, unit="page")
    write_exploration(
        folder.path,
        catalog=gathered.catalog,
        cues=gathered.cues,
        audit=audited,
        splits=looked.splits,
        turn_upright=bool(turned_paths(gathered.catalog)),
        command=command,
        labels_csv=folder.labels_csv.name if num_doubts else None,
    )
    progress.advance()
    progress.finish(str(folder.explore_html))
    return Exploration(
        path=folder.path,
        catalog=gathered.catalog,
        audit=audited,
        splits=looked.splits,
        num_doubts=num_doubts,
    )


def _write_tables(looked: "_Looked", audited: Audit, folder: RunFolder) -> int:
    """Write what is no page; return how many photos have labels in doubt."""
    write_findings(folder.findings_json, audited)
    write_catalog(folder.catalog_csv, looked.gathered.catalog)
    if looked.splits:
        write_splits(folder.splits_csv, looked.splits)
    return auditing.write_labels(folder.labels_csv, audited, looked.gathered)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """The photos, divided as training would, and their features where there are weights."""

    gathered: Gathered
    splits: Splits | None
    embedded: "Embedded | None" = None
    num_rotations_ignored: int = 0


@contextmanager
def _taken_away_if_empty(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something is in it
            path.rmdir()
        raise


def _look(
    root: Path,
    folder: RunFolder,
    *,
    split: SplitConfig,
    plan: "Plan | None",
    given: Given,
    progress: Progress,
) -> _Looked:
    """Gather and divide the photos and, if there is a plan, compute their features."""
    if plan is None:
        gathered = gather(root, preprocess=None, given=given, progress=progress)
        _require_some(gathered)
        splits = _divided(gathered, split, given=given, progress=progress)
        return _Looked(gathered=gathered, splits=splits)
    from fieldmark import stages
    from fieldmark.orienting import orient

    classifier, plan = stages.build(plan, classes=("one", "other"))
    gathered = gather(
        root,
        preprocess=plan.preprocess,
        given=given,
        progress=progress,
        storage=folder.path,
        without_pixels=stages.photos_known(classifier, plan=plan),
    )
    _require_some(gathered)
    splits = _divided(gathered, split, given=given, progress=progress)
    if len(gathered.catalog.classes) < MIN_CLASSES:
        return _Looked(gathered=gathered, splits=splits)
    usable = [row.path for row in gathered.catalog.usable]
    # By the photos that training would look at, so that both come to the same verdict.
    looked_at = splits.paths("train") if splits else usable
    oriented = orient(classifier, gathered, paths=looked_at, plan=plan, progress=progress)
    if oriented.told:
        progress.note(oriented.told)
    embedded = stages.embed(
        oriented.classifier,
        oriented.gathered,
        paths=usable,
        plan=oriented.plan,
        storage=folder.path,
        progress=progress,
    )
    return _Looked(
        gathered=oriented.gathered,
        splits=splits,
        embedded=embedded,
        num_rotations_ignored=oriented.num_ignored,
    )


def _require_some(gathered: Gathered) -> None:
    """Refuse a folder without anything that looks meant as a photo.

    Raises:
        DataError: as it says, and what a folder must look like.
    """
    rows = gathered.before.rows
    if not any(row.is_usable or row.is_lost_photo for row in rows):
        require_trainable(gathered.before)


def _divided(
    gathered: Gathered, split: SplitConfig, *, given: Given, progress: Progress
) -> Splits | None:
    """Return the splits that training would make, with what it would note; or say why it cannot."""
    try:
        require_trainable(gathered.catalog)
        splits = divide(gathered, split, given=given).splits
    except (DataError, SplitError) as error:
        progress.note(f"These photos cannot be trained on as they are: {error}")
        return None
    for note in splits.notes:
        progress.note(note)
    return splits
