"""What a split already made keeps, lacks and leaks, by folders or a file, and the user's groups."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.groups import crossing
from fieldmark.data.splits import SplitConfig, make_splits, naive_splits

PhotoRow = Callable[..., CatalogRow]
CatalogOf = Callable[..., Catalog]
Layout = Callable[..., Catalog]
Leaky = tuple[Catalog, list[tuple[str, str]]]


@pytest.fixture
def layout(photo_row: PhotoRow, catalog_of: CatalogOf) -> Layout:
    """Return `layout(train=(5, 5), test=(2, 2))`: folders of a split with (cats, dogs) in each."""
    names = {"train": "train", "val": "validation", "test": "test"}

    def make(**counts: tuple[int, int]) -> Catalog:
        return catalog_of(
            *(
                photo_row(f"{folder}/{label}/{number}.jpg", split=names[folder])
                for folder, sizes in counts.items()
                for label, size in zip(("cat", "dog"), sizes, strict=True)
                for number in range(size)
            )
        )

    return make


@pytest.fixture
def leaky(photo_row: PhotoRow, catalog_of: CatalogOf, layout: Layout) -> Leaky:
    """A split by folders with copies across its sides, and near-duplicates."""
    given = layout(train=(5, 5), val=(2, 2), test=(2, 2))
    copies = (
        photo_row("train/cat/x.jpg", content="test/cat/0.jpg", split="train"),
        photo_row("val/cat/y.jpg", content="test/cat/0.jpg", split="validation"),
        photo_row("train/dog/z.jpg", content="val/dog/0.jpg", split="train"),
        photo_row("train/dog/same.jpg", content="train/dog/0.jpg", split="train"),
    )
    near = [("test/dog/1.jpg", "train/dog/1.jpg"), ("train/cat/1.jpg", "train/cat/2.jpg")]
    return catalog_of(*given.rows, *copies), near


def write(path: Path, sides: dict[str, str]) -> Path:
    lines = "".join(f"{photo},{split}\n" for photo, split in sides.items())
    path.write_text("path,split\n" + lines, encoding="utf-8")
    return path


# A split already made


def test_a_given_validation_side_is_kept_though_none_would_be_made(layout: Layout) -> None:
    given, none = layout(train=(10, 10), val=(3, 0), test=(4, 4)), SplitConfig(validation=0)
    splits, _ = make_splits(given, none)
    assert splits.counts() == {"train": 20, "validation": 3, "test": 8}
    assert splits.notes == (
        "No validation photo of 'dog': too few photos, or the split gives it none.",
    )
    without, _ = make_splits(layout(train=(10, 10), test=(4, 4)), none)
    assert without.counts() == {"train": 20, "validation": 0, "test": 8}
    assert without.notes == ()


def test_a_split_by_folders_is_kept(layout: Layout) -> None:
    given = layout(train=(10, 10), val=(3, 3), test=(4, 4))
    splits, kept = make_splits(given, SplitConfig())
    assert splits.counts() == {"train": 20, "validation": 6, "test": 8}
    assert all(path.startswith("test/") for path in splits.paths("test"))
    assert kept == given


@pytest.mark.parametrize(
    ("folders", "shares"),
    [
        ({"train": (500, 500), "test": (4, 4)}, {"validation": 0.1}),
        ({"train": (500, 500), "val": (3, 3)}, {"test": 0.2}),
        ({"train": (500, 500)}, {"validation": 0.1, "test": 0.2}),
    ],
)
def test_what_a_split_by_folders_lacks_is_carved_out_of_its_training_photos(
    layout: Layout, folders: dict[str, tuple[int, int]], shares: dict[str, float]
) -> None:
    splits, _ = make_splits(layout(**folders), SplitConfig())
    for placed in splits.rows:
        home = {"train": "train", "val": "validation", "test": "test"}[placed.path.split("/")[0]]
        assert placed.split == home or home == "train"
    carved = Counter(placed.split for placed in splits.rows if placed.path.startswith("train/"))
    assert carved.keys() == {"train", *shares}
    for side, share in shares.items():
        assert abs(carved[side] - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5


def test_what_leaks_across_a_given_split_leaves_the_side_further_from_the_end(leaky: Leaky) -> None:
    given, near = leaky
    splits, kept = make_splits(given, SplitConfig(), together=near)
    reasons = {one.path: one.reason for one in kept.rows if one.status == "excluded"}
    assert reasons == {
        "train/cat/x.jpg": "same bytes as test/cat/0.jpg, a test photo",
        "val/cat/y.jpg": "same bytes as test/cat/0.jpg, a test photo",
        "train/dog/z.jpg": "same bytes as val/dog/0.jpg, a validation photo",
        "train/dog/1.jpg": "near-duplicate of test/dog/1.jpg, a test photo",
    }
    assert splits.num_duplicates_excluded == 4
    assert splits.counts() == {"train": 10, "validation": 4, "test": 4}
    assert splits.notes == (
        "3 photos are left out: the same bytes stand on another side.",
        "1 photo is left out: near-duplicates of them stand on another side.",
    )


def test_on_demand_leaks_are_kept_and_counted(leaky: Leaky) -> None:
    given, near = leaky
    splits, kept = make_splits(given, SplitConfig(leaks="keep"), together=near)
    assert kept == given
    assert splits.num_duplicates_excluded == 0
    assert [note[:40] for note in splits.notes] == [
        "2 of 4 test photos have a copy, a near-d",
        "2 of 5 validation photos have a copy, a ",
    ]
    assert crossing(splits.sides(), splits.groups(), others=["train"]) == {
        "test/cat/0.jpg": ("train/cat/x.jpg",),
        "test/dog/1.jpg": ("train/dog/1.jpg",),
    }


def test_leaving_out_all_training_photos_of_a_class_is_refused(layout: Layout) -> None:
    given = layout(train=(5, 1), test=(2, 2))
    near = [("test/dog/1.jpg", "train/dog/0.jpg")]
    with pytest.raises(SplitError, match=r"Every training photo of 'dog' .*split\.leaks=keep"):
        make_splits(given, SplitConfig(), together=near)
    splits, _ = make_splits(given, SplitConfig(leaks="keep"), together=near)
    assert splits.class_counts()["dog"]["train"] == 1


def test_validation_that_leaked_as_a_whole_is_carved_anew(
    photo_row: PhotoRow, catalog_of: CatalogOf, layout: Layout
) -> None:
    given = layout(train=(20, 20), test=(3, 3))
    twin = photo_row("val/cat/0.jpg", content="test/cat/0.jpg", split="validation")
    splits, _ = make_splits(catalog_of(*given.rows, twin), SplitConfig())
    assert splits.counts()["validation"] >= 2
    assert all(path.startswith("train/") for path in splits.paths("validation"))


def test_a_class_without_training_photos_is_refused(layout: Layout) -> None:
    given = layout(train=(5, 0), test=(2, 2))
    with pytest.raises(SplitError, match="No training photo of 'dog'"):
        make_splits(given, SplitConfig())


def test_a_class_missing_from_a_given_test_side_is_only_noted(layout: Layout) -> None:
    splits, _ = make_splits(layout(train=(5, 5), test=(2, 0)), SplitConfig())
    assert splits.notes == ("No test photo of 'dog': too few photos, or the split gives it none.",)


def test_a_split_file_comes_before_everything_else(layout: Layout, tmp_path: Path) -> None:
    given = layout(train=(4, 4), test=(2, 2))
    photos = [one.path for one in given.rows]
    sides = {photo: "test" if number % 2 else "train" for number, photo in enumerate(photos)}
    sides[photos[0]] = "val"
    file = write(tmp_path / "split.csv", sides)
    splits, kept = make_splits(given, SplitConfig(), split_file=file)
    assert splits.paths("test") == tuple(photos[1::2])
    assert splits.paths("validation") == (photos[0],)
    assert kept == given


def test_validation_is_carved_out_of_the_files_training_photos(
    plain: CatalogOf, tmp_path: Path
) -> None:
    photos = [one.path for one in plain(cat=20, dog=20).rows]
    sides = {photo: "test" if photo.endswith(("1.jpg", "2.jpg")) else "train" for photo in photos}
    file = write(tmp_path / "split.csv", sides)
    splits, _ = make_splits(plain(cat=20, dog=20), SplitConfig(), split_file=file)
    assert set(splits.paths("test")) == {photo for photo, side in sides.items() if side == "test"}
    for counted in splits.class_counts().values():
        assert counted["validation"] >= 1
        assert counted["train"] >= 8


def test_photos_that_the_file_does_not_list_are_left_out(plain: CatalogOf, tmp_path: Path) -> None:
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
def test_a_split_file_needs_both_sides(plain: CatalogOf, tmp_path: Path, side: str) -> None:
    file = write(tmp_path / "split.csv", {one.path: side for one in plain(cat=3, dog=3).rows})
    with pytest.raises(SplitError, match="test" if side == "train" else "train"):
        make_splits(plain(cat=3, dog=3), SplitConfig(), split_file=file)


def test_copies_across_a_split_file_are_left_out_of_training(
    photo_row: PhotoRow, catalog_of: CatalogOf, plain: CatalogOf, tmp_path: Path
) -> None:
    rows = [*plain(cat=6, dog=6).rows, photo_row("cat/copy.jpg", content="cat/0.jpg")]
    sides = {one.path: "test" if one.path[4] in "01" else "train" for one in rows}
    file = write(tmp_path / "split.csv", sides)
    splits, kept = make_splits(catalog_of(*rows), SplitConfig(), split_file=file)
    assert [one.reason for one in kept.rows if not one.is_usable] == [
        "same bytes as cat/0.jpg, a test photo"
    ]
    assert splits.num_duplicates_excluded == 1


def test_a_naive_split_keeps_a_given_one_with_its_leaks(leaky: Leaky, tmp_path: Path) -> None:
    given, _ = leaky
    splits = naive_splits(given, SplitConfig())
    assert splits.counts() == {"train": 13, "validation": 5, "test": 4}
    file = write(tmp_path / "split.csv", {"test/cat/0.jpg": "test", "train/cat/x.jpg": "train"})
    assert len(naive_splits(given, SplitConfig(), split_file=file).rows) == 2


# Groups by the user


def test_groups_by_an_expression_stay_on_one_side(
    photo_row: PhotoRow, catalog_of: CatalogOf
) -> None:
    rows = [photo_row(f"{label}/p{n % 12}_{n}.jpg") for label in ("cat", "dog") for n in range(60)]
    config = SplitConfig(group_by=r"(\w+/p\d+)_")
    splits, _ = make_splits(catalog_of(*rows), config)
    sides: dict[str, set[str]] = {}
    for path, side in splits.sides().items():
        sides.setdefault(path.partition("_")[0], set()).add(side)
    assert len(sides) == 24
    assert all(len(of) == 1 for of in sides.values())
    assert (splits.num_groups, splits.num_grouped, splits.largest_group) == (24, 120, 5)
    assert splits.grouped_by == r"(\w+/p\d+)_"
    assert splits.notes == ()


def test_groups_already_read_come_before_the_expression(plain: CatalogOf) -> None:
    config = SplitConfig(group_by="no path has this")
    named = {"cat/0.jpg": "g", "cat/1.jpg": "g"}
    splits, _ = make_splits(plain(cat=9, dog=9), config, grouped_by=named)
    assert (splits.num_groups, splits.num_grouped) == (17, 2)


def test_groups_across_a_given_split_are_left_out_and_named(layout: Layout) -> None:
    given = layout(train=(5, 5), val=(2, 2), test=(2, 2))
    named = {"train/cat/0.jpg": "burst 3", "test/cat/1.jpg": "burst 3"}
    splits, kept = make_splits(given, SplitConfig(), grouped_by=named)
    assert [one.reason for one in kept.rows if not one.is_usable] == [
        "of the same group (burst 3) as test/cat/1.jpg, a test photo"
    ]
    assert splits.num_duplicates_excluded == 1


def test_what_is_odd_about_the_groups_is_noted(plain: CatalogOf) -> None:
    splits, _ = make_splits(plain(cat=30, dog=30), SplitConfig(group_by=r"cat/(\d)\."))
    assert splits.notes[0].startswith("50 photos have no group by split.group_by")
