"""Photos of several requests answered together, and no more of them waiting than can be answered.

In: pixels of single photos, from any number of requests. Out: the answer for each.
A photo waits for others at most `max_wait_s`, and not at all where a batch is full. On a CPU there
is a thread for each core with batches of its own, so that none waits for another.
Not covered: decoding (`app`), and what a batch costs (`answering`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Pixels

SECONDS_KEPT = 0.9
"""How much the mean seconds a photo keep of what they were, batch by batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How photos are gathered.

    Raises:
        ValueError: a number is out of its range.
    """

    max_batch: int = 8
    """Photos answered together at most, 1 or more."""
    max_wait_s: float = 0.002
    """Seconds for which a photo waits for others, 0 to 1."""
    max_waiting: int = 128
    """Photos in the server at a time, 1 or more; further ones are refused."""
    num_workers: int = 1
    """Batches that are computed at a time, 1 or more."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("max_batch", "max_waiting", "num_workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more.")
        if not 0 <= self.max_wait_s <= 1:
            raise ValueError(f"max_wait_s is {self.max_wait_s}; allowed: 0 to 1 second.")


@dataclass(frozen=True, slots=True)
class _Waiting:
    pixels: Pixels
    since: float
    future: "Future[Prediction]"


class Batcher:
    """Answers photos in batches, on threads of its own, from `start` to `stop`."""

    def __init__(
        self,
        answer: Callable[[Sequence[Pixels]], list[Prediction]],
        config: BatchConfig,
        *,
        on_batch: Callable[[int, float], None] = lambda _num, _seconds: None,
    ) -> None:
        """Prepare it.

        Args:
            answer: of an `Answerer`; called by several threads at once.
            config: how photos are gathered.
            on_batch: is told of each batch: how many photos, and the seconds that they took.
        """
        self._answer = answer
        self._config = config
        self._on_batch = on_batch
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._num_admitted = 0
        self._seconds_a_photo = 0.0
        self._threads: list[threading.Thread] = []

    @property
    def num_admitted(self) -> int:
        """The photos that were let in and are not answered yet."""
        return self._num_admitted

    @property
    def is_full(self) -> bool:
        """Whether not one more photo is let in."""
        return self._num_admitted >= self._config.max_waiting

    @property
    def wait_s(self) -> float:
        """About how long a photo that came now would wait, in seconds."""
        return self._num_admitted * self._seconds_a_photo / self._config.num_workers

    def admit(self, num_photos: int) -> bool:
        """Let photos in, all or none; to be matched by `release`."""
        with self._changed:
            if self._num_admitted + num_photos > self._config.max_waiting:
                return False
            self._num_admitted += num_photos
            return True

    def release(self, num_photos: int) -> None:
        """Make room again for photos that were admitted."""
        with self._changed:
            self._num_admitted -= num_photos

    def submit(self, pixels: Pixels) -> "Future[Prediction]":
        """Return the answer to come for a photo; cancel it where nobody waits any more.

        Raises:
            RuntimeError: it was stopped.
        """
        future: Future[Prediction] = Future()
        with self._changed:
            if self._is_stopping:
                raise RuntimeError("no photo is taken any more")
            self._queue.append(_Waiting(pixels, time.monotonic(), future))
            self._changed.notify()
        return future

    def start(self) -> None:
        """Start its threads."""
        self._threads = [
            threading.Thread(target=self._work, name=f"fieldmark-batch-{number}", daemon=True)
            for number in range(self._config.num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer what waits, and end its threads."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            live = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if live:
                self._run(live)

    def _run(self, batch: Sequence[_Waiting]) -> None:
        began = time.monotonic()
        try:
            answers = self._answer([one.pixels for one in batch])
        except Exception as error:  # noqa: BLE001 - goes to who waits for it
            for one in batch:
                one.future.set_exception(error)
            return
        seconds = time.monotonic() - began
        before = self._seconds_a_photo or seconds / len(batch)
        self._seconds_a_photo = SECONDS_KEPT * before + (1 - SECONDS_KEPT) * seconds / len(batch)
        for one, answer in zip(batch, answers, strict=True):
            one.future.set_result(answer)
        self._on_batch(len(batch), seconds)

    def _next_batch(self) -> list[_Waiting] | None:
        """Wait for a batch; None once it was stopped and nothing waits."""
        most = self._config.max_batch
        with self._changed:
            while True:
                if not self._queue:
                    if self._is_stopping:
                        return None
                    self._changed.wait()
                    continue
                left = self._queue[0].since + self._config.max_wait_s - time.monotonic()
                if len(self._queue) >= most or left <= 0 or self._is_stopping:
                    return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
                self._changed.wait(left)
