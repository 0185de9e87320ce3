"""One step of training: forward, backward, and the weights moved.

In: a batch and its place in the run. Out: moved weights, and the logits met on the way.
A step draws from its place alone, so it does the same whenever it is taken.
Not covered: where batches come from (`batches`), and when to stop (`fit`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import RecipeError
from fieldmark.models.classifier import Network
from fieldmark.training.batches import Batch, num_steps
from fieldmark.training.course import Course, Settled
from fieldmark.training.ema import Ema
from fieldmark.training.optim import clip, epsilon_at, set_rate
from fieldmark.training.schedule import learning_rate, momentum
from fieldmark.training.seeding import NETWORK, seed_for

# Legend for shape suffixes: N photos, C classes; NCHW images of 3 channels.


class DivergedError(Exception):
    """The loss of a batch is infinite or not a number."""

    def __init__(self, loss: float, members_N: NDArray[np.int64], index: int) -> None:
        super().__init__(f"the loss is {loss}")
        self.loss = loss
        self.members_N = members_N
        """The photos of that batch; none after the last of an epoch."""
        self.index = index
        """Its step of the epoch, from 0."""


@dataclass(slots=True, kw_only=True)
class Stepper:
    """Takes the steps of a run; between two of them it holds nothing but `micro_batch`."""

    network: Network
    forward: Callable[[Tensor], Tensor]
    """The network, or its compiled form."""
    optimizer: torch.optim.Optimizer
    course: Course
    settled: Settled
    steps_per_epoch: int
    class_weights_C: Tensor | None
    ema: Ema | None
    on_note: Callable[[str], None]
    micro_batch: int
    """Photos that go through the network at once; their gradients add up to those of the batch."""
    _unchecked: tuple[Tensor, Batch, int] | None = None

    def step(self, batch: Batch, *, epoch: int, index: int) -> tuple[Tensor, float]:
        """Take step `index`, from 0, of `epoch`, from 1; return logits_NC (float32) and the rate.

        Raises:
            DivergedError: the loss is not finite; on a GPU this is seen a step later.
            RecipeError: not even two photos fit into the GPU's memory, or not what the optimizer
                keeps.
        """
        done = (epoch - 1) * self.steps_per_epoch + index
        lr = self.rate_at(done)
        epsilon = epsilon_at(done, self.course.optim)
        set_rate(self.optimizer, lr, momentum=self._momentum_at(done), epsilon=epsilon)
        logits_NC, loss = self.gradients(batch, epoch=epoch, index=index)
        self._check(loss, batch, index)
        if self.course.optim.clip_norm is not None:
            clip(self.network.parameters(), self.course.optim.clip_norm)
        self._move()
        if self.ema is not None:
            self.ema.update(self.network, done)
        return logits_NC, lr

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step of the run, counted from 0."""
        return learning_rate(
            step,
            config=self.course.optim,
            lr=self.settled.lr,
            steps_per_epoch=self.steps_per_epoch,
            num_epochs=self.settled.num_epochs,
        )

    def settle(self) -> None:
        """Make sure of the last loss and of the weights.

        Raises:
            DivergedError: they are not finite.
        """
        if self._unchecked is None:
            return
        loss, batch, index = self._unchecked
        self._unchecked = None
        _require_finite(loss, batch, index)
        weights = [parameter.detach() for parameter in self.network.parameters()]
        norms = torch.stack(torch._foreach_norm(weights))  # noqa: SLF001
        _require_finite(norms.sum(), batch, index)

    def _momentum_at(self, step: int) -> float | None:
        return momentum(
            step,
            config=self.course.optim,
            steps_per_epoch=self.steps_per_epoch,
            num_epochs=self.settled.num_epochs,
        )

    def _check(self, loss: Tensor, batch: Batch, index: int) -> None:
        # To look at a GPU's loss is to wait for it; the one before is there by now.
        if self.course.device.type == "cuda":
            if self._unchecked is not None:
                _require_finite(*self._unchecked)
        else:
            _require_finite(loss, batch, index)
        self._unchecked = (loss, batch, index)

    def gradients(self, batch: Batch, *, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """Compute the gradients of a batch; return detached float32 logits_NC and the loss.

        Raises:
            RecipeError: not even two photos fit into the GPU's memory.
        """
        while True:
            try:
                return self._gradients(batch, epoch, index)
            except torch.OutOfMemoryError as error:
                self.optimizer.zero_grad(set_to_none=True)
                # Neither its traceback nor the handling of it may keep the activations alive.
                problem = error.with_traceback(None)
            self._shrink(len(batch.labels_N), problem)

    def _move(self) -> None:
        """Let the optimizer move the weights; its first step takes memory for what it keeps.

        Raises:
            RecipeError: there is not enough of it.
        """
        is_first = not self.optimizer.state
        try:
            self.optimizer.step()
        except torch.OutOfMemoryError as error:
            problem = error.with_traceback(None)
        else:
            return
        if not is_first:  # some weights may have moved already, so it cannot be tried again
            raise self._short_of_memory(problem) from problem
        self.optimizer.state.clear()
        _free_cached()
        try:
            self.optimizer.step()
        except torch.OutOfMemoryError as error:
            raise self._short_of_memory(error) from error

    def _short_of_memory(self, problem: Exception) -> RecipeError:
        return RecipeError(
            "The memory of the GPU does not hold the weights, their gradients and what the "
            f"optimizer {self.course.optim.name} keeps of them ({problem}). Set optim.name to sgd, "
            "which keeps least, take a smaller backbone, or end other programs on the GPU and go "
            "on with --resume."
        )

    def _shrink(self, num_photos: int, problem: Exception) -> None:
        tried = min(self.micro_batch, num_photos)
        half = math.ceil(tried / 2)
        if half < 2:
            raise RecipeError(
                f"Not even {tried} photos at once fit into the memory of the GPU "
                f"({problem}). Set a smaller data.size_px, or take a smaller backbone."
            ) from problem
        self.micro_batch = half
        _free_cached()
        norms = (
            ""
            if self.course.batch_norm == "frozen"
            else " Batch normalisation averages over fewer photos that way."
        )
        self.on_note(
            f"The GPU's memory does not hold a batch of {num_photos}: it is computed "
            f"{half} photos at a time, their gradients added up.{norms}"
        )

    def _gradients(self, batch: Batch, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        self._seed_network(epoch, index)
        self.optimizer.zero_grad(set_to_none=True)
        weight_N = self._weights(batch)
        total = weight_N.sum()
        logits, losses = [], []
        for part in _parts(len(batch.labels_N), self.micro_batch):
            logits_NC = self._logits(batch.images_NCHW[part])
            loss = self._loss(logits_NC, batch.targets_NC[part]) / total
            loss.backward()  # type: ignore[no-untyped-call]
            logits.append(logits_NC.detach())
            losses.append(loss.detach())
        return torch.cat(logits), torch.stack(losses).sum()

    def _logits(self, images_NCHW: Tensor) -> Tensor:
        pace = self.settled.pace
        if not pace.channels_last:
            images_NCHW = images_NCHW.contiguous()
        device = self.course.device.type
        with torch.autocast(device, dtype=pace.autocast, enabled=pace.autocast is not None):
            return self.forward(images_NCHW).float()

    def _loss(self, logits_NC: Tensor, targets_NC: Tensor) -> Tensor:
        """Return the summed cross-entropy, each class weighted."""
        return cross_entropy(
            logits_NC,
            targets_NC,
            weight=self.class_weights_C,
            reduction="sum",
            label_smoothing=self.course.config.label_smoothing,
        )

    def _weights(self, batch: Batch) -> Tensor:
        if self.class_weights_C is None:
            return torch.ones_like(batch.labels_N, dtype=torch.float32)
        return batch.targets_NC @ self.class_weights_C

    def _seed_network(self, epoch: int, index: int) -> None:
        seed = seed_for(self.course.config.seed, NETWORK, epoch, index)
        torch.default_generator.manual_seed(seed)
        if self.course.device.type == "cuda":
            torch.cuda.manual_seed(seed)


def _parts(num_photos: int, size: int) -> list[slice]:
    """Return even shares of a batch, none larger than `size` if it need not be, none of one."""
    num_parts = num_steps(num_photos, batch_size=size)
    bounds = np.linspace(0, num_photos, num_parts + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]


def _free_cached() -> None:
    """Give back the memory of the GPU that nothing lies in."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _require_finite(loss: Tensor, batch: Batch, index: int) -> None:
    if not math.isfinite(value := float(loss)):
        raise DivergedError(value, batch.members_N, index)
