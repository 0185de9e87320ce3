"""The record of several trainings of one recipe, kept in `repeats.json`.

In: what was asked and how it goes. Out: a file that is true at any moment, and the record again.
Not covered: the record of each training, which is a run of its own (`base.run_record`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fieldmark._version import __version__
from fieldmark.base.errors import FieldmarkError, RunError
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder, check_schema
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.repeated import FOLDS, Repeated

SCHEMA_VERSION = 1
FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsRecord:
    """The content of `repeats.json`."""

    command: str
    """How it was called."""
    photos: str
    """The folder of photos."""
    kind: str
    """folds or seeds."""
    numbers: tuple[int, ...]
    """The folds, from 1 on, or the seeds."""
    recipe: str
    """The recipe's name; all of it stands in recipe.toml."""
    split_file: str | None
    labels: str | None
    sha256: Mapping[str, str]
    """Of the content of each file given, as in `run.json`."""
    status: str = "running"
    """running, finished, failed or interrupted."""
    error: str | None = None
    started: str = ""
    resumed: tuple[str, ...] = ()
    ended: str | None = None
    seconds: float = 0.0
    fieldmark_version: str = __version__
    result: Repeated | None = None
    """None until all have finished."""

    @property
    def names(self) -> tuple[str, ...]:
        """The folders of the repeats, in their order."""
        return tuple(f"{self.noun}-{number}" for number in self.numbers)

    @property
    def noun(self) -> str:
        """What one repeat is called."""
        return "fold" if self.kind == FOLDS else "seed"

    @property
    def began(self) -> str:
        """When it began or went on last, in ISO 8601."""
        return max([self.started, *self.resumed])


def write_repeats(folder: RunFolder, record: RepeatsRecord) -> None:
    """Write `repeats.json` atomically."""
    write_json(folder.repeats_json, {"schema_version": SCHEMA_VERSION, **to_plain(record)})


def read_repeats(folder: RunFolder) -> RepeatsRecord | None:
    """Read `repeats.json`; None where there is none.

    Raises:
        RunError: it cannot be read, is malformed or of a newer schema.
    """
    return read_document(folder.repeats_json, _parse)


def stopped_repeats(parent: Path) -> Iterator[tuple[RunFolder, RepeatsRecord]]:
    """Yield what was begun in folders of `parent` and has not finished; others are passed over."""
    for file in parent.glob("*/repeats.json"):
        folder = RunFolder(file.parent)
        with contextlib.suppress(RunError):
            record = read_repeats(folder)
            if record is not None and not is_done(folder, record):
                yield folder, record


def is_done(folder: RunFolder, record: RepeatsRecord) -> bool:
    """Tell whether all came to its end, the page included, which is the last that is written."""
    return record.status == FINISHED and folder.report_html.is_file()


@contextmanager
def kept(folder: RunFolder, record: RepeatsRecord) -> Iterator[None]:
    """Keep the record true from start to end: why it was stopped, or that it goes on."""
    began_s = time.monotonic()
    write_repeats(folder, record)
    try:
        yield
    except BaseException as error:
        stopped = replace(
            record,
            **_outcome(error),
            ended=datetime.now(UTC).isoformat(),
            seconds=round(record.seconds + time.monotonic() - began_s, 2),
        )
        # Where nothing can be written either, what went wrong first is what counts; and where the
        # folder was taken back, there is nothing to keep.
        with contextlib.suppress(OSError):
            if folder.repeats_json.exists():
                write_repeats(folder, stopped)
        raise


def finish(
    folder: RunFolder, record: RepeatsRecord, result: Repeated, *, since_s: float
) -> RepeatsRecord:
    """Write the record as it stays, and return it.

    Args:
        folder: of all repeats.
        record: as they began.
        result: what they came to.
        since_s: when this part of it began, by the monotonic clock.
    """
    done = replace(
        record,
        status=FINISHED,
        result=result,
        ended=datetime.now(UTC).isoformat(),
        seconds=round(record.seconds + time.monotonic() - since_s, 2),
    )
    write_repeats(folder, done)
    return done


def _outcome(error: BaseException) -> dict[str, Any]:
    if isinstance(error, KeyboardInterrupt):
        # What a run adds to it, how to go on, is for its user at that moment.
        first = error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else error
        return {"status": "interrupted", "error": str(first) or "interrupted from the keyboard"}
    text = str(error) if isinstance(error, FieldmarkError) else f"{type(error).__name__}: {error}"
    return {"status": "failed", "error": text}


def _parse(content: Mapping[str, Any], *, where: str) -> RepeatsRecord:
    check_schema(content, what=where, newest=SCHEMA_VERSION)
    record: RepeatsRecord = from_plain(RepeatsRecord, content, where=where)
    return record
