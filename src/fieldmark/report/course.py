"""Says in plain words how training went over the epochs.

In: the epochs. Out: a sentence on the course, a few numbers by name, and the charts with them.
The thresholds are Fieldmark's own, set so that noise of a few percent is not taken for a trend.
"""

import math
from collections.abc import Sequence
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.report import curves, wording
from fieldmark.report.entries import Epoch

RISE = 1.1
"""A validation loss so many times its lowest has risen."""

FALL = 0.97
"""A validation loss below so many times that of the epoch before is still falling."""

NO_WAIT = 0.001
"""Waiting for less than this share of the time is told as none."""

MEASURES = (
    ("Loss", "loss", False),
    ("Accuracy", "accuracy", True),
    ("Precision", "precision", True),
    ("Recall", "recall", True),
    ("Top-5 accuracy", "top_k", True),
)
"""Title, end of the field's name, and whether it is a share."""


def course_values(
    epochs: Sequence[Epoch], *, kept_epoch: int | None, is_over: bool = True
) -> dict[str, Any]:
    """Return what `course.html.j2` shows of the epochs; without a verdict before it is over."""
    charts = curves.epoch_charts(epochs, kept_epoch=kept_epoch)
    return {
        "first_charts": charts.first,
        "more_charts": charts.more,
        "course_verdict": verdict(epochs, kept_epoch=kept_epoch) if is_over else "",
        "course_facts": facts(epochs, kept_epoch=kept_epoch) if epochs else (),
    }


def verdict(epochs: Sequence[Epoch], *, kept_epoch: int | None) -> str:
    """Say what the validation loss tells of the training; nothing for a single epoch."""
    if len(epochs) < 2:
        return ""
    measured = [epoch for epoch in epochs if math.isfinite(epoch.val_loss)]
    if not measured:
        return (
            "There were no validation photos, so these curves do not show how well it does on "
            "photos that it has not learned from."
        )
    best, last = min(measured, key=lambda epoch: epoch.val_loss), epochs[-1]
    if last.val_loss > RISE * best.val_loss and last.train_loss < best.train_loss:
        return _by_heart(best, last, kept_epoch=kept_epoch)
    if last.val_loss > RISE * best.val_loss:
        return (
            f"The validation loss was lowest after epoch {best.epoch} and higher at the end, with "
            "the training loss no lower: learning was unsteady, and a lower learning rate may help."
        )
    if best is last and last.val_loss < FALL * epochs[-2].val_loss:
        return (
            "The validation loss was still falling in the last epoch: more epochs may make it "
            "better."
        )
    if measured[0].val_loss > RISE * best.val_loss:
        return "The validation loss fell and came to rest: more epochs would change little."
    return "The validation loss hardly changed over the epochs."


def _by_heart(best: Epoch, last: Epoch, *, kept_epoch: int | None) -> str:
    told = (
        f"From epoch {best.epoch} on it began to learn by heart: the validation loss rose from "
        f"{wording.loss(best.val_loss)} to {wording.loss(last.val_loss)} while the training loss "
        "still fell."
    )
    if kept_epoch is None:
        return told
    if kept_epoch < last.epoch:
        return f"{told} The weights of epoch {kept_epoch} are used, so this did little harm."
    return f"{told} Fewer epochs, or setting train.keep to “best”, may do better."


def facts(epochs: Sequence[Epoch], *, kept_epoch: int | None) -> list[tuple[str, str]]:
    """Return a few numbers by name: what was kept, the best epochs, and where the time went."""
    if len(epochs) == 1:
        return [*_of_one(epochs[0]), *_times(epochs)]
    told = [("Epochs", f"{len(epochs):,}")]
    if kept_epoch is not None:
        told = [("Weights used", f"those after epoch {kept_epoch} of {len(epochs):,}")]
    if measured := [epoch for epoch in epochs if not math.isnan(epoch.val_accuracy)]:
        best = max(measured, key=lambda epoch: epoch.val_accuracy)
        text = f"{wording.percent(best.val_accuracy)}, after epoch {best.epoch}"
        told.append(("Best accuracy on validation photos", text))
    if measured := [epoch for epoch in epochs if not math.isnan(epoch.val_loss)]:
        best = min(measured, key=lambda epoch: epoch.val_loss)
        told.append(("Lowest loss on them", f"{wording.loss(best.val_loss)}, epoch {best.epoch}"))
    if all(epoch.train_top_k == epoch.val_top_k == 1 for epoch in epochs):
        told.append(("Top-5 accuracy", f"{wording.percent(1.0)} throughout"))
    return [*told, *_times(epochs)]


def _of_one(epoch: Epoch) -> list[tuple[str, str]]:
    """Return what was measured after the only epoch: there is no course to draw."""
    told = []
    for title, key, is_share in MEASURES:
        write = wording.percent if is_share else wording.loss
        values = (("training", f"train_{key}"), ("validation", f"val_{key}"))
        parts = [
            f"{write(getattr(epoch, field))} {name}"
            for name, field in values
            if math.isfinite(getattr(epoch, field))
        ]
        if parts:
            told.append((title, ", ".join(parts)))
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
