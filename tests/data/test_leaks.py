"""Photos of a given split that stand on two sides are found, with how they are tied and to whom."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.groups import find_groups
from fieldmark.data.leaks import Leak, find_leaks, note_kept, note_left_out, require_learnable

SIDES = {"train": "train", "val": "validation", "test": "test"}


def rows(**contents: str) -> tuple[CatalogRow, ...]:
    """Photos named as in train_1, of one class, by what their bytes are."""
    return tuple(
        CatalogRow(
            path=name.replace("_", "/"),
            label="cat",
            width=1,
            height=1,
            num_bytes=1,
            sha256=hashlib.sha256(content.encode()).hexdigest(),
            status="used",
            reason="",
        )
        for name, content in sorted(contents.items())
    )


def leaks(
    photos: tuple[CatalogRow, ...],
    *,
    together: Sequence[Sequence[str]] = (),
    grouped_by: dict[str, str] | None = None,
) -> dict[str, str]:
    """The reason of each photo to leave out."""
    catalog = Catalog(root=Path("photos"), rows=photos)
    found = find_leaks(
        photos,
        {row.path: SIDES[row.path.split("/")[0]] for row in photos},
        find_groups(catalog, together=together, grouped_by=grouped_by),
        together=together,
        grouped_by=grouped_by,
    )
    return {path: leak.reason for path, leak in found.items()}


def test_nothing_leaks_within_a_side() -> None:
    photos = rows(train_1="x", train_2="x", test_1="y", test_2="z")
    assert leaks(photos, together=[("test/1", "test/2")], grouped_by={"train/1": "g"}) == {}


def test_copies_leave_the_side_further_from_the_end() -> None:
    photos = rows(test_1="x", train_1="x", train_2="y", val_1="x", val_2="y", train_3="own")
    assert leaks(photos) == {
        "train/1": "same bytes as test/1, a test photo",
        "val/1": "same bytes as test/1, a test photo",
        "train/2": "same bytes as val/2, a validation photo",
    }


def test_near_duplicates_and_groups_are_told_as_what_they_are() -> None:
    photos = rows(test_1="a", train_1="b", train_2="c", val_1="d")
    told = leaks(
        photos,
        together=[("test/1", "train/1")],
        grouped_by={"train/2": "burst 7", "val/1": "burst 7"},
    )
    assert told == {
        "train/1": "near-duplicate of test/1, a test photo",
        "train/2": "of the same group (burst 7) as val/1, a validation photo",
    }


def test_the_closest_tie_is_told_and_the_first_photo_by_path() -> None:
    photos = rows(test_1="near", test_2="x", test_3="x", train_1="x")
    told = leaks(photos, together=[("test/1", "test/2", "train/1")], grouped_by={"train/1": "g"})
    assert told == {"train/1": "same bytes as test/2, a test photo"}


def test_a_tie_to_a_photo_that_is_itself_left_out_is_not_told() -> None:
    # train/1 is a copy of val/1, which leaves as a near-duplicate of test/1.
    photos = rows(test_1="a", train_1="b", val_1="b")
    told = leaks(photos, together=[("test/1", "train/1", "val/1")])
    assert told == {
        "train/1": "near-duplicate of test/1, a test photo",
        "val/1": "near-duplicate of test/1, a test photo",
    }


def test_a_tie_through_other_photos_counts() -> None:
    photos = rows(test_1="a", train_1="b", train_2="c")
    told = leaks(
        photos, together=[("test/1", "train/1")], grouped_by={"train/1": "g", "train/2": "g"}
    )
    assert told["train/2"] == "tied through other photos to test/1, a test photo"


def test_each_reason_is_noted_with_its_count() -> None:
    of = [("copy", 1), ("near", 1200)]
    found = [
        Leak(link=link, other="test/1", side="test")  # type: ignore[arg-type]
        for link, count in of
        for _ in range(count)
    ]
    assert note_left_out(found) == [
        "1 photo is left out: the same bytes stand on another side.",
        "1,200 photos are left out: near-duplicates of them stand on another side.",
    ]


def test_photos_that_are_kept_are_counted_on_the_later_sides() -> None:
    sides = {"a": "train", "b": "test", "c": "test", "d": "validation", "e": "test"}
    groups = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "z"}
    (note,) = note_kept(sides, groups)
    assert note.startswith("2 of 3 test photos have a copy, a near-duplicate or a photo of their")
    assert note_kept(sides, {"a": "x", "b": "y"}) == []
    (note,) = note_kept(sides, {"d": "y", "e": "y"})
    assert note.startswith("1 of 3 test photos")
    assert "in training or validation" in note


def test_a_class_that_would_lose_all_training_photos_is_named() -> None:
    photos = rows(train_1="x", train_2="y", test_1="x")
    sides = {"train/1": "train", "train/2": "train", "test/1": "test"}
    require_learnable(["train/1"], rows=photos, sides=sides)
    with pytest.raises(SplitError, match=r"Every training photo of 'cat' .* split\.leaks=keep"):
        require_learnable(["train/1", "train/2"], rows=photos, sides=sides)
