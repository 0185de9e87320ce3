"""Photos by path, in memory or in a file that vanishes with them."""

import errno
import gc
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fieldmark.base.errors import DataError
from fieldmark.base.processes import ProcessExecutor
from fieldmark.data import pixels
from fieldmark.data.pixels import PixelStore, available_memory_bytes


def photo(value: int, *, size_px: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((size_px, size_px, 3), value, np.uint8)


@pytest.fixture(params=["memory", "disk"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PixelStore:
    if request.param == "disk":
        monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    made = PixelStore(capacity=5, size_px=4, storage=tmp_path)
    assert made.is_on_disk == (request.param == "disk")
    for value, path in enumerate(["b.jpg", "a.jpg", "c.jpg"]):
        made.add(path, photo(10 * value))
    return made


def test_the_array_holds_what_was_added_in_that_order(store: PixelStore) -> None:
    assert store.array.shape == (3, 4, 4, 3)
    assert store.array.dtype == np.uint8
    assert store.array[:, 0, 0, 0].tolist() == [0, 10, 20]
    assert store.paths == ("b.jpg", "a.jpg", "c.jpg")
    assert len(store) == 3


def test_photos_are_found_by_path(store: PixelStore) -> None:
    assert store.index("c.jpg") == 2
    assert "a.jpg" in store
    assert "d.jpg" not in store
    assert store.indices(["c.jpg", "b.jpg", "c.jpg"]).tolist() == [2, 0, 2]
    taken = store.take(["c.jpg", "b.jpg"])
    assert taken[:, 1, 1, 1].tolist() == [20, 0]


def test_taken_photos_are_copies(store: PixelStore) -> None:
    store.take(["c.jpg"])[:] = 99
    assert store.array[2, 0, 0, 0] == 20


def test_a_path_that_is_not_there_is_a_key_error(store: PixelStore) -> None:
    with pytest.raises(KeyError):
        store.index("d.jpg")


def test_a_photo_is_added_once_only(store: PixelStore) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg are already in the store"):
        store.add("a.jpg", photo(1))
    assert len(store) == 3


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_what_was_written_into_its_place_is_added_as_it_lies(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what lies further on, since photos before it are left out, moves up."""
    if where == "disk":
        monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    store = PixelStore(capacity=4, size_px=4, storage=tmp_path, shared=True)
    assert store.is_shared
    assert store.room.shape == (4, 4, 4, 3)
    for value in range(4):
        store.room[value] = photo(10 * value)
    lies_SSC = store.room[0]
    store.room.flags.writeable = False
    store.add("a.jpg", lies_SSC)  # writes nothing
    store.room.flags.writeable = True
    for path, place in (("c.jpg", 2), ("d.jpg", 3)):
        store.add(path, store.room[place])
    assert store.array[:, 3, 3, 2].tolist() == [0, 20, 30]
    assert store.take(["d.jpg", "a.jpg"])[:, 0, 0, 0].tolist() == [30, 0]


def test_a_store_that_takes_its_room_on_the_disk_bit_by_bit_is_not_written_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk is full, a write would end the process."""
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    store = PixelStore(capacity=4, size_px=4, storage=tmp_path, reserve=False, shared=True)
    assert store.is_on_disk
    assert not store.is_shared


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")
def test_copies_of_the_process_write_into_a_shared_store() -> None:
    store = PixelStore(capacity=2, size_px=4, shared=True)

    def write(place: int) -> int:
        store.room[place] = photo(7 + place)
        return os.getpid()

    writers = set(ProcessExecutor(2).map(write, range(2)))
    assert os.getpid() not in writers
    assert store.room[:, 0, 0, 0].tolist() == [7, 8]


def test_nothing_taken_has_the_shape_of_nothing(store: PixelStore) -> None:
    assert store.take([]).shape == (0, 4, 4, 3)


def test_no_file_is_left_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    store = PixelStore(capacity=5, size_px=4, storage=tmp_path / "new")
    store.add("a.jpg", photo(7))
    assert store.array[0, 0, 0, 0] == 7
    del store
    gc.collect()
    assert list((tmp_path / "new").iterdir()) == []


def test_half_of_the_free_memory_is_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_bytes = 5 * 4 * 4 * 3
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 2 * num_bytes)
    assert not PixelStore(capacity=5, size_px=4, storage=tmp_path).is_on_disk
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 2 * num_bytes - 1)
    assert PixelStore(capacity=5, size_px=4, storage=tmp_path).is_on_disk


def test_without_a_folder_everything_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    assert not PixelStore(capacity=5, size_px=4).is_on_disk


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=239))
    with pytest.raises(DataError, match="has no room for them"):
        PixelStore(capacity=5, size_px=4, storage=tmp_path)


def test_an_empty_store_is_allowed(tmp_path: Path) -> None:
    store = PixelStore(capacity=0, size_px=4, storage=tmp_path)
    assert store.array.shape == (0, 4, 4, 3)


def test_free_memory_is_the_least_of_system_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "_MEMINFO": "MemTotal: 9 kB\nMemAvailable: 1000 kB\n",
        "_CGROUP_LIMIT": "500000\n",
        "_CGROUP_USE": "400000\n",
        "_CGROUP_STATISTICS": "anon 1\ninactive_file 50000\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(pixels, name, tmp_path / name)
    assert available_memory_bytes() == 150_000
    (tmp_path / "_CGROUP_LIMIT").write_text("max\n")
    assert available_memory_bytes() == 1000 * 1024


def test_free_memory_is_assumed_where_the_system_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_MEMINFO", "_CGROUP_LIMIT"):
        monkeypatch.setattr(pixels, name, tmp_path / "missing")
    assert available_memory_bytes() == pixels.ASSUMED_MEMORY_BYTES


def test_room_that_is_not_reserved_is_taken_as_photos_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    monkeypatch.setattr(pixels, "PIECE_BYTES", 1000)
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "posix_fallocate", lambda _, start, length: taken.append((start, length)), raising=False
    )
    store = PixelStore(capacity=10**7, size_px=16, storage=tmp_path, reserve=False)
    assert store.is_on_disk
    assert taken == []
    photo_SSC = np.full((16, 16, 3), 7, dtype=np.uint8)
    for name in "abc":
        store.add(name, photo_SSC)
    # One photo takes 768 bytes.
    assert taken == [(0, 1000), (1000, 1000), (2000, 1000)]
    assert (store.take(["c"])[0] == photo_SSC).all()


def test_a_disk_that_fills_up_midway_is_for_the_user_to_put_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    store = PixelStore(capacity=10, size_px=16, storage=tmp_path, reserve=False)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match="no room"):
        store.add("a", np.zeros((16, 16, 3), dtype=np.uint8))


def test_put_adds_a_photo_or_takes_the_place_of_its_pixels() -> None:
    store = PixelStore(capacity=2, size_px=16)
    for value in (1, 2):
        store.put("a", np.full((16, 16, 3), value, dtype=np.uint8))
    assert len(store) == 1
    assert (store.array == 2).all()
