"""One process at a time: a lock on a file, which the system lets go of when its holder dies.

In: a path. Out: a block that no other process can be in at the same time, on this machine and,
where the folder is shared with locks, on others.
Not covered: waiting for a lock; whoever comes second is told at once.
"""

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fieldmark.base.errors import RunError

TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""With what a system says that another has the lock; by any other number, that it has no locks."""

ATTEMPTS = 3
PAUSE_S = 0.03
"""Somebody who only looks (`holder`), or who is just leaving, has the lock for less than this."""

LOCKED_BYTE = 1 << 30
"""Windows keeps others from reading what is locked, so a byte far behind the content is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as far as the file says."""

    pid: int | None = None
    """Number of the process; None where it has not yet written it."""
    host: str = ""
    """Name of its machine."""
    started: str = ""
    """When it took the lock, in ISO 8601."""

    def __str__(self) -> str:
        """Say it in words, as in `"process 4711 on aspen (since 2026-03-01 12:00 UTC)"`."""
        if self.pid is None:
            return "another process"
        host = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{host} (since {self.started[:16].replace('T', ' ')} UTC)"


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock on `path` during the block; the file is made, and removed at the end.

    A file that a process left behind which is dead is taken over: the lock is the system's and
    ended with that process. On a file system without locks the process that the file names is
    looked for instead.

    Raises:
        RunError: another process, or another thread of this one, holds it (its message names
            it), or the file cannot be written.
    """
    try:
        descriptor = _taken(path)
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror}. Free some space or change the place."
        ) from error
    try:
        yield
    finally:
        _release(path, descriptor)


def holder(path: Path) -> Holder | None:
    """Return who holds the lock on `path` now, or None where nobody does; nothing is changed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        found = _read(descriptor)
        return None if _lock(descriptor, found) else found
    finally:
        os.close(descriptor)


def _taken(path: Path) -> int:
    """Return the descriptor of the locked file, with this process written into it."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            found = _read(descriptor)
            # Between opening and locking, the holder before may have removed this very file.
            if _lock(descriptor, found) and _is_file(descriptor, path):
                _write(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise RunError(
        f"{path.parent} is in use by {found}. Wait until it has ended, or choose another --out."
    )


def _release(path: Path, descriptor: int) -> None:
    if os.name == "posix":  # before letting go: then it is certainly this process's own file
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
    else:  # an open file cannot be removed there, and one that was taken meanwhile is open
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()


def _lock(descriptor: int, found: Holder) -> bool:
    """Lock the file, without waiting; return whether that went."""
    try:
        _ask_system(descriptor)
    except OSError as error:
        return error.errno not in TAKEN and not _lives(found)
    return True


def _ask_system(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lives(found: Holder) -> bool:
    """Tell whether the process named is at work on this machine, as far as can be seen."""
    if found.pid is None or found.host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(found.pid, 0)  # signal 0 is never delivered; it only asks
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write(descriptor: int) -> None:
    content = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(content).encode())


def _read(descriptor: int) -> Holder:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        content = json.loads(os.read(descriptor, 1 << 12))
        return Holder(
            pid=int(content["pid"]), host=str(content["host"]), started=str(content["started"])
        )
    except (OSError, ValueError, TypeError, LookupError):
        return Holder()
