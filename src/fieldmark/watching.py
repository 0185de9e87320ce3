"""A training run while it goes on: tables, pages and events that can be looked at meanwhile.

In: what the loop tells. Out: `history.csv`, `training.html`, `events.jsonl`, `augmentation.png`,
and TensorBoard's files where asked for.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import FieldmarkError
from fieldmark.base.files import write_bytes, write_csv
from fieldmark.base.journal import Journal
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import RunRecord
from fieldmark.data.contact_sheet import contact_sheet
from fieldmark.records import write_history
from fieldmark.report.live import write_live
from fieldmark.training.range_test import RangeTest, table
from fieldmark.training.tally import Epoch
from fieldmark.training.tensorboard import NoScalars, Scalars, tensorboard_scalars

SHOWN_PX = 96
"""Side of a photo in the picture of a batch."""
DRAWN_EVERY_S = 1.0
"""The page is drawn no more often: where an epoch takes milliseconds, drawing takes longer."""
RANGE_HEADER = ("lr", "loss", "smoothed")


@dataclass(slots=True, kw_only=True)
class Watching:
    """Writes down and shows what the loop tells."""

    folder: RunFolder
    progress: Progress
    record: RunRecord
    journal: Journal
    scalars_sink: Scalars
    _num_epochs: int = 0
    _drawn_s: float = -math.inf
    _clock: Callable[[], float] = time.monotonic

    def batch(self, num_photos: int) -> None:
        """Move the bar on."""
        self.progress.advance(num_photos)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write an event."""
        self.journal.write("step", step=step, **values)
        self.scalars_sink.write(step, {f"step/{name}": value for name, value in values.items()})

    def epoch(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        """Write the table and the page anew, and an event."""
        last, self._num_epochs = history[-1], num_epochs
        write_history(self.folder.history_csv, history)
        if self._clock() - self._drawn_s >= DRAWN_EVERY_S or len(history) == num_epochs:
            with contextlib.suppress(
                OSError
            ):  # the page is for looking at; no run shall end for it
                write_live(self.folder, num_epochs=num_epochs)
            self._drawn_s = self._clock()
        self.journal.write("epoch", num_epochs=num_epochs, **last.to_json())
        values = {name: value for name, value in last.to_json().items() if value is not None}
        self.scalars_sink.write(
            last.epoch, {f"epoch/{name}": value for name, value in values.items()}
        )
        detail = f"epoch {last.epoch}/{num_epochs}, {last.told}"
        self.progress.advance(0, detail=detail)

    def note(self, text: str) -> None:
        """Show it, and keep it."""
        self.progress.note(text)
        self.record.warnings.append(text)
        self.journal.write("note", text=text)

    def saved(self, step: int, seconds: float) -> None:
        """Write an event."""
        self.journal.write("checkpoint", step=step, seconds=round(seconds, 3))

    def stopped(self, reason: str) -> None:
        """Say on the page, where there is one, that training ended before its end."""
        if self._num_epochs:
            # Whatever is wrong with the page, why training ended is what counts.
            with contextlib.suppress(OSError, FieldmarkError):
                write_live(self.folder, num_epochs=self._num_epochs, stopped=reason)

    def shown(self, before_NHWC: NDArray[np.uint8], after_NHWC: NDArray[np.uint8]) -> None:
        """Write the picture of a batch before and after."""
        picture = contact_sheet([before_NHWC, after_NHWC], side_px=SHOWN_PX)
        write_bytes(self.folder.augmentation_png, picture)

    def range_tested(self, test: RangeTest) -> None:
        """Write the losses met at each rate."""
        rows = [list(row.values()) for row in table(test)]
        write_csv(self.folder.lr_range_csv, header=RANGE_HEADER, rows=rows)


def end_live(folder: RunFolder) -> None:
    """Say on the page of the training that the run is finished, where there is one."""
    if folder.live_html.is_file():
        write_live(folder, num_epochs=0, finished=True)


@contextmanager
def watching(record: RunRecord, *, progress: Progress, tensorboard: bool) -> Iterator[Watching]:
    """Watch a run from beginning to end; how it ended is the last event.

    Raises:
        RecipeError: TensorBoard is asked for and not installed.
    """
    folder = record.folder
    sink = tensorboard_scalars(folder.tensorboard_dir) if tensorboard else NoScalars()
    journal = Journal(folder.events_jsonl, warn=progress.note)
    journal.write("start", command=record.command, photos=str(record.photos))
    watch = Watching(
        folder=folder, progress=progress, record=record, journal=journal, scalars_sink=sink
    )
    try:
        yield watch
    except BaseException as error:
        journal.write("end", outcome=type(error).__name__, message=str(error))
        watch.stopped(str(error) or type(error).__name__)
        raise
    else:
        journal.write("end", outcome="trained", message="")
    finally:
        sink.close()
