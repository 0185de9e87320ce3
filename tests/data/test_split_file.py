"""A split that the user brings is read as it is, or refused with the row and the reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.label_file import LabelChange, apply_changes
from fieldmark.data.split_file import given_sides, read_split_file


def catalog() -> Catalog:
    rows = [
        CatalogRow(
            path=path,
            label=path.split("/")[0],
            width=1,
            height=1,
            num_bytes=1,
            sha256="0" * 64,
            status="excluded" if reason else "used",
            reason=reason,
        )
        for path, reason in (
            ("cat/1.jpg", ""),
            ("cat/2.jpg", ""),
            ("cat/bad.jpg", "empty file"),
            ("dog/1.jpg", ""),
            ("dog/a, b.jpg", ""),
        )
    ]
    return Catalog(root=Path("photos"), rows=tuple(rows))


def read(tmp_path: Path, text: str, *, encoding: str = "utf-8") -> dict[str, str]:
    path = tmp_path / "split.csv"
    path.write_bytes(text.encode(encoding))
    return read_split_file(path, catalog())


def test_paths_and_splits_are_read(tmp_path: Path) -> None:
    text = "path,label,split\ncat/1.jpg,cat,train\ncat/2.jpg,,val\ndog/1.jpg,dog,test\n"
    assert read(tmp_path, text) == {
        "cat/1.jpg": "train",
        "cat/2.jpg": "validation",
        "dog/1.jpg": "test",
    }


@pytest.mark.parametrize(
    "text",
    [
        "split,path\nTrain,cat/1.jpg\n",
        "Path, Split \ncat/1.jpg, train \n\n",
        "path,split,weight\r\n.\\cat\\1.jpg,training,3\r\n",
        "path,split\n./cat/1.jpg,TRAINING",
    ],
)
def test_order_case_spaces_and_slashes_do_not_matter(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {"cat/1.jpg": "train"}


def test_a_byte_order_mark_and_quotes_are_understood(tmp_path: Path) -> None:
    text = 'path,split\n"dog/a, b.jpg",test\n'
    assert read(tmp_path, text, encoding="utf-8-sig") == {"dog/a, b.jpg": "test"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must name the columns path and split"),
        ("file;split\n", "must name the columns path and split"),
        ("path,split\ncat/1.jpg,dev\n", "row 2: the split 'dev' is none of train"),
        ("path,split\ncat/1.jpg,train\ncat/1.jpg,test\n", r"row 3: cat/1\.jpg is listed twice"),
        ("path,split\ncat/1.jpg\n", "row 2: 1 values where the first line names 2"),
        ("path,split,label\ncat/1.jpg,train,dog\n", "row 2: cat/1.jpg is labelled 'dog'"),
        ("path,split\ncow/1.jpg,train\n", r"1 not in photos \(cow/1\.jpg\)"),
        ("path,split\ncat/bad.jpg,train\n", r"1 that cannot be used \(cat/bad\.jpg: empty file\)"),
        ("path,split\n/photos/cat/1.jpg,train\n", "1 not in photos"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SplitError, match=told):
        read(tmp_path, text)


@pytest.mark.parametrize("new_label", ["dog", None])
def test_a_split_made_before_labels_were_put_right_still_fits(
    tmp_path: Path, new_label: str | None
) -> None:
    file = tmp_path / "split.csv"
    file.write_text("path,label,split\ncat/1.jpg,cat,train\ncat/2.jpg,cat,test\n", encoding="utf-8")
    change = LabelChange(path="cat/1.jpg", label="cat", new_label=new_label)
    sides = read_split_file(file, apply_changes(catalog(), [change]))
    left_out = {} if new_label is None else {"cat/1.jpg": "train"}
    assert sides == {**left_out, "cat/2.jpg": "test"}


def test_the_label_put_right_fits_too_but_no_third_one(tmp_path: Path) -> None:
    change = LabelChange(path="cat/1.jpg", label="cat", new_label="dog")
    file = tmp_path / "split.csv"
    file.write_text("path,label,split\ncat/1.jpg,dog,train\n", encoding="utf-8")
    assert read_split_file(file, apply_changes(catalog(), [change])) == {"cat/1.jpg": "train"}
    file.write_text("path,label,split\ncat/1.jpg,cow,train\n", encoding="utf-8")
    with pytest.raises(SplitError, match=r"labelled 'cow', but lies in the folder of 'cat'"):
        read_split_file(file, apply_changes(catalog(), [change]))


def test_many_missing_photos_are_counted_and_three_shown(tmp_path: Path) -> None:
    lines = "".join(f"cow/{number}.jpg,train\n" for number in range(50))
    with pytest.raises(SplitError) as caught:
        read(tmp_path, "path,split\ncat/1.jpg,train\n" + lines)
    text = str(caught.value)
    assert "lists 51 photos, among them 50 not in photos" in text
    assert "(cow/0.jpg; cow/1.jpg; cow/2.jpg; ...)" in text


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="cannot be read"):
        read_split_file(tmp_path / "missing.csv", catalog())
    with pytest.raises(SplitError, match="cannot be read"):
        read(tmp_path, "path,split\nété/1.jpg,train\n", encoding="latin-1")


def test_without_a_file_the_folders_give_the_sides() -> None:
    rows = [
        replace(row, layout_split="test" if row.label == "dog" else "train")
        for row in catalog().rows
    ]
    assert given_sides(replace(catalog(), rows=tuple(rows))) == {
        "cat/1.jpg": "train",
        "cat/2.jpg": "train",
        "dog/1.jpg": "test",
        "dog/a, b.jpg": "test",
    }
    assert given_sides(catalog()) == {}


def test_a_file_comes_before_the_folders(tmp_path: Path) -> None:
    rows = tuple(replace(row, layout_split="train") for row in catalog().rows)
    file = tmp_path / "split.csv"
    file.write_text("path,split\ncat/1.jpg,test\n", encoding="utf-8")
    assert given_sides(replace(catalog(), rows=rows), file) == {"cat/1.jpg": "test"}


def test_a_file_without_test_photos_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    file.write_text("path,split\ncat/1.jpg,train\n", encoding="utf-8")
    with pytest.raises(SplitError, match=r"split\.csv has no test photo"):
        given_sides(catalog(), file)
