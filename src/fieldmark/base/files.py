"""Files written so that a reader never sees half of one.

In: text or bytes and a path. Out: the file, complete, or the old one untouched.
Not covered: locking; two writers of one path leave the last one's file.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HASH_BLOCK_BYTES = 1 << 20

TEMPORARY = ".fieldmark-*.tmp"
"""What files are called while they are written; one that stays is of a process that was killed."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically; missing folders above it are made.

    Temporary file in the same folder, flush, fsync, rename, fsync the folder.

    Raises:
        OSError: The folder cannot be written to; an older file at `path` is left as it was.
            Its `filename` is `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `tempfile`: its files are private to their owner, and undoing that needs the process's
    # umask, which cannot be read without changing it for every other thread.
    temporary = path.parent / TEMPORARY.replace("*", secrets.token_hex(8))
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # writing to a full disk does not say which file it was
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    r"""Write `content` as UTF-8 to `path` atomically.

    What a file name that is not UTF-8 leaves in a string (a lone surrogate) is written as
    `\udcXX`, so that one odd name never costs a whole report.
    """
    write_bytes(path, content.encode("utf-8", errors="backslashreplace"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON to `path` atomically; NaN is refused with a ValueError."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, *, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    r"""Write a header and rows as comma-separated UTF-8 with `\n` line ends, atomically.

    Read it back through `path.open(newline="")`: a quoted cell may hold line ends of its own.
    """
    buffer = _LineEnds()
    # The writer quotes a cell with a carriage return (macOS names a file "Icon\r") only where
    # the line end has one too, and without quotes the file cannot be read back.
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _LineEnds(io.StringIO):
    """Text from `csv.writer`, which writes a whole row at a time, with each row's end as LF."""

    def write(self, row: str, /) -> int:
        return super().write(row.removesuffix("\r\n") + "\n")


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can: some shares and folders refuse it."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
