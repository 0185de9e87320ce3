"""Trials: one setting of a study with one seed, and what came of it.

In: plain values. Out: the same as frozen dataclasses, in and out of JSON.
Accuracies are shares (0 to 1), losses mean natural-log cross-entropies; NaN: not measured. None of
these is ever measured on test photos.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from fieldmark.studies.space import plain

Kind = Literal["head", "network"]
"""What a trial trains: a head on cached features, or the network."""
Status = Literal["waiting", "running", "finished", "failed", "pruned"]
"""Of a trial: "pruned" was stopped early since it was hopeless; its result is of that moment."""
SETTLED: tuple[Status, ...] = ("finished", "failed", "pruned")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPoint:
    """One epoch of a trial's learning curve."""

    epoch: int
    """Passes over the train split so far, from 1."""
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What came of a trial, on train and validation photos."""

    num_validation: int
    """Photos that the two validation figures are of."""
    val_loss: float
    val_accuracy: float
    train_loss: float
    train_accuracy: float
    curve: tuple[EpochPoint, ...]
    """Empty where nothing was trained by epochs, as by the strategy "probe"."""
    seconds: float
    num_epochs: int = 0
    """That were planned; 0 where nothing was trained by epochs."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what was not measured is null."""
        values = _without_nan({**asdict(self), "curve": None})
        return {**values, "curve": [_without_nan(asdict(point)) for point in self.curve]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrialResult":
        """Return what `to_json` wrote."""
        curve = tuple(EpochPoint(**_with_nan(point)) for point in content["curve"])
        return cls(**{**_with_nan(content), "curve": curve})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting with one seed."""

    number: int
    """From 0, in the order in which trials are run."""
    settings: Mapping[str, Any]
    """The value of each field that is varied, by `section.field`."""
    seed: int
    """What `train.seed` is for this trial (of strategy "probe": the draw of training photos)."""
    kind: Kind
    status: Status = "waiting"
    attempts: int = 0
    """How often it was begun."""
    error: str | None = None
    """Why it failed, in a line; None where it did not."""
    result: TrialResult | None = None
    """None until it is finished or pruned."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        result = None if self.result is None else self.result.to_json()
        return {**values, "settings": dict(self.settings), "result": result}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trial":
        """Return what `to_json` wrote."""
        result = content["result"]
        read = None if result is None else TrialResult.from_json(result)
        return cls(**{**content, "settings": settings_of(content["settings"]), "result": read})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """How a trial ended, as whoever ran it says."""

    status: Literal["finished", "failed", "pruned"]
    result: TrialResult | None = None
    """None where it failed."""
    error: str | None = None
    """Why it failed, in a line."""


def settings_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings read from JSON as factors hold them: lists as tuples."""
    return {key: plain(value) for key, value in content.items()}


def finished(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that ran to their end."""
    return [trial for trial in trials if trial.status == "finished" and trial.result is not None]


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if _is_nan(value) else value for key, value in values.items()}


def _with_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in values.items()}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
