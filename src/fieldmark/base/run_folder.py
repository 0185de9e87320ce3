"""The run folder: where a run keeps everything, and the record of how it was made.

In: a path. Out: the paths within it, and `run.json` with command, versions, device and outcome.
Not covered: what the other files say; each is written and read by the module that owns it.
"""

import json
import os
import platform
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
from fieldmark.base.errors import FieldmarkError, RunError
from fieldmark.base.files import write_json

SCHEMA_VERSION = 1
RECORDED_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run folder; nothing is read or created by making one."""

    path: Path

    @property
    def run_json(self) -> Path:
        """How the run was made and how it ended."""
        return self.path / "run.json"

    @property
    def recipe_toml(self) -> Path:
        """What was asked."""
        return self.path / "recipe.toml"

    @property
    def resolved_toml(self) -> Path:
        """What ran, every default filled in."""
        return self.path / "resolved.toml"

    @property
    def catalog_csv(self) -> Path:
        """One row for every file met."""
        return self.path / "catalog.csv"

    @property
    def splits_csv(self) -> Path:
        """Which photo is in which split."""
        return self.path / "splits.csv"

    @property
    def history_csv(self) -> Path:
        """One row an epoch."""
        return self.path / "history.csv"

    @property
    def probe_csv(self) -> Path:
        """One row for each strength of regularisation tried."""
        return self.path / "probe.csv"

    @property
    def layers_csv(self) -> Path:
        """One row for each layer of the network."""
        return self.path / "layers.csv"

    @property
    def predictions_csv(self) -> Path:
        """The logits of every photo."""
        return self.path / "predictions.csv"

    @property
    def findings_json(self) -> Path:
        """What the audit of the photos found."""
        return self.path / "findings.json"

    @property
    def labels_csv(self) -> Path:
        """The photos whose labels are in doubt, to be edited."""
        return self.path / "labels.csv"

    @property
    def explore_html(self) -> Path:
        """The page of an audit alone."""
        return self.path / "explore.html"

    @property
    def comparisons_json(self) -> Path:
        """What the accuracy would have been otherwise."""
        return self.path / "comparisons.json"

    @property
    def evaluation_json(self) -> Path:
        """The numbers on the test split."""
        return self.path / "evaluation.json"

    @property
    def report_html(self) -> Path:
        """The report, one self-contained file."""
        return self.path / "report.html"

    @property
    def model_dir(self) -> Path:
        """The bundle."""
        return self.path / "model"

    @property
    def checkpoints_dir(self) -> Path:
        """What a resumed run needs."""
        return self.path / "checkpoints"


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
    _clock_s: float = field(default_factory=time.monotonic)
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

    def save(self) -> None:
        """Write `run.json` atomically.

        The first time that the run is no longer running is its end: the report, written after
        it, tells the same time and memory as the record does for good.
        """
        if self.ended is None:
            self._peak_memory_mib = peak_memory_mib()
            self._seconds = round(time.monotonic() - self._clock_s, 2)
            self.ended = None if self.status == "running" else datetime.now(UTC)
        write_json(
            self.folder.run_json,
            {
                "schema_version": SCHEMA_VERSION,
                "fieldmark_version": __version__,
                "command": self.command,
                "photos": str(self.photos),
                "status": self.status,
                "started": self.started.isoformat(),
                "ended": self.ended.isoformat() if self.ended else None,
                "seconds": self._seconds,
                "stages": self.stages,
                "versions": _versions(),
                **self.values,
                "warnings": self.warnings,
                "peak_memory_mib": self._peak_memory_mib,
                "error": self.error,
            },
        )


@contextmanager
def recorded_run(folder: RunFolder, *, command: str, photos: Path) -> Iterator[RunRecord]:
    """Keep `run.json` true from start to end: finished, failed or interrupted, and why."""
    record = RunRecord(folder=folder, command=command, photos=photos)
    record.save()
    try:
        yield record
    except KeyboardInterrupt:
        record.status, record.error = "interrupted", "interrupted from the keyboard"
        raise
    except BaseException as error:
        record.status = "failed"
        expected = isinstance(error, FieldmarkError)
        record.error = str(error) if expected else f"{type(error).__name__}: {error}"
        raise
    else:
        record.status = "finished"
    finally:
        record.save()


def create_run_folder(path: Path) -> RunFolder:
    """Create an empty run folder.

    Raises:
        RunError: `path` is a file, a folder that already holds something, or cannot be created.
    """
    require_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"Cannot create the folder {path}: {error.strerror}. Choose another --out."
        ) from error
    return RunFolder(path)


def require_free(path: Path) -> None:
    """Refuse a path where something already is; nothing is created.

    Raises:
        RunError: `path` is a file, or a folder that already holds something.
    """
    try:
        holds_something = path.is_dir() and any(path.iterdir())
    except OSError as error:
        raise RunError(
            f"The folder {path} cannot be read: {error.strerror}. Choose another --out."
        ) from error
    if holds_something:
        raise RunError(
            f"The folder {path} already holds something, and nothing is ever overwritten. "
            "Choose another --out, or remove the folder first."
        )
    if path.exists() and not path.is_dir():
        raise RunError(f"Cannot write into {path}: it is a file. Choose another --out.")


def require_place(path: Path, *, photos: Path) -> None:
    """Refuse a path to write to that lies within the folder of photos, or is not free.

    Raises:
        RunError: as it says.
    """
    if path.resolve().is_relative_to(photos.resolve()):
        raise RunError(
            f"The output {path} would lie inside the folder of photos {photos}, which is never "
            "written to. Choose another --out."
        )
    require_free(path)


def next_run_path(parent: Path, *, stem: str = "run") -> Path:
    """Return the first free `run-001`, `run-002`, ... in `parent`, or of another stem."""
    number = 1
    while (parent / f"{stem}-{number:03d}").exists():
        number += 1
    return parent / f"{stem}-{number:03d}"


def read_run_json(folder: RunFolder) -> Mapping[str, Any]:
    """Return the content of `run.json`.

    Raises:
        RunError: it is missing, is not JSON, or was written by a newer Fieldmark.
    """
    try:
        content = json.loads(folder.run_json.read_text("utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{folder.path} is not a run folder: it has no run.json.{_runs_within(folder.path)}"
        ) from None
    except OSError as error:
        raise RunError(f"{folder.run_json} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise RunError(f"{folder.run_json} cannot be read as JSON: {error}.") from error
    check_schema(content, what=str(folder.run_json))
    return dict(content)


def _runs_within(folder: Path) -> str:
    runs = sorted(file.parent for file in folder.glob("*/run.json"))
    if runs:
        return f" It holds runs, though: give one of them, such as {runs[-1]}."
    return " Give the folder that 'fieldmark train' named at its end."


def check_schema(
    content: object,
    *,
    what: str,
    newest: int = SCHEMA_VERSION,
    error: type[FieldmarkError] = RunError,
) -> None:
    """Refuse JSON that Fieldmark has not written, or that a newer version has.

    Raises:
        RunError: or the `error` given: the schema version is missing or newer than `newest`.
    """
    found = content.get("schema_version") if isinstance(content, Mapping) else None
    if not isinstance(found, int):
        raise error(f"{what} has no schema_version; it was not written by Fieldmark.")
    if found > newest:
        raise error(
            f"{what} has schema version {found}; this Fieldmark ({__version__}) reads up to "
            f"{newest}. Install a newer Fieldmark."
        )


def recorded_call(verb: str, *given: object, **named: object) -> str:
    """Return a call from Python for `run.json`, without the arguments that were left out."""
    positional = [repr(str(value)) for value in given]
    keywords = [
        f"{name}={str(value)!r}" if isinstance(value, Path) else f"{name}={value!r}"
        for name, value in named.items()
        if value not in (None, [])
    ]
    return f"fieldmark.{verb}({', '.join(positional + keywords)})"


def peak_memory_mib() -> int | None:
    """Return the most memory this process has held so far, in MiB, or None where unknown."""
    if os.name != "posix":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
