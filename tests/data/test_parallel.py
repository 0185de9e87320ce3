"""Files read by several processes: the same as one after another, whatever happens to them."""

import faulthandler
import io
import mmap
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.errors import DataError
from fieldmark.base.executor import SerialExecutor
from fieldmark.base.processes import ProcessExecutor
from fieldmark.base.progress import SilentProgress
from fieldmark.data import parallel, pixels
from fieldmark.data.cue_cache import CueCache
from fieldmark.data.layout import find_files
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.reading import Reader, Reading
from fieldmark.data.scan import Scan, scan
from fieldmark.data.walk import FoundFile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")
THIS_PROCESS = os.getpid()

Read = Callable[[Reader, FoundFile], Reading]


class Notes(SilentProgress):
    """Counts the photos, and keeps what it was told."""

    def __init__(self) -> None:
        self.num_done, self.notes = 0, list[str]()

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:  # noqa: ARG002
        self.num_done += count

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def _few_files_are_enough(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(parallel, "MIN_FILES", 20)
    monkeypatch.setattr(parallel, "FILES_PER_PROCESS", 10)
    monkeypatch.setattr(parallel, "MAX_TASK_FILES", 3)
    monkeypatch.setattr(parallel, "available_cores", lambda: 3)
    monkeypatch.setattr(parallel, "can_copy_itself", lambda: True)
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all kinds, and what is none."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(60):
        folder = root / ("cat", "dog", "eel")[number % 3]
        folder.mkdir(exist_ok=True)
        (folder / f"{number:02}.jpg").write_bytes(_content(number))
    (root / "cat" / "notes.txt").write_text("no photo")
    (root / "loose.jpg").write_bytes(_content(0))
    return root


def _content(number: int) -> bytes:
    size = 150 + 7 * number, 140 + 5 * (number % 13)
    values = np.random.default_rng(number).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    image, buffer = Image.fromarray(values).resize(size), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 1 + number % 8, "X100"
    match number % 10:
        case 0 | 1 | 2 | 3:
            image.save(buffer, "JPEG", exif=exif)
        case 4:
            image.save(buffer, "PNG")
        case 5:
            image.convert("CMYK").save(buffer, "JPEG")
        case 6:
            image.convert("P").save(buffer, "GIF")
        case 7:
            image.save(buffer, "JPEG")
            return buffer.getvalue()[: 300 * (number % 3)]
        case 8:
            image.convert("L").save(buffer, "TIFF")
        case _:
            return b"hello" * number
    return buffer.getvalue()


def assert_same(one: Scan, other: Scan) -> None:
    assert one.catalog == other.catalog
    assert (one.store is None) == (other.store is None)
    if one.store is not None and other.store is not None:
        assert one.store.paths == other.store.paths
        assert np.array_equal(one.store.array, other.store.array)
    assert list(one.cues) == list(other.cues)
    for path, cues in one.cues.items():
        assert np.array_equal(cues.thumbnail_SSC, other.cues[path].thumbnail_SSC)
        for name in parallel._CUES:
            assert getattr(cues, name) == getattr(other.cues[path], name)


@pytest.mark.parametrize("size_px", [None, 24, 200])
@pytest.mark.parametrize("is_measured", [False, True])
def test_processes_give_what_is_given_one_after_another(
    tmp_path: Path, photos: Path, size_px: int | None, is_measured: bool
) -> None:
    preprocess = Preprocess(size_px=size_px) if size_px else None
    found: list[Scan] = []
    for name, executor in (("one", SerialExecutor()), ("several", None)):
        progress = Notes()
        cache = CueCache(tmp_path / f"{name}.sqlite") if is_measured else None
        found += [  # the second time from the cache
            scan(
                photos,
                preprocess=preprocess,
                progress=progress,
                executor=executor,
                cue_cache=cache,
            )
            for _ in range(2)
        ]
        if cache:
            cache.close()
        assert (progress.num_done, progress.notes) == (2 * 61 - 2, [])
    for other in found[1:]:
        assert_same(found[0], other)
    assert {row.status for row in found[0].catalog.rows} == {"used", "repaired", "excluded"}
    assert bool(found[0].cues) == is_measured


def test_pixels_that_lie_on_the_disk_are_the_same(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocess, progress = Preprocess(size_px=24), SilentProgress()
    plain = scan(photos, preprocess=preprocess, progress=progress, executor=SerialExecutor())
    spared = frozenset(row.sha256 for row in plain.catalog.usable[::2])
    monkeypatch.setattr(pixels, "available_memory_bytes", lambda: 0)
    on_disk = scan(photos, preprocess=preprocess, progress=progress, storage=tmp_path)
    assert on_disk.store is not None
    assert on_disk.store.is_on_disk
    assert_same(plain, on_disk)
    partly = scan(
        photos, preprocess=preprocess, progress=progress, storage=tmp_path, without_pixels=spared
    )
    assert partly.store is not None
    assert plain.store is not None
    assert partly.catalog == plain.catalog
    assert 0 < len(partly.store) < len(plain.store)
    assert np.array_equal(partly.store.array, plain.store.take(partly.store.paths))


def test_work_is_really_done_by_other_processes(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "read", _noting(Reader.read))
    scanned = scan(photos, preprocess=None, progress=SilentProgress())
    readers = {row.reason for row in scanned.catalog.rows if row.reason.isdigit()}
    assert 2 <= len(readers - {str(THIS_PROCESS)}) <= 3


def _noting(read: Read) -> Read:
    def noting(reader: Reader, file: FoundFile) -> Reading:
        reading = read(reader, file)
        return replace(reading, row=replace(reading.row, reason=str(os.getpid())))

    return noting


def test_what_processes_measured_is_kept_for_the_next_time(tmp_path: Path, photos: Path) -> None:
    with CueCache(tmp_path / "cues.sqlite") as cache:
        scanned = scan(photos, preprocess=None, progress=SilentProgress(), cue_cache=cache)
    with CueCache(tmp_path / "cues.sqlite") as cache:
        for row in scanned.catalog.usable:
            known = cache.get(row.sha256)
            assert known is not None
            assert known.cues is not None
        broken = [row for row in scanned.catalog.rows if row.reason.startswith("truncated")]
        for row in broken:
            known = cache.get(row.sha256)
            assert known is not None
            assert known.problem == row.reason
        assert broken


@pytest.mark.parametrize("size_px", [None, 24])
@pytest.mark.parametrize("is_measured", [False, True])
def test_threads_go_on_where_a_process_was_killed(
    tmp_path: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    size_px: int | None,
    is_measured: bool,
) -> None:
    preprocess = Preprocess(size_px=size_px) if size_px else None
    plain, hurt = (CueCache(tmp_path / name) if is_measured else None for name in "ab")
    expected = scan(
        photos,
        preprocess=preprocess,
        progress=SilentProgress(),
        executor=SerialExecutor(),
        cue_cache=plain,
    )
    monkeypatch.setattr(Reader, "read", _ending_at(Reader.read, "dog/31.jpg", by="SIGKILL"))
    progress = Notes()
    scanned = scan(photos, preprocess=preprocess, progress=progress, cue_cache=hurt)
    assert_same(expected, scanned)
    assert progress.num_done == 60
    (note,) = progress.notes
    assert note.startswith("Photos are no longer read by several processes: ")
    assert "SIGKILL" in note
    for cache in (plain, hurt):
        if cache:
            cache.close()


def test_a_decoder_that_crashes_is_told_with_the_files_in_question(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "read", _ending_at(Reader.read, "dog/31.jpg", by="SIGSEGV"))
    with pytest.raises(DataError, match=r"crashed \(SIGSEGV\).*dog/31\.jpg.*Move them") as raised:
        scan(photos, preprocess=None, progress=SilentProgress())
    assert str(raised.value).count(".jpg") == 3
    assert "disk" not in str(raised.value)


def test_a_full_disk_may_be_why_a_process_crashed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "read", _ending_at(Reader.read, "dog/31.jpg", by="SIGBUS"))
    with pytest.raises(
        DataError, match=r"crashed \(SIGBUS\).* is full, make room there\. Else: Mo"
    ):
        scan(photos, preprocess=None, progress=SilentProgress())


def _ending_at(read: Read, path: str, *, by: str) -> Read:
    def ending(reader: Reader, file: FoundFile) -> Reading:
        if file.path == path and os.getpid() != THIS_PROCESS:
            faulthandler.disable()  # pytest's, which would print where
            os.kill(os.getpid(), getattr(signal, by))
        return read(reader, file)

    return ending


@pytest.mark.parametrize("which", ["memory", "processes"])
def test_threads_do_it_where_nothing_can_be_shared(
    photos: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    preprocess = Preprocess(size_px=24)
    expected = scan(
        photos, preprocess=preprocess, progress=SilentProgress(), executor=SerialExecutor()
    )

    def refuse(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    module, name = (mmap, "mmap") if which == "memory" else (os, "fork")
    monkeypatch.setattr(module, name, refuse)
    progress = Notes()
    assert_same(expected, scan(photos, preprocess=preprocess, progress=progress))
    (note,) = progress.notes
    assert "Cannot allocate memory. Threads go on." in note


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MIN_FILES", 61),
        ("FILES_PER_PROCESS", 31),
        ("available_cores", lambda: 1),
        ("can_copy_itself", lambda: False),
    ],
)
def test_there_are_no_processes_where_they_would_not_help(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(parallel, "ProcessExecutor", refuse)
    with pytest.raises(AssertionError):
        scan(photos, preprocess=None, progress=SilentProgress())
    monkeypatch.setattr(parallel, name, value)
    assert scan(photos, preprocess=None, progress=SilentProgress()).catalog.usable


@pytest.mark.parametrize(
    ("size_px", "num_processes", "expected"),
    [
        (0, 2, (16, 3)),
        (50, 2, (16, 3)),
        (224, 64, (512, 3)),
        # 85 photos of 3 MiB may be on their way; 1 a task, 8 tasks for each of 8 processes.
        (1024, 8, (64, 1)),
        (1024, 16, (80, 1)),
        # 5 photos of 48 MiB: each process still has one before it and one ahead.
        (4096, 8, (16, 1)),
    ],
)
def test_memory_on_the_way_is_bounded(
    size_px: int, num_processes: int, expected: tuple[int, int]
) -> None:
    assert parallel._under_way(size_px=size_px, num_processes=num_processes) == expected


def files_of(root: Path) -> list[FoundFile]:
    return [file for file in find_files(root)[0] if not file.problem]


@pytest.mark.parametrize("has_room", [True, False])
def test_pixels_come_the_same_with_room_to_stay_and_without(
    photos: Path, *, has_room: bool
) -> None:
    files = files_of(photos)
    reader = Reader(preprocess=Preprocess(size_px=24), cue_cache=None, without_pixels=frozenset())
    store = PixelStore(capacity=len(files), size_px=24, shared=True)
    assert store.is_shared
    room_NSSC = store.room if has_room else None
    notes: list[str] = []
    expected = [reader.read(file).pixels_SSC for file in files]
    readings = parallel.read_all(files, reader=reader, note=notes.append, room_NSSC=room_NSSC)
    for place, (reading, pixels_SSC) in enumerate(zip(readings, expected, strict=True)):
        assert (reading.pixels_SSC is None) == (pixels_SSC is None)
        if pixels_SSC is not None and reading.pixels_SSC is not None:
            assert np.array_equal(reading.pixels_SSC, pixels_SSC)
            # The first task is read by this process.
            in_room = np.array_equal(store.room[place], pixels_SSC)
            assert in_room == (has_room and place >= 3)
    assert notes == []


def test_a_queue_never_gives_a_place_away_that_is_in_use(photos: Path) -> None:
    # With 2 tasks under way at most, each place is used many times over.
    files = files_of(photos)
    reader = Reader(preprocess=Preprocess(size_px=24), cue_cache=None, without_pixels=frozenset())
    shared = parallel._SharedReader(reader=reader, room_RSSC=pixels.shared_array((2, 24, 24, 3)))
    tasks = [(number % 2, [file]) for number, file in enumerate(files)]
    results = ProcessExecutor(2, queued=2).map(shared.read_some, tasks)
    for (place, task), packed in zip(tasks, results, strict=True):
        (reading,) = shared.unpacked(task, packed, place=place)
        expected = reader.read(task[0])
        assert reading.row == expected.row
        assert (reading.pixels_SSC is None) == (expected.pixels_SSC is None)
        if reading.pixels_SSC is not None and expected.pixels_SSC is not None:
            assert np.array_equal(reading.pixels_SSC, expected.pixels_SSC)
