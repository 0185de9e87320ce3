"""Optimizers: which parameter learns how fast, how much it decays, and when gradients are clipped.

In: an `OptimConfig`, a backbone's depth groups and a head. Out: a torch optimizer whose decay
spares biases and norms.
Not covered: the rate of each step (see `schedule`) and the search for one (see `range_test`).
"""

import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError, nearest_spelling
from fieldmark.models.depth import DepthGroup

CHOICES = {
    "name": ("adam", "adamw", "sgd", "rmsprop"),
    "schedule": ("constant", "step", "cosine", "onecycle"),
}
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
ADAM_BETA_2 = 0.999
"""Kingma and Ba 2015, section 2."""
ADAM_EPSILON = 1e-8
"""PyTorch's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """The recipe's `[optim]` section."""

    name: str = "adamw"
    """"adam" (Kingma and Ba 2015), "adamw" (Loshchilov and Hutter 2019), "sgd" with Nesterov's
    momentum (Sutskever et al. 2013), or "rmsprop" (Tieleman and Hinton 2012)."""
    lr: float | str = 3e-4
    """The highest learning rate of the schedule; "auto": the proposal of a range test."""
    weight_decay: float = 0.02
    """Decay of weights; biases and normalisations are spared. With "adamw" it is decoupled, with
    the others it is the L2 penalty of PyTorch's optimizers, added to the gradient."""
    momentum: float = 0.9
    """Of "sgd" and "rmsprop"; of "adam" and "adamw" the share of the mean gradient that is kept."""
    epsilon: float | None = None
    """Added to the divisor of "adam", "adamw" and "rmsprop"; None: PyTorch's 1e-8."""
    epsilon_hat: bool = False
    """With "adam" and "adamw", whether `epsilon` is the "epsilon hat" at the end of section 2 of
    Kingma and Ba, as Keras has it, added before the correction for the start; else it is that of
    their Algorithm 1, as PyTorch has it, added after (see `epsilon_at`)."""
    schedule: str = "cosine"
    """After the warm-up: "constant"; "step", times `step_factor` now and then; "cosine", half a
    cosine down to zero. "onecycle" (Smith and Topin 2018) rises and falls by itself."""
    step_every_epochs: float | None = None
    """With the schedule "step", epochs from one drop to the next, counted from the end of the
    warm-up; None: a third of what follows the warm-up."""
    step_factor: float = 0.1
    """With the schedule "step", what the rate is multiplied with at each drop."""
    warmup_epochs: float = 1.0
    """Epochs over which the rate rises linearly from zero; not read by "onecycle"."""
    head_lr_factor: float = 10.0
    """The head starts from nothing and learns at this multiple of the rate."""
    layer_decay: float = 1.0
    """Each group of layers learns at this multiple of the rate of the one after it (Howard and
    Ruder 2018), the last one at this multiple of the schedule's; 1: all at the same rate."""
    clip_norm: float | None = None
    """Gradients are scaled down to this Euclidean norm over all weights; None: never."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, allowed in CHOICES.items():
            _require_choice(getattr(self, name), allowed=allowed, name=name)
        _require_rate(self.lr)
        if not isinstance(self.epsilon_hat, bool):
            raise RecipeError(f"optim.epsilon_hat is {self.epsilon_hat}; allowed: true or false.")
        for name, holds, allowed_range in (
            ("weight_decay", 0 <= self.weight_decay < 1, "0 to below 1"),
            ("momentum", 0 <= self.momentum < 1, "0 to below 1"),
            ("epsilon", _is_off_or_positive(self.epsilon), "over 0"),
            ("step_every_epochs", _is_off_or_positive(self.step_every_epochs), "over 0"),
            ("step_factor", 0 < self.step_factor < 1, "over 0 and below 1"),
            ("warmup_epochs", 0 <= self.warmup_epochs < math.inf, "0 or more"),
            ("head_lr_factor", 0 < self.head_lr_factor <= 1000, "over 0, up to 1000"),
            ("layer_decay", 0 < self.layer_decay <= 1, "over 0, up to 1"),
            ("clip_norm", _is_off_or_positive(self.clip_norm), "over 0"),
        ):
            if not holds:
                value = getattr(self, name)
                raise RecipeError(f"optim.{name} is {value}; allowed: {allowed_range}.")


def build_optimizer(
    groups: Sequence[DepthGroup], head: nn.Module, *, config: OptimConfig, lr: float
) -> torch.optim.Optimizer:
    """Return an optimizer over a backbone's groups, from input to output, and the head.

    Each of torch's groups keeps its multiple of the schedule's rate under "lr_factor": the head
    `config.head_lr_factor`, the last of `groups` `config.layer_decay`, the one before its square.
    Parameters that need no gradient are left out. The fused kernels of torch are used where it has
    them on that device; elsewhere torch itself chooses the faster form.

    Args:
        groups: of the backbone; with none of them trained, only the head learns.
        head: on the device of the backbone.
        config: `config.lr` is not read.
        lr: The schedule's highest rate, over 0; each group starts at its multiple of it.

    Raises:
        RecipeError: nothing is left to train.
    """
    parts = _parts(groups, head, config)
    if not parts:
        raise RecipeError("No weight of the network is trained; check train.strategy.")
    kind = OPTIMIZERS[config.name]
    device = parts[0]["params"][0].device
    # Without fused kernels foreach is not asked for: on a CPU it takes longer than a plain loop.
    fast: dict[str, Any] = {"fused": True} if has_fused(kind, device) else {}
    optimizer = kind(parts, lr=lr, **_settings(config), **fast)  # type: ignore[call-arg]
    set_rate(optimizer, lr, momentum=None)
    return optimizer


def epsilon_at(step: int, config: OptimConfig) -> float | None:
    """Return the epsilon of Algorithm 1 that does at a step what `epsilon_hat` asks for.

    Kingma and Ba 2015, section 2: one that is added before the correction by sqrt(1 - beta_2^t)
    does as one after it that is larger by the inverse of that: 32 times at the first step, 1.03
    times at the 3,000th. None where the optimizer's own stays.

    Args:
        step: of the run, from 0.
        config: the optimizer's.
    """
    if not config.epsilon_hat or config.name not in ("adam", "adamw"):
        return None
    epsilon = ADAM_EPSILON if config.epsilon is None else config.epsilon
    return epsilon / math.sqrt(1 - ADAM_BETA_2 ** (step + 1))


def set_rate(
    optimizer: torch.optim.Optimizer,
    lr: float,
    *,
    momentum: float | None,
    epsilon: float | None = None,
) -> None:
    """Set the rate of every group to `lr` times the group's factor.

    `momentum`, where not None, becomes the momentum of every group, or the first beta of Adam;
    likewise `epsilon`.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
        if epsilon is not None:
            group["eps"] = epsilon
        if momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum


def clip(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients down, in place, where their joint Euclidean norm exceeds `max_norm`.

    Returns:
        The norm before that, a float32 scalar on the device of the gradients; infinite or not a
        number where a gradient is. Nothing waits for the device.
    """
    return nn.utils.clip_grad_norm_(parameters, max_norm)


def has_fused(kind: type[torch.optim.Optimizer], device: torch.device) -> bool:
    """Return whether torch takes a step of this optimizer in fused kernels on the device.

    Found by taking one, since what is supported where differs from version to version.
    """
    if "fused" not in inspect.signature(kind).parameters:
        return False
    parameter = nn.Parameter(torch.zeros(1, device=device))
    parameter.grad = torch.zeros_like(parameter)
    try:
        kind([parameter], lr=1.0, fused=True).step()  # type: ignore[call-arg]
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _parts(
    groups: Sequence[DepthGroup], head: nn.Module, config: OptimConfig
) -> list[dict[str, Any]]:
    """Return torch's groups: one for each pair of a rate and a decay that occurs."""
    distances = range(len(groups), 0, -1)
    factors = [config.layer_decay**distance for distance in distances]
    sides = [group.parameters for group in groups]
    parts: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameters, factor in zip(
        [*sides, tuple(head.parameters())], [*factors, config.head_lr_factor], strict=True
    ):
        for parameter in parameters:
            if parameter.requires_grad:
                decay = config.weight_decay if parameter.ndim > 1 else 0.0
                parts.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_factor": factor}
        for (factor, decay), parameters in parts.items()
    ]


def _settings(config: OptimConfig) -> dict[str, Any]:
    if config.name == "sgd":
        # PyTorch refuses Nesterov's form where there is no momentum.
        return {"momentum": config.momentum, "nesterov": config.momentum > 0}
    epsilon = {} if config.epsilon is None else {"eps": config.epsilon}
    if config.name == "rmsprop":
        return {"momentum": config.momentum, **epsilon}
    return {"betas": (config.momentum, ADAM_BETA_2), **epsilon}


def _require_choice(value: str, *, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        hint = nearest_spelling(str(value), allowed)
        raise RecipeError(f"optim.{name} is '{value}'; allowed: {', '.join(allowed)}.{hint}")


def _require_rate(lr: float | str) -> None:
    if isinstance(lr, str):
        if lr != "auto":
            raise RecipeError(
                f"optim.lr is '{lr}'; allowed: \"auto\", or a number over 0 and below 10."
            )
    elif not 0 < lr < 10:
        raise RecipeError(f'optim.lr is {lr}; allowed: over 0 and below 10, or "auto".')


def _is_off_or_positive(value: float | None) -> bool:
    return value is None or 0 < value < math.inf
