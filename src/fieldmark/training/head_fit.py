"""A linear head trained epoch by epoch on features of a frozen backbone.

In: features and labels of the splits, the recipe's `[train]` and `[optim]`. Out: the head, and a
row of `history.csv` for each epoch.
It is what the training loop (`fit`) does with a network of which nothing but the head learns and no
photo is altered, without passing the photos through the backbone again, so that an epoch takes
milliseconds. One thread computes it: the same figures come out wherever it runs.
Not covered: computing the features (`models.features`), choosing a penalty instead (`probe`).
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from torch import Tensor

from fieldmark.base.errors import DataError, RecipeError
from fieldmark.training.config import TrainConfig
from fieldmark.training.head_steps import HeadStepper, Split, new_stepper
from fieldmark.training.optim import OptimConfig
from fieldmark.training.patience import reason_to_stop
from fieldmark.training.probe import Labelled, LinearHead, Scale, scale_of
from fieldmark.training.range_test import RangeTest, range_test, rates
from fieldmark.training.tally import Epoch, no_scores, scores_of_logits

# Legend for shape suffixes: N photos of a split, C classes, F features.

UNREAD_BY_HEAD = {
    "optim": ("head_lr_factor", "layer_decay"),
    "train": ("last_stages", "batch_norm", "precision", "compile", "checkpoint_every_s"),
}
"""Fields of the recipe that speak of a network and change nothing of a head trained by itself."""

OnEpoch = Callable[[Sequence[Epoch]], None]
"""Told of the epochs so far after each; an exception that it raises ends the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPhotos:
    """The splits, each feature centred and scaled by the photos to train on; see `head_photos`."""

    train: Split
    validation: Split
    test: Split | None
    scale: Scale


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFit:
    """A head that was trained, and how that went."""

    head: LinearHead
    """On features as they are, with the weights of the epoch that is kept."""
    history: tuple[Epoch, ...]
    lr: float
    """The highest rate of the schedule."""
    kept_epoch: int
    stopped_early: str | None
    """Why there are fewer epochs than `train.epochs`; None where there are not."""
    range_test: RangeTest | None = None
    """Where the rate was looked for."""


def head_photos(
    train: Labelled, validation: Labelled, *, test: Labelled | None = None
) -> HeadPhotos:
    """Standardise the features of all splits by the mean and spread of the train split.

    It takes longer than an epoch, and does not depend on the recipe: do it once for many heads.

    Args:
        train: photos to learn from, two or more.
        validation: photos to watch, and to choose the epoch by; may be none.
        test: photos that are scored after each epoch and change nothing; None: none are.

    Raises:
        DataError: there are fewer than two photos to train on.
    """
    if len(train.labels_N) < 2:
        raise DataError(
            f"The train split has {len(train.labels_N)} photos; training a head takes at least 2. "
            "Add photos."
        )
    scale = scale_of(train.features_NF)
    return HeadPhotos(
        train=_split(train, scale),
        validation=_split(validation, scale),
        test=None if test is None else _split(test, scale),
        scale=scale,
    )


def train_head(
    photos: HeadPhotos,
    *,
    train: TrainConfig,
    optim: OptimConfig,
    num_classes: int,
    on_epoch: OnEpoch | None = None,
) -> HeadFit:
    """Train a head from small random weights; the same seed gives the same to the last bit.

    The objective is that of the training loop: cross-entropy with label smoothing, weighted by
    class. `optim.lr` is the rate of the head itself. What is in `UNREAD_BY_HEAD` is not read, nor
    are `train.strategy` and `train.time_budget_s`. 20 epochs of 4,000 photos with 1,280 features
    take half a second.

    Args:
        photos: what `head_photos` returns.
        train: epochs, batch size, label smoothing, weights of classes, sampling, running average,
            patience, which epoch is kept, seed.
        optim: optimizer and schedule.
        num_classes: 2 or more; labels are from 0 to below it.
        on_epoch: told of the epochs so far after each of them; an exception that it raises ends
            the training.

    Raises:
        RecipeError: the loss became infinite or not a number.
    """
    with one_thread():
        tested = None
        if isinstance(optim.lr, str):
            tested = _range_test(photos, train, optim, num_classes)
        lr = optim.lr if tested is None else tested.proposed
        stepper = new_stepper(
            photos.train, train=train, optim=optim, lr=float(lr), num_classes=num_classes
        )
        loop = _Loop(photos=photos, stepper=stepper, num_classes=num_classes)
        while not loop.is_done:
            loop.epoch()
            if on_epoch is not None:
                on_epoch(loop.history)
        return replace(loop.finished(), range_test=tested)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside the block.

    The products here are too small to share out, and their sums must not depend on the number of
    threads that a machine has.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(slots=True, kw_only=True)
class _Loop:
    photos: HeadPhotos
    stepper: HeadStepper
    num_classes: int
    history: list[Epoch] = field(default_factory=list)
    stopped_early: str | None = None
    _best: tuple[int, float, tuple[Tensor, Tensor]] | None = None

    @property
    def is_done(self) -> bool:
        return len(self.history) >= self.stepper.train.epochs or self.stopped_early is not None

    def epoch(self) -> None:
        """Take the steps of the next epoch and add its row."""
        number, stepper = len(self.history) + 1, self.stepper
        began_s = time.perf_counter()
        order = stepper.members(number)
        first = (number - 1) * len(order)
        passed = [stepper.step(members_B, step=first + i) for i, members_B in enumerate(order)]
        seconds = max(time.perf_counter() - began_s, 1e-9)
        seen_N = self.photos.train.labels_N[torch.cat(order)]
        scores = {"train": self._scores(torch.cat(passed), seen_N)}
        for name, split in (("val", self.photos.validation), ("test", self.photos.test)):
            scores[name] = self._watched(split)
        self.history.append(
            Epoch(
                epoch=number,
                lr=stepper.rate_at(first + len(order) - 1),
                seconds=seconds,
                images_per_second=len(seen_N) / seconds,
                data_wait_s=0.0,
                **{
                    f"{split}_{name}": value
                    for split, row in scores.items()
                    for name, value in row.items()
                },
            )
        )
        self._keep_if_best()
        config = stepper.train
        self.stopped_early = reason_to_stop(
            self.history, patience=config.patience, num_epochs=config.epochs
        )

    def finished(self) -> HeadFit:
        """Return the head that is kept."""
        kept, (weight_CF, bias_C) = len(self.history), self.stepper.weights()
        if self._best is not None:
            kept, _, (weight_CF, bias_C) = self._best
        weight, bias = weight_CF.double().numpy(), bias_C.double().numpy()
        return HeadFit(
            head=self.photos.scale.on_raw_features(weight, bias),
            history=tuple(self.history),
            lr=self.stepper.lr,
            kept_epoch=kept,
            stopped_early=self.stopped_early,
        )

    def _watched(self, split: Split | None) -> dict[str, float]:
        if split is None or not len(split.labels_N):
            return no_scores()
        weight_CF, bias_C = self.stepper.weights()
        return self._scores(torch.addmm(bias_C, split.features_NF, weight_CF.T), split.labels_N)

    def _scores(self, logits_NC: Tensor, labels_N: Tensor) -> dict[str, float]:
        if not bool(logits_NC.isfinite().all()):
            raise RecipeError(
                f"Training the head diverged in epoch {len(self.history) + 1}: a logit is "
                "infinite or not a number. Lower the learning rate, for instance --set "
                f"optim.lr={self.stepper.lr / 10:g}, or set optim.clip_norm=1.0."
            )
        return scores_of_logits(logits_NC.numpy(), labels_N.numpy(), num_classes=self.num_classes)

    def _keep_if_best(self) -> None:
        last = self.history[-1]
        lowest = math.inf if self._best is None else self._best[1]
        if self.stepper.train.keeps_best and last.val_loss < lowest:
            weight_CF, bias_C = self.stepper.weights()
            self._best = (last.epoch, last.val_loss, (weight_CF.clone(), bias_C.clone()))


def _split(labelled: Labelled, scale: Scale) -> Split:
    features_NF = np.ascontiguousarray(scale.standardised(labelled.features_NF), dtype=np.float32)
    return Split(
        features_NF=torch.from_numpy(features_NF),
        labels_N=torch.from_numpy(np.ascontiguousarray(labelled.labels_N, dtype=np.int64)),
    )


def _range_test(
    photos: HeadPhotos, train: TrainConfig, optim: OptimConfig, num_classes: int
) -> RangeTest:
    """Take steps at rising rates with a head that is thrown away."""
    stepper = new_stepper(photos.train, train=train, optim=optim, lr=1e-9, num_classes=num_classes)
    upcoming = (members_B for epoch in count(1) for members_B in stepper.members(epoch))
    return range_test(lambda lr: stepper.try_step(next(upcoming), lr=lr), rates=rates())
