"""A finished run on its test photos made worse on purpose; nothing is trained.

In: a finished run and its photos, as they were. Out: `Degraded`, and in the run folder
`degradation.csv`, `degradation.json`, and the report and the model card drawn anew.
Not covered: how photos are damaged (`data.degrade`) and what is counted (`evaluation.degradation`).

Shapes: V versions of a photo: as it is, then kind after kind, strength after strength; N photos,
C classes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fieldmark.arguments import photos_folder
from fieldmark.base.counting import counted, listed
from fieldmark.base.errors import DataError, RunError, nearest_spelling
from fieldmark.base.files import write_csv, write_json
from fieldmark.base.lock import hold
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.stopping import deferred
from fieldmark.data.catalog import read_catalog
from fieldmark.data.degrade import (
    KINDS,
    KINDS_BY_KEY,
    NUM_STRENGTHS,
    Kind,
    num_versions,
    working_side,
)
from fieldmark.data.splits import TEST, read_splits
from fieldmark.evaluation.degradation import DamageKind, measure
from fieldmark.evaluation.degradation_document import HEADER, Degradation
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.sampling import take_sample
from fieldmark.models.damaged import damaged_logits
from fieldmark.models.inference import choose_device
from fieldmark.report.card import write_card
from fieldmark.report.content import read_content
from fieldmark.report.render import write_report
from fieldmark.run import Run, load

MAX_PHOTOS = 500
"""Enough for a standard error of at most 2.3 points, and a minute or two with a small network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """What came of damaging the photos of a run, and where it is written."""

    path: Path
    """The run folder."""
    degradation: Degradation

    @property
    def table(self) -> Path:
        """The path of the table: a row for each kind, strength and class."""
        return RunFolder(self.path).degradation_csv

    @property
    def report(self) -> Path:
        """The path of the report, which now tells of it."""
        return RunFolder(self.path).report_html


def degrade(
    run: str | Path | Run,
    photos: str | Path | None = None,
    *,
    kinds: Sequence[str] = (),
    max_photos: int = MAX_PHOTOS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Degraded:
    """Measure how much a run still names right when its test photos are damaged.

    What an earlier call wrote is replaced once everything is measured; until then nothing of the
    run folder is touched.

    Args:
        run: a run folder or a loaded run.
        photos: where the run's photos are now; None is where `run.json` says.
        kinds: keys of `data.degrade.KINDS`, also several with commas between; all where empty.
        max_photos: how many test photos to take, at least one of each class: as many of each
            class as is its share of the test photos.
        seed: of the choice of photos and of the damage, 0 or more; the same gives the same numbers.
        progress: where progress is shown; None shows nothing.

    Raises:
        RunError: the run cannot be read, is a bundle without its run, or is in use.
        DataError: photos that are missing or have changed since the run; a kind that is not known;
            a number that is out of range.
        KeyboardInterrupt: it was stopped, with nothing written.
    """
    progress = progress or SilentProgress()
    chosen = kinds_named(kinds)
    loaded = run if isinstance(run, Run) else load(run)
    if loaded.path is None:
        raise RunError(
            f"{loaded.bundle} is a bundle without its run folder, which says what the test photos "
            "are. Give the run that made it."
        )
    root = photos_folder(photos if photos is not None else str(loaded.record.get("photos")))
    tested = loaded.predictions.of_split(TEST)
    sample = take_sample(tested, max_photos=max_photos, seed=seed)
    digests = _digests(loaded.path, sample.paths)
    _require_unchanged(root, digests)
    degradation = _measure(
        loaded,
        sample,
        root=root,
        digests=digests,
        kinds=chosen,
        num_test=tested.num_images,
        seed=seed,
        progress=progress,
    )
    _write(loaded.path, degradation, photos=root, progress=progress)
    return Degraded(path=loaded.path, degradation=degradation)


def kinds_named(names: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds asked for in the order of `KINDS`; all of them where none is.

    Raises:
        DataError: there is no kind of that name.
    """
    asked = {part.strip() for name in names for part in name.split(",") if part.strip()}
    for name in sorted(asked - set(KINDS_BY_KEY)):
        raise DataError(
            f"--kinds names '{name}', which is no kind of damage."
            f"{nearest_spelling(name, KINDS_BY_KEY)} Allowed: {', '.join(KINDS_BY_KEY)}."
        )
    return tuple(kind for kind in KINDS if kind.key in asked or not asked)


def _digests(run: Path, paths: Sequence[str]) -> dict[str, str]:
    rows = read_catalog(RunFolder(run).catalog_csv, root=run).usable
    known = {row.path: row.sha256 for row in rows}
    unknown = [path for path in paths if path not in known]
    if unknown:
        raise RunError(
            f"{RunFolder(run).catalog_csv} does not list {unknown[0]}, which predictions.csv has. "
            "Restore the file, or run the training again."
        )
    return {path: known[path] for path in paths}


def _require_unchanged(root: Path, digests: Mapping[str, str]) -> None:
    """Refuse photos that are not what the run was tested on, before anything slow begins."""
    missing, changed = [], []
    for path, digest in digests.items():
        try:
            content = (root / path).read_bytes()
        except OSError:
            missing.append(path)
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            changed.append(path)
    if missing or changed:
        parts = [
            f"{counted(len(paths), verb[0], verb[1])}: {listed(paths)}"
            for paths, verb in (
                (missing, ("photo is missing", "photos are missing")),
                (changed, ("photo has changed", "photos have changed")),
            )
            if paths
        ]
        raise DataError(
            f"The photos in {root} are not those that the run was tested on. {'; '.join(parts)}. "
            "Put them back, or name the folder where they are: fieldmark degrade RUN PHOTOS."
        )


def _measure(
    run: Run,
    sample: Predictions,
    *,
    root: Path,
    digests: Mapping[str, str],
    kinds: Sequence[Kind],
    num_test: int,
    seed: int,
    progress: Progress,
) -> Degradation:
    """Damage the photos, have them named, and count."""
    classifier, path = run.classifier, run.path
    assert path is not None
    progress.note(_plan(sample, num_test=num_test, num_kinds=len(kinds)))
    progress.start("Degradation", total=sample.num_images * num_versions(kinds), unit="pictures")
    logits = damaged_logits(
        classifier,
        [(root / one, digests[one]) for one in sample.paths],
        kinds=kinds,
        seed=seed,
        device=choose_device(),
        on_batch=progress.advance,
    )
    logits_VNC = np.stack(list(logits), axis=1)
    versions = [replace(sample, logits_NC=logits_NC) for logits_NC in logits_VNC]
    found = measure(
        versions[0],
        {
            kind.key: versions[1 + NUM_STRENGTHS * place :][:NUM_STRENGTHS]
            for place, kind in enumerate(kinds)
        },
        kinds=[_told(kind) for kind in kinds],
        digests=digests,
        groups=read_splits(RunFolder(path).splits_csv).groups(),
        num_test=num_test,
        side_px=working_side(classifier.preprocess),
        seed=seed,
    )
    worst = found.weakest_curve
    progress.finish(f"{worst.title.lower()} costs most, {100 * worst.drop.value:.1f} points")
    return found


def _plan(sample: Predictions, *, num_test: int, num_kinds: int) -> str:
    photos = counted(sample.num_images, "test photo")
    if sample.num_images < num_test:
        photos = (
            f"{sample.num_images:,} of {counted(num_test, 'test photo')}, a share of each class"
        )
    return (
        f"{photos}: each as it is, and under {counted(num_kinds, 'kind')} of damage at "
        f"{NUM_STRENGTHS} strengths"
    )


def _told(kind: Kind) -> DamageKind:
    return DamageKind(
        key=kind.key,
        title=kind.title,
        what=kind.what,
        source=kind.source,
        amounts=kind.amounts,
        told=kind.told,
    )


def _write(run: Path, degradation: Degradation, *, photos: Path, progress: Progress) -> None:
    """Write the two files and draw the report anew: all of it, or nothing where it was stopped."""
    folder = RunFolder(run)
    progress.start("Report", total=1, unit="page")
    with hold(folder.lock), deferred():
        write_csv(folder.degradation_csv, header=HEADER, rows=degradation.rows())
        write_json(folder.degradation_json, degradation.to_json())
        content = read_content(run)
        write_card(run, content=content)
        write_report(run, content=content, photos=photos)
    progress.advance()
    progress.finish(str(folder.report_html))
