"""Charts of lines as small inline SVG that takes the page's colours and font.

In: lines, axes and marks. Out: `<svg>` text whose colours are those of the page's style sheet;
the same input gives the same text, in about a millisecond, so that a page can be drawn anew
after each epoch of a training. One unit is one CSS pixel.
Not covered: what is drawn (`curves`), and bars (`figures`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from markupsafe import escape

from fieldmark.report.labels import LETTER_PX, label_width, text_at

LEGEND_PX = 30
"""Room above the lines, for the legend."""

BARE_PX = 10
"""The same where there is none."""

FOOT_PX = 44
"""Room below the lines, for the numbers and the name of the axis."""

RIGHT_PX = 14
WIDE, TIGHT = (20, 6, 12), (13, 4, 7)
"""The legend: length of a piece of line, gap to its name, gap to the next item. Tight where it
would not fit in otherwise."""

MAX_DOTS = 20
"""Lines of more points than this are drawn without a dot, and its tooltip, on each."""

MAX_COLUMNS = 400
"""Lines of more than twice as many points keep the lowest and the highest of each column."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line; a `y` that is not finite is a gap. `kind` is its class in the style sheet."""

    name: str
    kind: str
    xs: Sequence[float]
    ys: Sequence[float]
    dots: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The area between two lines; `kind` is its class in the style sheet."""

    kind: str
    xs: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Points that no line joins, each with what its tooltip says; `kind` is their class."""

    kind: str
    xs: Sequence[float]
    ys: Sequence[float]
    names: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An upright dotted line."""

    name: str
    x: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The ends of an axis, its numbers as places and texts, and how any number on it is told."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    tell: Callable[[float], str]
    label: str = ""

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, 0 to 1 within it."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Width and height of a chart in CSS pixels."""

    width: int
    height: int


LARGE = Size(width=400, height=250)
SMALL = Size(width=300, height=190)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x: Axis,
    y: Axis,
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    dots: Sequence[Dots] = (),
    size: Size = LARGE,
    legend: bool = True,
) -> str:
    """Draw lines on two axes; a single line that the title names needs no legend."""
    frame = _Frame(size=size, x=x, y=y, top=LEGEND_PX if legend else BARE_PX)
    parts = [
        *frame.grid(),
        *(_band(band, frame) for band in bands),
        *(_mark(mark, frame) for mark in marks),
        *(part for line in lines for part in _line(line, frame)),
        *(part for group in dots for part in _dots(group, frame)),
        *(_legend(lines, marks, frame) if legend else ()),
    ]
    return (
        f'<svg class="plot" viewBox="0 0 {size.width} {size.height}" role="img" '
        f'aria-label="{escape(_spoken(title, lines, marks, x=x, y=y))}">{"".join(parts)}</svg>'
    )


@dataclass(slots=True, kw_only=True)
class _Frame:
    """Where the axes lie within the picture."""

    size: Size
    x: Axis
    y: Axis
    top: float
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = 14 + LETTER_PX * max((label_width(text) for _, text in self.y.ticks), default=0)

    @property
    def right(self) -> float:
        return self.size.width - RIGHT_PX

    @property
    def bottom(self) -> float:
        return self.size.height - FOOT_PX

    def place(self, point: Point) -> Point:
        """Return where a point lies; what lies beyond the axis by height stands at its end."""
        across = self.left + (self.right - self.left) * self.x.share(point[0])
        up = min(max(self.y.share(point[1]), 0.0), 1.0)
        return across, self.bottom - (self.bottom - self.top) * up

    def grid(self) -> Iterator[str]:
        """Yield the lines of the grid and the texts of both axes."""
        for value, text in self.y.ticks:
            _, up = self.place((self.x.low, value))
            yield f'<path class="grid" d="M{self.left:.1f} {up:.1f}H{self.right}"/>'
            yield text_at(text, x=self.left - 7, y=up + 4, anchor="end")
        yield f'<path class="base" d="M{self.left:.1f} {self.bottom}H{self.right}"/>'
        for value, text in self.x.ticks:
            across, _ = self.place((value, self.y.low))
            yield text_at(text, x=across, y=self.bottom + 17)
        middle = (self.left + self.right) / 2
        yield text_at(self.x.label, x=middle, y=self.size.height - 8)


def _line(line: Line, frame: _Frame) -> Iterator[str]:
    points = list(zip(line.xs, line.ys, strict=True))
    pieces = [
        [frame.place(point) for point in _thinned(list(piece))]
        for is_drawn, piece in groupby(points, key=lambda point: math.isfinite(point[1]))
        if is_drawn
    ]
    if not pieces:
        return
    yield f'<path class="line {line.kind}" d="{"".join(map(_path, pieces))}"/>'
    if line.dots and len(points) <= MAX_DOTS:
        for value, height in points:
            if math.isfinite(height):
                across, up = frame.place((value, height))
                told = f"{frame.x.tell(value)}: {line.name} {frame.y.tell(height)}"
                yield (
                    f'<circle class="{line.kind}" cx="{across:.1f}" cy="{up:.1f}" r="3">'
                    f"<title>{escape(told)}</title></circle>"
                )


def _dots(dots: Dots, frame: _Frame) -> Iterator[str]:
    for value, height, name in zip(dots.xs, dots.ys, dots.names, strict=True):
        if math.isfinite(value) and math.isfinite(height):
            across, up = frame.place((value, height))
            yield (
                f'<circle class="{dots.kind}" cx="{across:.1f}" cy="{up:.1f}" r="3.5">'
                f"<title>{escape(name)}</title></circle>"
            )


def _path(piece: Sequence[Point]) -> str:
    """Return a piece without gaps; a single point is a line of no length, seen by its cap."""
    (across, up), *others = piece
    start = f"M{across:.1f} {up:.1f}"
    return start + ("".join(f"L{x:.1f} {y:.1f}" for x, y in others) or "h0")


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Keep the lowest and the highest point of each of `MAX_COLUMNS` stretches, in their order."""
    if len(points) <= 2 * MAX_COLUMNS:
        return points
    kept = {0, len(points) - 1}
    for column in range(MAX_COLUMNS):
        start, end = (len(points) * (column + more) // MAX_COLUMNS for more in (0, 1))
        kept.add(min(range(start, end), key=lambda place: points[place][1]))
        kept.add(max(range(start, end), key=lambda place: points[place][1]))
    return [points[place] for place in sorted(kept)]


def _band(band: Band, frame: _Frame) -> str:
    upper = [frame.place(point) for point in zip(band.xs, band.highs, strict=True)]
    lower = [frame.place(point) for point in zip(band.xs, band.lows, strict=True)]
    return f'<path class="band {band.kind}" d="{_path([*upper, *reversed(lower)])}Z"/>'


def _mark(mark: Mark, frame: _Frame) -> str:
    across, _ = frame.place((mark.x, frame.y.low))
    return f'<path class="line mark" d="M{across:.1f} {frame.bottom}V{frame.top}"/>'


def _legend(lines: Sequence[Line], marks: Sequence[Mark], frame: _Frame) -> Iterator[str]:
    """Yield the legend, from the left end of the axis on, or from further left to fit in."""
    named = [(line.name, line.kind) for line in lines] + [(mark.name, "mark") for mark in marks]
    names = [LETTER_PX * label_width(name) for name, _ in named]
    for sample, gap, between in (WIDE, TIGHT):
        whole = sum(names) + len(named) * (sample + gap) + (len(named) - 1) * between
        if whole <= frame.size.width:
            break
    left = max(0.0, min(frame.left, frame.size.width - whole))
    for (name, kind), width in zip(named, names, strict=True):
        yield f'<path class="line {kind}" d="M{left:.1f} 12h{sample}"/>'
        yield text_at(name, x=left + sample + gap, y=16, anchor="start")
        left += sample + gap + width + between


def _spoken(title: str, lines: Sequence[Line], marks: Sequence[Mark], *, x: Axis, y: Axis) -> str:
    """Say what a chart shows, for those who cannot see it."""
    told = []
    for line in lines:
        drawn = [height for height in line.ys if math.isfinite(height)]
        if drawn:
            told.append(f"{line.name} from {y.tell(drawn[0])} to {y.tell(drawn[-1])}")
    told += [f"{mark.name}: {x.tell(mark.x)}" for mark in marks]
    return f"{title}: {', '.join(told)}" if told else title
