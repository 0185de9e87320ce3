"""Reading the files of a run folder."""

import math
from pathlib import Path

import pytest

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv
from fieldmark.report.run_files import (
    is_true,
    number,
    read_json,
    read_optional_table,
    read_table,
    read_toml,
    whole,
)


def test_names_with_line_ends_and_commas_come_back_whole(tmp_path: Path) -> None:
    names = ["a,b", "two\nlines", "line\u2028separator", 'quo"te', "form\x0cfeed"]
    path = tmp_path / "table.csv"
    write_csv(path, header=("path",), rows=[(name,) for name in names])
    assert [row["path"] for row in read_table(path, columns=("path",))] == names


def test_a_carriage_return_in_a_name_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'path,label\n"Icon\r",a\n"b\r\nc",a\n')
    rows = read_table(path, columns=("path",))
    assert [row["path"] for row in rows] == ["Icon\r", "b\r\nc"]


def test_what_is_not_a_table_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"path,label\na\rb,c\n")
    with pytest.raises(RunError, match=r"table\.csv, line 2"):
        read_table(path, columns=("path",))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("path,label\n")
    with pytest.raises(RunError, match=r"table\.csv has no column split; it has path, label"):
        read_table(path, columns=("path", "split"))


def test_a_short_row_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("path,label\na,b\nc\n")
    with pytest.raises(RunError, match=r"table\.csv, line 3: 1 values"):
        read_table(path, columns=("path",))


def test_a_file_that_a_run_need_not_write_may_be_missing(tmp_path: Path) -> None:
    assert read_optional_table(tmp_path / "none.csv", columns=("a",)) == []
    with pytest.raises(RunError, match=r"none\.csv is missing"):
        read_table(tmp_path / "none.csv", columns=("a",))


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_malformed_json_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"facts\.json"):
        read_json(path)


def test_malformed_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("a = ")
    with pytest.raises(RunError, match=r"recipe\.toml is not valid TOML"):
        read_toml(path)


def test_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match=r"recipe\.toml is not UTF-8"):
        read_toml(path)


def test_empty_cells_are_not_numbers_but_no_error() -> None:
    assert math.isnan(number({"a": " "}, "a"))
    assert math.isnan(number({}, "a"))
    assert whole({"a": ""}, "a") == 0
    assert number({"a": "1e-3"}, "a") == 0.001


def test_a_word_where_a_number_is_due_is_named() -> None:
    with pytest.raises(RunError, match="column lr holds 'fast'"):
        number({"lr": "fast"}, "lr")


@pytest.mark.parametrize(("cell", "yes"), [("1", True), ("True", True), ("0", False), ("", False)])
def test_yes_and_no_are_read(cell: str, yes: bool) -> None:
    assert is_true({"chosen": cell}, "chosen") is yes
