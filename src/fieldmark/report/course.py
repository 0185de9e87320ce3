"""Gathers what is shown of a training over the epochs: charts, a verdict, numbers by name.

In: the epochs. Out: what `course.html.j2` shows.
Not covered: how charts are drawn (`epoch_curves`), what counts as overfitting (`overfitting`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.report import wording
from fieldmark.report.entries import Epoch
from fieldmark.report.epoch_curves import epoch_charts
from fieldmark.report.measures import MEASURES, SPLITS
from fieldmark.report.overfitting import diagnose
from fieldmark.report.verdict import Verdict, pronounce

NO_WAIT = 0.001
"""Waiting for less than this share of the time is told as none."""


def course_values(
    epochs: Sequence[Epoch],
    *,
    kept_epoch: int | None,
    is_over: bool = True,
    num_photos: Mapping[str, int] | None = None,
    num_classes: int | None = None,
    is_frozen: bool = False,
) -> dict[str, Any]:
    """Return what `course.html.j2` shows of the epochs; without a verdict before it is over.

    Args:
        epochs: the rows of the history.
        kept_epoch: the epoch whose weights are used; None where that is not known.
        is_over: whether training has ended.
        num_photos: of each split, by its name; with few of them more is put down to chance.
        num_classes: so that a network that learned nothing can be told; None: it is not.
        is_frozen: whether a head alone was trained, on features of photos that cannot be altered.
    """
    charts = epoch_charts(epochs, kept_epoch=kept_epoch)
    verdict = None
    if is_over and epochs:
        verdict = judge(
            epochs,
            kept_epoch=kept_epoch,
            num_photos=num_photos,
            num_classes=num_classes,
            is_frozen=is_frozen,
        )
    return {
        "first_charts": charts.first,
        "more_charts": charts.more,
        "course_verdict": verdict,
        "course_facts": facts(epochs, kept_epoch=kept_epoch) if epochs else (),
    }


def judge(
    epochs: Sequence[Epoch],
    *,
    kept_epoch: int | None,
    num_photos: Mapping[str, int] | None = None,
    num_classes: int | None = None,
    is_frozen: bool = False,
) -> Verdict:
    """Say of at least one epoch whether it overfits; the rest is as in `course_values`."""
    diagnosis = diagnose(epochs, num_photos=num_photos, num_classes=num_classes)
    last_epoch = epochs[-1].epoch
    return pronounce(diagnosis, kept_epoch=kept_epoch, last_epoch=last_epoch, is_frozen=is_frozen)


def facts(epochs: Sequence[Epoch], *, kept_epoch: int | None) -> list[tuple[str, str]]:
    """Return a few numbers by name: what was kept, the best epochs, and where the time went."""
    if len(epochs) == 1:
        return [*_of_one(epochs[0]), *_times(epochs)]
    told = [("Epochs", f"{len(epochs):,}")]
    if kept_epoch is not None:
        told = [("Weights used", f"those after epoch {kept_epoch} of {len(epochs):,}")]
    told += _bests(epochs)
    if _is_always_one(epochs):
        told.append(("Top-5 accuracy", f"{wording.percent(1.0)} throughout"))
    return [*told, *_times(epochs)]


def _bests(epochs: Sequence[Epoch]) -> list[tuple[str, str]]:
    """Return what held-out photos came to: the best, and of test photos the end beside it.

    Of test photos the best epoch is nobody's to choose, so their accuracy at the end comes first.
    """
    told = []
    if measured := [epoch for epoch in epochs if math.isfinite(epoch.val_accuracy)]:
        best = max(measured, key=lambda epoch: epoch.val_accuracy)
        text = f"{wording.percent(best.val_accuracy)}, after epoch {best.epoch}"
        told.append(("Best accuracy on validation photos", text))
    if measured := [epoch for epoch in epochs if math.isfinite(epoch.val_loss)]:
        best = min(measured, key=lambda epoch: epoch.val_loss)
        told.append(("Lowest loss on them", f"{wording.loss(best.val_loss)}, epoch {best.epoch}"))
    if measured := [epoch for epoch in epochs if math.isfinite(epoch.test_accuracy)]:
        best = max(measured, key=lambda epoch: epoch.test_accuracy)
        text = (
            f"{wording.percent(measured[-1].test_accuracy)} at the end; at most "
            f"{wording.percent(best.test_accuracy)}, after epoch {best.epoch}"
        )
        told.append(("Accuracy on test photos", text))
    return told


def _is_always_one(epochs: Sequence[Epoch]) -> bool:
    """Tell whether the top-5 accuracy was measured, and was 1 wherever it was."""
    values = [getattr(epoch, f"{prefix}_top_k") for epoch in epochs for _, prefix in SPLITS]
    measured = [value for value in values if math.isfinite(value)]
    return bool(measured) and set(measured) == {1.0}


def _of_one(epoch: Epoch) -> list[tuple[str, str]]:
    """Return what was measured after the only epoch: there is no course to draw."""
    told = []
    for measure in MEASURES:
        write = wording.percent if measure.is_share else wording.loss
        scored = [(name, measure.of(epoch, prefix)) for name, prefix in SPLITS]
        parts = [f"{write(value)} {name}" for name, value in scored if math.isfinite(value)]
        if parts:
            told.append((measure.title, ", ".join(parts)))
    return told


def _times(epochs: Sequence[Epoch]) -> list[tuple[str, str]]:
    timed = [epoch for epoch in epochs if epoch.seconds > 0]
    if not timed:
        return []
    total = sum(epoch.seconds for epoch in timed)
    told = [("Time to learn", wording.duration(total))]
    if len(timed) > 1:
        each = wording.duration(total / len(timed))
        told = [("Time to learn", f"{wording.duration(total)}, {each} an epoch")]
    waits = [epoch.data_wait_s for epoch in timed]
    if all(map(math.isfinite, waits)):
        share = sum(waits) / total
        text = f"{wording.percent(share)} of it" if share >= NO_WAIT else "none of it"
        told.append(("Spent waiting for photos", text))
    return told


def resumptions(num_resumed: int) -> str:
    """Say that a run was interrupted and went on; nothing where it was not."""
    if not num_resumed:
        return ""
    often = "once" if num_resumed == 1 else counted(num_resumed, "time")
    return (
        f"This run was interrupted and went on {often}: its curves are those of a run without "
        "the break, but for the speed."
    )
