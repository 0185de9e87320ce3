"""Whether a difference on the same photos may be chance: exact p-values, alone and among many.

In: by how many photos each group of photos favours one of two classifiers. Out: p-values.
Not covered: how large the difference is (`paired`).

Shapes: G groups of photos, S photos by which they differ in all.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05
"""Below it a difference is called one: 1 in 20 of pairs that are equally good, at the most."""


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the p-value of McNemar's exact test, in (0, 1], of two classifiers on single photos.

    Where both are equally good, each photo that only one of them names right is as likely to be
    the one's as the other's. The p-value is the chance of a division at least as uneven.
    Source: Q. McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 12 (1947), 153-157, with the binomial distribution
    in place of its approximation.

    Args:
        only_first: photos that only the first names right, 0 or more.
        only_second: photos that only the second names right, 0 or more.

    Raises:
        ValueError: a count is negative.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts must be 0 or more, met {only_first} and {only_second}")
    return sign_flip(np.repeat(np.array([-1, 1], dtype=np.int64), [only_first, only_second]))


def sign_flip(gains_G: NDArray[np.int64]) -> float:
    """Return the two-sided p-value of McNemar's test for photos that come in groups, in (0, 1].

    Where both classifiers are equally good, they can change places within any group without that
    it would show. The p-value is the share of all 2^G such exchanges after which the second is at
    least as far ahead, or behind, as it is; all of them are counted, not a sample. With groups of
    one it is `mcnemar`. It cannot be told from 0 below 1e-300.
    Source: R. A. Fisher, "The Design of Experiments" (1935), section 21.

    Args:
        gains_G: photos of each group that only the second names right, less those that only the
            first does.
    """
    sizes_G = np.abs(gains_G)
    num_of_size = np.bincount(sizes_G, minlength=2)
    # The chance of each sum of those sizes that fall to the second, 0 to S.
    chances = np.ones(1)
    for size in np.flatnonzero(num_of_size[1:]) + 1:
        chances = np.convolve(chances, _spread(_halves(int(num_of_size[size])), step=int(size)))
    behind = (int(sizes_G.sum()) - abs(int(gains_G.sum()))) // 2
    return min(1.0, 2.0 * float(chances[: behind + 1].sum()))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for their number, in their order, each at most 1.

    Calling those below 0.05 differences is wrong in even one of them in at most 1 of 20 cases.
    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6 (1979), 65-70.

    Args:
        p_values: of tests that are judged together, each in [0, 1].
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def _halves(num: int) -> NDArray[np.float64]:
    """Return the chances of 0 to `num` heads of as many fair coins, (num + 1,)."""
    heads = np.arange(num, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log((num - heads) / (heads + 1)))])
    result: NDArray[np.float64] = np.exp(logs - num * np.log(2.0))
    return result


def _spread(chances: NDArray[np.float64], *, step: int) -> NDArray[np.float64]:
    """Return chances of multiples of `step`, with zeros for the numbers between."""
    spread = np.zeros(step * (len(chances) - 1) + 1)
    spread[::step] = chances
    return spread
