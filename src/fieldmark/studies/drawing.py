"""Training photos drawn anew, for trials that nothing else at random tells apart.

In: labels and groups. Out: the places of the photos drawn. Shapes: N photos.
"""

import numpy as np
from numpy.typing import NDArray


def bootstrap(
    labels_N: NDArray[np.int64], groups_N: NDArray[np.int64], *, seed: int
) -> NDArray[np.int64]:
    """Draw photos with replacement, group by group within each class, as many groups as it has.

    Efron and Tibshirani 1993, section 8.6; by class, so that none can be missing.

    Args:
        labels_N: the class of each photo.
        groups_N: numbers that are the same for photos which belong together.
        seed: the same draws the same photos.

    Returns:
        Their places, about as many as there are photos.
    """
    rng = np.random.default_rng([seed, len(labels_N)])
    drawn = []
    for label in np.unique(labels_N):
        members = np.flatnonzero(labels_N == label)
        ids, group_of = np.unique(groups_N[members], return_inverse=True)
        by_group = np.split(
            members[np.argsort(group_of, kind="stable")], np.cumsum(np.bincount(group_of))[:-1]
        )
        drawn += [by_group[place] for place in rng.integers(len(ids), size=len(ids))]
    places_N: NDArray[np.int64] = np.concatenate(drawn)
    return places_N
