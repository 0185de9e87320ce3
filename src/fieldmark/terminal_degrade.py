"""What damage to photos does, as text for the terminal.

In: a `Degraded`. Out: text.
"""

from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.degrading import Degraded
    from fieldmark.evaluation.degradation_document import Degradation

RIGHT = ("Photos", "Undamaged", "Damaged")
"""Columns of numbers in the table of classes."""
MOST_CLASSES = 12
NO_BREAK_SPACE = "\u00a0"


def degradation(result: "Degraded") -> str:
    """Return what `fieldmark degrade` ends with: accuracies, what they mean, where things are."""
    from fieldmark.report.degradation import degradation_content

    content = degradation_content(result.degradation)
    assert content is not None
    told = [f"{text}\n" for text in (content.sentence, *content.remarks)]
    heading = f"{content.method}\n"
    parts = [heading, _kinds(result.degradation), _classes(result.degradation), *told]
    return "\n".join([*parts, _places(result)]).replace(NO_BREAK_SPACE, " ")


def _kinds(found: "Degradation") -> str:
    """Return a row a kind: the share named right at each strength, the most harmful first."""
    numbers = [str(step.strength) for step in found.curves[0].steps]
    table = new_table("Named right, %", "0", *numbers, "Loses, points")
    for curve in sorted(found.curves, key=lambda one: -one.drop.value):
        shares = (_percent(step.accuracy.value) for step in (found.undamaged, *curve.steps))
        add_row(table, curve.title, *shares, f"{100 * curve.drop.value + 0.0:.1f}")
    return drawn(table)


def _classes(found: "Degradation", *, most: int = MOST_CLASSES) -> str:
    """Return a row a class: its share found undamaged and under all damage; the worst first."""
    drops = found.drop_of_class
    table = new_table("Found, %", "Photos", "Undamaged", "Damaged", "Most harmed by", right=RIGHT)
    names = sorted(drops, key=lambda name: -drops[name].value)
    for name in names[:most]:
        before = found.recall(found.undamaged, name).value
        shares = _percent(before), _percent(before - drops[name].value)
        worst = max(found.curves, key=lambda curve: found.mean_drop(curve, name))
        harm = worst.title.lower() if found.mean_drop(worst, name) > 0 else ""
        add_row(table, name, f"{found.num_of_class[name]:,}", *shares, harm)
    more = len(names) - most
    return drawn(table) + (
        f"and {counted(more, 'more class', 'more classes')}\n" if more > 0 else ""
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _places(result: "Degraded") -> str:
    return f"Report      {result.report}\nTable       {result.table}\n"
