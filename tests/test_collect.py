"""Photos read once, labels put right, rotations undone, and what no folder may hold."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.errors import DataError, SplitError
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import (
    Gathered,
    Given,
    divide,
    gather,
    put_pixels,
    require_one_dataset,
    turn_back,
)
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.split_table import TEST, TRAIN
from fieldmark.data.splits import SplitConfig

WritePhotos = Callable[..., Path]

UPRIGHT = Preprocess(size_px=16, mean=(0.5,) * 3, std=(0.5,) * 3)
AS_STORED = Preprocess(size_px=16, orientation="stored", mean=(0.5,) * 3, std=(0.5,) * 3)


def read(root: Path, *, preprocess: Preprocess | None = None, **given: Any) -> Gathered:
    return gather(root, preprocess=preprocess, given=Given(**given), progress=SilentProgress())


def name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def write_table(path: Path, header: Sequence[str], *rows: Sequence[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


# Reading


def test_every_file_is_in_both_catalogs_and_every_photo_has_pixels_and_cues(photos: Path) -> None:
    gathered = read(photos, preprocess=UPRIGHT)
    assert gathered.before == gathered.catalog
    paths = {row.path for row in gathered.catalog.usable}
    assert len(paths) == 36
    assert gathered.store is not None
    assert set(gathered.store.paths) == set(gathered.cues) == paths
    collected = divide(gathered, SplitConfig(), given=Given())
    assert collected.store is gathered.store


def test_pixels_that_nobody_needs_are_not_made(photos: Path) -> None:
    assert read(photos).store is None
    known = {row.sha256 for row in read(photos).catalog.usable if row.label == "sky"}
    gathered = gather(
        photos,
        preprocess=UPRIGHT,
        given=Given(),
        progress=SilentProgress(),
        without_pixels=frozenset(known),
    )
    assert gathered.store is not None
    assert {path.partition("/")[0] for path in gathered.store.paths} == {"cherry", "leaf"}
    assert len(gathered.cues) == 36


# Labels put right


def test_labels_are_put_right_and_what_the_folder_said_is_kept(
    photos: Path, tmp_path: Path, recorder: Any
) -> None:
    rows = [["sky/00.png", "leaf", "relabel"], ["sky/01.png", "", "exclude"]]
    labels = write_table(tmp_path / "labels.csv", ["path", "new_label", "action"], *rows)
    given = Given(labels=labels)
    gathered = gather(photos, preprocess=None, given=given, progress=recorder)
    assert [(one.path, one.label, one.new_label) for one in gathered.changes] == [
        ("sky/00.png", "sky", "leaf"),
        ("sky/01.png", "sky", None),
    ]
    assert gathered.before.counts() == {"cherry": 12, "leaf": 12, "sky": 12}
    assert gathered.catalog.counts() == {"cherry": 12, "leaf": 13, "sky": 10}
    sides = divide(gathered, SplitConfig(), given=given).splits.sides()
    assert "sky/01.png" not in sides
    assert recorder.notes == []


def test_labels_that_change_nothing_are_told(photos: Path, tmp_path: Path, recorder: Any) -> None:
    rows = [["sky/00.png", "leaf", ""], ["sky/01.png", "leaf", "keep"]]
    labels = write_table(tmp_path / "labels.csv", ["path", "new_label", "action"], *rows)
    gathered = gather(photos, preprocess=None, given=Given(labels=labels), progress=recorder)
    assert gathered.changes == ()
    assert recorder.notes == [
        f"{labels} asks for no change: fill in its column action with relabel or exclude."
    ]


# Dividing


def test_a_division_without_validation_is_refused(
    write_photos: WritePhotos, tmp_path: Path
) -> None:
    gathered = read(write_photos(tmp_path / "photos", count=2))
    with pytest.raises(SplitError, match=r"No photo is left for validation.*split\.validation=0"):
        divide(gathered, SplitConfig(), given=Given())
    counts = divide(gathered, SplitConfig(validation=0), given=Given()).splits.counts()
    assert counts == {"train": 3, "validation": 0, "test": 3}


def test_a_split_file_is_followed(photos: Path, tmp_path: Path) -> None:
    names = sorted(name_of(path, photos) for path in photos.rglob("*.png"))
    rows = [[name, TEST if number % 3 == 0 else TRAIN] for number, name in enumerate(names)]
    given = Given(split_file=write_table(tmp_path / "split.csv", ["path", "split"], *rows))
    sides = divide(read(photos), SplitConfig(), given=given).splits.sides()
    assert {path for path, side in sides.items() if side == TEST} == set(names[::3])


# One dataset twice


def archive(photos: Path, root: Path, *folders: str) -> Gathered:
    for folder in folders:
        shutil.copytree(photos, root / folder, dirs_exist_ok=True)
    return read(root)


@pytest.mark.parametrize(
    ("folders", "told", "give"),
    [
        (("natural", "data/natural"), "data/natural has the same photos as natural", "natural"),
        ((".", "data"), "the folder itself has the same photos as data", "data"),
    ],
)
def test_an_archive_that_holds_its_photos_twice_is_refused_with_the_folder_to_give(
    photos: Path, tmp_path: Path, folders: tuple[str, ...], told: str, give: str
) -> None:
    catalog = archive(photos, tmp_path / "archive", *folders).catalog
    with pytest.raises(DataError) as refused:
        require_one_dataset(catalog)
    assert told in str(refused.value)
    assert str(refused.value).endswith(f"Give {tmp_path / 'archive' / give} instead.")


def test_photos_that_are_there_once_are_one_dataset(photos: Path) -> None:
    require_one_dataset(read(photos).catalog)


def test_the_same_photos_in_train_and_test_have_one_label_each(
    photos: Path, tmp_path: Path
) -> None:
    catalog = archive(photos, tmp_path / "photos", "train", "test").catalog
    assert catalog.classes == ("cherry", "leaf", "sky")
    require_one_dataset(catalog)


# Rotations


def half_dark() -> Image.Image:
    """Return a picture of 24x16 with a dark left half."""
    pixels_HWC = np.full((16, 24, 3), 220, np.uint8)
    pixels_HWC[:, :12] = 30
    return Image.fromarray(pixels_HWC)


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A class of three photos: upright, turned, and turned with a wrong extension."""
    root = tmp_path / "turned"
    exif = Image.Exif()
    exif[274] = 6
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
    half_dark().save(root / "a" / "upright.png")
    half_dark().save(root / "a" / "turned.png", exif=exif)
    half_dark().save(root / "b" / "named.jpg", format="PNG", exif=exif)
    return root


def is_dark_left(gathered: Gathered, path: str) -> bool:
    assert gathered.store is not None
    pixels_SSC = gathered.store.take([path])[0].astype(int)
    return bool(pixels_SSC[:, 12:].mean() - pixels_SSC[:, :4].mean() > 100)


def test_photos_turned_back_are_as_stored_and_the_others_untouched(turned: Path) -> None:
    gathered = read(turned, preprocess=UPRIGHT)
    rows = {row.path: row for row in gathered.catalog.rows}
    assert (rows["a/turned.png"].width, rows["a/turned.png"].height) == (16, 24)
    assert [is_dark_left(gathered, path) for path in sorted(rows)] == [False, True, False]
    assert gathered.store is not None
    untouched = gathered.store.take(["a/upright.png"])
    back = turn_back(gathered, AS_STORED)
    assert back.store is gathered.store
    assert [is_dark_left(back, path) for path in sorted(rows)] == [True, True, True]
    assert np.array_equal(gathered.store.take(["a/upright.png"]), untouched)
    for catalog in (back.before, back.catalog):
        now = {row.path: row for row in catalog.rows}
        assert {(row.width, row.height) for row in now.values()} == {(24, 16)}
        assert (now["a/turned.png"].status, now["a/turned.png"].reason) == ("used", "")
        assert now["a/upright.png"] == rows["a/upright.png"]
        assert now["b/named.jpg"].status == "repaired"
        assert now["b/named.jpg"].reason == "PNG file named .jpg"


def test_turned_back_photos_keep_the_labels_put_right(turned: Path, tmp_path: Path) -> None:
    labels = write_table(
        tmp_path / "labels.csv", ["path", "new_label", "action"], ["a/turned.png", "b", "relabel"]
    )
    back = turn_back(read(turned, labels=labels), AS_STORED)
    row = next(row for row in back.catalog.rows if row.path == "a/turned.png")
    assert (row.label, row.status, row.reason) == ("b", "repaired", "relabelled from a")
    assert (row.width, row.height) == (24, 16)
    assert back.store is None


def test_photos_without_pixels_are_not_read_again(turned: Path) -> None:
    known = {row.sha256 for row in read(turned).catalog.usable if row.path != "a/upright.png"}
    gathered = gather(
        turned,
        preprocess=UPRIGHT,
        given=Given(),
        progress=SilentProgress(),
        without_pixels=frozenset(known),
    )
    back = turn_back(gathered, AS_STORED)
    assert back.store is not None
    assert back.store.paths == ("a/upright.png",)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_photo_that_changes_while_it_is_worked_on_is_named(
    turned: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(turned / "a" / "turned.png")
    store = PixelStore(capacity=2, size_px=16)
    with pytest.raises(DataError, match=r"a/turned\.png could be read a moment ago"):
        put_pixels(
            ["a/upright.png", "a/turned.png"], root=turned, preprocess=AS_STORED, store=store
        )
    assert store.paths == ("a/upright.png",)
