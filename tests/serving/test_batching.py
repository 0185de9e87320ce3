"""Photos gathered into batches."""

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Pixels
from fieldmark.serving.batching import BatchConfig, Batcher


def photo(value: int) -> Pixels:
    return np.full((1, 1, 3), value, dtype=np.uint8)


class Slow:
    """Names each photo by its value, no sooner than it is let."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        assert self.may_go.wait(10)
        values = [int(one[0, 0, 0]) for one in pixels]
        self.batches.append(values)
        if 99 in values:
            raise RuntimeError("the processor is on fire")
        return [Prediction(path=str(value), ranking=()) for value in values]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def batcher(slow: Slow) -> Iterator[Batcher]:
    made = Batcher(slow, BatchConfig(max_batch=3, max_wait_s=0.0, max_waiting=5))
    made.start()
    yield made
    slow.may_go.set()
    made.stop()


def test_photos_that_come_while_a_batch_is_computed_are_answered_together(
    batcher: Batcher, slow: Slow
) -> None:
    first = batcher.submit(photo(0))
    while batcher._queue:
        time.sleep(0.001)
    others = [batcher.submit(photo(value)) for value in (1, 2, 3, 4)]
    slow.may_go.set()
    assert [one.result(5).path for one in (first, *others)] == ["0", "1", "2", "3", "4"]
    assert slow.batches == [[0], [1, 2, 3], [4]]


def test_a_photo_waits_for_others_no_longer_than_was_said(slow: Slow) -> None:
    slow.may_go.set()
    waiting = Batcher(slow, BatchConfig(max_batch=2, max_wait_s=1.0))
    waiting.start()
    began = time.monotonic()
    pair = [waiting.submit(photo(1)), waiting.submit(photo(2))]
    assert [one.result(5).path for one in pair] == ["1", "2"]
    assert time.monotonic() - began < 0.9  # a full batch does not wait
    alone = waiting.submit(photo(3))
    with pytest.raises(TimeoutError):
        alone.result(0.2)
    assert alone.result(5).path == "3"
    waiting.stop()


def test_an_error_reaches_those_of_its_batch_alone(batcher: Batcher, slow: Slow) -> None:
    first = batcher.submit(photo(0))
    while batcher._queue:
        time.sleep(0.001)
    bad = batcher.submit(photo(99))
    slow.may_go.set()
    assert first.result(5).path == "0"
    with pytest.raises(RuntimeError, match="on fire"):
        bad.result(5)
    assert batcher.submit(photo(5)).result(5).path == "5"


def test_who_no_longer_waits_is_passed_over(batcher: Batcher, slow: Slow) -> None:
    first = batcher.submit(photo(0))
    while batcher._queue:
        time.sleep(0.001)
    gone, stayed = batcher.submit(photo(1)), batcher.submit(photo(2))
    assert gone.cancel()
    slow.may_go.set()
    first.result(5)
    stayed.result(5)
    assert slow.batches == [[0], [2]]


def test_no_more_photos_are_let_in_than_there_are_places(batcher: Batcher) -> None:
    asked = [(batcher.admit(number), batcher.is_full) for number in (3, 3, 2, 1)]  # all or none
    assert asked == [(True, False), (False, False), (True, True), (False, True)]
    batcher.release(2)
    assert batcher.num_admitted == 3
    assert batcher.admit(1)


def test_what_waits_is_answered_before_it_ends(slow: Slow) -> None:
    ending = Batcher(slow, BatchConfig(max_batch=2, max_wait_s=1.0))
    ending.start()
    waiting = [ending.submit(photo(value)) for value in range(5)]
    slow.may_go.set()
    ending.stop()
    assert [one.result(0).path for one in waiting] == ["0", "1", "2", "3", "4"]
    with pytest.raises(RuntimeError, match="no photo is taken"):
        ending.submit(photo(1))


def test_several_workers_lose_nothing_and_mix_nothing_up() -> None:
    seen: list[int] = []

    def answer(pixels: Sequence[Pixels]) -> list[Prediction]:
        time.sleep(0.0005)
        seen.append(len(pixels))
        return [Prediction(path=str(int(one[0, 0, 0])), ranking=()) for one in pixels]

    several = Batcher(answer, BatchConfig(max_batch=4, max_wait_s=0.001, num_workers=3))
    several.start()
    futures = [(value % 250, several.submit(photo(value % 250))) for value in range(500)]
    assert all(one.result(10).path == str(value) for value, one in futures)
    several.stop()
    assert sum(seen) == 500
    assert max(seen) <= 4


@pytest.mark.parametrize(
    "wrong", [{"max_batch": 0}, {"max_waiting": 0}, {"num_workers": 0}, {"max_wait_s": -1.0}]
)
def test_numbers_out_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BatchConfig(**wrong)  # type: ignore[arg-type]
