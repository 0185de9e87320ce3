"""Reads the text files of a run folder for the report: JSON, TOML and tables.

In: the run folder. Out: dictionaries and rows of text, or a RunError that names file and line.
Not covered: what the rows mean (see `content`).
"""

import csv
import io
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fieldmark.base.errors import RunError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises RunError if there is none."""
    try:
        content = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not valid JSON: {error}. Run the training again.") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} must hold a JSON object. Run the training again.")
    return content


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raises RunError if it is missing or malformed."""
    try:
        return tomllib.loads(_read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise RunError(f"{path} is not valid TOML: {error}. Run the training again.") from error


def read_table(path: Path, *, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a CSV file's rows by column; more columns than asked for are kept.

    Raises:
        RunError: The file is missing, a column is missing, or a row has the wrong length.
    """
    rows = csv.reader(io.StringIO(_read_text(path), newline=""))
    try:
        header = next(rows, [])
        if missing := [column for column in columns if column not in header]:
            raise RunError(
                f"{path} has no column {', '.join(missing)}; it has "
                f"{', '.join(header) or 'none'}. Run the training again, or restore the file."
            )
        return [
            _by_column(row, header=header, where=f"{path}, line {rows.line_num}") for row in rows
        ]
    except csv.Error as error:
        raise RunError(
            f"{path}, line {rows.line_num}: {error}. Run the training again, or restore the file."
        ) from error


def _by_column(row: Sequence[str], *, header: Sequence[str], where: str) -> dict[str, str]:
    if len(row) != len(header):
        raise RunError(
            f"{where}: {len(row)} values where the header has {len(header)}. Run the training "
            "again, or restore the file."
        )
    return dict(zip(header, row, strict=True))


def read_optional_table(path: Path, *, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return a CSV file's rows, or none where the run did not write the file."""
    return read_table(path, columns=columns) if path.is_file() else []


def number(row: Mapping[str, str], column: str) -> float:
    """Return a cell as a number; an empty or absent one is not-a-number."""
    text = row.get(column, "").strip()
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise RunError(f"The column {column} holds {text!r} where a number is due.") from error


def whole(row: Mapping[str, str], column: str) -> int:
    """Return a cell as a whole number; an empty or absent one is 0."""
    value = number(row, column)
    return 0 if math.isnan(value) else int(value)


def is_true(row: Mapping[str, str], column: str) -> bool:
    """Return whether a cell says yes."""
    return row.get(column, "").strip().lower() in {"1", "true", "yes"}


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is missing, so there is nothing to report. Give the folder of a finished "
            "run: the one that 'fieldmark train' named at its end."
        ) from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8 text: {error}. Restore the file.") from error
