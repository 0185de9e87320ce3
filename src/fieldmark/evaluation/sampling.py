"""A part of a table of predictions that stands for the whole.

In: `Predictions`, and how many. Out: fewer of them, each class by its share.

Shapes: N images.
"""

import hashlib
from collections.abc import Mapping

import numpy as np

from fieldmark.base.errors import DataError
from fieldmark.evaluation.predictions import Predictions


def take_sample(tested: Predictions, *, max_photos: int, seed: int) -> Predictions:
    """Return at most `max_photos` photos, each class by its share of all, in their order.

    Within a class those come first whose path has the lowest digest with the seed: a larger sample
    holds the smaller one's photos of each class, or all but a few.

    Raises:
        DataError: `max_photos` is below the number of classes that have photos, or `seed` below 0.
    """
    labels = tested.labels_N.tolist()
    sizes = {label: labels.count(label) for label in dict.fromkeys(sorted(labels))}
    if max_photos < len(sizes):
        raise DataError(
            f"--max-photos is {max_photos}, and the test photos are of {len(sizes)} classes. "
            f"Allowed: {len(sizes)} or more."
        )
    if seed < 0:
        raise DataError(f"--seed is {seed}; allowed: 0 or more.")
    quotas = _quotas(sizes, most=min(max_photos, len(labels)))

    def draw(place: int) -> str:
        return hashlib.sha256(f"{seed}\0{tested.paths[place]}".encode()).hexdigest()

    chosen_N = np.zeros(len(labels), dtype=np.bool_)
    for label, quota in quotas.items():
        places = [place for place, one in enumerate(labels) if one == label]
        chosen_N[sorted(places, key=draw)[:quota]] = True
    return tested.take(chosen_N)


def _quotas(sizes: Mapping[int, int], *, most: int) -> dict[int, int]:
    """Divide `most` among classes by their sizes, largest remainder first, at least 1 for each."""
    whole = sum(sizes.values())
    exact = {label: max(1.0, most * size / whole) for label, size in sizes.items()}
    quotas = {label: int(share) for label, share in exact.items()}
    spare = most - sum(quotas.values())
    for label in sorted(exact, key=lambda one: (quotas[one] - exact[one], one))[: max(spare, 0)]:
        quotas[label] += 1
    while sum(quotas.values()) > most:  # small classes took more than their share
        quotas[max(quotas, key=lambda one: (quotas[one], -one))] -= 1
    return quotas
