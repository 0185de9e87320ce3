"""A CSV that the user brings, with a row for each photo: its columns, its rows, the photos meant.

In: a file with commas between the cells, or with semicolons or tabs, as spreadsheets write it too.
Out: `PhotoTable`, and which photo of the folder a cell names.
Not covered: what the columns mean (`split_file`, `label_file`, `group_by`).
"""

import csv
import io
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.errors import FieldmarkError

PATH = "path"
"""The column that names the photo."""
DELIMITERS = (",", ";", "\t")
"""What may stand between cells, the first of them that the first line holds. Spreadsheets write
semicolons where a comma is the decimal mark."""
FORMULA = ("=", "+", "-", "@")
"""With what a cell begins that a spreadsheet takes for a formula, and would run (OWASP, "CSV
Injection"; control characters, which it names as well, are in no name of a photo used)."""

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTable:
    """A file's content, not yet looked at."""

    path: Path
    columns: tuple[str, ...]
    """As the first line names them, in lower case and without blanks around."""
    lines: tuple[tuple[str, ...], ...]
    """The other lines, cell by cell; empty ones are no rows."""
    error: type[FieldmarkError]
    """What is raised where the table does not hold what it must."""

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the number of each row, as a spreadsheet counts, and its cells by column.

        Raises:
            FieldmarkError: `error`, where a row has more or fewer cells than there are columns.
        """
        for number, cells in enumerate(self.lines, start=2):
            if not cells:
                continue
            if len(cells) != len(self.columns):
                raise self.error(
                    f"{self.path}, row {number}: {len(cells)} values where the first line names "
                    f"{len(self.columns)} columns."
                )
            yield number, dict(zip(self.columns, cells, strict=True))


def read_photo_table(path: Path, *, what: str, error: type[FieldmarkError]) -> PhotoTable:
    """Read a CSV in UTF-8.

    Where its first line has no comma, semicolons or else tabs divide the cells.

    Args:
        path: the file.
        what: what it is, for messages, as in "split file".
        error: what to raise.

    Raises:
        FieldmarkError: `error`, where the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            stream = io.StringIO(file.read(), newline="")
        delimiter = _delimiter(stream.readline())
        stream.seek(0)
        lines = tuple(tuple(line) for line in csv.reader(stream, delimiter=delimiter))
    except UnicodeDecodeError as problem:
        raise error(
            f"The {what} {path} cannot be read, since it is not in UTF-8: save it as CSV UTF-8, "
            "which spreadsheets offer among their formats."
        ) from problem
    except (OSError, csv.Error) as problem:
        raise error(f"The {what} {path} cannot be read: {problem}.") from problem
    columns = tuple(name.strip().lower() for name in lines[0]) if lines else ()
    return PhotoTable(path=path, columns=columns, lines=lines[1:], error=error)


def _delimiter(header: str) -> str:
    return next((mark for mark in DELIMITERS if mark in header), DELIMITERS[0])


def as_text(name: str) -> str:
    """Return a name so that no spreadsheet takes it for a formula; `name_meant` undoes it."""
    return f"'{name}" if name.startswith(FORMULA) else name


def name_meant(cell: str, known: Container[str]) -> str:
    """Return the name that a cell means: as it stands, or as a spreadsheet or `as_text` left it."""
    for name in (cell, _unquoted(cell)):
        if name in known:
            return name
    return _unquoted(cell.strip())


def _unquoted(name: str) -> str:
    """Undo `as_text`."""
    return name[1:] if name.startswith("'") and name[1:].startswith(FORMULA) else name


def photo_named(cell: str, known: Container[str]) -> str:
    r"""Return the path that a cell means.

    As it stands where there is such a photo; else as people and spreadsheets also write it: with
    blanks around, ./ in front, or \ for /.
    """
    name = name_meant(cell, known)
    return name if name in known else name.replace("\\", "/").removeprefix("./")


def some(items: Sequence[str]) -> str:
    """Return the first few of many items, for a message."""
    return "; ".join(items[:_SHOWN]) + ("; ..." if len(items) > _SHOWN else "")
