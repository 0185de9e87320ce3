r"""The file that predictions are written to: row by row, gone on with where it was stopped.

In: text, a row at a time. Out: the file, complete. Until then the rows are in `NAME.unfinished`
beside it, each of them whole, so that nobody reads half a file and nothing is lost when the
process is killed.
Not covered: what is in a row (`prediction_output`).
"""

import csv
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fieldmark.base.errors import RunError
from fieldmark.base.files import sync_folder
from fieldmark.base.lock import hold, holder
from fieldmark.prediction_output import RESUMABLE, CsvRows

ROWS_A_FLUSH = 64
"""Rows that may be lost when the process is killed; they are predicted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the rows of a file must be like for others to be added to them."""

    output_format: str
    """One of `RESUMABLE`."""
    width: int
    """How many classes a row names."""
    classes: Sequence[str]
    """Those of the classifier."""


class DonePaths:
    """The paths that have their row already: on disk, so that millions of them take no memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a temporary file of SQLite's own
        self._database.execute("CREATE TABLE done (path TEXT PRIMARY KEY) WITHOUT ROWID")
        self.count = 0

    def add(self, path: str) -> None:
        """Remember a path, as it stands in a row."""
        self._database.execute("INSERT OR IGNORE INTO done VALUES (?)", (written(path),))
        self.count += 1

    def __contains__(self, path: object) -> bool:
        asked = "SELECT 1 FROM done WHERE path = ?"
        return self._database.execute(asked, (written(str(path)),)).fetchone() is not None

    def close(self) -> None:
        """Let go of the temporary file."""
        self._database.close()


class PredictionFile:
    """An unfinished file that rows are added to."""

    def __init__(self, stream: BinaryIO, *, is_new: bool) -> None:
        self.is_new = is_new
        """Whether it holds nothing yet, not even a header."""
        self._stream = stream
        self._since_flush = 0

    def write(self, text: str) -> None:
        """Add text; it reaches the system after at most `ROWS_A_FLUSH` calls."""
        self._stream.write(text.encode("utf-8", errors="backslashreplace"))
        self._since_flush += 1
        if self._since_flush >= ROWS_A_FLUSH:
            self._stream.flush()
            self._since_flush = 0


def written(path: str) -> str:
    """Return a path as it stands in a file: bytes that are not UTF-8 are escaped."""
    return path.encode("utf-8", errors="backslashreplace").decode()


def unfinished(path: Path) -> Path:
    """Return where the rows of `path` are until all are there: `out.unfinished.csv`."""
    return path.with_name(f"{path.stem}.unfinished{path.suffix}")


def require_writable(path: Path, *, is_resumed: bool, output_format: str) -> None:
    """Refuse an output that cannot be used, before anything slow begins.

    Raises:
        RunError: it is a folder, an earlier run was stopped and this one does not go on with it,
            or rows of the format cannot be gone on with.
    """
    if path.is_dir():
        raise RunError(f"--output {path} is a folder. Give the name of a file.")
    if is_resumed and output_format not in RESUMABLE:
        raise RunError(
            f"--resume goes on with a file that programs can read, and --format is "
            f"'{output_format}'. Allowed: {', '.join(RESUMABLE)}."
        )
    left = unfinished(path)
    if not is_resumed and left.exists() and output_format in RESUMABLE:
        raise RunError(
            f"{left} holds the predictions of a run that was stopped. Go on with it: the same "
            "command with --resume. Or remove that file to begin anew."
        )


@contextmanager
def writing(path: Path, *, go_on: Expected | None, done: DonePaths) -> Iterator[PredictionFile]:
    """Write a file within the block; it takes its name once the block ends well.

    Where the block ends by an exception, the rows that are there stay in `unfinished(path)`.

    Args:
        path: of the complete file; one that is there is replaced.
        go_on: what the rows to go on with must be like; None begins anew.
        done: gets the paths that have rows already.

    Raises:
        RunError: another process writes to it, it cannot be written, or what is there are no rows
            that others can be added to.
    """
    place = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from error
    with _alone(path):
        end = _taken_up(path, place, go_on, done=done) if go_on else 0
        try:
            stream = place.open("r+b" if end else "wb")
        except OSError as error:
            raise _not_writable(path, error) from error
        with stream:
            stream.truncate(end)  # a row that was cut short by a killed process
            stream.seek(end)
            yield PredictionFile(stream, is_new=not end)
            stream.flush()
            os.fsync(stream.fileno())
        place.replace(path)
        sync_folder(path.parent)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(lock))
        except RunError as error:
            if process := holder(lock):
                raise RunError(
                    f"{path} is being written by {process}. Wait until that has ended, or choose "
                    "another --output."
                ) from error
            raise
        yield


def _taken_up(path: Path, place: Path, expected: Expected, *, done: DonePaths) -> int:
    """Return where the rows to go on with end, in bytes; 0 where there are none."""
    found = place if place.exists() else path
    if not found.exists():
        return 0
    try:
        with found.open("rb") as stream:
            end = _read(stream, expected, done=done, where=found)
    except OSError as error:
        raise RunError(f"{found} cannot be read: {error.strerror}.") from error
    if found is path:
        path.replace(place)
    return end


def _read(stream: BinaryIO, expected: Expected, *, done: DonePaths, where: Path) -> int:
    """Add the paths of all whole rows to `done`, and return where the last of them ends."""
    is_csv = expected.output_format == "csv"
    end = 0
    for row_path, label, row_end in (_csv_rows if is_csv else _json_rows)(stream, expected, where):
        if label and label not in expected.classes:
            raise RunError(
                f"{where} holds predictions by another classifier: it has the class '{label}', "
                f"and this one knows {', '.join(expected.classes[:5])}. Choose another --output."
            )
        if row_path is not None:
            done.add(row_path)
        end = row_end
    return end


Row = tuple[str | None, str, int]
"""Path of a photo (None for a header), its class or nothing, and where the row ends, in bytes."""


def _csv_rows(stream: BinaryIO, expected: Expected, where: Path) -> Iterator[Row]:
    columns = CsvRows(expected.width).columns
    lines, header = _WholeLines(stream), None
    rows = csv.reader(lines, strict=True)  # strict: a row that ends within quotes is none
    try:
        header = next(rows, None)
        if header is None:
            return
        if header != columns:
            raise _not_ours(where)
        yield None, "", lines.end
        for cells in rows:
            if len(cells) != len(columns):
                return
            yield cells[0], cells[1], lines.end
    except (csv.Error, UnicodeDecodeError):
        if header is None:
            raise _not_ours(where) from None


def _json_rows(stream: BinaryIO, expected: Expected, where: Path) -> Iterator[Row]:
    lines, is_first = _WholeLines(stream), True
    try:
        for line in lines:
            row = json.loads(line)
            path, label, top = row["path"], row["predicted"], row["top"]
            if label is not None and len(top) != expected.width:
                raise _not_ours(where)
            yield str(path), str(label or ""), lines.end
            is_first = False
    except (ValueError, TypeError, LookupError):
        if is_first:
            raise _not_ours(where) from None


class _WholeLines:
    """The whole lines of a file as text, with how many bytes were given out."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.end = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            if not line.endswith(b"\n"):
                return
            self.end += len(line)
            yield line.decode("utf-8")


def _not_ours(where: Path) -> RunError:
    return RunError(
        f"{where} does not hold predictions with these columns, so --resume cannot go on with it. "
        "Use the --format and --top-k that it was written with, or choose another --output."
    )


def _not_writable(path: Path, error: OSError) -> RunError:
    return RunError(f"{path} cannot be written: {error.strerror}. Choose another --output.")
