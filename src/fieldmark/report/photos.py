"""The photos of a folder at a glance: how many of each class, and a few of each to look at.

In: a catalog, and sides of a split. Out: counts and samples, plain typed data.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from fieldmark.data.catalog import Catalog
from fieldmark.data.splits import TEST, TRAIN, VALIDATION
from fieldmark.report.entries import ClassCount, Photo

MAX_SAMPLES_PER_CLASS = 6
MAX_SAMPLES = 150
"""Keeps the sample thumbnails of a page with many classes under about 0.7 MB."""


def class_counts(labels_and_sides: Iterable[tuple[str, str]]) -> tuple[ClassCount, ...]:
    """Count photos by class and side, the classes by name; a side may be empty or unknown."""
    tally = Counter(labels_and_sides)
    totals = Counter[str]()
    for (label, _), num in tally.items():
        totals[label] += num
    counts = []
    for name in sorted(totals):
        train, validation, test = (tally[name, side] for side in (TRAIN, VALIDATION, TEST))
        elsewhere = totals[name] - train - validation - test
        counts.append(
            ClassCount(
                name=name, train=train, validation=validation, test=test, elsewhere=elsewhere
            )
        )
    return tuple(counts)


def samples_of(catalog: Catalog) -> dict[str, tuple[Photo, ...]]:
    """Return a few usable photos of each class, spread evenly; fewer where classes are many."""
    by_class: dict[str, list[Photo]] = {name: [] for name in catalog.classes}
    for row in catalog.usable:
        by_class[row.label].append(Photo(path=row.path, sha256=row.sha256))
    per_class = max(1, min(MAX_SAMPLES_PER_CLASS, MAX_SAMPLES // max(1, len(by_class))))
    shown = list(by_class)[:MAX_SAMPLES]
    return {name: pick_evenly(by_class[name], num=per_class) for name in shown}


def pick_evenly(items: Sequence[Photo], *, num: int) -> tuple[Photo, ...]:
    """Return up to `num` items spread evenly over the sequence, the first always among them."""
    num = min(num, len(items))
    return tuple(items[i * len(items) // num] for i in range(num))
