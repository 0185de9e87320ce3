"""The record of a run: how it was made, and how it ended, kept in `run.json`.

In: a run folder, the command and, for a run that goes on, what was recorded before. Out: a file
that is true at any moment. Not covered: reading it (`run_folder.read_run_json`).
"""

import contextlib
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fieldmark._version import __version__
from fieldmark.base.errors import FieldmarkError
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import SCHEMA_VERSION, RunFolder

RECORDED_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")


@dataclass(slots=True)
class RunRecord:
    """The content of `run.json` while a run goes on; `save` writes it as it stands."""

    folder: RunFolder
    command: str
    photos: Path
    values: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"
    error: str | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime | None = None
    resumed: list[str] = field(default_factory=list)
    """When the run went on after it had been stopped, in ISO 8601."""
    _clock_s: float = field(default_factory=time.monotonic)
    _earlier_s: float = 0.0
    _earlier_peak_mib: int = 0
    _seconds: float = 0.0
    _peak_memory_mib: int | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the run and record it, also when it fails."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            seconds = round(time.monotonic() - began_s, 2)
            self.stages.append({"name": name, "seconds": seconds})

    def go_on_from(self, earlier: Mapping[str, Any]) -> None:
        """Take over what `run.json` says of the part before; the command that began it stays."""
        own = self._own()
        self.values = {key: value for key, value in earlier.items() if key not in own}
        self.command = earlier.get("command") or self.command
        self.warnings = list(earlier.get("warnings") or ())
        self.stages = list(earlier.get("stages") or ())
        self.resumed = [*(earlier.get("resumed") or ()), datetime.now(UTC).isoformat()]
        with contextlib.suppress(ValueError, TypeError, LookupError):
            self.started = datetime.fromisoformat(earlier["started"])
        self._earlier_s = earlier.get("seconds") or 0.0
        self._earlier_peak_mib = earlier.get("peak_memory_mib") or 0

    def save(self) -> None:
        """Write `run.json` atomically.

        The first time that the run is no longer running is its end: the report, written after
        it, tells the same time and memory as the record does for good.
        """
        if self.ended is None:
            peak = peak_memory_mib()
            self._peak_memory_mib = None if peak is None else max(peak, self._earlier_peak_mib)
            self._seconds = round(self._earlier_s + time.monotonic() - self._clock_s, 2)
            self.ended = None if self.status == "running" else datetime.now(UTC)
        write_json(self.folder.run_json, {**self._own(), **self.values})

    def _own(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "fieldmark_version": __version__,
            "command": self.command,
            "photos": str(self.photos),
            "status": self.status,
            "error": self.error,
            "started": self.started.isoformat(),
            "resumed": self.resumed,
            "ended": self.ended.isoformat() if self.ended else None,
            "seconds": self._seconds,
            "stages": self.stages,
            "versions": versions(),
            # A stage that is made again warns again.
            "warnings": list(dict.fromkeys(self.warnings)),
            "peak_memory_mib": self._peak_memory_mib,
        }


@contextmanager
def recorded_run(
    folder: RunFolder,
    *,
    command: str,
    photos: Path,
    values: Mapping[str, Any] | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> Iterator[RunRecord]:
    """Keep `run.json` true from start to end: finished, failed or interrupted, and why.

    Args:
        folder: of the run.
        command: how it was called; a run that goes on keeps the command that began it.
        photos: the folder of photos.
        values: what else the record says from the first moment on.
        earlier: what `run.json` said of the part before, for a run that goes on.
    """
    record = RunRecord(folder=folder, command=command, photos=photos)
    if earlier is not None:
        record.go_on_from(earlier)
    record.values |= values or {}
    record.save()
    try:
        yield record
    except BaseException as error:
        record.status, record.error = _outcome(error)
        # Where the record cannot be written either, what went wrong first is what counts.
        with contextlib.suppress(OSError):
            record.save()
        raise
    record.status = "finished"
    record.save()


def recorded_call(verb: str, *given: object, **named: object) -> str:
    """Return a call from Python for `run.json`, without the arguments that were left out."""
    positional = [repr(str(value)) for value in given]
    keywords = [
        f"{name}={str(value)!r}" if isinstance(value, Path) else f"{name}={value!r}"
        for name, value in named.items()
        if value not in (None, [])
    ]
    return f"fieldmark.{verb}({', '.join(positional + keywords)})"


def resume_command(photos: str | Path, run: str | Path) -> str:
    """Return the command line that goes on with a run."""
    return shlex.join(["fieldmark", "train", str(photos), "--out", str(run), "--resume"])


def peak_memory_mib() -> int | None:
    """Return the most memory this process has held so far, in MiB, or None where unknown."""
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def versions() -> dict[str, str]:
    """Return the versions of Python, the platform and the packages that decide the numbers."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _outcome(error: BaseException) -> tuple[str, str]:
    """Return status and error text of a run that ended with an exception."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", str(error) or "interrupted from the keyboard"
    is_expected = isinstance(error, FieldmarkError)
    return "failed", str(error) if is_expected else f"{type(error).__name__}: {error}"
