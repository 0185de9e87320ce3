"""Several trainings of one recipe, once all have finished: what they come to, and the files of it.

In: a folder with their run folders. Out: `Repeats`; `repeats.csv`, `predictions.csv` of folds, and
the page. Everything comes from what the runs have saved.
Not covered: training them (`repeating`), and the numbers (`evaluation.repeats`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import resume_command
from fieldmark.data.catalog import read_catalog
from fieldmark.data.splits import TEST, read_splits
from fieldmark.evaluation.evaluation import read_evaluation
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.predictions import read_predictions, write_predictions
from fieldmark.evaluation.repeated import FOLDS, SEEDS, Repeated, Spread
from fieldmark.evaluation.repeats import Answered, evaluate_repeats, pool
from fieldmark.repeats_record import RepeatsRecord, read_repeats
from fieldmark.report.repeats import write_repeats_page
from fieldmark.report.repeats_content import RepeatsFacts
from fieldmark.report.run_files import read_toml
from fieldmark.run import Run, load

COLUMNS = (
    "path",
    "sha256",
    "label",
    "num_tested",
    "num_wrong",
    "predicted",
    "num_agreeing",
    "confidence",
    "repeat",
)
"""The columns of `repeats.csv`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Several trainings of one recipe that have all finished."""

    path: Path
    """The folder that holds their run folders."""
    names: tuple[str, ...]
    """Their run folders in it, such as fold-1."""
    result: Repeated
    """All numbers: of each, of their spread, of each class, and the photos named wrong."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs, each of which can do what any run can."""
        return tuple(load(self.path / name) for name in self.names)

    @property
    def accuracy(self) -> Spread:
        """Mean, standard deviation and ends of their accuracies."""
        return self.result.measures["accuracy"]

    @property
    def overall(self) -> Estimate:
        """The accuracy over all photos and repeats, with its interval over the choice of photos."""
        return self.result.overall

    @property
    def report(self) -> Path:
        """The path of the page on all of them."""
        return RunFolder(self.path).report_html

    @property
    def table(self) -> Path:
        """The path of the table of photos that any of them named wrong."""
        return RunFolder(self.path).repeats_csv


def read(path: Path) -> Repeats:
    """Return repeats that have finished.

    Raises:
        RunError: there are none in the folder, or they have not finished.
    """
    record = record_in(RunFolder(path))
    if record.result is None:
        command = resume_command(record.photos, path)
        raise RunError(f"The runs in {path} have not all finished. Go on with: {command}")
    return Repeats(path=path, names=record.names, result=record.result)


def record_in(folder: RunFolder) -> RepeatsRecord:
    """Return what `repeats.json` says.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    record = read_repeats(folder)
    if record is None:
        raise RunError(f"{folder.path} holds no repeats: it has no repeats.json.")
    return record


def sum_up(folder: RunFolder, record: RepeatsRecord) -> Repeated:
    """Return what finished runs come to, and write the tables of it.

    Raises:
        RunError: a file of a run is missing or malformed.
        EvaluationError: their predictions are malformed or do not go together.
    """
    tested = [_tested(folder.path / name, name) for name in record.names]
    first = RunFolder(folder.path / record.names[0])
    result = evaluate_repeats(
        tested,
        kind=FOLDS if record.kind == FOLDS else SEEDS,
        groups=read_splits(first.splits_csv).groups(),
    )
    if record.kind == FOLDS:
        write_predictions(folder.predictions_csv, pool(tested))
    write_csv(folder.repeats_csv, header=COLUMNS, rows=_rows(result, _digests(first)))
    return result


def write_page(folder: RunFolder, record: RepeatsRecord, result: Repeated) -> Path:
    """Write the page on finished runs and return its path."""
    first = RunFolder(folder.path / record.names[0])
    photos = Path(record.photos)
    settings = read_toml(first.resolved_toml)
    facts = RepeatsFacts(
        command=record.command,
        photos=record.photos,
        recipe=record.recipe,
        strategy=str(settings.get("train", {}).get("strategy", "")),
        names=record.names,
        seconds=record.seconds,
        fieldmark_version=record.fieldmark_version,
        folder=str(folder.path),
    )
    return write_repeats_page(
        folder.report_html,
        result,
        facts=facts,
        digests=_digests(first),
        photos=photos if photos.is_dir() else None,
        turn_upright=settings.get("data", {}).get("orientation") != "stored",
    )


def _tested(path: Path, name: str) -> Answered:
    folder = RunFolder(path)
    evaluation = read_evaluation(folder.evaluation_json)
    if evaluation is None:
        raise RunError(
            f"{folder.evaluation_json} is missing. Remove {path} and go on with --resume."
        )
    temperature = evaluation.decision.temperature
    predictions = read_predictions(folder.predictions_csv, temperature=temperature)
    return Answered(name=name, test=predictions.of_split(TEST), evaluation=evaluation)


def _digests(folder: RunFolder) -> Mapping[str, str]:
    rows = read_catalog(folder.catalog_csv, root=folder.path).rows
    return {row.path: row.sha256 for row in rows}


def _rows(result: Repeated, digests: Mapping[str, str]) -> Iterator[list[object]]:
    for photo in result.wrong:
        yield [
            digests.get(photo.path, "") if name == "sha256" else getattr(photo, name)
            for name in COLUMNS
        ]
