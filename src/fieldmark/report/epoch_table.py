"""What was scored after each epoch, as a table.

In: the epochs. Out: `EpochTable`, cells as text; only columns that hold a number.
Not covered: the same as charts (`epoch_curves`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from fieldmark.report import wording
from fieldmark.report.entries import Epoch
from fieldmark.report.measures import MEASURES, SPLITS, Measure
from fieldmark.report.scales import rate_label

MAX_ROWS = 200
"""Of more epochs the last ones are shown, so that the page stays small."""

SHORT_TITLES = {
    "top_k": "Top-5",
    "thresholded_precision": "Precision > 50 %",
    "thresholded_recall": "Recall > 50 %",
}
"""As they head a narrow column."""

NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One epoch; `cells` are in the order of the groups' columns, then its time."""

    epoch: int
    rate: str
    cells: tuple[str, ...]
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTable:
    """The table; `groups` are the splits scored, each with the titles of its columns."""

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    starts: tuple[int, ...]
    """Places of the cells that begin a group; the time is the last."""
    has_times: bool
    rows: tuple[EpochRow, ...]
    num_left_out: int
    """Epochs before the first one shown."""


def epoch_table(epochs: Sequence[Epoch], *, kept_epoch: int | None) -> EpochTable | None:
    """Lay out the epochs as a table; None where there is none."""
    if not epochs:
        return None
    columns = [(name, prefix, _scored(epochs, prefix)) for name, prefix in SPLITS]
    columns = [column for column in columns if column[2]]
    ends = tuple(accumulate(len(measures) for *_, measures in columns))
    shown = epochs[-MAX_ROWS:]
    has_times = any(math.isfinite(epoch.seconds) for epoch in epochs)
    return EpochTable(
        groups=tuple(
            (name.capitalize(), tuple(SHORT_TITLES.get(m.key, m.title) for m in measures))
            for name, _, measures in columns
        ),
        starts=(0, *ends),
        has_times=has_times,
        rows=tuple(
            EpochRow(
                epoch=epoch.epoch,
                rate=rate_label(epoch.lr) if math.isfinite(epoch.lr) else NOTHING,
                cells=tuple(
                    _cell(measure, measure.of(epoch, prefix))
                    for _, prefix, measures in columns
                    for measure in measures
                )
                + ((_time(epoch.seconds),) if has_times else ()),
                is_kept=epoch.epoch == kept_epoch,
            )
            for epoch in shown
        ),
        num_left_out=len(epochs) - len(shown),
    )


def _scored(epochs: Sequence[Epoch], prefix: str) -> list[Measure]:
    """Return the measures that were taken of a split after at least one epoch."""
    return [
        measure
        for measure in MEASURES
        if any(math.isfinite(measure.of(epoch, prefix)) for epoch in epochs)
    ]


def _cell(measure: Measure, value: float) -> str:
    if not math.isfinite(value):
        return NOTHING
    return wording.percent(value) if measure.is_share else wording.loss(value)


def _time(seconds: float) -> str:
    return wording.duration(seconds) if math.isfinite(seconds) else NOTHING
