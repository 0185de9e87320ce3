"""The cache of cues: what was measured comes back, and nothing is ever needed from it."""

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.executor import SerialExecutor, ThreadExecutor
from fieldmark.base.progress import SilentProgress
from fieldmark.data import reading
from fieldmark.data.cue_cache import BATCH, CueCache
from fieldmark.data.cues import Inspected, inspect
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.scan import Scan, scan


def digest(number: int) -> str:
    return f"{number:064x}"


def inspected(seed: int = 0) -> Inspected:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return inspect(buffer.getvalue())


def assert_same(first: Inspected | None, second: Inspected) -> None:
    assert first is not None
    assert (first.problem, first.repairs) == (second.problem, second.repairs)
    assert first.cues is not None
    assert second.cues is not None
    assert first.cues.sharpness == second.cues.sharpness
    assert first.cues.camera == second.cues.camera
    assert np.array_equal(first.cues.thumbnail_SSC, second.cues.thumbnail_SSC)


def test_what_was_put_comes_back_before_and_after_it_is_closed(tmp_path: Path) -> None:
    problem = Inspected(problem="truncated: the JPEG data ends early")
    with CueCache(tmp_path / "cues.sqlite") as cache:
        cache.put(digest(1), inspected())
        cache.put(digest(2), problem)
        assert_same(cache.get(digest(1)), inspected())
    with CueCache(tmp_path / "cues.sqlite") as cache:
        assert_same(cache.get(digest(1)), inspected())
        assert cache.get(digest(2)) == problem
        assert cache.get(digest(3)) is None


def test_photos_are_written_a_batch_at_a_time(tmp_path: Path) -> None:
    one = inspected()
    cache = CueCache(tmp_path / "cues.sqlite")
    for number in range(BATCH + 1):
        cache.put(digest(number), one)
    with sqlite3.connect(tmp_path / "cues.sqlite") as other:
        assert other.execute("SELECT count(*) FROM inspected").fetchone() == (BATCH,)
    other.close()
    assert_same(cache.get(digest(0)), one)
    cache.close()


@pytest.mark.parametrize(
    "change",
    [
        "facts = substr(facts, 1, 20)",
        "thumbnail = substr(thumbnail, 1, 20)",
        "facts = facts || 'é'",
        "facts = x'00ff'",
        "thumbnail = 'text'",
        "checksum = 'text'",
    ],
)
def test_a_damaged_entry_is_unknown(tmp_path: Path, change: str) -> None:
    path = tmp_path / "cues.sqlite"
    with CueCache(path) as cache:
        cache.put(digest(1), inspected())
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE inspected SET {change}")
    other.close()
    with CueCache(path) as cache:
        assert cache.get(digest(1)) is None


def test_a_cache_that_is_no_database_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "cues.sqlite"
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with CueCache(path) as cache:
        cache.put(digest(1), inspected())
        assert_same(cache.get(digest(1)), inspected())
    assert path.read_text().startswith("not a database")


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with CueCache(tmp_path / "file" / "cues.sqlite") as cache:
        cache.put(digest(1), inspected())
        assert cache.get(digest(2)) is None


def test_a_table_that_vanishes_midway_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "cues.sqlite"
    cache = CueCache(path)
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE inspected")
    other.close()
    assert cache.get(digest(1)) is None
    cache.put(digest(1), inspected())
    cache.close()


def _photos(root: Path) -> Path:
    for number in range(6):
        path = root / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).integers(0, 256, (40, 30, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[274] = 6 if number == 2 else 1
        Image.fromarray(values).save(path, exif=exif)
    (root / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (root / "cat" / "png.jpg").write_bytes(_png())
    return root


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def _scan(root: Path, cache: CueCache | None, preprocess: Preprocess | None = None) -> Scan:
    return scan(
        root,
        preprocess=preprocess,
        executor=ThreadExecutor(2),
        progress=SilentProgress(),
        cue_cache=cache,
    )


@pytest.mark.parametrize("orientation", ["exif", "stored"])
def test_the_catalog_is_the_same_with_and_without_the_cache(
    tmp_path: Path, orientation: str
) -> None:
    root = _photos(tmp_path / "photos")
    preprocess = Preprocess(size_px=16, orientation=orientation)  # type: ignore[arg-type]
    plain = _scan(root, None, preprocess)
    with CueCache(tmp_path / "cues.sqlite") as cache:
        first, second = (_scan(root, cache, preprocess) for _ in range(2))
    assert plain.catalog == first.catalog == second.catalog
    assert plain.cues == {}
    assert set(first.cues) == {row.path for row in plain.catalog.usable}
    assert plain.store is not None
    assert second.store is not None
    assert np.array_equal(plain.store.array, second.store.array)


def test_a_second_look_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _photos(tmp_path / "photos")
    with CueCache(tmp_path / "cues.sqlite") as cache:
        first = _scan(root, cache)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(reading, "decode", fail)
    monkeypatch.setattr(reading, "inspect", fail)
    with CueCache(tmp_path / "cues.sqlite") as cache:
        second = _scan(root, cache)
    assert second.catalog == first.catalog


def test_photos_whose_pixels_nobody_needs_are_not_decoded_for_them(tmp_path: Path) -> None:
    root = _photos(tmp_path / "photos")
    spared = [row.sha256 for row in _scan(root, None).catalog.rows if row.sha256]
    with CueCache(tmp_path / "cues.sqlite") as cache:
        scanned = scan(
            root,
            preprocess=Preprocess(size_px=16),
            executor=SerialExecutor(),
            progress=SilentProgress(),
            cue_cache=cache,
            without_pixels=frozenset(spared[2:]),
        )
    assert scanned.store is not None
    assert len(scanned.store) == len(
        [row for row in scanned.catalog.usable if row.sha256 in spared[:2]]
    )
    assert len(scanned.cues) == len(scanned.catalog.usable)
