"""What a map of evidence comes to: heat over the photo, its share on the border, its likeness.

In: maps of `explain`, as NumPy arrays. Out: arrays and numbers.
Not covered: drawing (see `report.heat`).

Shapes: H height and W width of a map; G side of a fine grid.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.data.placement import Box
from fieldmark.evaluation.intervals import Estimate, bootstrap

BORDER = 0.1
"""The outer tenth of each side."""
BORDER_AREA = 1 - (1 - 2 * BORDER) ** 2
"""The share of the photo that is border: 36 %."""
GRID = 100
"""Places a side on which heat is measured, so that the border is a whole number of them."""
TINY = float(np.finfo(np.float64).tiny)
"""What is divided by where there is nothing."""


def heat_over(
    map_HW: NDArray[np.float32], box: Box, *, width: int, height: int
) -> NDArray[np.float32]:
    """Return the positive part of a map over a picture, (height, width), float32, 0 or more.

    Values between places are interpolated linearly, as Selvaraju et al. 2017 (section 3) do.

    Args:
        map_HW: what each place of the network's input adds to a logit.
        box: the part of that input where the photo lies.
        width: of the picture.
        height: of the picture.
    """
    rows, columns = map_HW.shape
    positive = Image.fromarray(np.maximum(map_HW, 0).astype(np.float32))
    resized = positive.resize((width, height), Image.Resampling.BILINEAR, box=box.of(columns, rows))
    return np.asarray(resized, dtype=np.float32)


def border_share(map_HW: NDArray[np.float32], box: Box) -> float | None:
    """Return how much of the heat lies on the outer tenth of each side of the photo, 0 to 1.

    Heat that is spread evenly has `BORDER_AREA` of it there. None where there is no heat at all.
    """
    heat_GG = heat_over(map_HW, box, width=GRID, height=GRID)
    total = float(heat_GG.sum(dtype=np.float64))
    edge = round(BORDER * GRID)
    inner = float(heat_GG[edge:-edge, edge:-edge].sum(dtype=np.float64))
    return 1 - inner / total if total > 0 else None


def mean_share(shares: Iterable[float | None]) -> Estimate | None:
    """Return the mean of shares of the border with its bootstrap interval over photos.

    Photos without heat count for nothing; None where there are no others.
    """
    known_N = np.array([share for share in shares if share is not None])
    if not len(known_N):
        return None
    (estimate,) = bootstrap(
        lambda indices_BN: known_N[indices_BN].mean(axis=1, keepdims=True),
        num_images=len(known_N),
        generator=np.random.default_rng(0),
    )
    return estimate


def mean_heat(maps: list[tuple[NDArray[np.float32], Box]]) -> NDArray[np.float32]:
    """Return where heat falls on average, (GRID, GRID), each photo's counting the same; sum 1.

    All zeros where no photo has any heat.
    """
    total_GG = np.zeros((GRID, GRID), dtype=np.float64)
    for map_HW, box in maps:
        heat_GG = heat_over(map_HW, box, width=GRID, height=GRID).astype(np.float64)
        total_GG += heat_GG / max(float(heat_GG.sum()), TINY)
    total_GG /= max(float(total_GG.sum()), TINY)
    return total_GG.astype(np.float32)


def likeness(one_HW: NDArray[np.float32], other_HW: NDArray[np.float32]) -> float:
    """Return the rank correlation of two maps, -1 to 1 (Spearman 1904); 0 where one is flat."""
    ranks = [_ranks(values.ravel()) for values in (one_HW, other_HW)]
    centred = [values - values.mean() for values in ranks]
    spread = float(np.sqrt(np.prod([(values**2).sum() for values in centred])))
    return float((centred[0] * centred[1]).sum()) / spread if spread > 0 else 0.0


def _ranks(values_N: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rank of each value, ties sharing the mean of theirs."""
    _, places_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places_N]
