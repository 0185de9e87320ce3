"""How a study's fields and values are called in sentences.

In: keys such as `optim.lr`, and values. Out: short English text.
"""

from collections.abc import Mapping
from typing import Any

from fieldmark.studies.space import text_of

NAMES: Mapping[str, str] = {
    "optim.lr": "the learning rate",
    "optim.name": "the optimizer",
    "optim.schedule": "the schedule",
    "optim.weight_decay": "weight decay",
    "optim.momentum": "momentum",
    "optim.warmup_epochs": "the warm-up",
    "optim.layer_decay": "layer decay",
    "optim.head_lr_factor": "the head's learning rate",
    "optim.clip_norm": "the limit of gradients",
    "augment.policy": "augmentation",
    "augment.mixup": "mixup",
    "augment.cutmix": "cutmix",
    "augment.erase": "erasing",
    "augment.rotate_turns": "rotation",
    "augment.flip_horizontal": "flipping left to right",
    "augment.flip_vertical": "flipping upside down",
    "train.strategy": "the strategy",
    "train.epochs": "the number of epochs",
    "train.batch_size": "the batch size",
    "train.label_smoothing": "label smoothing",
    "train.ema": "averaging of weights",
    "train.class_weights": "class weights",
    "train.sampling": "sampling",
    "probe.l2": "the penalty on weights",
    "model.backbone": "the backbone",
    "model.head": "the head",
    "model.stages": "the number of stages",
    "data.size_px": "the size of photos",
}
"""Fields that have a name; others are called by their key."""

MIN_PLAIN = 0.01
"""Smaller numbers are written as powers of ten, such as 1e-3."""


def name_of(key: str) -> str:
    """Return what a field is called within a sentence, as `"the learning rate"`."""
    return NAMES.get(key, key)


def title_of(key: str) -> str:
    """Return what a field is called in a heading, as `"Learning rate"`."""
    if key not in NAMES:
        return key
    name = NAMES[key].removeprefix("the ")
    return name[:1].upper() + name[1:]


def value_text(value: Any) -> str:
    """Return a value as people write it: `"1e-3"`, `"0.05"`, `"sgd"`, `"on"`, `"off"`."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and 0 < abs(value) < MIN_PLAIN:
        digits, _, power = f"{value:.3e}".partition("e")
        short = digits.rstrip("0").rstrip(".")
        return f"{short}e{int(power)}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return text_of(value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings as `"optim.lr 1e-3, optim.name sgd"`."""
    return ", ".join(f"{key} {value_text(value)}" for key, value in settings.items())
