"""Checkpoints are due now and then, and the rarer the longer they take."""

from types import SimpleNamespace
from typing import Any

import pytest

from fieldmark.training import saving
from fieldmark.training.course import Unwatched
from fieldmark.training.saving import Saver


class Listening(Unwatched):
    """Keeps what was saved, and how long it took."""

    def __init__(self) -> None:
        self.saves: list[tuple[int, float]] = []

    def saved(self, step: int, seconds: float) -> None:
        self.saves.append((step, seconds))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until it is set."""
    clock = [100.0]
    monkeypatch.setattr(saving, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return clock


def saver(now: list[float], *, every_s: float, takes_s: float = 0.0) -> tuple[Saver, Listening]:
    def save(_: object) -> None:
        now[0] += takes_s

    watch = Listening()
    checkpoints: Any = SimpleNamespace(save=save)
    state: Any = SimpleNamespace(step=7, checkpoint=object)
    made = Saver(
        checkpoints=checkpoints,
        state=state,
        every_s=every_s,
        watch=watch,
        _saved_s=now[0],
    )
    return made, watch


def test_one_is_due_once_the_pause_is_over_and_what_was_saved_is_told(now: list[float]) -> None:
    made, watch = saver(now, every_s=60.0, takes_s=0.5)
    now[0] += 59.0
    assert not made.is_due()
    now[0] += 1.0
    assert made.is_due()
    made.save()
    assert watch.saves == [(7, 0.5)]
    assert not made.is_due()


@pytest.mark.parametrize(("every_s", "pause_s"), [(60.0, 80.0), (120.0, 120.0), (0.5, 0.5)])
def test_no_more_than_a_twentieth_of_the_time_goes_into_them_unless_asked_for(
    every_s: float, pause_s: float, now: list[float]
) -> None:
    made, _ = saver(now, every_s=every_s, takes_s=4.0)
    made.save()
    now[0] += pause_s - 0.25
    assert not made.is_due()
    now[0] += 0.25
    assert made.is_due()


def test_without_a_place_none_is_due_and_none_is_written(now: list[float]) -> None:
    made, watch = saver(now, every_s=1.0)
    made.checkpoints = None
    now[0] += 1e9
    assert not made.is_due()
    made.save()
    assert watch.saves == []
