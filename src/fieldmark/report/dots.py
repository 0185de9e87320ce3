"""A number as a dot with its interval on a scale, one row of a table of effects.

In: numbers. Out: small inline SVG that takes the page's colours; one unit is one CSS pixel.
"""

from fieldmark.evaluation.intervals import Estimate

WIDTH, HEIGHT = 300, 18
MARGIN = 5


def dot_row(
    value: float, interval: Estimate | None, *, low: float, high: float, mark: float
) -> str:
    """Draw a value as a dot, its interval as a line, and a value to compare with as a stroke.

    Args:
        value: where the dot stands.
        interval: what the line shows; None draws none.
        low: the left end of the scale.
        high: the right end of the scale.
        mark: where the stroke stands.
    """

    def place(at: float) -> float:
        share = (at - low) / (high - low) if high > low else 0.5
        return MARGIN + (WIDTH - 2 * MARGIN) * min(max(share, 0.0), 1.0)

    middle = HEIGHT // 2
    line = ""
    if interval is not None:
        ends = f"M{place(interval.low):.1f} {middle}H{place(interval.high):.1f}"
        line = f'<path class="range" d="{ends}"/>'
    return (
        f'<svg class="whisker" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
        f'<path class="scale" d="M{MARGIN} {middle}H{WIDTH - MARGIN}"/>'
        f'<path class="mark" d="M{place(mark):.1f} 0V{HEIGHT}"/>{line}'
        f'<circle cx="{place(value):.1f}" cy="{middle}" r="{MARGIN}"/></svg>'
    )
