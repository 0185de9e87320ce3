"""Many files read at once: by processes where that is faster, else on threads.

In: files, and what reads one. Out: what each gave, in their order, the same either way.
Processes write pixels into memory that they share with this one, where they are to stay if the
caller has such room, and send the rest back packed.
Threads suffice to decode large photos; of small ones half of the work holds the interpreter's lock.
Shapes: N files, R photos for which there is room, S size_px.
"""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor, ThreadExecutor, available_cores
from fieldmark.base.processes import (
    QUEUED_PER_PROCESS,
    ProcessesLost,
    ProcessExecutor,
    can_copy_itself,
)
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cues import THUMBNAIL_PX, Cues, Inspected
from fieldmark.data.pixels import shared_array
from fieldmark.data.reading import Reader, Reading
from fieldmark.data.walk import FoundFile

MIN_FILES = 500
"""Beginning processes and ending them takes what threads need for some 200 small photos."""
FILES_PER_PROCESS = 100
"""No more processes than leave each so many: beginning one takes as long as 30 small photos."""
MAX_TASK_FILES, MIN_TASKS = 8, 64
"""Handing out files of a few kilobytes one by one took a tenth more time than eight at a time."""
SHARED_BYTES = 1 << 28
"""How much memory pixels may take on their way from the processes."""

NO_ROOM = "SIGBUS"
"""How a process ends that writes into a file for which a full disk has no room left."""

Task = tuple[int, Sequence[FoundFile]]
"""Where in the shared memory the pixels of its first file go, and the files."""
Packed = tuple[Any, ...]
"""What one file gave, in plain values: pickled several times as fast as dataclasses are."""

_CUES = tuple(field.name for field in fields(Cues) if field.name != "thumbnail_SSC")


def read_all(
    files: Sequence[FoundFile],
    *,
    reader: Reader,
    executor: Executor | None = None,
    note: Callable[[str], object],
    room_NSSC: NDArray[np.uint8] | None = None,
) -> Generator[Reading, None, None]:
    """Yield what each file gives, in order. Pixels hold until the next is asked for.

    Args:
        files: those that are to be read.
        reader: reads one of them.
        executor: maps over them; None takes processes or threads, as many as there are cores.
        note: told where processes had to be given up.
        room_NSSC: memory shared with processes begun later, with a place for each file; processes
            write the pixels of a file to its place. None: to a place that others take after it.

    Raises:
        DataError: a decoder took its process down; the message names the files.
    """
    num_processes = min(available_cores(), len(files) // FILES_PER_PROCESS)
    are_worth_it = len(files) >= MIN_FILES and num_processes > 1
    if executor is None and are_worth_it and can_copy_itself():
        crew = _Crew(num_processes=num_processes, reader=reader, room_NSSC=room_NSSC)
        yield from _by_processes(files, crew=crew, note=note)
    else:
        executor = executor or ThreadExecutor()
        tasks = _tasks(files, size=min(MAX_TASK_FILES, len(files) // MIN_TASKS + 1))
        yield from chain.from_iterable(executor.map(reader.read_some, tasks))


def _tasks(files: Sequence[FoundFile], *, size: int) -> list[Sequence[FoundFile]]:
    return [files[begin : begin + size] for begin in range(0, len(files), size)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crew:
    """What is needed to read files by processes."""

    num_processes: int
    reader: Reader
    room_NSSC: NDArray[np.uint8] | None


def _by_processes(
    files: Sequence[FoundFile], *, crew: _Crew, note: Callable[[str], object]
) -> Generator[Reading, None, None]:
    done = 0
    try:
        with closing(_from_processes(files, crew=crew)) as found:
            for reading in found:
                yield reading
                done += 1
    except ProcessesLost as lost:
        note(f"Photos are no longer read by several processes: {lost}. Threads go on.")
        rest = _tasks(files[done:], size=MAX_TASK_FILES)
        yield from chain.from_iterable(ThreadExecutor().map(crew.reader.read_some, rest))


def _from_processes(files: Sequence[FoundFile], *, crew: _Crew) -> Generator[Reading, None, None]:
    """Yield readings; ProcessesLost where it cannot go on, DataError where a decoder crashed."""
    reader = crew.reader
    size_px = reader.preprocess.size_px if reader.preprocess else 0
    queued, size = _under_way(size_px=size_px, num_processes=crew.num_processes)
    first, *rest = _tasks(files, size=size)
    # Here, so that torch and all else is imported once, and not in each process.
    yield from reader.read_some(first)
    if reader.cue_cache is not None:
        reader.cue_cache.let_go()
    if crew.room_NSSC is not None:
        room_RSSC, places = crew.room_NSSC, [(number + 1) * size for number in range(len(rest))]
    else:
        room_RSSC = _passing_room((queued * size, size_px, size_px, 3))
        places = [number % queued * size for number in range(len(rest))]
    shared = _SharedReader(reader=reader, room_RSSC=room_RSSC)
    tasks = list(zip(places, rest, strict=True))
    executor = ProcessExecutor(crew.num_processes, queued=queued, prepare=_one_thread)
    with closing(executor.map(shared.read_some, tasks)) as results:
        try:
            for (place, task), packed in zip(tasks, results, strict=True):
                yield from shared.unpacked(task, packed, place=place)
        except ProcessesLost as lost:
            if lost.crash and lost.item is not None:
                raise _crashed(tasks[lost.item][1], signal=lost.crash) from lost
            raise


def _passing_room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        return shared_array(shape)
    except OSError as error:
        raise ProcessesLost(f"no memory could be shared: {error.strerror}") from error


def _under_way(*, size_px: int, num_processes: int) -> tuple[int, int]:
    """Return how many tasks there are at a time, and how many files there are in one.

    Fewer where their pixels would take more than `SHARED_BYTES`, but two tasks for each process.
    """
    places = SHARED_BYTES // (max(1, 3 * size_px * size_px) * num_processes)
    num_files = max(1, min(MAX_TASK_FILES, places // QUEUED_PER_PROCESS))
    return max(2, min(QUEUED_PER_PROCESS, places // num_files)) * num_processes, num_files


def _crashed(files: Sequence[FoundFile], *, signal: str) -> DataError:
    names = ", ".join(file.path for file in files)
    advice = (
        "Move them out of the folder, start again, and put them back one by one to find out which "
        "it was."
    )
    if signal == NO_ROOM:
        advice = f"If the disk that the run is written to is full, make room there. Else: {advice}"
    return DataError(
        f"A decoder crashed ({signal}) while one of these files was read: {names}. {advice}"
    )


def _one_thread() -> None:
    """Keep torch to the thread that it is called from: a copy of a process has no others."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SharedReader:
    """Reads in one process what is used in another."""

    reader: Reader
    room_RSSC: NDArray[np.uint8]

    def read_some(self, task: Task) -> list[Packed]:
        """Read several files; their pixels go into the shared memory."""
        first, files = task
        packed = []
        for place, file in enumerate(files, start=first):
            reading = self.reader.read(file)
            if reading.pixels_SSC is not None:
                self.room_RSSC[place] = reading.pixels_SSC
            packed.append(_packed(reading))
        return packed

    def unpacked(
        self, files: Sequence[FoundFile], packed: Sequence[Packed], *, place: int
    ) -> Generator[Reading, None, None]:
        """Yield the readings of a task whose first file has this place."""
        for number, (file, values) in enumerate(zip(files, packed, strict=True), start=place):
            has_pixels, row, cues, found_out = values
            measured = None if cues is None else _cues(cues)
            yield Reading(
                row=_row(file, row),
                pixels_SSC=self.room_RSSC[number] if has_pixels else None,
                cues=measured,
                found_out=None if found_out is None else _inspected(found_out, measured),
            )


def _packed(reading: Reading) -> Packed:
    row, cues, found_out = reading.row, reading.cues, reading.found_out
    return (
        reading.pixels_SSC is not None,
        (row.width, row.height, row.sha256, row.status, row.reason),
        None if cues is None else _packed_cues(cues),
        None if found_out is None else (found_out.repairs, found_out.problem),
    )


def _row(file: FoundFile, values: Packed) -> CatalogRow:
    width, height, sha256, status, reason = values
    return CatalogRow(
        path=file.path,
        label=file.label,
        width=width,
        height=height,
        num_bytes=file.num_bytes,
        sha256=sha256,
        status=status,
        reason=reason,
        layout_split=file.layout_split,
    )


def _packed_cues(cues: Cues) -> Packed:
    return (*(getattr(cues, name) for name in _CUES), cues.thumbnail_SSC.tobytes())


def _cues(values: Packed) -> Cues:
    *measured, thumbnail = values
    pixels = np.frombuffer(thumbnail, dtype=np.uint8).reshape(THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return Cues(**dict(zip(_CUES, measured, strict=True)), thumbnail_SSC=pixels)


def _inspected(values: Packed, cues: Cues | None) -> Inspected:
    repairs, problem = values
    return Inspected(cues=cues, repairs=repairs, problem=problem)
