"""A table with a row a photo: read by its columns, and its cells taken for the photos meant."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import DataError, SplitError
from fieldmark.data.photo_table import (
    FORMULA,
    PhotoTable,
    as_text,
    name_meant,
    photo_named,
    read_photo_table,
    some,
)


def read(tmp_path: Path, content: bytes) -> PhotoTable:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    return read_photo_table(path, what="table", error=SplitError)


def test_rows_are_numbered_as_a_spreadsheet_counts_and_empty_ones_skipped(tmp_path: Path) -> None:
    table = read(tmp_path, b"\xef\xbb\xbfPath, Side \r\na.jpg,x\r\n\r\nb.jpg,y\r\n")
    assert table.columns == ("path", "side")
    assert list(table.rows()) == [
        (2, {"path": "a.jpg", "side": "x"}),
        (4, {"path": "b.jpg", "side": "y"}),
    ]


@pytest.mark.parametrize("mark", [";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_semicolons_and_tabs_divide_cells_where_the_first_line_has_no_comma(
    mark: str, end: str, tmp_path: Path
) -> None:
    lines = [f"Path{mark}Side", f"a,b.jpg{mark}x", f'"c{mark}d.jpg"{mark}y', ""]
    table = read(tmp_path, end.join(lines).encode("utf-8-sig"))
    assert table.columns == ("path", "side")
    assert [cells for _, cells in table.rows()] == [
        {"path": "a,b.jpg", "side": "x"},
        {"path": f"c{mark}d.jpg", "side": "y"},
    ]


def test_commas_in_the_first_line_divide_cells_whatever_else_it_holds(tmp_path: Path) -> None:
    table = read(tmp_path, b"path,a;b\tc\nx;y.jpg,1\n")
    assert table.columns == ("path", "a;b\tc")
    assert list(table.rows()) == [(2, {"path": "x;y.jpg", "a;b\tc": "1"})]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_what_is_not_in_utf_8_is_told_how_to_be_saved(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(SplitError) as refused:
        read(tmp_path, "path,side\né.jpg,x\n".encode(encoding))
    message = str(refused.value)
    assert "table.csv cannot be read, since it is not in UTF-8: save it as CSV UTF-8" in message
    assert "codec" not in message


def test_an_empty_file_has_neither_columns_nor_rows(tmp_path: Path) -> None:
    table = read(tmp_path, b"")
    assert (table.columns, list(table.rows())) == ((), [])


def test_a_row_of_another_length_is_refused_with_its_number(tmp_path: Path) -> None:
    table = read(tmp_path, b"path,side\na.jpg,x\nb.jpg\n")
    with pytest.raises(SplitError, match="row 3: 1 values where the first line names 2"):
        list(table.rows())


def test_what_cannot_be_read_raises_what_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The list .*none\.csv cannot be read"):
        read_photo_table(tmp_path / "none.csv", what="list", error=DataError)


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("cat/1.jpg", "cat/1.jpg"),
        (" .\\cat\\1.jpg ", "cat/1.jpg"),
        ("./cat/1.jpg", "cat/1.jpg"),
        (" odd/1.jpg", " odd/1.jpg"),
        ("a\\b/1.jpg", "a\\b/1.jpg"),
        ("cow.jpg", "cow.jpg"),
        ("'=a/1.jpg", "=a/1.jpg"),
        (" '=a\\1.jpg", "=a/1.jpg"),
        ("'cat/1.jpg", "'cat/1.jpg"),
    ],
)
def test_a_cell_means_the_photo_as_written_or_as_people_write_it(cell: str, meant: str) -> None:
    assert photo_named(cell, {"cat/1.jpg", " odd/1.jpg", "a\\b/1.jpg"}) == meant


@given(st.text(), st.sets(st.text()))
def test_a_name_written_as_text_is_meant(name: str, others: set[str]) -> None:
    assert name_meant(as_text(name), {name}) == name
    assert not as_text(name).startswith(FORMULA)
    assert all(name_meant(other, others) == other for other in others)


def test_of_many_items_three_are_told() -> None:
    assert some(["a", "b", "c"]) == "a; b; c"
    assert some(["a", "b", "c", "d"]) == "a; b; c; ..."
