"""Tells from the curves whether a network learns its training photos by heart.

In: the epochs. Out: `Diagnosis`: the signs that were seen, each with its number and the threshold
that it passed, and whether they amount to overfitting.
Not covered: how it is said (see `verdict`), what it is gathered in
(`diagnosis`).

Held-out photos are those of validation, or else of test where those were scored after each epoch.
The thresholds are Fieldmark's own, set so that what chance does to a few hundred photos is not
taken for a sign; each says why it is where it is.
Shapes: E epochs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.report.diagnosis import FAILURES, Diagnosis, Kind, Levels, Sign
from fieldmark.report.entries import Epoch
from fieldmark.report.learned import DIVERGED, blind_loss, has_diverged, is_above_chance

MIN_GAP = 0.05
"""Accuracy on training photos so far above that on held-out ones is a gap: of 500 photos the share
named right is uncertain by about 2 points at 95 %, so 5 are seen by chance next to never."""

MIN_GROWTH = 0.02
"""So much wider over the second half of the epochs, a gap is growing: half of what makes a gap
would then be reached in as many epochs again."""

RISE = 1.05
"""A held-out loss so many times its lowest has risen. From epoch to epoch it wavers by one or two
hundredths once the learning rate is small; the middle of the last epochs is compared, not one."""

MIN_ZIGZAG = 0.01
"""Up and down by so much from one epoch to the next, on average, a curve is jagged: single steps
are then several times as large, and how good the network is depends on where training ends."""

ZIGZAG_ERRORS = 1.0
"""A zigzag must reach so many standard errors. Were held-out photos drawn anew for each epoch, luck
alone would make one of just over half an error; being the same ones, they make less."""

FALL = 0.01
"""A loss that falls by this share an epoch is still falling: ten more epochs would take off about a
tenth. Below, it is at rest."""

GAP_ERRORS = 2.0
"""A gap must reach so many standard errors of the held-out accuracy: with 95 % it is no chance."""

MIN_EPOCHS = 2
MIN_FOR_TREND = 4
"""Fewer epochs show no trend of the gap, nor a zigzag: a line through three points is luck."""

MAX_WINDOW, EPOCHS_A_WINDOW = 3, 4
"""The end of a curve is the middle one of its last epochs: one for every four there are, at most
three, so that a single epoch out of line decides nothing."""

SPLITS = (("validation", "val"), ("test", "test"))
"""Held-out photos by their name and the prefix of their columns, the preferred first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curves:
    """The scored epochs as arrays; accuracies may be NaN, losses are finite."""

    epochs_E: NDArray[np.int64]
    train_loss_E: NDArray[np.float64]
    loss_E: NDArray[np.float64]
    train_accuracy_E: NDArray[np.float64]
    accuracy_E: NDArray[np.float64]

    @property
    def window(self) -> int:
        return min(MAX_WINDOW, max(1, len(self.epochs_E) // EPOCHS_A_WINDOW))

    def end_of(self, values_E: NDArray[np.float64]) -> float:
        return float(np.median(values_E[-self.window :]))


def diagnose(
    epochs: Sequence[Epoch],
    *,
    num_photos: Mapping[str, int] | None = None,
    num_classes: int | None = None,
) -> Diagnosis:
    """Look for overfitting in the curves of a training, and whether anything was learned.

    A network overfits where it names training photos right more often than held-out ones, and
    either by a gap that is no chance or with a held-out loss that has risen since its lowest while
    the training loss fell on, to below it. Where training photos are harder, being altered at
    random, and are named right less often, nothing is called overfitting; nor where nothing was
    learned that could be known by heart.

    Args:
        epochs: the rows of the history; what is not finite is left out.
        num_photos: of each split by its name, so that few held-out ones excuse more; None where
            that is not known.
        num_classes: so that what was learned can be told from guessing; None likewise.
    """
    held_out, curves = _curves(epochs)
    num, nums = len(curves.epochs_E), num_photos or {}
    if num < MIN_EPOCHS:
        return Diagnosis(held_out=held_out, num_epochs=num, levels=None, signs=(), overfits=False)
    levels = _levels(curves)
    error = _standard_error(levels.accuracy, nums.get(held_out))
    found = (
        _gap(levels, error=error),
        _growing(curves, levels),
        _risen(curves, levels),
        _jagged(curves, error=error),
        _falling(curves),
        _failure(levels, nums=nums, held_out=held_out, num_classes=num_classes),
    )
    signs = tuple(sign for sign in found if sign is not None)
    overfits = _overfits(levels, signs, num_epochs=num, error=error)
    return Diagnosis(
        held_out=held_out,
        num_epochs=num,
        levels=levels,
        signs=signs,
        overfits=overfits,
        num_classes=num_classes,
    )


def zigzag(values_E: NDArray[np.float64]) -> float:
    """Return by how much a curve goes back and forth from one epoch to the next, on average.

    Where a step up follows one down, or the reverse, the smaller of the two counts; a curve that
    rises or falls throughout has none, one that swings by A each time has A. 0 below three values.
    """
    steps = np.diff(values_E)
    if len(steps) < 2:
        return 0.0
    turns = steps[:-1] * steps[1:] < 0
    return float(np.where(turns, np.minimum(abs(steps[:-1]), abs(steps[1:])), 0.0).mean())


def _curves(epochs: Sequence[Epoch]) -> tuple[str, _Curves]:
    """Return the name of the held-out photos and the epochs in which they were scored."""
    for name, prefix in SPLITS:
        scored = [
            epoch
            for epoch in epochs
            if math.isfinite(epoch.train_loss) and math.isfinite(getattr(epoch, f"{prefix}_loss"))
        ]
        if scored:
            return name, _arrays(scored, prefix=prefix)
    return "", _arrays([], prefix="val")


def _arrays(scored: Sequence[Epoch], *, prefix: str) -> _Curves:
    def column(name: str) -> NDArray[np.float64]:
        return np.array([getattr(epoch, name) for epoch in scored], dtype=np.float64)

    return _Curves(
        epochs_E=np.array([epoch.epoch for epoch in scored], dtype=np.int64),
        train_loss_E=column("train_loss"),
        loss_E=column(f"{prefix}_loss"),
        train_accuracy_E=column("train_accuracy"),
        accuracy_E=column(f"{prefix}_accuracy"),
    )


def _levels(curves: _Curves) -> Levels:
    best = int(np.argmin(curves.loss_E))
    return Levels(
        train_accuracy=curves.end_of(curves.train_accuracy_E),
        accuracy=curves.end_of(curves.accuracy_E),
        train_loss=curves.end_of(curves.train_loss_E),
        loss=curves.end_of(curves.loss_E),
        best_epoch=int(curves.epochs_E[best]),
        best_loss=float(curves.loss_E[best]),
        first_loss=float(curves.loss_E[0]),
    )


def _standard_error(accuracy: float, num: int | None) -> float:
    """Return that of a share of `num` photos, sqrt(p (1 - p) / n); 0 where it is not known."""
    if not num or not math.isfinite(accuracy):
        return 0.0
    return math.sqrt(accuracy * (1 - accuracy) / num)


def _failure(
    levels: Levels, *, nums: Mapping[str, int], held_out: str, num_classes: int | None
) -> Sign | None:
    """Compare the ends with guessing: the losses, or else both accuracies."""
    if num_classes is None or num_classes < 2:
        return None
    if has_diverged(levels.train_loss, levels.loss, num_classes=num_classes):
        return _sign("diverged", levels.train_loss, DIVERGED * blind_loss(num_classes))
    shares = {"train": levels.train_accuracy, held_out: levels.accuracy}
    if not math.isfinite(levels.train_accuracy) or any(
        is_above_chance(share, num=nums.get(name), num_classes=num_classes)
        for name, share in shares.items()
    ):
        return None
    return Sign(kind="chance", value=levels.train_accuracy, threshold=1 / num_classes)


def _overfits(levels: Levels, signs: Sequence[Sign], *, num_epochs: int, error: float) -> bool:
    """Tell whether there is a gap, or a rise with a lead on training photos that is no chance."""
    kinds = {sign.kind for sign in signs}
    if not _is_ahead(levels) or kinds & FAILURES:
        return False
    leads = levels.train_loss < levels.loss and not levels.gap < GAP_ERRORS * error
    return "gap" in kinds or ("rising" in kinds and num_epochs >= MIN_FOR_TREND and leads)


def _is_ahead(levels: Levels) -> bool:
    """Tell whether training photos do better than held-out ones; by the loss for want of shares."""
    if math.isfinite(levels.gap):
        return levels.gap > 0
    return levels.train_loss < levels.loss


def _gap(levels: Levels, *, error: float) -> Sign | None:
    return _sign("gap", levels.gap, max(MIN_GAP, GAP_ERRORS * error))


def _growing(curves: _Curves, levels: Levels) -> Sign | None:
    """Fit a line through the gap over the second half of the epochs, by least squares."""
    gap_E = curves.train_accuracy_E - curves.accuracy_E
    second = gap_E[len(gap_E) // 2 :]
    if len(gap_E) < MIN_FOR_TREND or not np.isfinite(second).all() or levels.gap <= 0:
        return None
    slope = np.polyfit(np.arange(len(second)), second, 1)[0]
    return _sign("growing", float(slope) * (len(second) - 1), MIN_GROWTH)


def _risen(curves: _Curves, levels: Levels) -> Sign | None:
    """Compare the end with the lowest loss, unless that lies within the last epochs itself."""
    best = int(np.argmin(curves.loss_E))
    if best >= len(curves.loss_E) - curves.window:
        return None
    fell_on = levels.train_loss < curves.train_loss_E[best]
    ratio = levels.loss / levels.best_loss if levels.best_loss > 0 else math.nan
    return _sign("rising" if fell_on else "unsteady", ratio, RISE)


def _jagged(curves: _Curves, *, error: float) -> Sign | None:
    accuracy_E = curves.accuracy_E[np.isfinite(curves.accuracy_E)]
    if len(accuracy_E) < MIN_FOR_TREND:
        return None
    return _sign("jagged", zigzag(accuracy_E), max(MIN_ZIGZAG, ZIGZAG_ERRORS * error))


def _falling(curves: _Curves) -> Sign | None:
    """Return by what share an epoch the held-out loss fell lately, the training loss with it."""
    num = len(curves.epochs_E)
    steps = min(num - 1, max(2, num // EPOCHS_A_WINDOW))
    before, last = curves.loss_E[-1 - steps], curves.loss_E[-1]
    is_best = int(np.argmin(curves.loss_E)) >= num - curves.window
    if not is_best or before <= 0 or curves.train_loss_E[-1] >= curves.train_loss_E[-1 - steps]:
        return None
    return _sign("falling", float(1 - (last / before) ** (1 / steps)), FALL)


def _sign(kind: Kind, value: float, threshold: float) -> Sign | None:
    """Return a sign whose value reaches its threshold; NaN does not."""
    return Sign(kind=kind, value=value, threshold=threshold) if value >= threshold else None
