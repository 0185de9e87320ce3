"""Optimizers and learning-rate schedules.

In: an `OptimConfig` and a network. Out: a torch optimizer whose decay spares biases and norms,
and the learning rate of each step.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from fieldmark.base.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """The recipe's `[optim]` section."""

    name: str = "adamw"
    """"adamw" (Loshchilov and Hutter 2019)."""
    lr: float = 3e-4
    """The highest learning rate of the schedule."""
    weight_decay: float = 0.02
    """Decoupled decay of weights; biases and normalisations are spared."""
    schedule: str = "cosine"
    """"cosine": after the warm-up, half a cosine down to zero; "constant"."""
    warmup_epochs: float = 1.0
    """Epochs over which the rate rises linearly from zero."""
    head_lr_factor: float = 10.0
    """The head starts from nothing and learns at this multiple of the rate."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.name != "adamw":
            raise RecipeError(f"optim.name is '{self.name}'; allowed: adamw.")
        if self.schedule not in ("cosine", "constant"):
            raise RecipeError(f"optim.schedule is '{self.schedule}'; allowed: cosine, constant.")
        if not 0 < self.lr < 10:
            raise RecipeError(f"optim.lr is {self.lr}; allowed: over 0 and below 10.")
        if not 0 <= self.weight_decay < 1:
            raise RecipeError(f"optim.weight_decay is {self.weight_decay}; allowed: 0 to below 1.")
        if not 0 <= self.warmup_epochs < math.inf:
            raise RecipeError(f"optim.warmup_epochs is {self.warmup_epochs}; allowed: 0 or more.")
        if not 0 < self.head_lr_factor <= 1000:
            raise RecipeError(
                f"optim.head_lr_factor is {self.head_lr_factor}; allowed: over 0, up to 1000."
            )


def build_optimizer(
    backbone: nn.Module, head: nn.Module, *, config: OptimConfig
) -> torch.optim.Optimizer:
    """Return an optimizer over both parts, each split into decayed and spared parameters.

    Each group keeps its multiple of the schedule's rate under "lr_factor".
    """
    groups = []
    for part, factor in ((backbone, 1.0), (head, config.head_lr_factor)):
        decayed = [p for p in part.parameters() if p.requires_grad and p.ndim > 1]
        spared = [p for p in part.parameters() if p.requires_grad and p.ndim <= 1]
        for parameters, decay in ((decayed, config.weight_decay), (spared, 0.0)):
            group = {"params": parameters, "weight_decay": decay, "lr_factor": factor}
            groups.append(group)
    device = next(head.parameters()).device
    return torch.optim.AdamW(groups, lr=config.lr, fused=device.type in ("cpu", "cuda"))


def learning_rate(
    step: int, *, config: OptimConfig, steps_per_epoch: int, num_epochs: int
) -> float:
    """Return the schedule's rate at `step`, counted from 0.

    Linear warm-up (Goyal et al. 2017), then half a cosine (Loshchilov and Hutter 2017). The
    warm-up never takes more than half of the training.
    """
    total = steps_per_epoch * num_epochs
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total // 2)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    progress = (step - warmup) / max(1, total - warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of every group to `lr` times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
