"""Several trainings of one recipe as text for the terminal.

In: `Repeats`. Out: text.
"""

from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.evaluation.repeated import RepeatScores
    from fieldmark.repeated_runs import Repeats

NO_BREAK_SPACE = "\u00a0"


def repeats(result: "Repeats") -> str:
    """Return what `fieldmark train --folds` or `--seeds` ends with."""
    from fieldmark.report.repeats_wording import follow_up, verdict

    sentences = f"{verdict(result.result)}\n{follow_up(result.result)}".strip()
    parts = [_each(result), _spread(result), f"{sentences}\n", _places(result)]
    return "\n".join(parts).replace(NO_BREAK_SPACE, " ")


def _each(result: "Repeats") -> str:
    table = new_table("Run", "Photos", "Accuracy %", "F1 %, macro", "Loss", "Calibration error %")
    for one in result.result.repeats:
        add_row(table, one.name, f"{one.num_images:,}", *_cells(one))
    return drawn(table)


def _cells(one: "RepeatScores") -> tuple[str, ...]:
    loss = one.loss
    return (
        _short(one.accuracy),
        _short(one.f1),
        f"{loss.value:.4f} ({loss.low:.4f} to {loss.high:.4f})",
        _short(one.ece),
    )


def _spread(result: "Repeats") -> str:
    """Return mean, standard deviation and ends of each measure, and of folds the joint figure."""
    from fieldmark.report.repeats_wording import NAMES, ends_told, spread_told, told

    in_all = result.result.pooled
    others = ("Mean", "SD", "Lowest to highest", *(["Over all photos"] if in_all else []))
    table = new_table("", *others)
    for key, spread in result.result.measures.items():
        cells = [told(key, spread.mean), spread_told(key, spread), ends_told(key, spread)]
        if in_all:
            estimate: Estimate = getattr(in_all, key)
            cells.append(f"{told(key, estimate.value)} ({ends_told(key, estimate)})")
        add_row(table, NAMES[key], *cells)
    return drawn(table)


def _places(result: "Repeats") -> str:
    photos = counted(len(result.result.wrong), "photo")
    return (
        f"Report      {result.report}\n"
        f"Photos      {result.table} lists the {photos} named wrong\n"
        f"Runs        {result.path / result.names[0]} to {result.names[-1]}, "
        "each with its report and model\n"
    )


def _short(estimate: "Estimate") -> str:
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.2f} ({low:.1f} to {high:.1f})"
