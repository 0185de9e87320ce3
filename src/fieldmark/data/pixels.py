"""All photos of a run, decoded once: uint8 pixels by path.

In: pixels one photo at a time, as the folder is read. Out: batches by path.
They lie in memory, or in a file that the operating system pages in where they would take too much.
Not covered: reading pixels back in a later run; they cost less to make again than to keep.
"""

import math
import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import DataError

MEMORY_SHARE = 0.5
"""How much of the memory still free the pixels may take: the rest is for the network, whose
activations for a batch come to gigabytes."""
ASSUMED_MEMORY_BYTES = 4 << 30
"""What is taken for free where the system does not say."""

_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_USE = Path("/sys/fs/cgroup/memory.current")
_CGROUP_STATISTICS = Path("/sys/fs/cgroup/memory.stat")


PIECE_BYTES = 1 << 26
"""Room on the disk that is taken at a time, where it is not all taken at once."""


class PixelStore:
    """Photos of one size as uint8 (N, S, S, 3), found by path."""

    def __init__(
        self,
        *,
        capacity: int,
        size_px: int,
        storage: Path | None = None,
        reserve: bool = True,
        shared: bool = False,
    ) -> None:
        """Make room for at most `capacity` photos of `size_px` by `size_px` pixels.

        Args:
            capacity: number of photos that may be added.
            size_px: side of each photo.
            storage: folder for a temporary file, used where the photos would take more than
                `MEMORY_SHARE` of the free memory; it vanishes with the store. None keeps them in
                memory, come what may.
            reserve: take the room for all of them on the disk at once; False takes it as photos
                come, for stores that will hardly be filled.
            shared: lie in memory that processes begun later as copies of this one share, where the
                system has such memory.

        Raises:
            DataError: where the folder has no room for that file.
        """
        shape = (capacity, size_px, size_px, 3)
        num_bytes = capacity * size_px * size_px * 3
        self.is_on_disk = (
            storage is not None and num_bytes > MEMORY_SHARE * available_memory_bytes()
        )
        self.size_px = size_px
        self._positions: dict[str, int] = {}
        self._file: _TemporaryFile | None = None
        self._array: NDArray[np.uint8]
        if self.is_on_disk and storage is not None:
            self._file = _TemporaryFile(storage, num_bytes=num_bytes if reserve else 0)
            self._array = self._file.map(shape)
            self.is_shared = shared and reserve
        else:
            self.is_shared, self._array = _in_memory(shape, shared=shared)

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, path: object) -> bool:
        return path in self._positions

    @property
    def array(self) -> NDArray[np.uint8]:
        """All photos added so far, (N, S, S, 3), in the order in which they were added."""
        return self._array[: len(self)]

    @property
    def room(self) -> NDArray[np.uint8]:
        """The room for all photos, (capacity, S, S, 3), those included that are still to come.

        Whoever writes into a place that is still to come may hand that place to `add`.
        """
        return self._array

    @property
    def paths(self) -> tuple[str, ...]:
        """The photos' paths, in the order of `array`."""
        return tuple(self._positions)

    def add(self, path: str, pixels_SSC: NDArray[np.uint8]) -> None:
        """Append one photo; each path only once."""
        if path in self._positions:
            raise ValueError(f"the pixels of {path} are already in the store")
        if self._file is not None:
            self._file.take(self._array[: len(self) + 1].nbytes)
        place_SSC = self._array[len(self)]
        if _address(place_SSC) != _address(pixels_SSC):
            place_SSC[:] = pixels_SSC
        self._positions[path] = len(self._positions)

    def put(self, path: str, pixels_SSC: NDArray[np.uint8]) -> None:
        """Add a photo, or put other pixels in the place of those that are there."""
        if path in self._positions:
            self._array[self._positions[path]] = pixels_SSC
        else:
            self.add(path, pixels_SSC)

    def index(self, path: str) -> int:
        """Return the photo's position in `array`; KeyError where it is not in the store."""
        return self._positions[path]

    def indices(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Return the positions in `array` of several photos, in the order asked for."""
        return np.fromiter((self._positions[path] for path in paths), np.int64, len(paths))

    def take(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """Return a copy of several photos, (len(paths), S, S, 3), in the order asked for."""
        return np.take(self._array, self.indices(paths), axis=0)


def _address(array: NDArray[np.uint8]) -> int:
    return int(array.__array_interface__["data"][0])


def shared_array(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array in memory that processes begun later as copies of this one share.

    Raises:
        OSError: the system has no such memory, or not enough.
    """
    num_bytes = math.prod(shape)
    memory = mmap.mmap(-1, max(1, num_bytes))
    return np.frombuffer(memory, dtype=np.uint8, count=num_bytes).reshape(shape)


def _in_memory(shape: tuple[int, ...], *, shared: bool) -> tuple[bool, NDArray[np.uint8]]:
    """Return whether an array is shared with copies of this process, and the array."""
    if shared:
        with suppress(OSError):
            return True, shared_array(shape)
    return False, np.empty(shape, dtype=np.uint8)


def available_memory_bytes() -> int:
    """Return how much memory this process can still take, by the system and by its container."""
    known = [amount for amount in (_free_by_system(), _free_by_container()) if amount is not None]
    return min(known, default=ASSUMED_MEMORY_BYTES)


def _free_by_system() -> int | None:
    try:
        return _named_number(_MEMINFO, "MemAvailable:") * 1024
    except (OSError, ValueError):  # not Linux
        return None


def _free_by_container() -> int | None:
    try:
        limit = int(_CGROUP_LIMIT.read_text(encoding="ascii"))
        used = int(_CGROUP_USE.read_text(encoding="ascii"))
        # Files read long ago count as used but give way at once.
        return max(0, limit - used + _named_number(_CGROUP_STATISTICS, "inactive_file"))
    except (OSError, ValueError):  # no container, or its limit is "max"
        return None


def _named_number(path: Path, name: str) -> int:
    for line in path.read_text(encoding="ascii").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == name:
            return int(words[1])
    raise ValueError(f"{path} has no line {name}")


class _TemporaryFile:
    """Room on a disk that vanishes with its owner, taken in large pieces."""

    def __init__(self, storage: Path, *, num_bytes: int) -> None:
        storage.mkdir(parents=True, exist_ok=True)
        self._storage = storage
        self._stream = tempfile.TemporaryFile(dir=storage, prefix=".pixels-")  # noqa: SIM115
        weakref.finalize(self, self._stream.close)
        self._taken = 0
        if shutil.disk_usage(storage).free < num_bytes:
            raise _no_room(storage, num_bytes=num_bytes)
        self.take(num_bytes)

    def take(self, num_bytes: int) -> None:
        """Take room for at least the first `num_bytes`; DataError where there is none."""
        if num_bytes <= self._taken:
            return
        wanted = max(num_bytes, self._taken + PIECE_BYTES)
        try:
            # A sparse file on a full disk would kill the process at the first write that fails.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._stream.fileno(), self._taken, wanted - self._taken)
        except OSError as error:
            raise _no_room(self._storage, num_bytes=wanted) from error
        self._taken = wanted

    def map(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return an array of this shape that lies in the file; DataError where that fails."""
        try:
            return np.memmap(self._stream, dtype=np.uint8, mode="r+", shape=shape)
        except OSError as error:
            raise _no_room(self._storage, num_bytes=math.prod(shape)) from error


def _no_room(storage: Path, *, num_bytes: int) -> DataError:
    return DataError(
        f"The pixels of all photos take {num_bytes / 2**30:.1f} GiB, more than half of the free "
        f"memory, and {storage} has no room for them. Free some space, write the run to another "
        "disk with --out, or set a smaller data.size_px."
    )
