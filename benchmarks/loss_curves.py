"""A picture of losses step by step, a panel for each pairing of two programs.

In: curves. Out: an SVG file that stands alone, on white, for benchmarks/README.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, GAP = 320, 180, 44, 30, 56
"""Of a panel's plot, its place and the room between two, in pixels."""
STYLES = (
    'stroke="#e69f00" stroke-width="6" stroke-opacity="0.55"',
    'stroke="#0b3c5d" stroke-width="1.6"',
)
"""Broad behind, thin in front, so that both are seen where they lie on each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The loss of each step, over 0."""

    panel: str
    program: str
    losses: Sequence[float]


def write_picture(path: Path, curves: Sequence[Curve], *, columns: int = 2) -> None:
    """Draw the curves, on a logarithmic axis that all panels share."""
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    programs = list(dict.fromkeys(curve.program for curve in curves))
    rows = math.ceil(len(panels) / columns)
    width, height = columns * (WIDTH + GAP) + LEFT, rows * (HEIGHT + GAP) + TOP
    values = [math.log10(loss) for curve in curves for loss in curve.losses]
    low, high = math.floor(min(values)), math.ceil(max(values))
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="12"><rect width="{width}" height="{height}" '
            'fill="white"/>'
        ),
        *_legend(programs),
    ]
    for number, panel in enumerate(panels):
        x = LEFT + (number % columns) * (WIDTH + GAP)
        y = TOP + (number // columns) * (HEIGHT + GAP)
        parts += _frame(panel, x, y + 18, low=low, high=high)
        # The second program lies behind the first.
        for behind, program in enumerate(reversed(programs)):
            for curve in curves:
                if (curve.panel, curve.program) == (panel, program):
                    parts.append(_line(curve, x, y + 18, low=low, high=high, style=STYLES[behind]))
    path.write_text("\n".join([*parts, "</svg>\n"]), "utf-8")


def _legend(programs: Sequence[str]) -> list[str]:
    return [
        f'<line x1="{LEFT + 110 * place}" x2="{LEFT + 110 * place + 26}" y1="14" y2="14" {style}/>'
        f'<text x="{LEFT + 110 * place + 32}" y="18">{program}</text>'
        for place, (program, style) in enumerate(zip(reversed(programs), STYLES, strict=True))
    ]


def _frame(name: str, x: int, y: int, *, low: int, high: int) -> list[str]:
    parts = [
        f'<text x="{x}" y="{y - 6}" font-weight="bold">{name}</text>',
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 16}" text-anchor="end">step</text>',
    ]
    for power in range(low, high + 1):
        place = y + HEIGHT * (high - power) / (high - low)
        parts.append(
            f'<line x1="{x}" x2="{x + WIDTH}" y1="{place}" y2="{place}" stroke="#ddd"/>'
            f'<text x="{x - 6}" y="{place + 4}" text-anchor="end">{10.0**power:g}</text>'
        )
    return parts


def _line(curve: Curve, x: int, y: int, *, low: int, high: int, style: str) -> str:
    last = max(1, len(curve.losses) - 1)
    points = " ".join(
        f"{x + WIDTH * step / last:.1f},{y + HEIGHT * (high - math.log10(loss)) / (high - low):.1f}"
        for step, loss in enumerate(curve.losses)
    )
    return f'<polyline points="{points}" fill="none" stroke-linejoin="round" {style}/>'
