"""The recipe's `[train]` section: what the loop is told.

In: values as asked. Out: the same, checked.
"""

import math
from dataclasses import dataclass

from fieldmark.base.errors import RecipeError, nearest_spelling

CHOICES = {
    "strategy": ("probe", "head", "head-then-all", "all", "last-stages"),
    "batch_norm": ("auto", "frozen", "batch"),
    "class_weights": ("none", "balanced"),
    "sampling": ("shuffle", "balanced"),
    "keep": ("auto", "last", "best"),
    "precision": ("auto", "float32", "bfloat16"),
    "compile": ("off", "auto"),
}
FROZEN = ("probe", "head")
"""The strategies that leave the backbone as it comes, and learn from its features alone."""
YES_OR_NO = "true or false"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The recipe's `[train]` section."""

    strategy: str = "all"
    """"probe": frozen backbone and the best linear head for its features; "head": frozen backbone
    and a linear head trained on its features by steps; "head-then-all": as "probe", and then every
    weight trained from there; "all": every weight trained at once; "last-stages": the head and the
    last stages of the backbone."""
    last_stages: int = 1
    """How many stages from the end are trained with the strategy "last-stages"."""
    batch_norm: str = "auto"
    """"frozen": normalise with the statistics that came with the weights; "batch": with those of
    each batch; "auto": frozen with pretrained weights."""
    epochs: int = 10
    """Passes over the train split, at most."""
    batch_size: int = 32
    """Photos a step."""
    label_smoothing: float = 0.1
    """How much of each label is spread over all classes (Szegedy et al. 2016)."""
    class_weights: str = "none"
    """"balanced": a photo counts in inverse proportion to the size of its class."""
    sampling: str = "shuffle"
    """"balanced": every class is drawn equally often in an epoch."""
    ema: float | None = None
    """Decay a step of the running average of the weights that is kept and used; None: off."""
    patience: int | None = None
    """Stop after so many epochs without a lower validation loss; None: never."""
    keep: str = "auto"
    """The weights of which epoch: "last", "best" (lowest validation loss), or "auto" (best with a
    patience, else last)."""
    watch_test: bool = False
    """Score the test photos after each epoch, too, for the curves; nothing is ever chosen by
    them."""
    time_budget_s: float | None = None
    """Seconds that training may take: as many epochs are planned as fit; None: no limit."""
    precision: str = "auto"
    """"auto", "float32" or "bfloat16": what training computes in."""
    compile: str = "off"
    """"auto": torch.compile where it pays for itself within the run."""
    checkpoint_every_s: float = 60.0
    """Seconds between checkpoints; training begins and ends with one in any case."""
    tensorboard: bool = False
    """Write event files for TensorBoard, too (an extra)."""
    seed: int = 0
    """Seed of all that is drawn: random starts, the order of photos, augmentation, dropout."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, allowed in CHOICES.items():
            _require_choice(getattr(self, name), allowed=allowed, name=name)
        _require(1 <= self.last_stages <= 100, self.last_stages, "last_stages", "1 to 100")
        _require(1 <= self.epochs <= 10_000, self.epochs, "epochs", "1 to 10000")
        _require(2 <= self.batch_size <= 65_536, self.batch_size, "batch_size", "2 to 65536")
        smoothing = self.label_smoothing
        _require(0 <= smoothing < 1, smoothing, "label_smoothing", "0 to below 1")
        _require(self.ema is None or 0 < self.ema < 1, self.ema, "ema", "over 0 and below 1")
        patience = self.patience
        _require(patience is None or 1 <= patience <= 10_000, patience, "patience", "1 to 10000")
        budget = self.time_budget_s
        _require(budget is None or 0 < budget < math.inf, budget, "time_budget_s", "over 0")
        every = self.checkpoint_every_s
        _require(every > 0, every, "checkpoint_every_s", "over 0")
        for name in ("watch_test", "tensorboard"):
            _require(isinstance(getattr(self, name), bool), getattr(self, name), name, YES_OR_NO)
        _require(0 <= self.seed < 2**63, self.seed, "seed", "0 to below 2 to the power 63")

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best epoch are used, not those of the last."""
        return self.keep == "best" or (self.keep == "auto" and self.patience is not None)


def _require_choice(value: str, *, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        hint = nearest_spelling(str(value), allowed)
        raise RecipeError(f"train.{name} is '{value}'; allowed: {', '.join(allowed)}.{hint}")


def _require(holds: bool, value: object, name: str, allowed: str) -> None:  # noqa: FBT001
    if not holds:
        raise RecipeError(f"train.{name} is {value}; allowed: {allowed}.")
