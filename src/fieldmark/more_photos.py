"""Would more photos help? Learning again from fewer of them, to see where it leads.

In: a run's photos, divided, and their features by the backbone as it comes. Out: `LearningCurve`.
A linear head is fitted to some of the photos learned from, several sizes and draws, each judged by
the same test photos. That takes seconds, since the features are there already.
Not covered: what a network trained in full would make of fewer photos.

Shapes: N photos, F features.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.collect import Collected
from fieldmark.data.split_table import TEST, VALIDATION, SplitRow
from fieldmark.evaluation.learning_curve import MIN_REACH, Trial, learning_curve
from fieldmark.evaluation.learning_curve_document import LearningCurve
from fieldmark.stages import Embedded
from fieldmark.training.probe import Labelled, LinearHead, fit_head

NUM_SIZES = 6
SMALLEST_SHARE = 1 / 32
"""Of the photos: a power law that is to hold twice or four times as far on is fitted to five
doublings, no more, as curves bend where photos are very few (Hestness et al. 2017, figure 6)."""
MIN_MEAN, MIN_EACH = 4, 2
"""Photos of a class at the smallest size: on average, and of the rarest."""
MAX_REPEATS = 3
MAX_PRODUCTS = 1e9
"""Photos times features times classes over all fits: with eight classes and 1,728 features, 14,000
photos in all take about 5 s on one core, and the time grows in proportion. What is beyond it has
fewer repeats, or no curve."""

METHOD = (
    "Measured with a linear head on frozen features, fitted with the same strength ({l2:g}) to "
    "{sizes} numbers of {learned}, smaller ones {repeats} over with other photos{note}."
)
NOT_THE_RUN = "; the network of this run was trained further, and may make more of more photos"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """Some of the photos learned from: how many of each class, and which."""

    sizes: Mapping[str, int]
    paths: tuple[str, ...]


def measure(
    collected: Collected,
    embedded: Embedded | None,
    *,
    l2: float,
    seed: int,
    is_probe: bool,
) -> LearningCurve | None:
    """Measure the accuracy by the number of photos learned from, and look ahead.

    Args:
        collected: the photos.
        embedded: their features; without them nothing is measured.
        l2: the strength of the penalty of all heads.
        seed: of the draws.
        is_probe: whether the run itself is such a head.

    Returns:
        None where there are no features, too few photos, or so many that it would take long.
    """
    splits = collected.splits
    learned = [row for row in splits.rows if row.split != TEST]
    test = [row for row in splits.rows if row.split == TEST]
    classes = sorted({row.label for row in learned})
    if embedded is None or len(classes) < 2 or not {row.label for row in test} <= set(classes):
        return None
    cost = embedded.features_MF.shape[1] * len(classes)
    draws = draw(learned, seed=seed, max_photos=MAX_PRODUCTS / cost)
    if not draws or not test:
        return None
    sizes = {len(one.paths) for one in draws}
    return learning_curve(
        [_trial(one, learned, test, embedded=embedded, l2=l2) for one in draws],
        labels=[row.label for row in test],
        groups=[row.group or row.path for row in test],
        method=METHOD.format(
            l2=l2,
            sizes=len(sizes),
            learned="training and validation photos"
            if splits.paths(VALIDATION)
            else "training photos",
            repeats=_times(len(draws) > len(sizes)),
            note="" if is_probe else NOT_THE_RUN,
        ),
        seed=seed,
    )


def draw(learned: Sequence[SplitRow], *, seed: int, max_photos: float) -> list[_Draw]:
    """Draw photos of each class in proportion, several sizes and several times.

    Photos of one group come one after the other, so that half of the photos hold about half of the
    groups, as half of the work of taking photos would. The draws of one repeat lie within each
    other, all photos in the largest.

    Args:
        learned: the photos learned from.
        seed: of the draws.
        max_photos: how many photos all draws may have together.

    Returns:
        Nothing where photos are too few for several sizes, or too many.
    """
    of_class: dict[str, list[SplitRow]] = {}
    for row in learned:
        of_class.setdefault(row.label, []).append(row)
    smallest = max(SMALLEST_SHARE, MIN_MEAN * len(of_class) / max(1, len(learned)))
    if smallest * MIN_REACH > 1:
        return []
    shares = np.geomspace(smallest, 1.0, NUM_SIZES).tolist()
    for most in range(MAX_REPEATS, 0, -1):
        repeats = [min(most, math.ceil(1 / share - 1e-9)) for share in shares]
        photos = len(learned) * sum(map(float.__mul__, shares, map(float, repeats)))
        if photos <= max_photos:
            break
    else:
        return []
    generator = np.random.default_rng(seed)
    shuffled = [
        {name: _by_groups(rows, generator) for name, rows in sorted(of_class.items())}
        for _ in range(max(repeats))
    ]
    return [
        _some(shuffled[place], share=share)
        for share, times in zip(shares, repeats, strict=True)
        for place in range(times)
    ]


def _by_groups(rows: Sequence[SplitRow], generator: np.random.Generator) -> list[str]:
    """Return the paths with the groups in a random order, and their photos within them."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row.group or row.path, []).append(row.path)
    members = list(groups.values())
    return [
        path
        for place in generator.permutation(len(members))
        for path in generator.permutation(members[place]).tolist()
    ]


def _some(shuffled: Mapping[str, Sequence[str]], *, share: float) -> _Draw:
    sizes = {
        name: min(len(paths), max(MIN_EACH, round(share * len(paths))))
        for name, paths in shuffled.items()
    }
    paths = tuple(path for name, size in sizes.items() for path in shuffled[name][:size])
    return _Draw(sizes=sizes, paths=paths)


def _trial(
    drawn: _Draw,
    learned: Sequence[SplitRow],
    test: Sequence[SplitRow],
    *,
    embedded: Embedded,
    l2: float,
) -> Trial:
    label_of = {row.path: row.label for row in learned}
    classes = sorted(drawn.sizes)
    index = {name: number for number, name in enumerate(classes)}
    head = fit_head(
        Labelled(
            features_NF=embedded.take(drawn.paths),
            labels_N=np.array([index[label_of[path]] for path in drawn.paths], dtype=np.int64),
        ),
        l2=l2,
        num_classes=len(classes),
    )
    return Trial(sizes=drawn.sizes, right_N=_right(head, test, embedded, index=index))


def _right(
    head: LinearHead, test: Sequence[SplitRow], embedded: Embedded, *, index: Mapping[str, int]
) -> NDArray[np.bool_]:
    predicted_N = head.logits(embedded.take(row.path for row in test)).argmax(axis=1)
    right_N: NDArray[np.bool_] = predicted_N == np.array([index[row.label] for row in test])
    return right_N


def _times(several: bool) -> str:  # noqa: FBT001
    return "several times" if several else "each once"
