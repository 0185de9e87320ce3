"""Says in plain words what the curves show: overfitting or none, and what may help.

In: a `Diagnosis`. Out: `Verdict`, a headline and a few sentences, not yet escaped for HTML;
names of settings stand in straight quotes.
Not covered: what counts as a sign (`overfitting`).
"""

import math
from dataclasses import dataclass

from fieldmark.report import wording
from fieldmark.report.diagnosis import Diagnosis, Levels
from fieldmark.report.learned import blind_loss
from fieldmark.report.overfitting import MIN_FOR_TREND

MOVED = 1.1
"""A loss that was not at least this many times its lowest has hardly changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of a training; both texts are empty where nothing can be said."""

    headline: str
    text: str
    is_warning: bool
    """Whether something is amiss that can be helped."""


def pronounce(
    diagnosis: Diagnosis, *, kept_epoch: int | None, last_epoch: int, is_frozen: bool = False
) -> Verdict:
    """Say what was found.

    Args:
        diagnosis: of the epochs.
        kept_epoch: the epoch whose weights are used; None where that is not known.
        last_epoch: the last epoch of the training.
        is_frozen: whether a head alone was trained on features, so that no photo can be altered.
    """
    levels = diagnosis.levels
    if levels is None:
        return Verdict(headline="", text=_nothing_known(diagnosis, last_epoch), is_warning=False)
    if diagnosis.failed:
        return Verdict(
            headline="It failed to learn", text=_of_failure(diagnosis, levels), is_warning=True
        )
    saved = kept_epoch is not None and kept_epoch < last_epoch
    parts = [
        _of_rise(diagnosis, levels),
        _of_ends(diagnosis, levels),
        _of_zigzag(diagnosis),
        f"The weights of epoch {kept_epoch} are used, so what came after it did no harm."
        if saved and diagnosis.sign("rising")
        else "",
        _advice(diagnosis, levels, saved=saved, is_frozen=is_frozen),
    ]
    return Verdict(
        headline=_headline(diagnosis),
        text=" ".join(part for part in parts if part),
        is_warning=diagnosis.overfits or bool(diagnosis.sign("jagged")),
    )


def _nothing_known(diagnosis: Diagnosis, last_epoch: int) -> str:
    if last_epoch < 2:
        return "One epoch is too few to tell overfitting, which shows in how the curves go on."
    if not diagnosis.held_out:
        return (
            "No held-out photos were scored on the way, so these curves cannot show how well it "
            "does on photos that it has not learned from, nor whether it overfits."
        )
    return "Held-out photos were scored after too few epochs to tell overfitting."


def _of_failure(diagnosis: Diagnosis, levels: Levels) -> str:
    """Say what a network came to that learned nothing, beside guessing, and what may help."""
    num = diagnosis.num_classes or 2
    told = (
        f"At the end the loss is {wording.loss(levels.train_loss)} on training photos and "
        f"{wording.loss(levels.loss)} on {diagnosis.held_out} photos, where guessing among {num} "
        f"classes gets {wording.loss(blind_loss(num))}."
    )
    if math.isfinite(levels.gap):
        told += (
            f" {wording.percent(levels.train_accuracy)} of the training photos are named right and "
            f"{wording.percent(levels.accuracy)} of the {diagnosis.held_out} photos; guessing gets "
            f"{wording.percent(1 / num)}."
        )
    told += (
        " What may help: a learning rate ('optim.lr') of a tenth, or a longer warm-up "
        "('optim.warmup_epochs')"
    )
    falls = diagnosis.sign("falling") and not diagnosis.sign("diverged")
    is_early = falls or diagnosis.num_epochs < MIN_FOR_TREND
    return f"{told}, and more epochs ('train.epochs')." if is_early else f"{told}."


def _headline(diagnosis: Diagnosis) -> str:
    if diagnosis.overfits:
        return "Overfitting"
    if diagnosis.sign("jagged") or diagnosis.sign("unsteady"):
        return "No overfitting, but learning was unsteady"
    if diagnosis.sign("rising"):
        return "No overfitting, but the loss rose again"
    if diagnosis.sign("falling"):
        return "No sign of overfitting, and still learning"
    return "No sign of overfitting"


def _of_rise(diagnosis: Diagnosis, levels: Levels) -> str:
    """Say when and how far the held-out loss rose, if it did."""
    name = diagnosis.held_out
    between = f"from {wording.loss(levels.best_loss)} to {wording.loss(levels.loss)}"
    if diagnosis.sign("rising"):
        heart = "it learned by heart: " if diagnosis.overfits else ""
        return (
            f"After epoch {levels.best_epoch} {heart}the {name} loss rose {between} while the "
            "training loss still fell."
        )
    if diagnosis.sign("unsteady"):
        return (
            f"The {name} loss was lowest after epoch {levels.best_epoch} and rose {between}, and "
            "the training loss rose with it."
        )
    return ""


def _of_ends(diagnosis: Diagnosis, levels: Levels) -> str:
    """Say how much better the training photos do at the end than the held-out ones."""
    name = diagnosis.held_out
    if not math.isfinite(levels.gap):
        train, held_out = wording.loss(levels.train_loss), wording.loss(levels.loss)
        return f"At the end the loss is {train} on training photos and {held_out} on {name} photos."
    told = (
        f"At the end {wording.percent(levels.train_accuracy)} of the training photos are named "
        f"right and {wording.percent(levels.accuracy)} of the {name} photos"
    )
    if diagnosis.overfits:
        told += f", a gap of {_points(levels.gap)}"
        if growth := diagnosis.sign("growing"):
            told += f" that grew by {_points(growth.value)} in the second half of the epochs"
    elif not diagnosis.sign("unsteady") and not diagnosis.sign("rising"):
        told += f", and the {name} loss is {_place(levels)}"
    return f"{told}."


def _place(levels: Levels) -> str:
    """Say where the loss stands against its lowest."""
    ended, lowest = wording.loss(levels.loss), wording.loss(levels.best_loss)
    if ended == lowest:
        return f"at its lowest, {ended}"
    return f"{ended}; its lowest was {lowest}, after epoch {levels.best_epoch}"


def _of_zigzag(diagnosis: Diagnosis) -> str:
    if not (sign := diagnosis.sign("jagged")):
        return ""
    return (
        f"The {diagnosis.held_out} accuracy is jagged: it went up and down by "
        f"{_points(sign.value)} from one epoch to the next."
    )


def _advice(diagnosis: Diagnosis, levels: Levels, *, saved: bool, is_frozen: bool) -> str:
    """Say what may help; where nothing is amiss, whether more epochs would."""
    if diagnosis.sign("jagged") or diagnosis.sign("unsteady"):
        steady = "A lower learning rate ('optim.lr') or larger batches would steady it."
        if not diagnosis.overfits:
            return steady
        return f"{steady} {_against_overfitting(diagnosis, saved=saved, is_frozen=is_frozen)}"
    if diagnosis.overfits:
        return _against_overfitting(diagnosis, saved=saved, is_frozen=is_frozen)
    if diagnosis.sign("falling"):
        return "Both losses still fall in the last epochs: more of them ('train.epochs') may help."
    if diagnosis.sign("rising"):
        return "" if saved else "Keeping the best epoch ('train.keep') may do better."
    if levels.first_loss >= MOVED * levels.best_loss:
        return "The losses have come to rest: more epochs would change little."
    return f"The {diagnosis.held_out} loss hardly changed over the epochs."


def _against_overfitting(diagnosis: Diagnosis, *, saved: bool, is_frozen: bool) -> str:
    decay, alter = "more weight decay ('optim.weight_decay')", "augmentation ('augment.policy')"
    if diagnosis.sign("falling"):
        narrow = decay if is_frozen else f"stronger {alter}"
        return (
            f"The losses still fall, so more epochs ('train.epochs') may help; {narrow} would "
            "narrow the gap."
        )
    means = decay if is_frozen else f"stronger {alter}, {decay}"
    if saved:
        return f"What may help: {means}, and more photos."
    stop = "stopping early ('train.patience'"
    stop += ")" if diagnosis.held_out == "validation" else ", which takes validation photos)"
    return f"What may help: {means}, or {stop}."


def _points(share: float) -> str:
    """Return a difference of shares in percentage points: `"4.7 points"`."""
    return f"{100 * share:.1f} points"
