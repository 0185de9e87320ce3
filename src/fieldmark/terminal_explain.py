"""Explained photos as text for the terminal.

In: an `Explanation`. Out: text.
"""

from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.explaining import Explanation
    from fieldmark.report.explained import ExplainedPhoto

MOST_SHOWN = 20
"""Photos in the table, the most interesting first: a screenful."""
RIGHT = ("Sure %", "Border %")
"""Columns of numbers."""
NO_BREAK_SPACE = "\u00a0"


def explanation(result: "Explanation") -> str:
    """Return what `fieldmark explain` ends with: the photos, what it comes to, where things are."""
    from fieldmark.report.explained_wording import border_verdict, sanity_sentence

    explained = result.explained
    sentences = [border_verdict(explained), sanity_sentence(explained)]
    told = "\n".join(sentence for sentence in sentences if sentence)
    parts = [_photos(result), told.replace(NO_BREAK_SPACE, " ") + "\n", _places(result)]
    return "\n".join(parts)


def _photos(result: "Explanation") -> str:
    table = new_table("Photo", "Named", "Sure %", "Is", "Border %", "Nearest", right=RIGHT)
    for photo in result.photos[:MOST_SHOWN]:
        share = photo.named.border_share
        add_row(
            table,
            photo.path,
            photo.named.name,
            f"{100 * photo.named.probability:.1f}",
            photo.true or "",
            "" if share is None else f"{100 * share:.0f}",
            _nearest(photo),
        )
    more = len(result.photos) - MOST_SHOWN
    return drawn(table) + (f"and {counted(more, 'more photo')}\n" if more > 0 else "")


def _nearest(photo: "ExplainedPhoto") -> str:
    if not photo.others:
        return ""
    return f"{photo.num_agreeing} of {len(photo.others)} {photo.named.name}"


def _places(result: "Explanation") -> str:
    lines = [f"Page        {result.page}", f"Pictures    {result.pictures}"]
    if left_out := result.explained.left_out:
        lines.append(f"Left out    {counted(len(left_out), 'file')}, listed on the page")
    return "\n".join(lines) + "\n"
