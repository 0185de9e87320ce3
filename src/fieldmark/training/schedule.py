"""The learning rate and the momentum of each step.

In: a step, counted from 0, and an `OptimConfig`. Out: a rate, a momentum. Nothing is carried from
one step to the next.
Not covered: which parameters learn at a multiple of the rate (see `optim`).
"""

import math

from fieldmark.training.optim import OptimConfig

ONE_CYCLE_RISE = 0.3
"""Share of the steps up to the highest rate, and next the divisors of that rate that the first and
then the last step get: the values of PyTorch's OneCycleLR."""
ONE_CYCLE_START = 25.0
ONE_CYCLE_END = 1e4
ONE_CYCLE_MOMENTUM = (0.85, 0.95)
"""Momentum at the highest and at the lowest rate: Smith and Topin 2018, as in OneCycleLR."""


def learning_rate(
    step: int, *, config: OptimConfig, lr: float, steps_per_epoch: int, num_epochs: int
) -> float:
    """Return the schedule's rate at `step`, from 0 to below `steps_per_epoch * num_epochs`.

    Linear warm-up (Goyal et al. 2017), which never takes more than half of the training; then a
    constant rate, drops by a factor, or half a cosine (Loshchilov and Hutter 2017). One-cycle
    (Smith and Topin 2018) has no warm-up but its own and is that of PyTorch's OneCycleLR.

    Args:
        step: steps done before.
        config: `config.lr` is not read.
        lr: The highest rate, over 0.
        steps_per_epoch: 1 or more.
        num_epochs: 1 or more.
    """
    total = steps_per_epoch * num_epochs
    if config.schedule == "onecycle":
        low = lr / ONE_CYCLE_START
        return _one_cycle(step, total=total, start=low, peak=lr, end=low / ONE_CYCLE_END)
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total // 2)
    if step < warmup:
        return lr * (step + 1) / warmup
    if config.schedule == "constant":
        return lr
    if config.schedule == "step":
        drops = _num_drops(step - warmup, config, rest=total - warmup, an_epoch=steps_per_epoch)
        return float(lr * config.step_factor**drops)
    progress = (step - warmup) / max(1, total - warmup)
    return lr * 0.5 * (1 + math.cos(math.pi * progress))


def momentum(
    step: int, *, config: OptimConfig, steps_per_epoch: int, num_epochs: int
) -> float | None:
    """Return the momentum at `step` where the schedule cycles it, else None.

    One-cycle lowers it while the rate rises and raises it while the rate falls. A momentum of 0
    stays off.
    """
    if config.schedule != "onecycle" or config.momentum == 0:
        return None
    low, high = ONE_CYCLE_MOMENTUM
    total = steps_per_epoch * num_epochs
    return _one_cycle(step, total=total, start=high, peak=low, end=high)


def _num_drops(step: int, config: OptimConfig, *, rest: int, an_epoch: int) -> int:
    if config.step_every_epochs is None:
        return 3 * step // rest
    return step // max(1, round(config.step_every_epochs * an_epoch))


def _one_cycle(step: int, *, total: int, start: float, peak: float, end: float) -> float:
    """Return a value on half a cosine from `start` to `peak`, then on one from there to `end`."""
    # In a training of three steps or fewer PyTorch's would have no step at the peak.
    top = max(0.0, ONE_CYCLE_RISE * total - 1)
    if step < top:
        return _between(start, peak, share=step / top)
    return _between(peak, end, share=(step - top) / max(1.0, total - 1 - top))


def _between(start: float, end: float, *, share: float) -> float:
    """Return the point of half a cosine: `start` at a share of 0, `end` at 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
