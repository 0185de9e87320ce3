"""Keeps what was measured of photos, by the SHA-256 of their bytes, from one audit to the next.

In: digests. Out: what was `Inspected` before. One SQLite file in the user's cache, so that a look
at a few photos never reads what is kept of all others, and several processes may use it at once.
Nothing in it is needed: where it cannot be read or written, photos are looked at anew.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np

from fieldmark.base.cache import cache_folder
from fieldmark.data.cues import THUMBNAIL_PX, Cues, Inspected

CUES_VERSION = 1
"""Raised whenever the same bytes would give other cues."""
WAIT_S = 5.0
"""How long another process may hold the file before it is done without."""
BATCH = 512
"""Photos kept at a time: few enough to lose little, enough to make the disk's part small."""

_TABLE = """
CREATE TABLE IF NOT EXISTS inspected (
    sha256 BLOB PRIMARY KEY, facts TEXT NOT NULL, thumbnail BLOB NOT NULL, checksum INTEGER NOT NULL
)
"""
_NUMBERS = ("brightness", "contrast", "sharpness")
_TEXTS = ("format", "mode", "camera")
_COUNTS = ("orientation", "stored_width", "stored_height")


class CueCache:
    """What is known of files by their digests; may be asked from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the cache, or do without it where that fails.

        Args:
            path: the file; None takes the one in the user's cache for this version.
        """
        self._lock = threading.Lock()
        self._waiting: dict[str, Inspected] = {}
        self._connection: sqlite3.Connection | None = None
        self._path: Path | None = (
            path or cache_folder() / f"cues-{CUES_VERSION}-pillow-{version('pillow')}.sqlite"
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            self._give_up()
        self._open()

    def let_go(self) -> None:
        """Write what still waits and close the file until it is needed again.

        To be called before this process is copied, which an open file of SQLite does not survive;
        then each of the copies may go on to ask, by a connection of its own.
        """
        with self._lock:
            self._flush()
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def get(self, sha256: str) -> Inspected | None:
        """Return what is known of a file, or None."""
        with self._lock:
            if sha256 in self._waiting:
                return self._waiting[sha256]
            self._open()
            if self._connection is None:
                return None
            try:
                row = self._connection.execute(
                    "SELECT facts, thumbnail, checksum FROM inspected WHERE sha256 = ?",
                    (bytes.fromhex(sha256),),
                ).fetchone()
            except sqlite3.Error:
                self._give_up()
                return None
        return _unpack(*row) if row else None

    def put(self, sha256: str, inspected: Inspected) -> None:
        """Keep what was found out of a file."""
        with self._lock:
            self._waiting[sha256] = inspected
            if len(self._waiting) >= BATCH:
                self._flush()

    def close(self) -> None:
        """Write what still waits, and close the file."""
        with self._lock:
            self._flush()
            self._give_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        if self._connection is not None or self._path is None:
            return
        try:
            self._connection = sqlite3.connect(self._path, timeout=WAIT_S, check_same_thread=False)
            self._connection.execute(_TABLE)
        except sqlite3.Error:
            self._give_up()

    def _flush(self) -> None:
        rows = [(bytes.fromhex(sha256), *_pack(known)) for sha256, known in self._waiting.items()]
        self._waiting.clear()
        if rows:
            self._open()
        if self._connection is None:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO inspected VALUES (?, ?, ?, ?)", rows
                )
        except sqlite3.Error:
            self._give_up()

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._path = None, None


def _pack(inspected: Inspected) -> Sequence[object]:
    cues = inspected.cues
    content = {"problem": inspected.problem, "repairs": list(inspected.repairs)}
    names = (*_TEXTS, *_COUNTS, *_NUMBERS)
    values = {name: getattr(cues, name) for name in names} if cues else None
    facts = json.dumps({**content, "cues": values}, ensure_ascii=True)
    thumbnail = cues.thumbnail_SSC.tobytes() if cues else b""
    return facts, thumbnail, _checksum(facts, thumbnail)


def _unpack(facts: object, thumbnail: object, checksum: object) -> Inspected | None:
    """Return what was packed; None where it was damaged since."""
    # What stands in a column of SQLite need not be of the column's type.
    if not isinstance(facts, str) or not isinstance(thumbnail, bytes):
        return None
    if not facts.isascii() or _checksum(facts, thumbnail) != checksum:
        return None
    content = json.loads(facts)
    values = content["cues"]
    if values is not None:
        pixels = np.frombuffer(thumbnail, dtype=np.uint8)
        values["thumbnail_SSC"] = pixels.reshape(THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return Inspected(
        cues=Cues(**values) if values is not None else None,
        repairs=tuple(content["repairs"]),
        problem=content["problem"],
    )


def _checksum(facts: str, thumbnail: bytes) -> int:
    return zlib.crc32(thumbnail, zlib.crc32(facts.encode("ascii")))
