import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.base import executor
from fieldmark.base.executor import (
    QUEUED_PER_WORKER,
    Executor,
    SerialExecutor,
    ThreadExecutor,
    available_cores,
)

EXECUTORS: list[Executor] = [SerialExecutor(), ThreadExecutor(1), ThreadExecutor(3)]


def num_fieldmark_threads() -> int:
    return sum(thread.name.startswith("fieldmark") for thread in threading.enumerate())


@pytest.mark.parametrize("executor", EXECUTORS)
@given(items=st.lists(st.integers(), max_size=60))
@settings(max_examples=20, deadline=None)
def test_results_come_in_the_order_of_the_items(executor: Executor, items: list[int]) -> None:
    assert list(executor.map(lambda item: item * 2, items)) == [item * 2 for item in items]


def test_a_slow_first_item_is_still_the_first_result() -> None:
    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    assert list(ThreadExecutor(2).map(sleep, [0.05, 0.0, 0.0])) == [0.05, 0.0, 0.0]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_results_before_the_first_exception_come_and_then_it_ends(executor: Executor) -> None:
    results = executor.map(lambda item: 6 // item, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert num_fieldmark_threads() == 0


def test_threads_really_run_at_the_same_time() -> None:
    barrier = threading.Barrier(3, timeout=10)
    assert sorted(ThreadExecutor(3).map(lambda _: barrier.wait(), range(3))) == [0, 1, 2]


def test_no_more_items_are_begun_than_the_queue_holds() -> None:
    begun: list[int] = []
    results = ThreadExecutor(2).map(begun.append, range(1000))
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 2 * QUEUED_PER_WORKER + 1


def test_an_iteration_given_up_ends_its_threads() -> None:
    results = ThreadExecutor(2).map(time.sleep, [0.001] * 1000)
    next(results)
    assert num_fieldmark_threads() > 0
    del results
    assert num_fieldmark_threads() == 0


@pytest.mark.parametrize("num_threads", [0, -1])
def test_fewer_threads_than_one_are_refused(num_threads: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1.*got {num_threads}"):
        ThreadExecutor(num_threads)


def test_without_a_number_there_are_as_many_threads_as_cores() -> None:
    assert ThreadExecutor().num_threads == available_cores() >= 1


@pytest.mark.parametrize(
    ("content", "cores"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("10000 100000\n", 1)],
)
def test_a_container_with_a_quota_has_the_cores_that_it_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(content, encoding="ascii")
    monkeypatch.setattr(executor, "CPU_QUOTA_FILE", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert available_cores() == cores


@pytest.mark.parametrize("content", ["max 100000\n", "", "1 0\n", None])
def test_without_a_readable_quota_every_core_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "cpu.max").write_text(content, encoding="ascii")
    monkeypatch.setattr(executor, "CPU_QUOTA_FILE", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert available_cores() == 64
