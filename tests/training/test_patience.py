"""When training ends before its last epoch: where its time has no room for another."""

from collections.abc import Sequence

import pytest

from fieldmark.training.course import Pace, Settled
from fieldmark.training.patience import reason_of_time
from fieldmark.training.tally import Epoch


def reason(
    *seconds: float, left_s: float | None, other_s: float = 0.0, compiled: bool = False
) -> str | None:
    """Return the reason after epochs of these seconds, of 5, with so many on scoring in all."""
    settled = Settled(pace=Pace(compiled=compiled), lr=1e-3, num_epochs=5, time_left_s=left_s)
    zeros = dict.fromkeys((f.name for f in Epoch.__dataclass_fields__.values()), 0.0)
    history = [Epoch(**{**zeros, "seconds": each}) for each in seconds]  # type: ignore[arg-type]
    return reason_of_time(settled, history, spent_s=sum(seconds) + other_s)


@pytest.mark.parametrize(
    ("seconds", "left_s", "stops"),
    [
        ([10.0], 20.0, False),
        ([10.0], 19.9, True),
        ([50.0], 20.0, True),
        ([10.0] * 4, 50.0, False),
        ([10.0] * 4, 49.9, True),
        ([100.0] * 5, 50.0, False),
        ([1e9], None, False),
    ],
)
def test_training_stops_where_one_more_epoch_like_those_so_far_would_overrun_the_time(
    seconds: Sequence[float], left_s: float | None, stops: bool
) -> None:
    """But not after the last, and without a budget never."""
    assert (reason(*seconds, left_s=left_s) is not None) == stops


def test_scoring_and_saving_are_counted_to_an_epoch() -> None:
    assert reason(10.0, 10.0, other_s=4.0, left_s=36.0) is None
    assert reason(10.0, 10.0, other_s=4.0, left_s=35.9) is not None


def test_one_epoch_that_took_long_does_not_stand_for_those_to_come() -> None:
    assert reason(40.0, 1.0, left_s=42.0) is None
    assert reason(1.0, 40.0, 1.0, left_s=43.0) is None
    assert reason(40.0, 1.0, left_s=41.9) is not None


def test_the_epoch_in_which_kernels_are_built_tells_nothing_of_the_next() -> None:
    assert reason(40.0, left_s=42.0) is not None
    assert reason(40.0, left_s=42.0, compiled=True) is None
    assert reason(43.0, left_s=42.0, compiled=True) is not None


def test_the_reason_has_the_times_and_the_epochs() -> None:
    assert reason(12.5, 12.5, left_s=31.0) == (
        "2 epochs took 25.0 s of the 31.0 s that the time budget left, and another would overrun "
        "it, so training stopped after 2 of 5"
    )
