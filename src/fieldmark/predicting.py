"""What is on photos that are not part of a run.

In: a finished run, a bundle or an exported file, and paths. Out: a prediction for every photo and a
reason for every file that is none, as values, or written as they come, however many there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError, RunError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.stopping import Stopped
from fieldmark.evaluation.answer import Prediction, check_top_k
from fieldmark.exported import SUFFIX, ExportedModel, load_exported
from fieldmark.photo_stream import LIST, Met, meet, require_there
from fieldmark.prediction_file import (
    DonePaths,
    Expected,
    require_writable,
    unfinished,
    writing,
)
from fieldmark.prediction_job import Model, PredictionJob
from fieldmark.prediction_output import RESUMABLE, Rows, check_format, format_of, rows_of
from fieldmark.run import Run, find_photos, load
from fieldmark.sorting import Sorted, Sorter, require_sortable

SHOWN_FROM = 100
"""Fewer photos than this are named before a bar could be read."""

AnyModel = str | Path | Run | ExportedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What predicting into a file or folders came to."""

    output: Path | None
    num_rows: int
    """Files that got a row now."""
    num_unreadable: int
    """Of these, the ones whose row says why they could not be read."""
    num_before: int
    """Rows that the output held already."""
    left_out: tuple[tuple[Path, str], ...]
    """Files in folders that were never meant as photos, and what they are: the first hundred."""
    num_left_out: int
    """How many those are in all."""
    sorted: Sorted | None
    """None where nothing was to be sorted."""


def predict(
    run: AnyModel,
    paths: Sequence[str | Path],
    *,
    top_k: int = 5,
    progress: Progress | None = None,
) -> tuple[list[Prediction], list[tuple[Path, str]]]:
    """Return a prediction for every photo, and the files that are none; see `workflow.predict`.

    Raises:
        RunError: the run cannot be read.
        BundleError: the exported file cannot be read.
        DataError: a path does not exist, there is no photo, or none of them could be read.
    """
    loaded = _loaded(run)
    photos, left_out = find_photos([Path(path).expanduser() for path in paths])
    if progress is None or len(photos) < SHOWN_FROM:
        progress = SilentProgress()
    predictions: list[Prediction] = []
    check_top_k(top_k)
    with closing(DonePaths()) as none:
        job = PredictionJob(model=_opened(loaded, top_k=top_k), done=none, progress=progress)
        met = (Met(path=photo) for photo in photos)
        job.run(met, total=len(photos), emit=predictions.append)
        job.require_some()
    return predictions, left_out


def predict_to(
    run: AnyModel,
    paths: Sequence[str | Path],
    *,
    output: str | Path | None = None,
    output_format: str | None = None,
    resume: bool = False,
    sort_into: str | Path | None = None,
    link: str | None = None,
    top_k: int = 5,
    listed: Iterable[str | Path] = (),
    echo: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Write predictions as they come, in constant memory, and sort photos by them.

    Args:
        run: a run folder, a bundle, a loaded run, or an ONNX file that `export` wrote.
        paths: photos, and folders that are searched for photos; "-" stands for `listed`.
        output: a CSV or JSON lines file, complete once it has its name; until then the rows are in
            `NAME.unfinished.csv` beside it. A file that is there is replaced.
        output_format: "csv", "jsonl" or "table"; None goes by the name of `output`.
        resume: go on with the rows of `output`; photos that have one are passed over.
        sort_into: a folder to copy photos into, one folder within it for each class. Photos that
            it is not sure of, and those unlike anything it was trained on, have their own. Nothing
            is moved or overwritten.
        link: "hard" or "symbolic" to make links in place of copies.
        top_k: how many classes to give for each photo, 1 or more.
        listed: paths of files, taken as they are needed.
        echo: gets the rows where there is no `output`; None drops them.
        progress: where progress is shown, if there are photos enough for that.

    Raises:
        RunError: the run cannot be read, or `output` or `sort_into` cannot be used.
        BundleError: the bundle or the exported file cannot be read.
        RecipeError: there is no such format.
        DataError: a path does not exist, there is no photo, or none of them could be read.
        Stopped: it was interrupted; the rows made so far are kept.
    """
    place, folder = (Path(path).expanduser() if path else None for path in (output, sort_into))
    written_as = output_format or format_of(place)
    check_top_k(top_k)
    _require_usable(place, output_format=written_as, is_resumed=resume)
    require_there(paths)
    _require_sorting(folder, link=link, paths=paths)
    model, source = _opened(_loaded(run), top_k=top_k), _Source(paths=paths, listed=listed)
    source = source.with_any()
    sorter = Sorter(folder, classes=model.classes, link=link) if folder else None
    width = min(top_k, len(model.classes))
    rows = rows_of(written_as, width=width)
    with closing(DonePaths()) as done:
        job = PredictionJob(model=model, done=done, progress=progress or SilentProgress())
        if place is None:
            _run(job, source, rows, echo or _ignore, sorter=sorter)
        else:
            expected = Expected(output_format=written_as, width=width, classes=model.classes)
            with (
                _told_how_to_go_on(job, place, output_format=written_as),
                writing(place, go_on=expected if resume else None, done=done) as file,
            ):
                _run(job, source, rows, file.write, sorter=sorter, is_new=file.is_new)
        job.require_some()
        return _summary(job, place, sorter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where files are met."""

    paths: Sequence[str | Path]
    listed: Iterable[str | Path]

    def met(self) -> Iterator[Met]:
        """Yield every file."""
        return meet(self.paths, listed=self.listed)

    def with_any(self) -> "_Source":
        """Return the same source, sure to hold a file.

        Raises:
            DataError: there is none.
        """
        if not self._has_list():
            if not any(met.is_meant for met in self.met()):
                find_photos([Path(path).expanduser() for path in self.paths])  # says why
            return self
        listed = iter(self.listed)
        first = next(listed, None)
        if first is None and len(self.paths) == 1:
            raise DataError("The list on standard input names no file. Give one path a line.")
        return replace(self, listed=listed if first is None else chain([first], listed))

    def total(self, done: DonePaths) -> int | None:
        """Return how many files have no prediction yet; None where a list is still to come."""
        if self._has_list():
            return None
        meant = (met for met in self.met() if met.is_meant)
        if not done.count:
            return sum(1 for _ in meant)
        return sum(str(met.path) not in done for met in meant)

    def _has_list(self) -> bool:
        return any(str(path) == LIST for path in self.paths)


def _run(
    job: PredictionJob,
    source: _Source,
    rows: Rows,
    write: Callable[[str], object],
    *,
    sorter: Sorter | None,
    is_new: bool = True,
) -> None:
    total = source.total(job.done)
    if total is not None and total < SHOWN_FROM:
        job.progress = SilentProgress()

    def emit(prediction: Prediction) -> None:
        # First, since on a resumed run a photo with a row is passed over.
        if sorter is not None:
            sorter.sort(prediction)
        write(rows.row(prediction))

    if is_new:
        write(rows.start())
    job.run(source.met(), total=total, emit=emit)
    if job.has_some:
        write(rows.end())


@contextmanager
def _told_how_to_go_on(job: PredictionJob, place: Path, *, output_format: str) -> Iterator[None]:
    """Say of an interrupted run where its rows are.

    Raises:
        Stopped: in the place of a KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        rows = counted(job.num_rows + job.done.count, "prediction")
        why = str(error) or "interrupted"
        if output_format not in RESUMABLE:
            raise Stopped(f"{why}; the first {rows} are in {unfinished(place)}") from error
        raise Stopped(
            f"{why}; {rows} are in {unfinished(place)}. Go on: the same command with --resume"
        ) from error


def _require_usable(place: Path | None, *, output_format: str, is_resumed: bool) -> None:
    check_format(output_format)
    if place is not None:
        require_writable(place, is_resumed=is_resumed, output_format=output_format)
    elif is_resumed:
        raise RunError("--resume goes on with a file: name it with --output FILE.csv or .jsonl.")


def _require_sorting(folder: Path | None, *, link: str | None, paths: Sequence[str | Path]) -> None:
    if folder is not None:
        searched = [Path(path).expanduser() for path in paths if str(path) != LIST]
        require_sortable(folder, link=link, photos=searched)
    elif link is not None:
        raise RunError("--link is for sorting: name the folder with --sort-into DIR.")


def _loaded(run: AnyModel) -> Run | ExportedModel:
    if isinstance(run, Run | ExportedModel):
        return run
    path = Path(run).expanduser()
    is_exported = path.suffix.lower() == SUFFIX and path.is_file()
    return load_exported(path) if is_exported else load(path)


def _opened(loaded: Run | ExportedModel, *, top_k: int) -> Model:
    if isinstance(loaded, ExportedModel):
        of_files = partial(loaded.iterate_predictions, top_k=top_k)
        return Model(classes=loaded.classes, predictions=of_files)
    from fieldmark.models.inference import choose_device
    from fieldmark.models.prediction import predict_files

    classifier = loaded.classifier
    return Model(
        classes=classifier.classes,
        predictions=partial(
            predict_files,
            classifier,
            top_k=top_k,
            device=choose_device(),
            executor=ThreadExecutor(),
        ),
    )


def _summary(job: PredictionJob, place: Path | None, sorter: Sorter | None) -> Predicted:
    return Predicted(
        output=place,
        num_rows=job.num_rows,
        num_unreadable=job.num_unreadable,
        num_before=job.done.count,
        left_out=tuple(job.left_out),
        num_left_out=job.num_left_out,
        sorted=sorter.summary() if sorter else None,
    )


def _ignore(_: str) -> None:
    """Write nowhere: only sorting was asked for."""
