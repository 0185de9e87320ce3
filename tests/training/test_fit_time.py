"""A time budget is kept to by the clock as well: training that is slower than measured stops."""

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.base.stopping import Stopped
from fieldmark.models.classifier import Classifier
from fieldmark.training import fit as fit_module
from fieldmark.training.checkpoint import Checkpoint, Checkpoints
from fieldmark.training.course import Unwatched
from fieldmark.training.fit import Fitted
from fieldmark.training.steps import Stepper

MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]
FitTiny = Callable[..., Fitted]


def last_of(folder: Path) -> Checkpoint:
    found = Checkpoints(folder).latest(pytest.fail)
    assert found is not None
    return found


class Noting(Unwatched):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def second_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of the loop move by 1 s a step, and not otherwise."""
    now, step = [0.0], Stepper.step

    def slow(stepper: Stepper, *args: Any, **named: Any) -> Any:
        now[0] += 1
        return step(stepper, *args, **named)

    clock = SimpleNamespace(perf_counter=lambda: now[0], monotonic=lambda: now[0])
    monkeypatch.setattr(fit_module, "time", clock)
    monkeypatch.setattr(Stepper, "step", slow)


@pytest.mark.usefixtures("second_a_step")
def test_a_training_slower_than_it_was_measured_stops_in_time_and_says_so(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    """Three steps an epoch: of 10 s, 9 are gone after three, and a fourth would take 3 more."""
    watch = Noting()
    asked: dict[str, Any] = {"epochs": 5, "state": {"watch": watch}}
    fitted = fit_tiny(make_classifier(), make_photos(33), time_left_s=10.0, **asked)
    assert len(fitted.history) == fitted.kept_epoch == 3
    reason = (
        "3 epochs took 9.0 s of the 10.0 s that the time budget left, and another would overrun "
        "it, so training stopped after 3 of 5"
    )
    assert fitted.stopped_early == reason
    assert watch.notes == [f"{reason}."]
    fitted = fit_tiny(make_classifier(), make_photos(33), time_left_s=15.0, **asked)
    assert (len(fitted.history), fitted.stopped_early) == (5, None)


@pytest.mark.usefixtures("second_a_step")
def test_the_time_spent_before_a_stop_counts_after_it(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny, tmp_path: Path
) -> None:
    class Asking(Unwatched):
        def __init__(self) -> None:
            self.num_batches = 0

        def batch(self, num_photos: int) -> None:  # noqa: ARG002
            self.num_batches += 1
            if self.num_batches == 5:
                signal.raise_signal(signal.SIGTERM)

    checkpoints = Checkpoints(tmp_path)
    asked: dict[str, Any] = {"epochs": 5, "time_left_s": 10.0}
    state = {"checkpoints": checkpoints, "watch": Asking()}
    with pytest.raises(Stopped):
        fit_tiny(make_classifier(), make_photos(33), **asked, state=state)
    state = {"checkpoints": checkpoints, "begun": last_of(tmp_path)}
    assert last_of(tmp_path).state["spent_s"] == pytest.approx(5)
    fitted = fit_tiny(make_classifier(), make_photos(33), **asked, state=state)
    assert len(fitted.history) == 3
    assert last_of(tmp_path).state["stopped_early"] == fitted.stopped_early is not None
