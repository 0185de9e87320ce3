"""Estimates: a value with its 95 % interval.

In: counts of successes, or a statistic that can be recomputed on resampled images.
Out: an `Estimate`.
Not covered: differences between two models, and the spread over training seeds. Both intervals
speak of the choice of test images only.

Shapes: N images, G groups of images, R resamples, B resamples in one block, K statistics.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964
"""The 97.5 % point of the standard normal distribution: two-sided 95 %."""

NUM_RESAMPLES = 1000
"""For percentile intervals Efron and Tibshirani (1993, ch. 13) take 1000 resamples or more."""

QUANTILES_95 = (0.025, 0.975)

DRAWS_PER_BLOCK = 1 << 20
"""Image indices drawn at once: 8 MiB, so that memory does not grow with the number of resamples."""

Statistics = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Maps image indices (B, N) to statistics (B, K), one row for each resample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number computed from a sample, with the interval that says how sure it is.

    Raises:
        ValueError: unless all three are finite and `low <= value <= high`.
    """

    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"an interval must be finite, met {self.low} to {self.high}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.value} lies outside its interval {self.low} to {self.high}")

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def format_percent(estimate: Estimate) -> str:
    """Return a proportion in percent, as in `95.83 % (94.9 to 96.6)`."""
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.2f} % ({low:.1f} to {high:.1f})"


def wilson_interval(successes: int, total: int) -> Estimate:
    """Estimate a proportion with its 95 % Wilson score interval.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927), 209-212.

    Args:
        successes: between 0 and `total`.
        total: the number of trials. With none, the value is 0 and the interval 0 to 1:
            nothing is known.

    Raises:
        ValueError: if `successes` is not between 0 and `total`.
    """
    if not 0 <= successes <= total:
        raise ValueError(f"successes must lie between 0 and {total}, met {successes}")
    if total == 0:
        return Estimate(value=0.0, low=0.0, high=1.0)
    value, spread = successes / total, Z_95**2 / total
    centre = value + spread / 2
    half_width = math.sqrt(spread * (value * (1 - value) + spread / 4))
    # Rounding can push an end past 0 or 1, or leave a value of 0 or 1 just outside.
    return _enclosing(
        value,
        low=max(0.0, (centre - half_width) / (1 + spread)),
        high=min(1.0, (centre + half_width) / (1 + spread)),
    )


def bootstrap(
    statistics: Statistics,
    *,
    num_images: int,
    generator: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
    groups_N: NDArray[np.int64] | None = None,
) -> list[Estimate]:
    """Estimate statistics with 95 % percentile bootstrap intervals over images.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 13.
    Where some images belong together, whole groups are drawn, as many as there are: copies of one
    image are no independent evidence (A. Davison and D. Hinkley, "Bootstrap Methods and their
    Application" (1997), section 3.8). A resample then has as many images as its groups. A single
    group leaves nothing to draw from; then images are drawn.
    All statistics see the same resamples. A percentile interval can miss the value of a biased
    statistic (the calibration error grows under resampling); it is then widened to reach it.
    It has no width where all resamples agree, as with a sample without a single error.

    Args:
        statistics: maps image indices (B, N) int64 to values (B, K) float64, all finite.
        num_images: N, at least 1.
        generator: the source of the draws.
        num_resamples: R, at least 1.
        groups_N: the group of each image, as any integers; None where each stands alone.

    Returns:
        K estimates; each value is the statistic of the images themselves, each once.

    Raises:
        ValueError: if `num_images` or `num_resamples` is below 1, or there is not a group for each
            image.
    """
    if groups_N is not None and len(groups_N) != num_images:
        raise ValueError(f"{num_images} images need as many groups, met {len(groups_N)}")
    if min(num_images, num_resamples) < 1:
        raise ValueError(
            f"a bootstrap needs at least one image and one resample, "
            f"met {num_images} and {num_resamples}"
        )
    value_K = statistics(np.arange(num_images, dtype=np.int64)[None])[0]
    if groups_N is not None and 1 < len(np.unique(groups_N)) < num_images:
        blocks = _group_blocks(groups_N, num_resamples=num_resamples, generator=generator)
    else:
        blocks = _index_blocks(num_images, num_resamples=num_resamples, generator=generator)
    resampled_RK = np.concatenate([statistics(indices_BN) for indices_BN in blocks])
    low_K, high_K = np.quantile(resampled_RK, QUANTILES_95, axis=0)
    ends = zip(value_K.tolist(), low_K.tolist(), high_K.tolist(), strict=True)
    return [_enclosing(value, low=low, high=high) for value, low, high in ends]


def group_indices(
    paths: Sequence[str], groups: Mapping[str, str] | None
) -> NDArray[np.int64] | None:
    """Return the group of each image as an index, (N,), for `bootstrap`; None without groups.

    Args:
        paths: of the images.
        groups: the group of each path. One that is missing or has an empty group stands alone.
    """
    if groups is None:
        return None
    known: dict[tuple[bool, str], int] = {}
    keys = ((True, groups[path]) if groups.get(path) else (False, path) for path in paths)
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def _index_blocks(
    num_images: int, *, num_resamples: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield `num_resamples` rows of `num_images` indices in blocks (B, N)."""
    block = max(1, DRAWS_PER_BLOCK // num_images)
    for start in range(0, num_resamples, block):
        rows = min(block, num_resamples - start)
        yield generator.integers(num_images, size=(rows, num_images), dtype=np.int64)


def _group_blocks(
    groups_N: NDArray[np.int64], *, num_resamples: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield the image indices of one resample at a time, (1, images of the groups drawn)."""
    _, group_N = np.unique(groups_N, return_inverse=True)
    members_N = np.argsort(group_N, kind="stable")
    size_G = np.bincount(group_N)
    first_G = np.cumsum(size_G) - size_G
    for _ in range(num_resamples):
        drawn_G = generator.integers(len(size_G), size=len(size_G), dtype=np.int64)
        sizes_G = size_G[drawn_G]
        ends_G = np.cumsum(sizes_G)
        within = np.arange(ends_G[-1]) - np.repeat(ends_G - sizes_G, sizes_G)
        yield members_N[np.repeat(first_G[drawn_G], sizes_G) + within][None].astype(np.int64)


def _enclosing(value: float, *, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=min(low, value), high=max(high, value))
