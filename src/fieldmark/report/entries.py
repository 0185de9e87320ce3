"""The entries of a report as plain typed data: no HTML, no pictures, no model.

They are filled by `content` and shown by `render`; a terminal can show the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.evaluation.intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """How the run was made; empty or None where run.json does not say."""

    fieldmark_version: str
    command: str
    photos: str
    status: str
    error: str | None
    started: str | None
    resumed: tuple[str, ...]
    """When it went on after it had been interrupted, time by time."""
    ended: str | None
    seconds: float | None
    stages: tuple[tuple[str, float], ...]
    """Names and seconds."""
    versions: Mapping[str, str]
    seeds: Mapping[str, int]
    data_digest: str
    device: Mapping[str, Any]
    recipe: str
    warnings: tuple[str, ...]
    peak_memory_mib: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCount:
    """How many usable photos of a class went to each split."""

    name: str
    train: int
    validation: int
    test: int
    elsewhere: int = 0
    """On no side: where nothing was split, all of them."""

    @property
    def total(self) -> int:
        """The number of photos over all splits."""
        return self.train + self.validation + self.test + self.elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo to show: `path` is relative to the photos folder, `sha256` as it was then."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """A file that was repaired or excluded, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """The data at a glance."""

    num_met: int
    num_used: int
    repaired: tuple[FileNote, ...]
    excluded: tuple[FileNote, ...]
    counts: tuple[ClassCount, ...]
    num_groups: int
    """Groups that were kept on one side of the split; a photo that stands alone is one."""
    num_grouped: int
    """Photos in groups of at least two."""
    samples: Mapping[str, tuple[Photo, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value of the resolved recipe; `reason` is None where the value was given."""

    section: str
    key: str
    value: object
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One leaf layer of the network."""

    name: str
    type: str
    output_shape: str
    parameters: int
    trainable_parameters: int
    statistics: int | None = None
    """Running means and variances; None where the run did not write them."""
    multiply_adds: int | None = None
    """Of one photo; None where the run did not write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Layers that share the top of their name."""

    name: str
    num_layers: int
    output_shape: str
    parameters: int
    trainable_parameters: int
    statistics: int | None
    multiply_adds: int | None
    """Of one photo; None where the run did not write those of each of its layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One row of the training history; NaN where something was not measured.

    Losses in nats, accuracy, precision, recall and top-k as shares in 0..1, times in seconds.
    Thresholded scores count only answers given with a probability over 0.5.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float = math.nan
    val_accuracy: float = math.nan
    test_loss: float = math.nan
    test_accuracy: float = math.nan
    train_precision: float = math.nan
    train_recall: float = math.nan
    train_top_k: float = math.nan
    train_thresholded_precision: float = math.nan
    train_thresholded_recall: float = math.nan
    val_precision: float = math.nan
    val_recall: float = math.nan
    val_top_k: float = math.nan
    val_thresholded_precision: float = math.nan
    val_thresholded_recall: float = math.nan
    test_precision: float = math.nan
    test_recall: float = math.nan
    test_top_k: float = math.nan
    test_thresholded_precision: float = math.nan
    test_thresholded_recall: float = math.nan
    seconds: float = math.nan
    images_per_second: float = math.nan
    data_wait_s: float = math.nan
    """How much of `seconds` was spent waiting for the next batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """One strength of regularisation that was tried for a linear head."""

    l2: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Something that was settled by measuring, such as the precision, and why it came out so."""

    what: str
    chosen: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTest:
    """The loss while the learning rate grew; NaN where it was no number any more."""

    rates: tuple[float, ...]
    """All over zero."""
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    chosen: float | None
    """The rate that was proposed and taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as a `data:` URI, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How learning went; empty or None where the run does not say."""

    epochs: tuple[Epoch, ...]
    strengths: tuple[Strength, ...]
    kept_epoch: int | None
    """The epoch whose weights are used."""
    stopped_early: str
    """Why training ended before its last epoch, or nothing."""
    choices: tuple[Choice, ...]
    lr: float | None
    """The highest learning rate."""
    range_test: RangeTest | None
    augmentation: Picture | None
    """Photos as they are, and below them as the network saw them."""
    is_frozen: bool = False
    """Whether the backbone was left as it came, and a head alone was learned from its features."""

    @property
    def watches_test(self) -> bool:
        """Whether the test photos were scored after each epoch, too."""
        return any(math.isfinite(epoch.test_loss) for epoch in self.epochs)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixUp:
    """One class taken for another: `times` of the `support` test photos of the true class."""

    true: str
    predicted: str
    times: int
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A test photo that was named wrong; `confidence` in 0..1."""

    photo: Photo
    true: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number of the table of scores: what it is, what it means, how sure it is."""

    title: str
    meaning: str
    estimate: Estimate
    is_share: bool
    """Whether it lies in 0..1 and is told in percent; a loss does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How one class does on the test photos."""

    name: str
    support: int
    """Test photos that truly are of the class."""
    precision: Estimate
    recall: Estimate
    f1: Estimate
