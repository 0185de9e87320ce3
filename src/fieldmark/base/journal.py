"""A run's journal: what happened, when, one JSON object a line, readable while the run goes on.

In: events with values. Out: lines appended to a file, and the events of such a file.
Not covered: what is shown to the user meanwhile (see `progress`).
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Journal:
    """A file that events are appended to; a full disk is told of once and costs no run."""

    path: Path
    warn: Callable[[str], None] | None = None
    """Told once that events cannot be written."""
    _warned: bool = field(default=False, init=False)

    def write(self, event: str, **values: object) -> None:
        """Append `{"event": ..., "time": ..., **values}`, the time as ISO 8601 in UTC.

        NaN and infinities are written as null, what JSON does not know as text.
        """
        row = {"event": event, "time": datetime.now(UTC).isoformat(), **values}
        line = json.dumps(_finite(row), default=str, allow_nan=False)
        try:
            _append(self.path, line)
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if self.warn is not None and not self._warned:
            reason = error.strerror or error
            self.warn(f"Events are not written to {self.path}: {reason}. The run goes on.")
        self._warned = True


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the events of a journal, oldest first, without lines that were cut short.

    A file that does not exist has no events.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    rows = (_parsed(line) for line in content.splitlines())
    return [row for row in rows if row is not None]


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        # A line that was cut short by a full disk or a killed process must not swallow this one.
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            line = line if stream.read(1) == b"\n" else f"\n{line}"
        stream.write(f"{line}\n".encode("ascii"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _finite(value: object) -> object:
    """Return `value` with None for each number in it that JSON cannot hold."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
