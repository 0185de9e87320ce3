"""A table of splits counts what stands in it, and comes back from its file as it was."""

from pathlib import Path

import pytest

from fieldmark.base.errors import RunError
from fieldmark.data.split_table import (
    SplitRow,
    Splits,
    name_classes,
    read_splits,
    write_splits,
)


def splits() -> Splits:
    """Two cats of one group and a third, a dog, and an oddly named class."""
    rows = [
        ("cat/1.jpg", "cat", "train", "aa"),
        ("cat/2.jpg", "cat", "train", "aa"),
        ("cat/3.jpg", "cat", "test", "bb"),
        ("dog/1.jpg", "dog", "validation", "cc"),
        ("é, y/1.jpg", "é, y", "test", "dd"),
    ]
    return Splits(
        rows=tuple(
            SplitRow(path=path, label=label, split=split, group=group)
            for path, label, split, group in rows
        )
    )


def test_photos_are_counted_by_side_and_class() -> None:
    assert splits().counts() == {"train": 2, "validation": 1, "test": 2}
    assert splits().class_counts() == {
        "cat": {"train": 2, "validation": 0, "test": 1},
        "dog": {"train": 0, "validation": 1, "test": 0},
        "é, y": {"train": 0, "validation": 0, "test": 1},
    }
    assert splits().paths("test") == ("cat/3.jpg", "é, y/1.jpg")
    assert splits().labels("test") == ("cat", "é, y")


def test_groups_are_counted_and_the_photos_in_those_of_several() -> None:
    assert (splits().num_groups, splits().num_grouped, splits().largest_group) == (4, 2, 2)
    assert splits().groups()["cat/2.jpg"] == "aa"
    assert splits().sides()["dog/1.jpg"] == "validation"


def test_an_empty_table_counts_zero() -> None:
    empty = Splits(rows=())
    assert empty.counts() == {"train": 0, "validation": 0, "test": 0}
    assert (empty.num_groups, empty.num_grouped, empty.largest_group) == (0, 0, 0)


def test_a_file_brings_back_the_same(tmp_path: Path) -> None:
    write_splits(tmp_path / "splits.csv", splits())
    again = read_splits(tmp_path / "splits.csv")
    assert again == splits()
    assert again.num_grouped == 2
    first = (tmp_path / "splits.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == "path,label,split,group"


@pytest.mark.parametrize("text", ["", "path,label\n", "path,label,split,group\na,b,dev,c\n"])
def test_a_file_that_is_not_valid_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"splits\.csv"):
        read_splits(path)
    with pytest.raises(RunError, match="cannot be read"):
        read_splits(tmp_path / "missing.csv")


def test_ten_classes_are_named_and_the_rest_counted() -> None:
    assert name_classes(["a", "b"]) == "'a', 'b'"
    assert name_classes([str(n) for n in range(12)]).endswith("'9' and 2 more classes")
