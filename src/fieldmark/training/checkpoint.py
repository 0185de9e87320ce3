"""Checkpoints: the state of a training run on the disk, so that it can go on after being stopped.

In: tensors by name and plain JSON values at a step. Out: a file that is complete and verified or
is not there, and the newest one again. The name of a file holds the digest of its bytes, so that
a file that was cut short or altered is never trained on.
Not covered: what belongs into the state (see `fit`); that of an optimizer (`optimizer_state`).
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fieldmark.base.errors import RunError
from fieldmark.base.files import TEMPORARY, sha256_of
from fieldmark.base.run_folder import check_schema
from fieldmark.training.tensor_file import (
    MalformedFileError,
    read_tensors,
    write_tensors,
)

SCHEMA_VERSION = 1
NUM_KEPT = 2
"""The newest checkpoint and the one before it, in case the newest is damaged."""
NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a training run after `step` steps."""

    step: int
    """Steps done, 0 or more."""
    tensors: Mapping[str, Tensor]
    """Every tensor that training goes on from; on the CPU in a checkpoint that was read."""
    state: Mapping[str, Any]
    """Everything else, as plain JSON values (keys are strings, tuples come back as lists)."""

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors named `<name>.<rest>`, by the rest: what `joined` put under `name`."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }


def joined(**parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of all parts under the names `<part>.<name>`; nothing is copied."""
    return {
        f"{part}.{name}": value
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run, the last two of which are kept; one writer at a time."""

    folder: Path
    """Made with the first checkpoint. It needs room for three of them."""

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint durably, then remove what it makes superfluous; return its path.

        The older ones of later steps are removed too: training went back to before them.

        Raises:
            RunError: it cannot be written; those before it are left as they were.
        """
        try:
            self._remove_leftovers()
            path = write_tensors(
                checkpoint.tensors,
                self.folder,
                stem=f"step-{checkpoint.step:08d}",
                content={
                    "schema_version": SCHEMA_VERSION,
                    "step": checkpoint.step,
                    "state": checkpoint.state,
                },
            )
        except OSError as error:
            raise RunError(self._unwritable(checkpoint, error)) from error
        self._remove_all_but(path, step=checkpoint.step)
        return path

    def latest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """Return the newest checkpoint whose bytes are those that were written, or None.

        None is for a folder without checkpoints only. `warn` is told of every one passed over.

        Raises:
            RunError: there are checkpoints and none can be used, or a newer Fieldmark wrote them.
        """
        reasons = []
        for path in reversed(self._readable_paths()):
            try:
                checkpoint = _read(path)
            except (MalformedFileError, OSError) as error:
                reasons.append(f"{path.name}: {_reason(error)}")
                warn(f"The checkpoint {path} cannot be used: {_reason(error)}.")
            else:
                return checkpoint
        if reasons:
            raise RunError(
                f"None of the checkpoints in {self.folder} can be used: {'; '.join(reasons)}. Put "
                "back a copy of one of them, or delete that folder to train from the start again."
            )
        return None

    def _paths(self) -> list[Path]:
        """Return the checkpoints' files, those of the latest step last."""
        try:
            found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda path: (_step_of(path), path.name))

    def _readable_paths(self) -> list[Path]:
        try:
            return self._paths()
        except OSError as error:
            raise RunError(
                f"The folder of checkpoints {self.folder} cannot be read: "
                f"{error.strerror or error}. Make it readable, then go on with --resume."
            ) from error

    def _remove_leftovers(self) -> None:
        """Remove what a killed write left: before the next one, which may need the room."""
        for path in self.folder.glob(TEMPORARY):
            path.unlink(missing_ok=True)

    def _remove_all_but(self, newest: Path, *, step: int) -> None:
        before = [path for path in self._paths() if _step_of(path) < step]
        kept = {newest, *before[1 - NUM_KEPT :]}
        for path in self._paths():
            if path not in kept:
                # A file too many does no harm, and must not end the training.
                with contextlib.suppress(OSError):
                    path.unlink()

    def _unwritable(self, checkpoint: Checkpoint, error: OSError) -> str:
        size = sum(value.numel() * value.element_size() for value in checkpoint.tensors.values())
        steps: list[int] = []
        with contextlib.suppress(OSError):
            steps = [_step_of(path) for path in self._paths()]
        left = f"The one of step {steps[-1]} is untouched" if steps else "There is none before it"
        return (
            f"The checkpoint of step {checkpoint.step} ({size / 2**20:.0f} MiB) cannot be written "
            f"into {self.folder}: {error.strerror or error}. {left}. Make room or make the folder "
            "writable, then go on with --resume."
        )


def _step_of(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _read(path: Path) -> Checkpoint:
    match = NAME.fullmatch(path.name)
    assert match is not None
    if not sha256_of(path).startswith(match[2]):
        raise MalformedFileError("it is damaged: its bytes are not those that were written")
    tensors, content = read_tensors(path)
    check_schema(content, what=str(path), newest=SCHEMA_VERSION)
    if content.get("step") != int(match[1]):
        raise MalformedFileError(f"its name says step {int(match[1])}, but it is not of that step")
    return Checkpoint(step=content["step"], tensors=tensors, state=content["state"])


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read ({error.strerror or error})"
    return str(error)
