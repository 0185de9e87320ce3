"""Names and numbers as short texts in a picture, and how wide they are.

In: text. Out: text that fits, and its place in an SVG.
"""

import unicodedata

from markupsafe import escape

LETTER_PX = 7.0
"""Average width of a letter at 12 px in common system fonts, a little generous."""


def short_label(name: str, *, width: int) -> str:
    """Return a name cut to `width` letter widths with an ellipsis, control characters replaced."""
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    if label_width(clean) <= width:
        return clean
    while clean and label_width(clean) > width - 1:
        clean = clean[:-1]
    return clean.rstrip() + "…"


def label_width(text: str) -> int:
    """Return the width of a text in letters; East Asian wide letters count as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def text_at(text: str, *, x: float, y: float, anchor: str = "middle") -> str:
    """Return an SVG text element; `anchor` is the end of the text that stands at `x`."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
