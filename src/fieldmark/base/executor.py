"""Map a function over items: one after another, or on threads.

In: a function and a sequence. Out: the results in the order of the items, as they come.
Threads suffice for decoding large photos, since Pillow and NumPy release the interpreter lock;
`processes` are for small ones.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

QUEUED_PER_WORKER = 8
"""How many items wait ahead of each thread: enough to keep it busy, few enough to bound memory."""

CPU_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""The container's share of processor time, "QUOTA PERIOD" in microseconds or "max PERIOD"
(Linux control groups, version 2: `cpu.max`)."""


class Executor(Protocol):
    """Something that can map a function over items and keep their order."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item in order; the first exception ends the iteration."""


class SerialExecutor:
    """Maps in the calling thread."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item in order."""
        return map(function, items)


class ThreadExecutor:
    """Maps on a pool of threads with a bounded queue, so that results never pile up in memory."""

    def __init__(self, num_threads: int | None = None) -> None:
        """Use `num_threads` (at least 1), or as many as there are cores to use where None."""
        if num_threads is not None and num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, or None for all; got {num_threads}.")
        self.num_threads = num_threads or available_cores()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item in order."""
        with ThreadPoolExecutor(self.num_threads, thread_name_prefix="fieldmark") as pool:
            waiting: deque[Future[Result]] = deque()
            source = iter(items)
            try:
                for item in islice(source, self.num_threads * QUEUED_PER_WORKER):
                    waiting.append(pool.submit(function, item))
                while waiting:
                    yield waiting.popleft().result()
                    for item in islice(source, 1):
                        waiting.append(pool.submit(function, item))
            finally:
                for future in waiting:
                    future.cancel()


def available_cores() -> int:
    """Return how many cores this process may use: in a container often fewer than it sees."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota_cores(CPU_QUOTA_FILE) or cores))


def _quota_cores(file: Path) -> int | None:
    """Return the whole cores that a container's quota is worth, rounded up; None without one."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
