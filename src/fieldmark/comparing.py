"""Finished runs beside each other on the same test photos.

In: run folders. Out: `Comparison`, and `compare.html`, `compare.csv` and `compare.json` in a folder
of their own. Nothing is computed by a network: the logits that the runs have saved say it all.
Not covered: runs whose test photos differ (they are refused), and training any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv, write_json
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import (
    RUNS_FOLDER,
    RunFolder,
    create_next_run_folder,
    create_run_folder,
    require_place,
)
from fieldmark.base.run_record import recorded_call
from fieldmark.data.catalog import read_catalog
from fieldmark.data.splits import TEST, read_splits
from fieldmark.evaluation.disagreement import Disagreement, find_disagreements
from fieldmark.evaluation.document import to_plain
from fieldmark.evaluation.paired import MIN_CLASSIFIERS, Pair, compare_predictions
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.comparison import PAGE_NAME, write_comparison
from fieldmark.report.comparison_content import Compared, ComparedRun
from fieldmark.report.content import list_settings
from fieldmark.report.run_files import read_toml
from fieldmark.run import Run, load
from fieldmark.same_photos import HeldOut, joint_groups, require_same_photos

RUNS = Path(RUNS_FOLDER)
TABLE_NAME, DOCUMENT_NAME = "compare.csv", "compare.json"
STEM = "compare"
SCHEMA_VERSION = 1
COLUMNS = ("path", "sha256", "label", "num_right")
"""The first columns of the table; then come two for each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing runs, and where it is written."""

    path: Path
    """The folder of the files."""
    compared: Compared

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Each two runs: their differences with intervals, and whether they can be told apart."""
        return self.compared.pairs

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """The test photos that not all runs name alike, the surest errors first."""
        return self.compared.disagreements

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence or two."""
        return self.compared.verdict

    @property
    def page(self) -> Path:
        """The path of the page."""
        return self.path / PAGE_NAME

    @property
    def table(self) -> Path:
        """The path of the photos on which the runs disagree."""
        return self.path / TABLE_NAME


def compare(
    runs: Sequence[str | Path | Run],
    *,
    out: str | Path | None,
    progress: Progress | None,
    command: str | None,
) -> Comparison:
    """Compare runs on their test photos and write down what came of it.

    Args:
        runs: two or more, loaded or as the paths of their folders.
        out: the folder to write to, new or empty; None takes the next `runs/compare-NNN`.
        progress: where progress is shown; None shows nothing.
        command: to be named on the page; None names the call.

    Raises:
        RunError: fewer than two runs, one of them twice, a bundle without its run, a file that is
            missing or malformed, test photos that differ, or a folder that cannot be used.
        EvaluationError: predictions that are malformed.
    """
    progress = progress or SilentProgress()
    loaded = [run if isinstance(run, Run) else load(run) for run in runs]
    folders = _folders(loaded)
    photos = [Path(str(root)) for run in loaded if (root := run.record.get("photos"))]
    place = Path(out).expanduser() if out else None
    if place:
        for root in photos:
            require_place(place, photos=root)
    compared = _compare(loaded, folders, progress=progress)
    folder = create_run_folder(place) if place else create_next_run_folder(RUNS, stem=STEM)
    named = command or recorded_call("compare", runs=[str(path) for path in folders], out=out)
    progress.start("Page", total=1, unit="page")
    _write(folder.path, compared, photos=photos, command=named)
    progress.advance()
    comparison = Comparison(path=folder.path, compared=compared)
    progress.finish(str(comparison.page))
    return comparison


def _compare(runs: Sequence[Run], folders: Sequence[Path], *, progress: Progress) -> Compared:
    """Check that the runs go together, and compare them."""
    names = name_runs(folders)
    progress.start("Runs", total=len(runs), unit="runs")
    tests = [run.predictions.of_split(TEST) for run in runs]
    held_out = [
        _held_out(test, folder=folder, name=name)
        for test, folder, name in zip(tests, folders, names, strict=True)
    ]
    require_same_photos(held_out)
    groups = joint_groups(held_out)
    sides = []
    for run, folder, name in zip(runs, folders, names, strict=True):
        sides.append(_compared_run(run, folder=folder, name=name))
        progress.advance()
    tests = [in_order(test, tests[0].paths) for test in tests]
    compared = Compared(
        runs=tuple(sides),
        pairs=compare_predictions(tests, groups=groups),
        disagreements=find_disagreements(tests),
        num_photos=tests[0].num_images,
        num_groups=len(set(groups.values())),
        digests=_digests(held_out),
    )
    progress.finish(compared.verdict)
    return compared


def name_runs(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the last part of each path, or as many as it takes to tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    longest = max(map(len, parts), default=1)
    for length in range(1, longest + 1):
        names = tuple("/".join(part[-length:]) for part in parts)
        if len(set(names)) == len(names):
            return names
    return tuple(map(str, folders))


def in_order(predictions: Predictions, paths: Sequence[str]) -> Predictions:
    """Return the same predictions in the order of `paths`, which must be theirs."""
    if predictions.paths == tuple(paths):
        return predictions
    place = {path: index for index, path in enumerate(predictions.paths)}
    order = [place[path] for path in paths]
    return replace(
        predictions,
        paths=tuple(paths),
        splits=predictions.splits[order],
        labels_N=predictions.labels_N[order],
        logits_NC=predictions.logits_NC[order],
    )


def _folders(runs: Sequence[Run]) -> list[Path]:
    if len(runs) < MIN_CLASSIFIERS:
        raise RunError(
            f"A comparison takes two runs or more; {len(runs)} given. Name another run folder."
        )
    folders = []
    for run in runs:
        if run.path is None:
            raise RunError(
                f"{run.bundle} is a bundle without its run folder, which holds the predictions to "
                "be compared. Give the run that made it."
            )
        folders.append(run.path)
    resolved = [folder.resolve() for folder in folders]
    for folder in folders:
        if resolved.count(folder.resolve()) > 1:
            raise RunError(f"The run {folder} is given twice. Give each run once.")
    return folders


def _held_out(test: Predictions, *, folder: Path, name: str) -> HeldOut:
    """Return what a run was tested on, as its tables say."""
    files = RunFolder(folder)
    contents = {row.path: row.sha256 for row in read_catalog(files.catalog_csv, root=folder).rows}
    groups = read_splits(files.splits_csv).groups()
    classes = [test.classes[label] for label in test.labels_N.tolist()]
    return HeldOut(
        run=name,
        folder=str(folder),
        digests={path: contents.get(path, "") for path in test.paths},
        labels=dict(zip(test.paths, classes, strict=True)),
        groups={path: groups.get(path, "") for path in test.paths},
    )


def _compared_run(run: Run, *, folder: Path, name: str) -> ComparedRun:
    evaluation, record = run.evaluation, run.record
    settings = list_settings(read_toml(RunFolder(folder).resolved_toml))
    return ComparedRun(
        name=name,
        folder=str(folder.resolve()),
        accuracy=evaluation.accuracy,
        loss=evaluation.loss,
        f1=evaluation.f1.macro,
        per_class=evaluation.per_class,
        settings={f"{setting.section}.{setting.key}": setting.value for setting in settings},
        recipe=str(record.get("recipe") or ""),
        seconds=record.get("seconds"),
    )


def _digests(held_out: Sequence[HeldOut]) -> dict[str, str]:
    """Return the SHA-256 of each photo as the first run has it that says one."""
    digests = dict(held_out[0].digests)
    for run in held_out[1:]:
        for path, digest in run.digests.items():
            digests[path] = digests[path] or digest
    return digests


def _write(folder: Path, compared: Compared, *, photos: Sequence[Path], command: str) -> None:
    header = [*COLUMNS]
    for name in compared.names:
        header += [f"predicted:{name}", f"confidence:{name}"]
    write_csv(folder / TABLE_NAME, header=header, rows=_rows(compared))
    write_json(folder / DOCUMENT_NAME, document(compared))
    # Photos that have moved since one run may still be where another one met them.
    root = next((path for path in photos if path.is_dir()), None)
    orientations = {run.settings.get("data.orientation") for run in compared.runs}
    write_comparison(
        folder,
        compared,
        photos=root,
        turn_upright=orientations != {"stored"},
        command=command,
    )


def _rows(compared: Compared) -> Iterator[list[object]]:
    for entry in compared.disagreements:
        digest = compared.digests.get(entry.path, "")
        row: list[object] = [entry.path, digest, entry.true, len(entry.right)]
        for answer in entry.answers:
            row += [answer.predicted, answer.confidence]
        yield row


def document(compared: Compared) -> dict[str, Any]:
    """Return the content of `compare.json`: the numbers of the page, by the names of the runs."""
    names = compared.names
    pairs = [
        {**to_plain(pair), "first": names[pair.first], "second": names[pair.second]}
        for pair in compared.pairs
    ]
    runs = [
        {"name": run.name, "folder": run.folder}
        | {key: to_plain(getattr(run, key)) for key in ("accuracy", "loss", "f1")}
        for run in compared.runs
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": compared.verdict,
        "num_photos": compared.num_photos,
        "num_groups": compared.num_groups,
        "num_disagreements": len(compared.disagreements),
        "runs": runs,
        "pairs": pairs,
    }
