"""One pass over a folder: every file accounted for, the pixels kept, nothing written."""

import hashlib
import os
import tracemalloc
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor, SerialExecutor, ThreadExecutor
from fieldmark.base.progress import SilentProgress
from fieldmark.data.catalog import Catalog
from fieldmark.data.images import decode
from fieldmark.data.layout import find_files
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.scan import scan, turned_paths

REAL_PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "natural-images"
PREPROCESS = Preprocess(size_px=16)


class RecordingProgress(SilentProgress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.num_done = 0
        self.summaries: list[str] = []
        self.notes: list[str] = []

    def start(self, stage: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002
        self.totals.append(total)

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:  # noqa: ARG002
        self.num_done += count

    def finish(self, summary: str) -> None:
        self.summaries.append(summary)

    def note(self, text: str) -> None:
        self.notes.append(text)


def photo(seed: int, *, size: tuple[int, int] = (24, 18)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(values)


def put_photos(root: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(seed).save(path)


def catalog_of(root: Path) -> Catalog:
    return scan(root, preprocess=None, executor=SerialExecutor(), progress=SilentProgress()).catalog


@pytest.mark.parametrize("executor", [SerialExecutor(), ThreadExecutor(4)])
def test_each_photo_is_hashed_and_resized_into_the_store(
    tmp_path: Path, executor: Executor
) -> None:
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(20)]
    put_photos(tmp_path, *names)
    progress = RecordingProgress()
    scanned = scan(tmp_path, preprocess=PREPROCESS, executor=executor, progress=progress)
    assert scanned.store is not None
    assert [row.path for row in scanned.catalog.rows] == sorted(names)
    for seed, name in enumerate(names):
        content = (tmp_path / name).read_bytes()
        (row,) = [row for row in scanned.catalog.rows if row.path == name]
        assert row.sha256 == hashlib.sha256(content).hexdigest()
        assert (row.num_bytes, row.width, row.height) == (len(content), 24, 18)
        expected = PREPROCESS.to_pixels(np.array(photo(seed)))
        assert np.array_equal(scanned.store.array[scanned.store.index(name)], expected)
    assert (progress.totals, progress.num_done) == ([40], 40)
    assert progress.summaries == ["40 photos of 2 classes, 0 repaired, 0 excluded"]
    assert progress.notes == []


def test_without_a_preprocess_there_is_no_store(tmp_path: Path) -> None:
    put_photos(tmp_path, "cat/1.png", "dog/1.png")
    result = scan(tmp_path, preprocess=None, executor=SerialExecutor(), progress=SilentProgress())
    assert result.store is None
    assert result.cues == {}
    assert result.catalog.counts() == {"cat": 1, "dog": 1}


def test_what_cannot_be_used_is_a_row_with_the_reason(tmp_path: Path) -> None:
    put_photos(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    whole = (tmp_path / "cat/1.jpg").read_bytes()
    (tmp_path / "cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cat/empty.jpg").write_bytes(b"")
    (tmp_path / "cat/text.jpg").write_bytes(b"hello")
    (tmp_path / "cat/LICENSE").write_bytes(b"hello")
    (tmp_path / "cat/data.xyz").write_bytes(b"hello")
    (tmp_path / "cat/notes.txt").write_bytes(b"hello")
    (tmp_path / "loose.jpg").write_bytes(whole)
    scanned = scan(
        tmp_path, preprocess=PREPROCESS, executor=SerialExecutor(), progress=SilentProgress()
    )
    reasons = {row.path: row.reason for row in scanned.catalog.rows if row.status == "excluded"}
    assert reasons == {
        "cat/cut.jpg": "truncated: the JPEG data ends early",
        "cat/empty.jpg": "empty file",
        "cat/text.jpg": "not an image in a format that is read",
        "cat/LICENSE": "not an image (no extension)",
        "cat/data.xyz": "not an image (.xyz)",
        "cat/notes.txt": "not an image (.txt)",
        "loose.jpg": "not in a class folder",
    }
    assert scanned.store is not None
    assert sorted(scanned.store.paths) == [row.path for row in scanned.catalog.usable]
    cut = next(row for row in scanned.catalog.rows if row.path == "cat/cut.jpg")
    assert (cut.width, cut.height, len(cut.sha256)) == (None, None, 64)
    assert cut.label == "cat"


def test_content_decides_and_a_wrong_name_is_told(tmp_path: Path) -> None:
    put_photos(tmp_path, "dog/1.png")
    (tmp_path / "cat").mkdir()
    for name in ("png.jpg", "noextension", "UPPER.PNG", "odd.xyz"):
        photo(1).save(tmp_path / "cat" / name, "PNG")
    told = {row.path: (row.status, row.reason) for row in catalog_of(tmp_path).rows}
    assert told["cat/png.jpg"] == ("repaired", "PNG file named .jpg")
    for name in ("noextension", "UPPER.PNG", "odd.xyz"):
        assert told[f"cat/{name}"] == ("used", "")


def test_several_repairs_are_joined_and_turned_photos_can_be_named(tmp_path: Path) -> None:
    put_photos(tmp_path, "dog/1.png")
    (tmp_path / "cat").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    photo(1).convert("CMYK").save(tmp_path / "cat" / "1.png", "JPEG", exif=exif)
    progress = RecordingProgress()
    scanned = scan(tmp_path, preprocess=None, executor=SerialExecutor(), progress=progress)
    row = scanned.catalog.rows[0]
    assert row.reason == (
        "JPEG file named .png; converted from CMYK; turned upright (EXIF orientation 6)"
    )
    assert (row.width, row.height) == (18, 24)
    assert progress.summaries == ["2 photos of 2 classes, 1 repaired, 0 excluded"]
    assert turned_paths(scanned.catalog) == ("cat/1.png",)
    assert turned_paths(scanned.catalog.exclude({"cat/1.png": "gone"})) == ()


def test_photos_stay_as_stored_where_the_preprocess_says_so(tmp_path: Path) -> None:
    put_photos(tmp_path, "dog/1.png")
    (tmp_path / "cat").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    photo(1).save(tmp_path / "cat" / "1.png", exif=exif)
    stored = Preprocess(size_px=16, orientation="stored")
    scanned = scan(
        tmp_path, preprocess=stored, executor=SerialExecutor(), progress=SilentProgress()
    )
    assert [row.status for row in scanned.catalog.rows] == ["used", "used"]
    assert scanned.store is not None
    assert np.array_equal(
        scanned.store.take(["cat/1.png"])[0], stored.to_pixels(np.array(photo(1)))
    )


def test_a_layout_with_splits_is_kept_in_the_rows_and_noted(tmp_path: Path) -> None:
    names = [f"{part}/{label}/1.png" for part in ("train", "val") for label in ("cat", "dog")]
    put_photos(tmp_path, *names)
    progress = RecordingProgress()
    scanned = scan(tmp_path, preprocess=None, executor=SerialExecutor(), progress=progress)
    assert scanned.catalog.notes == tuple(progress.notes)
    assert [row.layout_split for row in scanned.catalog.rows] == [
        "train",
        "train",
        "validation",
        "validation",
    ]
    assert scanned.catalog.classes == ("cat", "dog")
    assert len(scanned.catalog.notes) == 1


def test_a_photo_that_cannot_be_opened_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_photos(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "2.png":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    rows = catalog_of(tmp_path).rows
    assert rows[1].reason == "cannot be read: Permission denied"
    assert rows[1].is_lost_photo


def test_a_file_too_large_for_a_photo_is_not_read(tmp_path: Path) -> None:
    put_photos(tmp_path, "cat/1.png", "dog/1.png")
    with (tmp_path / "cat" / "film.jpg").open("wb") as stream:
        stream.truncate((1 << 30) + 1)  # sparse: takes no room
    tracemalloc.start()
    catalog = catalog_of(tmp_path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert catalog.rows[1].reason == "1.0 GiB, more than the 1 GiB allowed for one photo"
    assert peak_bytes < 50 << 20


def test_each_file_is_read_once_and_none_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_photos(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    (tmp_path / "cat" / "notes.txt").write_bytes(b"hello")
    read: list[str] = []
    read_bytes = Path.read_bytes

    def count(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", count)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    scan(tmp_path, preprocess=PREPROCESS, executor=SerialExecutor(), progress=SilentProgress())
    assert sorted(read) == ["1.png", "1.png", "2.png"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_results_are_taken_as_they_come(tmp_path: Path) -> None:
    put_photos(tmp_path, *(f"{label}/{n}.png" for label in ("cat", "dog") for n in range(100)))
    preprocess = Preprocess(size_px=256)
    one_photo = 256 * 256 * 3
    tracemalloc.start()
    scanned = scan(
        tmp_path, preprocess=preprocess, executor=SerialExecutor(), progress=SilentProgress()
    )
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scanned.store is not None
    assert peak_bytes < scanned.store.array.nbytes + 20 * one_photo


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing", "does not exist"),
        ("photos.jpg", "is a file. Please give the folder"),
        ("photos.zip", "is a file. Unpack it first"),
    ],
)
def test_a_folder_that_is_none_is_refused(tmp_path: Path, name: str, told: str) -> None:
    for file in ("photos.jpg", "photos.zip"):
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(DataError, match=told):
        catalog_of(tmp_path / name)


def test_a_folder_that_cannot_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        catalog_of(tmp_path)


def test_an_empty_folder_gives_an_empty_catalog(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path)
    assert catalog.rows == ()


@pytest.mark.skipif(not REAL_PHOTOS.exists(), reason="the shared photos are not on this machine")
def test_real_photos_are_all_found_and_a_sample_of_them_is_read_in_silence() -> None:
    files, layout = find_files(REAL_PHOTOS)
    assert Counter(file.label for file in files) == {
        "airplane": 727, "car": 968, "cat": 885, "dog": 702,
        "flower": 843, "fruit": 1000, "motorbike": 788, "person": 986,
    }  # fmt: skip
    assert {file.problem for file in files} == {""}
    assert layout.notes() == ()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files[::50]:
            assert decode(file.source.read_bytes()).format == "JPEG"
    assert decode((REAL_PHOTOS / "flower/flower_0184.jpg").read_bytes()).format == "PNG"
