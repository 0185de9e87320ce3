"""What photos are like as files: how large, of which shape, in which format, class by class.

In: a catalog, and what was measured of its photos. Out: spreads, common sizes and tallies.
Not covered: whether any of it is wrong (see `fieldmark.audit`).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cues import Cues
from fieldmark.report.scales import log_place, log_ticks

MAX_SIZES = 10
MAX_VALUES = 8
"""Columns of a table of formats, modes or cameras; rarer ones are counted together."""
TICK_ROOM = 0.22
"""Share of a scale that the label of a tick takes: five digits of about 200 CSS pixels."""
TICK_RANKS = {"1": 0, "5": 1, "2": 2}
"""Which ticks matter most, by their first digit."""
OTHERS = "others"
NONE_NAMED = "none named"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a number is spread over photos: its ends, its middle, and where nine in ten lie."""

    least: float
    low: float
    """The 5th percentile."""
    median: float
    high: float
    """The 95th percentile."""
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassShape:
    """The sizes of one class, in pixels of the upright photo."""

    name: str
    num: int
    width: Spread
    height: Spread
    aspect: Spread
    """Width over height."""

    @property
    def is_of_one_size(self) -> bool:
        """Whether all photos of the class have the same width and the same height."""
        return all(spread.least == spread.most for spread in (self.width, self.height))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The ends of a logarithmic scale and the round numbers on it."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    """Values and how they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCount:
    """One size in pixels, and which classes have it."""

    width: int
    height: int
    num: int
    label: str
    """The class with most photos of this size."""
    num_label: int
    """How many of them are of that class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many photos of each class have each value of something, such as a format."""

    name: str
    values: tuple[str, ...]
    """The most frequent first."""
    totals: tuple[int, ...]
    """Photos by value."""
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    """Class and photos by value."""

    def num_classes(self, column: int) -> int:
        """Return how many classes have the value of a column."""
        return sum(counts[column] > 0 for _, counts in self.rows)


def class_shapes(catalog: Catalog) -> tuple[ClassShape, ...]:
    """Return the sizes of each class, the one with the smallest photos first."""
    by_class: dict[str, list[tuple[int, int]]] = {}
    for row in catalog.usable:
        if row.width and row.height:
            by_class.setdefault(row.label, []).append((row.width, row.height))
    shapes = []
    for name, sizes in by_class.items():
        widths, heights = zip(*sizes, strict=True)
        aspects = [width / height for width, height in sizes]
        width, height, aspect = map(_spread, (widths, heights, aspects))
        shapes.append(
            ClassShape(name=name, num=len(sizes), width=width, height=height, aspect=aspect)
        )
    return tuple(sorted(shapes, key=lambda one: (one.width.median * one.height.median, one.name)))


def pixel_scale(shapes: Sequence[ClassShape]) -> Scale:
    """Return a scale that holds all widths and heights."""
    spreads = [spread for one in shapes for spread in (one.width, one.height)]
    low, high = _ends(spreads, margin=1.15)
    least = math.ceil(low)  # lies on the scale where no round number does
    ticks = _thin(log_ticks(low, high) or (least,), low=low, high=high)
    return Scale(low=low, high=high, ticks=tuple((tick, f"{tick:,}") for tick in ticks))


def aspect_scale(shapes: Sequence[ClassShape]) -> Scale:
    """Return a scale that holds all aspects, with the square in the middle, 1:2 to 2:1 at least."""
    low, high = _ends([one.aspect for one in shapes], margin=1.1)
    reach = max(2.0, 1 / low, high)
    furthest = max(step for step in (2, 5, 10, 20, 50, 100, 1000) if step <= reach)
    ticks = ((1 / furthest, f"1:{furthest}"), (1.0, "1:1"), (float(furthest), f"{furthest}:1"))
    return Scale(low=1 / (reach * 1.1), high=reach * 1.1, ticks=ticks)


def common_sizes(catalog: Catalog) -> tuple[int, tuple[SizeCount, ...]]:
    """Return how many different sizes there are, and the most frequent that photos share."""
    labels: dict[tuple[int, int], Counter[str]] = {}
    for row in catalog.usable:
        if row.width and row.height:
            labels.setdefault((row.width, row.height), Counter())[row.label] += 1
    shared = [size for size in labels if labels[size].total() > 1]
    ordered = sorted(shared, key=lambda size: (-labels[size].total(), size))
    return len(labels), tuple(_size_count(size, labels[size]) for size in ordered[:MAX_SIZES])


def tallies(catalog: Catalog, cues: Mapping[str, Cues]) -> tuple[Tally, ...]:
    """Count formats, colour modes and cameras by class; photos without cues are not counted."""
    rows = [row for row in catalog.usable if row.path in cues]
    counted = (
        ("Format", {row.path: cues[row.path].format for row in rows}),
        ("Colour mode", {row.path: cues[row.path].mode for row in rows}),
        ("Camera", {row.path: cues[row.path].camera or NONE_NAMED for row in rows}),
    )
    return tuple(_tally(name, rows, values) for name, values in counted) if rows else ()


def _spread(numbers: Sequence[float]) -> Spread:
    least, low, median, high, most = np.percentile(numbers, (0, 5, 50, 95, 100)).tolist()
    return Spread(least=least, low=low, median=median, high=high, most=most)


def _ends(spreads: Sequence[Spread], *, margin: float) -> tuple[float, float]:
    low = min((spread.least for spread in spreads), default=1.0)
    high = max((spread.most for spread in spreads), default=1.0)
    return low / margin, high * margin


def _thin(ticks: Sequence[int], *, low: float, high: float) -> tuple[int, ...]:
    """Keep the ticks that have room: the powers of ten before the fives, those before the twos."""
    kept: dict[int, float] = {}
    for tick in sorted(ticks, key=lambda tick: TICK_RANKS.get(str(tick)[0], len(TICK_RANKS))):
        place = log_place(tick, low=low, high=high)
        if all(abs(place - other) >= TICK_ROOM for other in kept.values()):
            kept[tick] = place
    return tuple(sorted(kept))


def _size_count(size: tuple[int, int], labels: Counter[str]) -> SizeCount:
    label, num_label = min(labels.items(), key=lambda item: (-item[1], item[0]))
    return SizeCount(
        width=size[0], height=size[1], num=labels.total(), label=label, num_label=num_label
    )


def _tally(name: str, rows: Sequence[CatalogRow], values: Mapping[str, str]) -> Tally:
    totals = Counter(values.values())
    ordered = sorted(totals, key=lambda value: (-totals[value], value))
    kept, rare = ordered[:MAX_VALUES], ordered[MAX_VALUES:]
    by_class: dict[str, Counter[str]] = {}
    for row in rows:
        value = values[row.path] if values[row.path] in kept else OTHERS
        by_class.setdefault(row.label, Counter())[value] += 1
    shown = (*kept, *([OTHERS] if rare else []))
    return Tally(
        name=name,
        values=shown,
        totals=tuple(sum(counts[value] for counts in by_class.values()) for value in shown),
        rows=tuple(
            (label, tuple(by_class[label][value] for value in shown)) for label in sorted(by_class)
        ),
    )
