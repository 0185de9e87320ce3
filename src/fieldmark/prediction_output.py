"""Predictions as rows: a table for people, CSV and JSON lines for programs, written as they come.

In: predictions, one after another. Out: text, a piece at a time.
Not covered: where the text goes (`prediction_file`, or the terminal).
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fieldmark.base.errors import RecipeError, nearest_spelling
from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:  # NumPy is imported where it is needed: `fieldmark --help` answers at once
    from fieldmark.evaluation.answer import Prediction

FORMATS = ("table", "csv", "jsonl")
RESUMABLE = ("csv", "jsonl")
"""Those whose rows can be read again."""
TABLE_ROWS = 1_000
"""Rows of one table: its columns are as wide as they need be, so that many are held till its end.
After these another table begins."""
SET_SEPARATOR = "|"
"""Between the classes of a set in a cell of CSV; no folder can have it in its name on Windows, and
hardly any has it elsewhere."""
YES_OR_NO = {True: "true", False: "false", None: ""}


class Rows(Protocol):
    """A way to write predictions."""

    def start(self) -> str:
        """Return what stands above the first row."""
        ...

    def row(self, prediction: "Prediction") -> str:
        """Return what is to be written now that a prediction is made; nothing if it is held."""
        ...

    def end(self) -> str:
        """Return what was held."""
        ...


def check_format(output_format: str) -> None:
    """Refuse a format that does not exist.

    Raises:
        RecipeError: the message has those that there are.
    """
    if output_format not in FORMATS:
        hint = nearest_spelling(output_format, FORMATS)
        raise RecipeError(f"--format is '{output_format}'.{hint} Allowed: {', '.join(FORMATS)}.")


def format_of(output: Path | None) -> str:
    """Return the format that a file's name asks for: "csv" or "jsonl"; "table" by any other."""
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    return suffix if suffix in RESUMABLE else "table"


def rows_of(output_format: str, *, width: int) -> Rows:
    """Return a new writer of one of `FORMATS`, for predictions that name `width` classes each."""
    if output_format == "csv":
        return CsvRows(width)
    return JsonRows() if output_format == "jsonl" else TableRows()


def as_text(predictions: "Sequence[Prediction]", *, output_format: str) -> str:
    """Return predictions in one of `FORMATS`."""
    width = max((len(prediction.ranking) for prediction in predictions), default=1)
    rows = rows_of(output_format, width=width)
    return "".join([rows.start(), *map(rows.row, predictions), rows.end()])


class CsvRows:
    """Comma-separated values with a header."""

    def __init__(self, width: int) -> None:
        self.width = width
        ranks = range(1, width + 1)
        places = [column for rank in ranks for column in (f"class_{rank}", f"confidence_{rank}")]
        verdicts = ["set", "abstained", "unfamiliarity", "is_unfamiliar"]
        self.columns = ["path", *places, *verdicts, "error"]

    def start(self) -> str:
        """Return the names of the columns."""
        return _csv_line(self.columns)

    def row(self, prediction: "Prediction") -> str:
        """Return a line; that of a file which could not be read has the reason at its end."""
        cells: list[object] = [cell for pair in prediction.ranking for cell in pair]
        missing = [""] * (2 * self.width - len(cells))
        score = prediction.unfamiliarity
        verdicts = [
            SET_SEPARATOR.join(prediction.candidates or ()),
            YES_OR_NO[prediction.is_withheld],
            "" if score is None else score,
            YES_OR_NO[prediction.is_unfamiliar],
        ]
        error = prediction.error or ""
        return _csv_line([prediction.path, *cells, *missing, *verdicts, error])

    def end(self) -> str:
        """Return nothing: no row is held."""
        return ""


class JsonRows:
    """A JSON object a line."""

    def start(self) -> str:
        """Return nothing: each line stands for itself."""
        return ""

    def row(self, prediction: "Prediction") -> str:
        """Return a line."""
        top = [{"class": name, "confidence": share} for name, share in prediction.ranking]
        values: dict[str, Any] = {
            "path": prediction.path,
            "predicted": prediction.label,
            "confidence": prediction.confidence,
            "top": top,
            "set": None if prediction.candidates is None else list(prediction.candidates),
            "abstained": prediction.is_withheld,
            "unfamiliarity": prediction.unfamiliarity,
            "is_unfamiliar": prediction.is_unfamiliar,
            "error": prediction.error,
        }
        return json.dumps(values, ensure_ascii=False) + "\n"

    def end(self) -> str:
        """Return nothing: no row is held."""
        return ""


class TableRows:
    """Tables for people, of at most `TABLE_ROWS` rows each."""

    def __init__(self) -> None:
        self._held: list[Prediction] = []
        self._is_first = True

    def start(self) -> str:
        """Return nothing: how wide the columns are is not known yet."""
        return ""

    def row(self, prediction: "Prediction") -> str:
        """Return a table once it is full."""
        full = self.end() if len(self._held) == TABLE_ROWS else ""
        self._held.append(prediction)
        return full

    def end(self) -> str:
        """Return the table of the rows held; the first even where there are none."""
        if not self._held and not self._is_first:
            return ""
        text = ("" if self._is_first else "\n") + _table(self._held)
        self._held, self._is_first = [], False
        return text


def _csv_line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    # The writer quotes a cell with a carriage return only where its line end has one, too.
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _table(predictions: "Sequence[Prediction]") -> str:
    width = max((len(prediction.ranking) for prediction in predictions), default=1)
    places = [f"{place}." for place in range(1, width + 1)]
    has_doubts = any(prediction.words for prediction in predictions)
    table = new_table("Photo", *places, *(["Doubt"] if has_doubts else []), right=())
    for prediction in predictions:
        if prediction.error is not None:
            add_row(table, prediction.path, prediction.error)
            continue
        cells = [f"{name} {100 * share:.1f} %" for name, share in prediction.ranking]
        missing = [""] * (width - len(cells))
        doubt = prediction.words
        add_row(table, prediction.path, *cells, *([*missing, doubt] if doubt else []))
    return drawn(table)
