"""Scalars for TensorBoard: event files beside the run's own tables, where asked for.

In: numbers by name at a step. Out: event files, or nothing. TensorBoard is an extra.
"""

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from fieldmark.base.errors import RecipeError

MISSING = (
    "train.tensorboard is on, and TensorBoard is not installed. Install it with "
    "pip install 'fieldmark[tensorboard]', or set train.tensorboard=false."
)


class Scalars(Protocol):
    """A sink of numbers that change as training goes on."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Keep each value under its name, such as "loss/train", at `step`."""

    def close(self) -> None:
        """Nothing more will come; what was written is on the disk."""


class NoScalars:
    """Keeps nothing."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Ignore the values."""

    def close(self) -> None:
        """Nothing to close."""


class EventFiles:
    """Event files of TensorBoard. A disk that is full costs points of a curve, never the run."""

    def __init__(self, writer: Any) -> None:
        """Write through a `SummaryWriter`."""
        self._writer = writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Keep each value at `step`."""
        with _never_in_the_way():
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Write out what is left and close the file."""
        with _never_in_the_way():
            self._writer.close()


def tensorboard_scalars(folder: Path) -> Scalars:
    """Return a sink of event files in `folder`, which is made if need be.

    Raises:
        RecipeError: TensorBoard is not installed.
    """
    try:
        # Its own use of what is deprecated is not for the users of Fieldmark to hear.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(folder))
    except ImportError as error:
        raise RecipeError(MISSING) from error
    return EventFiles(writer)


@contextlib.contextmanager
def _never_in_the_way() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.suppress(OSError):
        warnings.simplefilter("ignore")
        yield
