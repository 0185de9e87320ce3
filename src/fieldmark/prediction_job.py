"""Predictions on files that come one after another, each handed on as it is made.

In: a model, and files as they are met. Out: a prediction for every file that may have been meant as
a photo, in the order met, and counts. Nothing is gathered, however many files there are.
Not covered: where files are met (`photo_stream`), and where predictions go.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.base.progress import Progress
from fieldmark.evaluation.answer import Prediction
from fieldmark.photo_stream import Met
from fieldmark.prediction_file import DonePaths

LEFT_OUT_NAMED = 100
"""Files that were never meant as photos are named up to this many, and counted."""
MOST_WAITING = 10_000
"""Files known to be no photos that wait for their turn while photos before them are predicted; more
are handed on at once. Bounds memory."""

Emit = Callable[[Prediction], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A classifier ready to predict."""

    classes: tuple[str, ...]
    predictions: Callable[[Iterable[Path]], Iterator[Prediction]]
    """Gives a prediction for each file, in order, taking files as they are needed."""


@dataclass(slots=True, kw_only=True)
class PredictionJob:
    """One pass over files, with what came of it so far."""

    model: Model
    done: DonePaths
    """Files that are passed over, since they have a prediction."""
    progress: Progress
    num_rows: int = 0
    num_unreadable: int = 0
    num_left_out: int = 0
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    """The first `LEFT_OUT_NAMED`."""
    first: Prediction | None = None
    """The first prediction made, for a message where none could be read."""
    _waiting: deque[Met] = field(default_factory=deque, init=False)
    _emit: Emit = field(default=lambda _: None, init=False)

    def run(self, met: Iterable[Met], *, total: int | None, emit: Emit) -> None:
        """Predict on files.

        Args:
            met: the files.
            total: how many have no prediction yet; None where that is not known.
            emit: gets each prediction.
        """
        self._emit = emit
        self.progress.start("Prediction", total=total, unit="photos")
        for prediction in self.model.predictions(self._photos(met)):
            self._hand_on_refused()
            self._waiting.popleft()
            self._hand_on(prediction)
        self._hand_on_refused()
        self.progress.finish(counted(self.num_rows, "photo"))

    @property
    def has_some(self) -> bool:
        """Whether there is any prediction by now, earlier ones included."""
        return self.num_rows > self.num_unreadable or self.done.count > 0

    def require_some(self) -> None:
        """Refuse a pass in which not one file could be read, unless others had been before.

        Raises:
            DataError: it names the first file, and why it could not be read.
        """
        if self.has_some or self.first is None:
            return
        why = f"{self.first.path} could not be read: {self.first.error}."
        if self.num_rows > 1:
            why = (
                f"None of the {self.num_rows:,} photos could be read, such as {self.first.path}: "
                f"{self.first.error}."
            )
        raise DataError(why)

    def _photos(self, met: Iterable[Met]) -> Iterator[Path]:
        """Yield the files to read; the others wait for their turn to be handed on."""
        for file in met:
            if not file.is_meant:
                self._leave_out(file)
            elif self.done.count and str(file.path) in self.done:
                continue
            elif not file.problem:
                self._waiting.append(file)
                yield file.path
            elif len(self._waiting) < MOST_WAITING:
                self._waiting.append(file)
            else:
                self._hand_on(_refused(file))

    def _hand_on_refused(self) -> None:
        """Hand on the files that are known to be no photos up to the next one that is read."""
        while self._waiting and self._waiting[0].problem:
            self._hand_on(_refused(self._waiting.popleft()))

    def _hand_on(self, prediction: Prediction) -> None:
        self.first = self.first or prediction
        self.num_rows += 1
        self.num_unreadable += prediction.error is not None
        self._emit(prediction)
        self.progress.advance()

    def _leave_out(self, file: Met) -> None:
        self.num_left_out += 1
        if len(self.left_out) < LEFT_OUT_NAMED:
            self.left_out.append((file.path, file.problem))


def _refused(file: Met) -> Prediction:
    return Prediction(path=str(file.path), ranking=(), error=file.problem)
