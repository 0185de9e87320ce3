"""Two classifiers on the same photos: how far apart are their accuracies?

In: which photos each names right. Out: the difference with its interval.
Not covered: classifiers judged on different photos.

Shapes: N images, G groups.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import Estimate, bootstrap, wilson_interval


def accuracy_difference(
    before_N: NDArray[np.bool_],
    after_N: NDArray[np.bool_],
    *,
    groups: Sequence[str],
    generator: np.random.Generator,
) -> Estimate:
    """Estimate accuracy after minus accuracy before, as a share in [-1, 1].

    The bootstrap is paired (each photo's two outcomes stay together) and clustered (whole groups
    are drawn, as near-duplicates are no independent evidence): Davison and Hinkley, "Bootstrap
    Methods and their Application" (1997), section 3.8. Where both agree on every photo there is
    nothing to resample; the interval then reaches as far either way as Wilson's for no
    disagreement among as many groups.

    Args:
        before_N: whether the first classifier names each photo right.
        after_N: whether the second one does.
        groups: the group of each photo.
        generator: the source of the draws.

    Raises:
        ValueError: without a photo, or where the lengths differ.
    """
    if not len(before_N) == len(after_N) == len(groups) or not len(groups):
        raise ValueError(
            f"one outcome of each and a group for every photo, at least one: met {len(before_N)}, "
            f"{len(after_N)} and {len(groups)}"
        )
    names = sorted(set(groups))
    index = {name: place for place, name in enumerate(names)}
    of_group_N = np.array([index[group] for group in groups])
    gains_N = after_N.astype(np.float64) - before_N.astype(np.float64)
    gain_G = np.bincount(of_group_N, weights=gains_N, minlength=len(names))
    size_G = np.bincount(of_group_N, minlength=len(names)).astype(np.float64)

    def statistics(indices_BG: NDArray[np.int64]) -> NDArray[np.float64]:
        mean_B: NDArray[np.float64] = gain_G[indices_BG].sum(axis=1) / size_G[indices_BG].sum(
            axis=1
        )
        return mean_B[:, None]

    if not gains_N.any():
        reach = wilson_interval(0, len(names)).high
        return Estimate(value=0.0, low=-reach, high=reach)
    return bootstrap(statistics, num_images=len(names), generator=generator)[0]
