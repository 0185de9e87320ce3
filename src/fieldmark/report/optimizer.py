"""The settings by which the network was trained, and what each does, in a phrase.

In: the settled recipe and what `run.json` says of the training. Out: `OptimizerSetting` rows.
Not covered: all other settings (see the recipe in the report).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.report.scales import rate_label, strength_label

NAMES: Mapping[str, tuple[str, str]] = {
    "adam": ("Adam", "each parameter has steps of its own size, by how its gradient has varied"),
    "adamw": ("AdamW", "as Adam: steps of its own size for each parameter; decay apart from that"),
    "sgd": ("SGD", "each step goes down the slope of a few photos' loss, with momentum"),
    "rmsprop": ("RMSprop", "each step is scaled by how large the gradient has been of late"),
}
SCHEDULES: Mapping[str, str] = {
    "constant": "the rate stays the same",
    "step": "the rate is multiplied by {factor} now and then",
    "cosine": "the rate sinks to zero along half a cosine, to settle",
    "onecycle": "the rate rises for a third of the training and falls to next to nothing",
}
ADAPTIVE = frozenset({"adam", "adamw", "rmsprop"})
DEFAULT_EPSILON = 1e-8
"""PyTorch's, where the recipe gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSetting:
    """One setting: its name, its value and what it does."""

    name: str
    value: str
    meaning: str


def optimizer_settings(
    resolved: Mapping[str, Any], *, lr: float | None
) -> tuple[OptimizerSetting, ...]:
    """Return the settings that took part, the most important first.

    Args:
        resolved: the settled recipe; without a table `optim` a head alone was fitted.
        lr: the highest learning rate that was used, where the run says it.
    """
    train = _table(resolved, "train")
    if not (optim := _table(resolved, "optim")):
        return tuple(_of_probe(_table(resolved, "probe")))
    return (
        *_of_steps(optim, lr=lr, num_epochs=train.get("epochs")),
        *_of_decay(optim),
        *_of_loop(train),
    )


def _of_probe(probe: Mapping[str, Any]) -> Iterator[OptimizerSetting]:
    yield _row(
        "Method",
        "L-BFGS",
        "all photos at once: a linear head has a single best solution, which this finds",
    )
    if isinstance(l2 := probe.get("l2"), int | float):
        meaning = "holds the weights of the head small, so that no single feature decides"
        yield _row("L2 penalty", strength_label(l2), meaning)


def _of_steps(
    optim: Mapping[str, Any], *, lr: float | None, num_epochs: int | None
) -> Iterator[OptimizerSetting]:
    """Yield what decides the steps: the rule, their size, and how that changes."""
    key = str(optim.get("name"))
    title, meaning = NAMES.get(key, (key, ""))
    yield _row("Optimizer", title, meaning)
    rate = lr if lr is not None else optim.get("lr")
    if isinstance(rate, int | float):
        yield _row("Learning rate", rate_label(rate), "the size of the steps, at its highest")
    schedule = str(optim.get("schedule"))
    plan = SCHEDULES.get(schedule, "").format(factor=optim.get("step_factor"))
    yield _row("Schedule", schedule, plan)
    warmup = optim.get("warmup_epochs")
    if warmup and schedule != "onecycle":
        length = min(warmup, num_epochs / 2) if num_epochs else warmup  # as the schedule has it
        value = f"{length:g} epoch{'' if length == 1 else 's'}"
        meaning = "the rate rises from zero, while the first gradients are still wild"
        yield _row("Warm-up", value, meaning)
    if momentum := optim.get("momentum"):
        name = "First beta" if key.startswith("adam") else "Momentum"
        meaning = "how much of the direction of earlier steps is kept"
        yield _row(name, f"{momentum:g}", meaning)
    if key in ADAPTIVE:
        epsilon = optim.get("epsilon") or DEFAULT_EPSILON
        meaning = "keeps steps finite where gradients vanish"
        yield _row("Epsilon", strength_label(epsilon), meaning)


def _of_decay(optim: Mapping[str, Any]) -> Iterator[OptimizerSetting]:
    """Yield what holds weights back, and which parts learn at another rate."""
    decay = optim.get("weight_decay") or 0
    meaning = "pulls weights towards zero at each step, so that none grows without need"
    yield _row("Weight decay", f"{decay:g}" if decay else "none", meaning)
    if (factor := optim.get("head_lr_factor", 1)) != 1:
        yield _row("Head", f"× {factor:g}", "the new head learns at so many times the rate")
    if (factor := optim.get("layer_decay", 1)) != 1:
        meaning = "each stage learns at this multiple of the rate of the one after it"
        yield _row("Layer decay", f"× {factor:g}", meaning)
    if (norm := optim.get("clip_norm")) is not None:
        meaning = "gradients longer than this are cut down to it"
        yield _row("Gradients clipped", f"{norm:g}", meaning)


def _of_loop(train: Mapping[str, Any]) -> Iterator[OptimizerSetting]:
    """Yield what the loop around the optimizer adds."""
    if batch := train.get("batch_size"):
        yield _row("Batch size", counted(batch, "photo"), "how many photos a step looks at")
    if epochs := train.get("epochs"):
        meaning = "passes over all training photos, at most"
        yield _row("Epochs", f"{epochs:,}", meaning)
    if smoothing := train.get("label_smoothing"):
        meaning = "so much of each label is spread over all classes, against being too sure"
        yield _row("Label smoothing", f"{smoothing:g}", meaning)
    if decay := train.get("ema"):
        meaning = "a running average of the weights is used; so much of it is kept at each step"
        yield _row("Averaging", f"{decay:g}", meaning)
    if train.get("class_weights") == "balanced":
        yield _row("Class weights", "balanced", "photos of small classes count more")


def _row(name: str, value: str, meaning: str) -> OptimizerSetting:
    return OptimizerSetting(name=name, value=value, meaning=meaning)


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = values.get(key)
    return table if isinstance(table, Mapping) else {}
