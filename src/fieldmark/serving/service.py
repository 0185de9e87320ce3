"""From the bytes of photos to their answers, with everything between that is shared by routes.

In: photos of a request. Out: an answer or a reason for each.
Photos are decoded on threads, a bad one fails alone, and the others are answered in batches.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from fieldmark.base.executor import available_cores
from fieldmark.data.formats import recognise
from fieldmark.data.images import UnreadableImage
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Answerer, Pixels
from fieldmark.serving.batching import BatchConfig, Batcher
from fieldmark.serving.metrics import Metrics
from fieldmark.serving.refusals import Refused, busy
from fieldmark.serving.uploads import Bodies

Result = TypeVar("Result")

MIB = 1 << 20

MAX_SLOW = 8
"""Explanations and likenesses waiting or at work: few enough to be done before a stop."""
SLOW_S = 0.5
"""About what one of them takes, for the moment to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What a server takes."""

    max_body_bytes: int = 32 * MIB
    """The largest body, 1 or more."""
    max_photos: int = 64
    """Photos of a request, 1 to `batch.max_waiting`."""
    batch: BatchConfig = field(default_factory=BatchConfig)

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.max_body_bytes < 1:
            raise ValueError(f"max_body_bytes is {self.max_body_bytes}; allowed: 1 or more.")
        if not 1 <= self.max_photos <= self.batch.max_waiting:
            raise ValueError(
                f"max_photos is {self.max_photos}; allowed: 1 to max_waiting, "
                f"{self.batch.max_waiting}."
            )


@dataclass(frozen=True, slots=True)
class BadPhoto:
    """Why there is no answer for a photo."""

    status: int
    """415: no picture in a format that is read; 422: a damaged one."""
    reason: str


class Service:
    """A classifier behind its batches and its threads."""

    def __init__(self, answerer: Answerer, config: ServiceConfig) -> None:
        self.answerer = answerer
        self.config = config
        self.bodies = Bodies(max_bytes=config.max_body_bytes)
        self.metrics = Metrics(answerer, num_admitted=lambda: self.batcher.num_admitted)
        self.batcher = Batcher(answerer.answer, config.batch, on_batch=self.metrics.saw_batch)
        self._pool = ThreadPoolExecutor(available_cores(), thread_name_prefix="fieldmark-decode")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="fieldmark-explain")
        self._num_slow = 0

    def start(self) -> None:
        """Start its threads."""
        self.batcher.start()

    def stop(self) -> None:
        """Answer what is waiting, and end its threads."""
        self._pool.shutdown()
        self._slow.shutdown()
        self.batcher.stop()

    @contextmanager
    def admitted(self, num_photos: int) -> Iterator[None]:
        """Keep places for photos within the block.

        Raises:
            Refused: all places are taken (503).
        """
        if not self.batcher.admit(num_photos):
            raise busy(self.batcher.wait_s)
        try:
            yield
        finally:
            self.batcher.release(num_photos)

    @contextmanager
    def admitted_slow(self) -> Iterator[None]:
        """Keep a place for what takes long within the block; answers have places of their own.

        Raises:
            Refused: all of them are taken (503).
        """
        if self._num_slow >= MAX_SLOW:  # only the event loop comes here, so that needs no lock
            raise busy(MAX_SLOW * SLOW_S)
        self._num_slow += 1
        try:
            yield
        finally:
            self._num_slow -= 1

    async def on_thread(self, function: Callable[..., Result], *args: object) -> Result:
        """Return what a function gives, computed on one of its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    async def on_slow_thread(self, function: Callable[[], Result]) -> Result:
        """Return what a slow function gives; only one is at work, so that answers do not wait."""
        return await asyncio.get_running_loop().run_in_executor(self._slow, function)

    async def answer_photo(self, content: bytes) -> Prediction | BadPhoto:
        """Return the answer for a photo that was admitted, or why there is none."""
        decoded = await self.on_thread(self.decoded, content)
        if isinstance(decoded, BadPhoto):
            self.metrics.saw_photo(Prediction(path="", ranking=(), error=decoded.reason))
            return decoded
        return await self.answer_pixels(decoded)

    async def answer_pixels(self, pixels: Pixels) -> Prediction:
        """Return the answer for pixels that were admitted."""
        prediction = await asyncio.wrap_future(self.batcher.submit(pixels))
        self.metrics.saw_photo(prediction)
        return prediction

    async def answer_photos(self, contents: Sequence[bytes]) -> list[Prediction | BadPhoto]:
        """Return the answer for each photo, or why there is none.

        Raises:
            Refused: all places are taken (503).
        """
        with self.admitted(len(contents)):
            return await asyncio.gather(*(self.answer_photo(content) for content in contents))

    def decoded(self, content: bytes) -> Pixels | BadPhoto:
        """Return what the network sees of a photo, or what is wrong with it."""
        try:
            recognise(content)
        except UnreadableImage as error:
            return BadPhoto(415, str(error))
        try:
            return self.answerer.decode(content)
        except UnreadableImage as error:
            return BadPhoto(422, str(error))


def pixels_or_refusal(decoded: Pixels | BadPhoto) -> Pixels:
    """Return the pixels.

    Raises:
        Refused: there are none, with the status and the reason.
    """
    if isinstance(decoded, BadPhoto):
        raise refusal(decoded)
    return decoded


def refusal(photo: BadPhoto) -> Refused:
    """Return the answer to a request for a photo that cannot be read."""
    return Refused(photo.status, f"The photo cannot be read: {photo.reason}.")
