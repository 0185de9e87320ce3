"""A comparison of runs as text for the terminal.

In: a `Comparison`. Out: text.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.comparing import Comparison
    from fieldmark.evaluation.intervals import Estimate

MARK = "*"


def comparison(result: "Comparison") -> str:
    """Return what `fieldmark compare` ends with: the runs, their differences, where things are."""
    parts = [_heading(result), _runs(result), _accuracies(result), _others(result)]
    return "\n".join([*parts, f"{result.verdict}\n", _places(result)])


def _heading(result: "Comparison") -> str:
    compared = result.compared
    photos = counted(compared.num_photos, "test photo")
    text = f"{len(compared.runs)} runs on {photos}, {len(compared.disagreements):,} not named alike"
    if compared.num_groups < compared.num_photos:
        text += f"; {counted(compared.num_groups, 'group')} of photos that belong together"
    return f"{text}\n"


def _runs(result: "Comparison") -> str:
    table = new_table("Run", "Accuracy %", "F1 %, macro", "Loss")
    for run in result.compared.runs:
        shares = (_short(estimate, times=100) for estimate in (run.accuracy, run.f1))
        add_row(table, run.name, *shares, _short(run.loss, decimals=3))
    return drawn(table)


def _accuracies(result: "Comparison") -> str:
    """Return a row a pair: how far the second is ahead, and whether that may be chance."""
    from fieldmark.report.comparison_wording import p_text

    names = result.compared.names
    right = ("Accuracy, points", "Right alone")
    table = new_table("From", "To", *right, "", right=right)
    for pair in result.pairs:
        alone = f"{pair.only_first:,} / {pair.only_second:,}"
        mark = f"{p_text(pair.p_adjusted)} {MARK if pair.is_told_apart else ''}".rstrip()
        gain = _signed(pair.accuracy, times=100)
        add_row(table, names[pair.first], names[pair.second], gain, alone, mark)
    return drawn(table) + _key(result)


def _key(result: "Comparison") -> str:
    lines = []
    if any(pair.is_told_apart for pair in result.pairs):
        lines.append(f"{MARK} more than chance among the test photos would explain")
    if len(result.pairs) > 1:
        lines.append(f"p is adjusted for {counted(len(result.pairs), 'pair')}")
    return "".join(f"{line}\n" for line in lines)


def _others(result: "Comparison") -> str:
    """Return the differences of the other measures, a row a pair."""
    names = result.compared.names
    table = new_table("From", "To", "F1, points", "Loss", right=("F1, points", "Loss"))
    for pair in result.pairs:
        differences = _signed(pair.f1, times=100), _signed(pair.loss, decimals=3)
        add_row(table, names[pair.first], names[pair.second], *differences)
    return drawn(table)


def _places(result: "Comparison") -> str:
    photos = counted(len(result.disagreements), "photo")
    return f"Page        {result.page}\nPhotos      {result.table} lists the {photos}\n"


def _short(estimate: "Estimate", *, times: float = 1, decimals: int = 1) -> str:
    return _told(estimate, lambda value: f"{times * value:.{decimals}f}")


def _signed(estimate: "Estimate", *, times: float = 1, decimals: int = 1) -> str:
    return _told(estimate, lambda value: f"{round(times * value, decimals) + 0.0:+.{decimals}f}")


def _told(estimate: "Estimate", write: Callable[[float], str]) -> str:
    value, low, high = map(write, (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"
