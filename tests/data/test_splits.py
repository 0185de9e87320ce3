"""Every photo on one side, no copy on another, whatever the split comes from."""

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.base.errors import RecipeError, RunError, SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.splits import (
    SplitConfig,
    Splits,
    _groups,
    make_splits,
    read_splits,
    write_splits,
)


def row(path: str, *, content: str | None = None, split: str | None = None) -> CatalogRow:
    """A photo; `content` is what its bytes are, by default its own."""
    return CatalogRow(
        path=path,
        label=path.split("/")[-2],
        width=1,
        height=1,
        num_bytes=1,
        sha256=hashlib.sha256((content or path).encode()).hexdigest(),
        status="used",
        reason="",
        layout_split=split,
    )


def catalog(*rows: CatalogRow) -> Catalog:
    return Catalog(root=Path("photos"), rows=tuple(sorted(rows, key=lambda row: row.path)))


def plain(**sizes: int) -> Catalog:
    names = [f"{label}/{number}.jpg" for label, size in sizes.items() for number in range(size)]
    return catalog(*(row(name) for name in names))


def layout(**counts: tuple[int, int]) -> Catalog:
    """Folders of a split with (cats, dogs) in each."""
    names = {"train": "train", "val": "validation", "test": "test"}
    return catalog(
        *(
            row(f"{folder}/{label}/{number}.jpg", split=names[folder])
            for folder, sizes in counts.items()
            for label, size in zip(("cat", "dog"), sizes, strict=True)
            for number in range(size)
        )
    )


def write(path: Path, sides: dict[str, str]) -> Path:
    lines = "".join(f"{photo},{split}\n" for photo, split in sides.items())
    path.write_text("path,split\n" + lines, encoding="utf-8")
    return path


def test_fractions_are_met_in_every_class_and_over_all() -> None:
    splits, kept = make_splits(plain(cat=60, dog=40), SplitConfig(test=0.25, validation=0.1))
    assert splits.counts() == {"train": 65, "validation": 10, "test": 25}
    assert splits.class_counts() == {
        "cat": {"train": 39, "validation": 6, "test": 15},
        "dog": {"train": 26, "validation": 4, "test": 10},
    }
    assert kept == plain(cat=60, dog=40)
    assert splits.notes == ()


def test_paths_and_labels_go_together() -> None:
    splits, _ = make_splits(plain(cat=10, dog=10), SplitConfig())
    for side in ("train", "validation", "test"):
        assert list(splits.paths(side)) == sorted(splits.paths(side))
        assert [path.split("/")[0] for path in splits.paths(side)] == list(splits.labels(side))
    assert sum(splits.counts().values()) == 20


def test_the_group_is_the_beginning_of_the_content_hash() -> None:
    splits, _ = make_splits(plain(cat=3, dog=3), SplitConfig())
    assert splits.rows[0].group == hashlib.sha256(b"cat/0.jpg").hexdigest()[:12]


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["cat", "dog"]), st.integers(0, 20)), min_size=30, max_size=60
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
)
def test_no_copy_stands_on_another_side_and_order_and_place_do_not_matter(
    kinds: list[tuple[str, int]], shuffler: random.Random, seed: int
) -> None:
    rows = [
        row(f"{label}/{number}.jpg", content=f"{label}{content}")
        for number, (label, content) in enumerate(kinds)
    ]
    rows += [row(f"{label}/own{n}.jpg") for label in ("cat", "dog") for n in range(4)]
    config = SplitConfig(seed=seed)
    splits, _ = make_splits(catalog(*rows), config)
    sides: dict[str, set[str]] = {}
    for placed in splits.rows:
        sides.setdefault(placed.group, set()).add(placed.split)
    assert all(len(of) == 1 for of in sides.values())
    shuffler.shuffle(rows)
    elsewhere = Catalog(root=Path("other/place"), rows=tuple(rows))
    again, _ = make_splits(elsewhere, config)
    assert set(again.rows) == set(splits.rows)


def test_renaming_a_folder_moves_no_photo() -> None:
    rows = plain(cat=30, dog=30).rows
    renamed = [replace(one, path=one.path.replace("cat", "chat"), label=one.label) for one in rows]
    before, _ = make_splits(catalog(*rows), SplitConfig())
    after, _ = make_splits(catalog(*renamed), SplitConfig())
    assert {one.group: one.split for one in before.rows} == {
        one.group: one.split for one in after.rows
    }


def test_a_class_of_two_has_no_validation_photo_and_that_is_said() -> None:
    splits, _ = make_splits(plain(cat=30, rare=2), SplitConfig())
    assert splits.class_counts()["rare"] == {"train": 1, "validation": 0, "test": 1}
    assert splits.notes == (
        "No validation photo of 'rare': too few photos, or the split gives it none.",
    )


def test_a_class_of_copies_of_one_photo_is_refused() -> None:
    copies = [row(f"same/{number}.jpg", content="one") for number in range(5)]
    with pytest.raises(SplitError, match="All photos of 'same' are copies of one"):
        make_splits(catalog(*copies, *plain(cat=10).rows), SplitConfig())


def test_a_photo_in_two_classes_stays_on_one_side() -> None:
    rows = [row(f"{label}/{n}.jpg", content=f"{n}") for label in ("cat", "dog") for n in range(20)]
    splits, _ = make_splits(catalog(*rows), SplitConfig())
    assert splits.class_counts()["cat"] == splits.class_counts()["dog"]
    assert splits.counts()["test"] == 8


def test_copies_in_two_classes_count_for_the_class_of_most_of_them() -> None:
    rows = [row("dog/1.jpg", content="x"), row("dog/2.jpg", content="x")]
    (one,) = _groups([row("cat/1.jpg", content="x"), *rows])
    assert (one.label, one.num_photos) == ("dog", 3)
    (even,) = _groups([row("dog/1.jpg", content="x"), row("cat/1.jpg", content="x")])
    assert even.label == "cat"


def test_a_split_by_folders_is_kept() -> None:
    given = layout(train=(10, 10), val=(3, 3), test=(4, 4))
    splits, kept = make_splits(given, SplitConfig())
    assert splits.counts() == {"train": 20, "validation": 6, "test": 8}
    assert all(path.startswith("test/") for path in splits.paths("test"))
    assert kept == given


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"train": (10, 10), "test": (4, 4)}, {"train": 18, "validation": 2, "test": 8}),
        ({"train": (10, 10), "val": (3, 3)}, {"train": 16, "validation": 6, "test": 4}),
        ({"train": (10, 10)}, {"train": 14, "validation": 2, "test": 4}),
    ],
)
def test_what_a_split_by_folders_lacks_is_carved_out_of_its_training_photos(
    folders: dict[str, tuple[int, int]], expected: dict[str, int]
) -> None:
    splits, _ = make_splits(layout(**folders), SplitConfig())
    assert splits.counts() == expected
    for placed in splits.rows:
        home = {"train": "train", "val": "validation", "test": "test"}[placed.path.split("/")[0]]
        assert placed.split == home or home == "train"


def test_copies_across_a_given_split_leave_the_side_further_from_the_end() -> None:
    given = layout(train=(5, 5), val=(2, 2), test=(2, 2))
    copies = (
        row("train/cat/x.jpg", content="test/cat/0.jpg", split="train"),
        row("val/cat/y.jpg", content="test/cat/0.jpg", split="validation"),
        row("train/dog/z.jpg", content="val/dog/0.jpg", split="train"),
        row("train/dog/same.jpg", content="train/dog/0.jpg", split="train"),
    )
    splits, kept = make_splits(catalog(*given.rows, *copies), SplitConfig())
    reasons = {one.path: one.reason for one in kept.rows if one.status == "excluded"}
    assert reasons == {
        "train/cat/x.jpg": "same bytes as test/cat/0.jpg, a test photo",
        "val/cat/y.jpg": "same bytes as test/cat/0.jpg, a test photo",
        "train/dog/z.jpg": "same bytes as val/dog/0.jpg, a validation photo",
    }
    assert splits.num_duplicates_excluded == 3
    assert splits.counts() == {"train": 11, "validation": 4, "test": 4}
    assert splits.notes[0].startswith("3 photos are left out: the same bytes")


def test_a_class_without_training_photos_is_refused() -> None:
    given = layout(train=(5, 0), test=(2, 2))
    with pytest.raises(SplitError, match="No training photo of 'dog'"):
        make_splits(given, SplitConfig())


def test_a_class_missing_from_a_given_test_side_is_only_noted() -> None:
    splits, _ = make_splits(layout(train=(5, 5), test=(2, 0)), SplitConfig())
    assert splits.notes == ("No test photo of 'dog': too few photos, or the split gives it none.",)


def test_a_split_file_comes_before_everything_else(tmp_path: Path) -> None:
    given = layout(train=(4, 4), test=(2, 2))
    photos = [one.path for one in given.rows]
    sides = {photo: "test" if number % 2 else "train" for number, photo in enumerate(photos)}
    sides[photos[0]] = "val"
    file = write(tmp_path / "split.csv", sides)
    splits, kept = make_splits(given, SplitConfig(), split_file=file)
    assert splits.paths("test") == tuple(photos[1::2])
    assert splits.paths("validation") == (photos[0],)
    assert kept == given


def test_validation_is_carved_out_of_the_files_training_photos(tmp_path: Path) -> None:
    photos = [one.path for one in plain(cat=20, dog=20).rows]
    sides = {photo: "test" if photo.endswith(("1.jpg", "2.jpg")) else "train" for photo in photos}
    file = write(tmp_path / "split.csv", sides)
    splits, _ = make_splits(plain(cat=20, dog=20), SplitConfig(), split_file=file)
    assert set(splits.paths("test")) == {photo for photo, side in sides.items() if side == "test"}
    assert splits.counts() == {"train": 29, "validation": 3, "test": 8}


def test_photos_that_the_file_does_not_list_are_left_out(tmp_path: Path) -> None:
    sides = {
        f"{label}/{n}.jpg": "test" if n > 3 else "train"
        for label in ("cat", "dog")
        for n in range(6)
    }
    file = write(tmp_path / "split.csv", sides)
    splits, kept = make_splits(plain(cat=8, dog=6), SplitConfig(), split_file=file)
    left_out = [one for one in kept.rows if one.status == "excluded"]
    assert [one.path for one in left_out] == ["cat/6.jpg", "cat/7.jpg"]
    assert {one.reason for one in left_out} == {"not in the split file"}
    assert splits.notes[0] == "2 photos are not in the split file and are left out."
    assert len(splits.rows) == 12


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_split_file_needs_both_sides(tmp_path: Path, side: str) -> None:
    file = write(tmp_path / "split.csv", {one.path: side for one in plain(cat=3, dog=3).rows})
    with pytest.raises(SplitError, match="test" if side == "train" else "train"):
        make_splits(plain(cat=3, dog=3), SplitConfig(), split_file=file)


def test_copies_across_a_split_file_are_left_out_of_training(tmp_path: Path) -> None:
    rows = [*plain(cat=6, dog=6).rows, row("cat/copy.jpg", content="cat/0.jpg")]
    sides = {one.path: "test" if one.path[4] in "01" else "train" for one in rows}
    file = write(tmp_path / "split.csv", sides)
    splits, kept = make_splits(catalog(*rows), SplitConfig(), split_file=file)
    assert [one.reason for one in kept.rows if not one.is_usable] == [
        "same bytes as cat/0.jpg, a test photo"
    ]
    assert splits.num_duplicates_excluded == 1


def test_nothing_to_split_is_refused() -> None:
    with pytest.raises(SplitError, match="No photo is left for train"):
        make_splits(catalog(), SplitConfig())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"test": 0.0}, "split.test is 0.0"),
        ({"test": 1.0}, "split.test is 1.0"),
        ({"test": float("nan")}, "split.test is nan"),
        ({"test": True}, "split.test is True"),
        ({"validation": -0.1}, "split.validation is -0.1"),
        ({"validation": "0.1"}, "split.validation is '0.1'"),
        ({"test": 0.5, "validation": 0.5}, "together they must stay below 1"),
        ({"seed": -1}, "split.seed is -1"),
        ({"seed": 0.5}, "split.seed is 0.5"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values: dict[str, object], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        SplitConfig(**values)  # type: ignore[arg-type]


def test_a_file_brings_back_the_same(tmp_path: Path) -> None:
    splits, _ = make_splits(plain(**{"cat": 10, "chien, été": 10}), SplitConfig())
    write_splits(tmp_path / "splits.csv", splits)
    assert read_splits(tmp_path / "splits.csv") == splits
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


def test_an_empty_table_counts_zero_on_every_side() -> None:
    assert Splits(rows=()).counts() == {"train": 0, "validation": 0, "test": 0}
