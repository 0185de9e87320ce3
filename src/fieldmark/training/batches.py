"""Batches for the network: gathered, changed, mixed and normalised while the last one trains.

In: the pixels of a split, held in memory. Out: `Batch`es on the device, in the order of an epoch.
What an epoch's batches are derives from seed, epoch and step alone, so that it can begin anywhere.
Not covered: which photos are in the split; what is done with a batch (see `steps`).
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.data.augment import AugmentConfig, augment
from fieldmark.data.mixing import mix
from fieldmark.data.preprocess import Preprocess
from fieldmark.training.balance import epoch_order
from fieldmark.training.config import TrainConfig
from fieldmark.training.seeding import BATCH, ORDER, generator_for

DEVICE_SHARE = 0.5
"""How much of a GPU's free memory the pixels may take; the rest is for the network."""

# Legend for shape suffixes: M photos in store, N photos of a split or batch, C classes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """One split: rows_N are its positions in pixels_MHWC (uint8), labels_N its class indices."""

    pixels_MHWC: NDArray[np.uint8]
    rows_N: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    paths: Sequence[str] = ()
    """The photos' names, for messages; empty where nobody needs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """All photos of a run: pixels_MHWC (uint8) and labels_M (indices)."""

    pixels_MHWC: NDArray[np.uint8]
    labels_M: NDArray[np.int64]
    rows: Mapping[str, NDArray[np.int64]]
    """Positions of the photos of each split: train, validation and test."""
    paths: Sequence[str] = ()
    """The photos' names, for messages; empty where nobody needs them."""

    def of_split(self, name: str) -> Photos:
        """Return the photos of one split."""
        rows_N = self.rows[name]
        return Photos(
            pixels_MHWC=self.pixels_MHWC,
            rows_N=rows_N,
            labels_N=self.labels_M[rows_N],
            paths=[self.paths[row] for row in rows_N] if self.paths else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one step learns from."""

    images_NCHW: Tensor
    """Normalised float32, channels_last, on the device."""
    targets_NC: Tensor
    """Shares of each class (float32), before label smoothing."""
    labels_N: Tensor
    """The photos' own classes."""
    members_N: NDArray[np.int64]
    """Which photos of the split these are."""


class Batches:
    """The batches of a training split, any epoch from any step.

    Use it within `running()`, which keeps the thread that prepares the next batch.
    """

    def __init__(
        self,
        photos: Photos,
        *,
        preprocess: Preprocess,
        config: TrainConfig,
        augmentation: AugmentConfig,
        num_classes: int,
        device: torch.device,
    ) -> None:
        self._photos = photos
        self._preprocess = preprocess
        self._config = config
        self._augmentation = augmentation
        self.num_classes = num_classes
        self._device = device
        self._pixels_on_device = _on_device(photos, device)
        self._thread: ThreadPoolExecutor | None = None
        self.num_steps = num_steps(len(photos.labels_N), batch_size=config.batch_size)
        self.waited_s = 0.0
        """Seconds for which the loop stood still until a batch was ready, so far."""

    @property
    def labels_N(self) -> NDArray[np.int64]:
        """The classes of the split's photos."""
        return self._photos.labels_N

    @property
    def num_photos(self) -> int:
        """How many photos an epoch has."""
        return len(self._photos.labels_N)

    @contextmanager
    def running(self) -> Iterator[None]:
        """On a GPU, prepare batches ahead in a thread for as long as the block lasts.

        On a CPU that would be no gain: its cores are busy with the network. And a second thread
        that computes makes GNU's OpenMP, once it counts more threads than cores, put its own to
        sleep between operations, which takes two fifths of the speed.
        """
        if self._device.type == "cpu":
            yield
            return
        with ThreadPoolExecutor(1, "batches") as thread:
            self._thread = thread
            try:
                yield
            finally:
                self._thread = None

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch `number`, counted from 1, beginning with step `start`."""
        members = self._shares(number)
        ahead: Future[Batch] | None = None
        for step in range(start, len(members)):
            began_s = time.perf_counter()
            batch = ahead.result() if ahead else self.prepare(number, step, members[step])
            ahead = None
            if self._thread is not None and step + 1 < len(members):
                ahead = self._thread.submit(self.prepare, number, step + 1, members[step + 1])
            self.waited_s += time.perf_counter() - began_s
            yield batch

    def prepare(self, epoch: int, step: int, members_N: NDArray[np.int64]) -> Batch:
        """Return one batch, changed as its place in the run says."""
        images_NCHW, targets_NC, labels_N = self._changed(epoch, step, members_N)
        images = self._preprocess.normalise(images_NCHW, dtype=torch.float32)
        return Batch(
            images_NCHW=images.contiguous(memory_format=torch.channels_last),
            targets_NC=targets_NC,
            labels_N=labels_N,
            members_N=members_N,
        )

    def _changed(
        self, epoch: int, step: int, members_N: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return images_NCHW on the scale of 0 to 255, targets_NC and labels_N of a batch."""
        generator = generator_for(self._config.seed, BATCH, epoch, step)
        labels_N = torch.from_numpy(self._photos.labels_N[members_N]).to(self._device)
        changed = augment(self.raw(members_N), self._augmentation, generator)
        is_mixed = self._augmentation.mixup or self._augmentation.cutmix
        mixed, targets_NC = mix(
            changed.float() if is_mixed else changed,
            labels_N,
            config=self._augmentation,
            num_classes=self.num_classes,
            generator=generator,
        )
        return mixed, targets_NC, labels_N

    def before_and_after(self, num_photos: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return photos of the first batch as they are and as the network is shown them: NHWC."""
        members_N = self._shares(1)[0]
        before = self.raw(members_N)[:num_photos]
        after = self._changed(1, 0, members_N)[0][:num_photos]
        pictures = (
            before,
            after.round().clamp(0, 255).byte() if after.is_floating_point() else after,
        )
        before_NHWC, after_NHWC = (
            p.permute(0, 2, 3, 1).cpu().contiguous().numpy() for p in pictures
        )
        return before_NHWC, after_NHWC

    def raw(self, members_N: NDArray[np.int64]) -> Tensor:
        """Return photos of the split as they are: uint8 NCHW, channels_last, on the device."""
        rows_N = self._photos.rows_N[members_N]
        if self._pixels_on_device is not None:
            chosen = torch.from_numpy(rows_N).to(self._device)
            return self._pixels_on_device.index_select(0, chosen).permute(0, 3, 1, 2)
        pixels = torch.from_numpy(self._photos.pixels_MHWC[rows_N])
        if self._device.type == "cuda":
            pixels = pixels.pin_memory().to(self._device, non_blocking=True)
        # A permuted NHWC array already is channels_last in memory.
        return pixels.permute(0, 3, 1, 2)

    def _shares(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the members of each batch of an epoch."""
        generator = generator_for(self._config.seed, ORDER, epoch)
        order_N = epoch_order(
            self._photos.labels_N, sampling=self._config.sampling, generator=generator
        )
        return np.array_split(order_N, self.num_steps)


def num_steps(num_photos: int, *, batch_size: int) -> int:
    """Return the number of steps of an epoch.

    Photos are shared out evenly, so that no batch is a remainder of one, on which batch
    normalisation would have nothing to average. Where batches of two do not come out even, one
    holds three.
    """
    return max(1, min(math.ceil(num_photos / batch_size), num_photos // 2))


def _on_device(photos: Photos, device: torch.device) -> Tensor | None:
    """Return all pixels on a GPU that has room for them; None elsewhere."""
    if device.type != "cuda":
        return None
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if photos.pixels_MHWC.nbytes > DEVICE_SHARE * free_bytes:
        return None
    return torch.from_numpy(np.ascontiguousarray(photos.pixels_MHWC)).to(device)
