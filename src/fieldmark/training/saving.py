"""When the state of a training goes to the disk: now and then, but rarely where that takes long.

In: a state, and where it is saved. Out: checkpoints.
Not covered: what a checkpoint holds (`state`), how its file is written (`checkpoint`).
"""

import time
from dataclasses import dataclass, field

from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.course import Watch
from fieldmark.training.state import TrainingState

SAVING_SHARE = 0.05
"""Of the time may go into checkpoints: where one takes long, they become rarer."""


@dataclass(slots=True)
class Saver:
    """Writes checkpoints of a state."""

    checkpoints: Checkpoints | None
    """None: there is nowhere to write to, and nothing is ever due."""
    state: TrainingState
    every_s: float
    """Between two of them at least; below a second it is taken at its word, however long they
    take."""
    watch: Watch
    _saved_s: float = field(default_factory=time.monotonic)
    _took_s: float = 0.0

    def is_due(self) -> bool:
        """Whether it is time for one."""
        pause_s = max(self.every_s, self._took_s / SAVING_SHARE if self.every_s >= 1 else 0.0)
        return self.checkpoints is not None and time.monotonic() - self._saved_s >= pause_s

    def save(self) -> None:
        """Write one now, and tell of it.

        Raises:
            RunError: it cannot be written.
        """
        if self.checkpoints is None:
            return
        began_s = time.monotonic()
        self.checkpoints.save(self.state.checkpoint())
        self._saved_s = time.monotonic()
        self._took_s = self._saved_s - began_s
        self.watch.saved(self.state.step, self._took_s)
