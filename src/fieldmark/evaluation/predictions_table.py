"""The columns of `predictions.csv`, its rows and their line numbers.

In: class names, or a file. Out: a header, or records with labels as indices.
Not covered: what the values mean together; `predictions` checks that.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fieldmark.base.errors import EvaluationError, RunError, nearest_spelling

COLUMNS = ("path", "split", "label", "predicted", "confidence")
UNFAMILIARITY = "unfamiliarity"
"""A column that is there where the images have such a score."""
LOGIT_PREFIX = "logit:"


class Record(NamedTuple):
    """One row: an image, its split, the index of its label, its C logits and perhaps a score."""

    path: str
    split: str
    label: int
    logits: list[float]
    unfamiliarity: float | None = None


def header(classes: Sequence[str], *, has_scores: bool = False) -> list[str]:
    """Return the names of the columns: those of `COLUMNS`, the score, then a logit a class."""
    return [
        *COLUMNS,
        *((UNFAMILIARITY,) if has_scores else ()),
        *(LOGIT_PREFIX + name for name in classes),
    ]


def read_table(path: Path) -> tuple[tuple[str, ...], list[Record]]:
    """Return the classes, in the order of their logit columns, and the records of a file.

    Further columns and blank lines are ignored.

    Raises:
        RunError: if the file cannot be opened.
        EvaluationError: if it is not such a table; the message names the file and the line.
    """
    rows = _csv_rows(path)
    line, names = next(rows, (1, []))
    layout = _Layout.of(names, where=f"{path}, line {line}")
    records = [layout.record(row, where=f"{path}, line {line}") for line, row in rows]
    return tuple(layout.labels), records


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that occurred before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the line on which it ends."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(io.StringIO(stream.read(), newline=""), strict=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{path}: {reason}; a finished training run writes this file") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: not UTF-8: {error}") from error
    try:
        yield from ((rows.line_num, row) for row in rows if row)
    except csv.Error as error:
        raise EvaluationError(f"{path}, line {rows.line_num}: not CSV: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Which column of a file holds what."""

    header: tuple[str, ...]
    places: dict[str, int]
    labels: dict[str, int]
    """The index of each class."""
    logits: tuple[int, ...]
    """The columns of the logits, in the order of the classes."""

    @classmethod
    def of(cls, header: Sequence[str], *, where: str) -> "_Layout":
        missing = [name for name in COLUMNS if name not in header]
        logits = [place for place, name in enumerate(header) if name.startswith(LOGIT_PREFIX)]
        if not logits:
            missing.append(f"{LOGIT_PREFIX}<class>")
        if missing:
            raise EvaluationError(f"{where}: there is no column {', '.join(missing)}")
        repeated = first_repeated(header)
        if repeated is not None:
            raise EvaluationError(f"{where}: the column {repeated!r} occurs twice")
        names = (header[place].removeprefix(LOGIT_PREFIX) for place in logits)
        return cls(
            header=tuple(header),
            places={name: place for place, name in enumerate(header)},
            labels={name: index for index, name in enumerate(names)},
            logits=tuple(logits),
        )

    def record(self, row: Sequence[str], *, where: str) -> Record:
        if len(row) != len(self.header):
            raise EvaluationError(
                f"{where}: {len(row)} fields where the header has {len(self.header)}"
            )
        path, split, label = (row[self.places[name]] for name in ("path", "split", "label"))
        if label not in self.labels:
            hint = nearest_spelling(label, self.labels)
            raise EvaluationError(f"{where}: the label {label!r} has no logit column.{hint}")
        logits = [self._number(row, place, where=where) for place in self.logits]
        score, place = None, self.places.get(UNFAMILIARITY)
        if place is not None and row[place]:
            score = self._number(row, place, where=where)
        return Record(path, split, self.labels[label], logits, score)

    def _number(self, row: Sequence[str], place: int, *, where: str) -> float:
        try:
            value = float(row[place])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise EvaluationError(
                f"{where}: {self.header[place]!r} must be a finite number, met {row[place]!r}"
            )
        return value
