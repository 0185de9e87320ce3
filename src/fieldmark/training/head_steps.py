"""The steps that train a linear head on features.

In: standardised features and labels of the photos to train on, the recipe's `[train]` and
`[optim]`. Out: moved weights, and the logits met on the way.
Not covered: what becomes of an epoch, and when to stop (`head_fit`).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.models.classifier import HEAD_STD
from fieldmark.training.balance import class_weights, epoch_order
from fieldmark.training.batches import num_steps
from fieldmark.training.config import TrainConfig
from fieldmark.training.ema import Ema
from fieldmark.training.optim import OptimConfig, build_optimizer, clip, epsilon_at, set_rate
from fieldmark.training.schedule import learning_rate, momentum
from fieldmark.training.seeding import HEAD, ORDER, generator_for

# Legend for shape suffixes: N photos of a split, B of a batch, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """features_NF (float32, standardised) and labels_N (int64) as tensors on the CPU."""

    features_NF: Tensor
    labels_N: Tensor


@dataclass(slots=True, kw_only=True)
class HeadStepper:
    """A head, and what moves it from step to step."""

    photos: Split
    train: TrainConfig
    optim: OptimConfig
    lr: float
    """The highest rate of the schedule."""
    head: nn.Linear
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    targets_CC: Tensor
    """What a photo of each class is held against: smoothed, each class weighted."""
    weight_C: Tensor
    """How much a photo of each class counts."""
    steps_per_epoch: int

    def members(self, epoch: int) -> list[Tensor]:
        """Return the photos of each batch of an epoch, counted from 1, as those of a network."""
        order_N = epoch_order(
            self.photos.labels_N.numpy(),
            sampling=self.train.sampling,
            generator=generator_for(self.train.seed, ORDER, epoch),
        )
        return [torch.from_numpy(share) for share in np.array_split(order_N, self.steps_per_epoch)]

    def step(self, members_B: Tensor, *, step: int) -> Tensor:
        """Take step `step` of the run, counted from 0; return the logits_BC before it."""
        logits_BC = self._gradients(members_B)
        set_rate(
            self.optimizer,
            self.rate_at(step),
            momentum=self._momentum_at(step),
            epsilon=epsilon_at(step, self.optim),
        )
        if self.optim.clip_norm is not None:
            clip(self.head.parameters(), self.optim.clip_norm)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.head, step)
        return logits_BC

    def try_step(self, members_B: Tensor, *, lr: float) -> float:
        """Take a step at a rate, unless its loss is not finite; return the mean loss before it."""
        logits_BC = self._gradients(members_B)
        labels_B = self.photos.labels_N[members_B]
        losses_B = -(self.targets_CC[labels_B] * logits_BC.log_softmax(1)).sum(1)
        loss = float(losses_B.sum() / self.weight_C[labels_B].sum())
        if math.isfinite(loss):
            set_rate(self.optimizer, lr, momentum=None)
            self.optimizer.step()
        return loss

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step of the run, counted from 0."""
        return learning_rate(
            step,
            config=self.optim,
            lr=self.lr,
            steps_per_epoch=self.steps_per_epoch,
            num_epochs=self.train.epochs,
        )

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return weight_CF and bias_C as they are used: averaged, where that is asked for."""
        values = self.ema.tensors() if self.ema is not None else self.head.state_dict()
        return values["weight"], values["bias"]

    def _momentum_at(self, step: int) -> float | None:
        return momentum(
            step,
            config=self.optim,
            steps_per_epoch=self.steps_per_epoch,
            num_epochs=self.train.epochs,
        )

    @torch.no_grad()
    def _gradients(self, members_B: Tensor) -> Tensor:
        """Set the gradients of a batch's loss; return its logits_BC.

        For shares t of the classes the cross-entropy's by the logits is p sum(t) - t, p being the
        softmax (Bishop 2006, section 4.3.4), so that nothing needs to be traced back.
        """
        features_BF = self.photos.features_NF.index_select(0, members_B)
        labels_B = self.photos.labels_N.index_select(0, members_B)
        logits_BC = torch.addmm(self.head.bias, features_BF, self.head.weight.T)
        targets_BC = self.targets_CC.index_select(0, labels_B)
        grad_BC = logits_BC.softmax(1).mul_(targets_BC.sum(1, keepdim=True)).sub_(targets_BC)
        grad_BC.div_(self.weight_C.index_select(0, labels_B).sum())
        self.head.weight.grad, self.head.bias.grad = grad_BC.T @ features_BF, grad_BC.sum(0)
        return logits_BC


def new_stepper(
    photos: Split, *, train: TrainConfig, optim: OptimConfig, lr: float, num_classes: int
) -> HeadStepper:
    """Return what takes the steps, before the first one.

    The head begins with small random weights, as a new classifier's does, and biases of zero.

    Args:
        photos: to train on, two or more.
        train: how.
        optim: `optim.lr` is not read.
        lr: the highest rate, over 0.
        num_classes: 2 or more.
    """
    head = _new_head(photos.features_NF.shape[1], num_classes, seed=train.seed)
    own_rate = replace(optim, head_lr_factor=1.0)
    weight_C = torch.ones(num_classes)
    if train.class_weights != "none":
        weights = class_weights(photos.labels_N.numpy(), num_classes=num_classes)
        weight_C = torch.from_numpy(weights)
    smooth = train.label_smoothing
    shares_CC = (1 - smooth) * torch.eye(num_classes) + smooth / num_classes
    return HeadStepper(
        photos=photos,
        train=train,
        optim=optim,
        lr=lr,
        head=head,
        optimizer=build_optimizer((), head, config=own_rate, lr=lr),
        ema=Ema(head, decay=train.ema) if train.ema is not None else None,
        targets_CC=shares_CC * weight_C,
        weight_C=weight_C,
        steps_per_epoch=num_steps(len(photos.labels_N), batch_size=train.batch_size),
    )


def _new_head(num_features: int, num_classes: int, *, seed: int) -> nn.Linear:
    head = nn.Linear(num_features, num_classes, device="meta")
    weight_CF = torch.empty(num_classes, num_features)
    nn.init.normal_(weight_CF, std=HEAD_STD, generator=generator_for(seed, HEAD))
    head.weight, head.bias = nn.Parameter(weight_CF), nn.Parameter(torch.zeros(num_classes))
    return head
