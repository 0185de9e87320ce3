"""The report's bars as small inline SVG that takes the page's colours and font.

In: typed content. Out: `<svg>` text; the same content gives the same text.
One unit is one CSS pixel; figures are narrow, so that they stay readable on a phone.
Not covered: lines (`plot`).
"""

from collections.abc import Iterator, Sequence

from fieldmark.report.entries import ClassCount
from fieldmark.report.labels import LETTER_PX, label_width, short_label, text_at

WIDTH_PX = 400
LEGEND_PX = 32
BAR_HEIGHT_PX = 24
BAR_SHARE = 0.68
"""How much of the height of a row its bar takes."""
RIGHT_PX = 46
"""Room for the number at the end of a bar."""
MAX_LABEL_LETTERS = 30
PLAIN_LABEL_PX = 150
"""Room for labels within the usual width; longer ones widen the figure."""

SPLITS = ("train", "validation", "test")
SWATCH_PX, SWATCH_GAP_PX, ITEM_GAP_PX = 19, 6, 18


def class_counts(counts: Sequence[ClassCount]) -> str:
    """Draw photos per class as horizontal bars stacked by split."""
    names = [short_label(count.name, width=MAX_LABEL_LETTERS) for count in counts]
    left = 14 + LETTER_PX * max(map(label_width, names), default=0)
    width = round(WIDTH_PX + max(0.0, left - PLAIN_LABEL_PX))
    height = LEGEND_PX + 10 + BAR_HEIGHT_PX * len(counts)
    most = max([1, *(sum(_parts(count)) for count in counts)])
    px_each = (width - RIGHT_PX - left) / most
    drawn = [kind for kind, *nums in zip(SPLITS, *map(_parts, counts), strict=True) if any(nums)]
    legend = _legend(drawn or SPLITS)
    rows = [
        part
        for place, (name, count) in enumerate(zip(names, counts, strict=True))
        for part in _row(name, count, left=left, top=_top(place), px_each=px_each)
    ]
    return (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Photos per class and split">{"".join([*legend, *rows])}</svg>'
    )


def _row(name: str, count: ClassCount, *, left: float, top: float, px_each: float) -> Iterator[str]:
    middle = top + BAR_HEIGHT_PX / 2 + 4
    yield text_at(name, x=left - 7, y=middle, anchor="end")
    thick = BAR_HEIGHT_PX * BAR_SHARE
    above = top + (BAR_HEIGHT_PX - thick) / 2
    for kind, num in zip(SPLITS, _parts(count), strict=True):
        if num:
            wide = num * px_each
            yield (
                f'<rect class="{kind}" x="{left:.2f}" y="{above:.2f}" width="{wide:.2f}" '
                f'height="{thick:.2f}"><title>{num:,} {kind}</title></rect>'
            )
            left += wide
    yield text_at(f"{sum(_parts(count)):,}", x=left + 5, y=middle, anchor="start")


def _legend(names: Sequence[str]) -> Iterator[str]:
    left = 8.0
    for name in names:
        yield f'<rect class="{name}" x="{left:.1f}" y="8" width="{SWATCH_PX}" height="9"/>'
        left += SWATCH_PX + SWATCH_GAP_PX
        yield text_at(name, x=left, y=17, anchor="start")
        left += LETTER_PX * label_width(name) + ITEM_GAP_PX


def _parts(count: ClassCount) -> tuple[int, int, int]:
    return count.train, count.validation, count.test


def _top(place: int) -> float:
    return LEGEND_PX + 2 + BAR_HEIGHT_PX * place
