"""The run folder: where a run keeps everything, and where one may be made.

In: a path. Out: the paths within it, a new folder, and what its `run.json` says.
Not covered: writing `run.json` (`run_record`), and what the other files say; each is written and
read by the module that owns it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark._version import __version__
from fieldmark.base.errors import FieldmarkError, RunError
from fieldmark.base.files import TEMPORARY
from fieldmark.base.lock import holder

SCHEMA_VERSION = 1
LOCK = "lock"
RUNS_FOLDER = "runs"
"""Where runs are that nobody names a place for."""


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
    def learning_curve_json(self) -> Path:
        """The accuracy by the number of training photos."""
        return self.path / "learning_curve.json"

    @property
    def degradation_json(self) -> Path:
        """The accuracy on damaged photos."""
        return self.path / "degradation.json"

    @property
    def degradation_csv(self) -> Path:
        """The same as a table: one row for each kind, strength and class."""
        return self.path / "degradation.csv"

    @property
    def attention_json(self) -> Path:
        """Where the network looks on some of its test photos."""
        return self.path / "attention.json"

    @property
    def evaluation_json(self) -> Path:
        """The numbers on the test split."""
        return self.path / "evaluation.json"

    @property
    def repeats_json(self) -> Path:
        """What several trainings of one recipe came to, in the folder that holds their folders."""
        return self.path / "repeats.json"

    @property
    def repeats_csv(self) -> Path:
        """The photos that any of them named wrong."""
        return self.path / "repeats.csv"

    @property
    def report_html(self) -> Path:
        """The report, one self-contained file."""
        return self.path / "report.html"

    @property
    def model_dir(self) -> Path:
        """The bundle."""
        return self.path / "model"

    @property
    def model_card(self) -> Path:
        """What the bundle is good for and what not, for people."""
        return self.model_dir / "MODEL_CARD.md"

    @property
    def checkpoints_dir(self) -> Path:
        """What a resumed run needs."""
        return self.path / "checkpoints"

    @property
    def lock(self) -> Path:
        """Held by the process that trains."""
        return self.path / LOCK

    @property
    def events_jsonl(self) -> Path:
        """What happened while it trained, an event a line."""
        return self.path / "events.jsonl"

    @property
    def live_html(self) -> Path:
        """How training goes, while it goes on."""
        return self.path / "training.html"

    @property
    def lr_range_csv(self) -> Path:
        """The loss at each learning rate of the range test."""
        return self.path / "lr_range.csv"

    @property
    def augmentation_png(self) -> Path:
        """Training photos as they are, and as the network saw them."""
        return self.path / "augmentation.png"

    @property
    def tensorboard_dir(self) -> Path:
        """Event files for TensorBoard."""
        return self.path / "tensorboard"


def create_run_folder(path: Path) -> RunFolder:
    """Create an empty run folder.

    Raises:
        RunError: `path` is a file, a folder that already holds something, or cannot be created.
    """
    require_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_create(path, error) from error
    return RunFolder(path)


def create_next_run_folder(parent: Path, *, stem: str = "run") -> RunFolder:
    """Create the folder `next_run_path`; of several processes at once each gets its own.

    Raises:
        RunError: it cannot be created.
    """
    while True:
        path = next_run_path(parent, stem=stem)
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError as error:
            if not path.exists():  # it is the parent that is a file
                raise RunError(f"Cannot write into {parent}: it is a file.") from error
        except OSError as error:
            raise _cannot_create(path, error) from error
        else:
            return RunFolder(path)


def _cannot_create(path: Path, error: OSError) -> RunError:
    return RunError(f"Cannot create the folder {path}: {error.strerror}. Choose another --out.")


def clear_leftovers(folder: RunFolder) -> None:
    """Remove what a process that was killed left of files half written; to be called locked."""
    for pattern in (TEMPORARY, f"*/{TEMPORARY}"):
        for path in folder.path.glob(pattern):
            path.unlink(missing_ok=True)


def require_free(path: Path, *, is_locked: bool = False) -> None:
    """Refuse a path where something already is; nothing is created.

    The lock, and files half written, of a run that was killed before it had anything are nothing.

    Args:
        path: the place.
        is_locked: whether the caller itself holds the lock on it.

    Raises:
        RunError: `path` is a file, or a folder that already holds something, or that another
            process writes into.
    """
    try:
        holds_something = path.is_dir() and bool(
            {*path.iterdir()} - {path / LOCK, *path.glob(TEMPORARY)}
        )
    except OSError as error:
        raise RunError(
            f"The folder {path} cannot be read: {error.strerror}. Choose another --out."
        ) from error
    if holds_something:
        if not is_locked:
            require_unused(path)
        raise RunError(
            f"The folder {path} already holds something, and nothing is ever overwritten. "
            "Choose another --out, or remove the folder first."
        )
    if path.exists() and not path.is_dir():
        raise RunError(f"Cannot write into {path}: it is a file. Choose another --out.")


def require_unused(path: Path) -> None:
    """Refuse a run folder that a process writes into at this moment.

    Raises:
        RunError: the message names that process.
    """
    if found := holder(path / LOCK):
        raise RunError(
            f"{path} is in use by {found}. Wait until it has ended, or choose another --out."
        )


def require_place(path: Path, *, photos: Path) -> None:
    """Refuse a path to write to that lies within the folder of photos, or is not free.

    Raises:
        RunError: as it says.
    """
    require_outside(path, photos=photos)
    require_free(path)


def require_outside(path: Path, *, photos: Path) -> None:
    """Refuse a path to write to that lies within the folder of photos.

    Raises:
        RunError: as it says.
    """
    if path.resolve().is_relative_to(photos.resolve()):
        raise RunError(
            f"The output {path} would lie inside the folder of photos {photos}, which is never "
            "written to. Choose another --out."
        )


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


def has_finished(folder: RunFolder) -> bool:
    """Tell whether a run came to its end, the report included, which is the last that it writes.

    Raises:
        RunError: `run.json` cannot be read.
    """
    if not (folder.run_json.exists() and folder.report_html.exists()):
        return False
    return read_run_json(folder).get("status") == "finished"


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
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise error(f"{what} has no schema_version; it was not written by Fieldmark.")
    if found > newest:
        raise error(
            f"{what} has schema version {found}; this Fieldmark ({__version__}) reads up to "
            f"{newest}. Install a newer Fieldmark."
        )
