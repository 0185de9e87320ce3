from pathlib import Path

import pytest

from fieldmark.base.errors import EvaluationError, RunError
from fieldmark.evaluation.predictions_table import (
    Record,
    first_repeated,
    header,
    read_table,
)

HEADER = "path,split,label,predicted,confidence,logit:oak,logit:elm\n"
ROW = "oak/1.jpg,test,oak,oak,0.7,1.5,-0.25\n"


def read(text: str | bytes, tmp_path: Path) -> tuple[tuple[str, ...], list[Record]]:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path)


def test_classes_come_in_the_order_of_their_columns(tmp_path: Path) -> None:
    classes, records = read(HEADER + ROW, tmp_path)
    assert classes == ("oak", "elm")
    assert records == [Record("oak/1.jpg", "test", 0, [1.5, -0.25])]


def test_columns_may_be_moved_and_added(tmp_path: Path) -> None:
    text = (
        "logit:elm,note,label,split,path,confidence,predicted,logit:oak\n2,hi,oak,test,x,1,elm,1\n"
    )
    assert read(text, tmp_path) == (("elm", "oak"), [Record("x", "test", 1, [2.0, 1.0])])


@pytest.mark.parametrize("change", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_read(
    change: bytes, tmp_path: Path
) -> None:
    text = change + (HEADER + "\n" + ROW + "\n").replace("\n", "\r\n").encode()
    assert read(text, tmp_path)[1] == [Record("oak/1.jpg", "test", 0, [1.5, -0.25])]


@pytest.mark.parametrize("column", ["path", "split", "label", "predicted", "confidence"])
def test_a_missing_column_is_named_with_the_file_and_line(column: str, tmp_path: Path) -> None:
    text = HEADER.replace(column, "other") + ROW
    with pytest.raises(EvaluationError, match=f"table.csv, line 1: there is no column {column}$"):
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there is no column path, split, .*logit:<class>"),
        ("path,split,label,predicted,confidence\n", "line 1: there is no column logit:<class>"),
        (HEADER.replace("elm", "oak"), "line 1: the column 'logit:oak' occurs twice"),
        (HEADER + ROW + "a,test,oka,oak,1,0,0\n", "line 3: the label 'oka' .*Did you mean 'oak'"),
        (HEADER + ROW + "a,test,oak,oak,1,0\n", "line 3: 6 fields where the header has 7"),
        (HEADER + "a,test,oak,oak,1,0,x\n", "line 2: 'logit:elm' must be .* met 'x'"),
        (HEADER + "a,test,oak,oak,1,nan,0\n", "line 2: 'logit:oak' must be .* met 'nan'"),
        (HEADER + "a,test,oak,oak,1,,0\n", "line 2: 'logit:oak' must be .* met ''"),
        (HEADER + '"two\nlines",test,ash,oak,1,0,0\n', "line 3: the label 'ash'"),
        (HEADER + 'a,test,"oak"x,oak,1,0,0\n', "line 2: not CSV"),
        (HEADER + ROW + '"never closed,test,oak', "line 3: not CSV"),
    ],
)
def test_a_malformed_table_is_refused_with_the_file_and_line(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match=f"table.csv, {message}"):
        read(text, tmp_path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"table.csv: not UTF-8"):
        read(HEADER.encode() + "Äpfel".encode("latin-1"), tmp_path)


def test_a_file_that_is_not_there_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"gone.csv: No such file or directory; a finished training"):
        read_table(tmp_path / "gone.csv")


def test_the_header_names_a_logit_for_each_class() -> None:
    columns = ["path", "split", "label", "predicted", "confidence", "logit:x", "logit:y,z"]
    assert header(["x", "y,z"]) == columns


def test_the_first_repeated_name_is_found() -> None:
    assert first_repeated(["a", "b", "c", "b", "a"]) == "b"
    assert first_repeated(["a", "b"]) is None
