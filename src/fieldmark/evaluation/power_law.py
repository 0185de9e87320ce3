"""How an error falls with the number of training photos: a power law, fitted.

In: errors at several numbers of training photos. Out: `error = floor + scale * size ** -power`.
Not covered: measuring the errors (see `learning_curve`).

Source: the error of classifiers falls by a power law with an offset over wide ranges (C. Cortes et
al., "Learning curves: asymptotic values and rate of convergence", NIPS 1993; J. Hestness et al.,
"Deep learning scaling is predictable, empirically", arXiv:1712.00409). T. Viering and M. Loog,
"The shape of learning curves: a review", IEEE TPAMI 45 (2023), warn that not every curve does.

Shapes: B sets of errors (resamples, for instance), S sizes, P powers tried.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POWERS = np.geomspace(0.01, 1.5, 75)
"""The powers tried, each 7 % above the one before, from next to flat on: measured ones lie between
0.07 and 0.35 for networks trained in full (Hestness et al., table 1), and up to 1 in theory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """`error = floor + scale * size ** -power`, all of them 0 or more."""

    floor: float
    """The share of mistakes that no number of photos would take away."""
    scale: float
    power: float

    def error(self, size: float) -> float:
        """Return the error at a number of training photos, a share."""
        return self.floor + self.scale * math.pow(size, -self.power)


def fit_power_laws(
    sizes_S: Floats,
    errors_BS: Floats,
    *,
    weights_S: Floats,
    has_floor_B: NDArray[np.bool_] | None = None,
) -> Floats:
    """Fit a power law to each set of errors by weighted least squares.

    For each power tried, floor and scale are the best that are not negative; the power with the
    smallest sum of squares is taken.

    Args:
        sizes_S: numbers of training photos, at least two different ones, over 0.
        errors_BS: shares in 0..1.
        weights_S: of the squares, over 0.
        has_floor_B: whether each law may have a floor; None: all may.

    Returns:
        floor, scale and power of each, (B, 3).
    """
    # Sizes are taken relative to the largest, so that no power makes tiny numbers.
    basis_PS = (sizes_S / sizes_S.max())[None, :] ** -POWERS[:, None]
    if has_floor_B is None:
        has_floor_B = np.ones(len(errors_BS), dtype=np.bool_)
    floor_PB, scale_PB = _non_negative(basis_PS, errors_BS, weights_S, has_floor_B)
    fitted_PBS = floor_PB[..., None] + scale_PB[..., None] * basis_PS[:, None, :]
    squares_PB = (fitted_PBS - errors_BS[None]) ** 2 @ weights_S
    best_B = squares_PB.argmin(axis=0)
    each_B = np.arange(len(errors_BS))
    power_B = POWERS[best_B]
    scale_B = scale_PB[best_B, each_B] * sizes_S.max() ** power_B
    result: Floats = np.column_stack([floor_PB[best_B, each_B], scale_B, power_B])
    return result


def errors_at(laws_B3: Floats, size: float) -> Floats:
    """Return the error of each power law, (B,), at a number of training photos."""
    floor_B, scale_B, power_B = laws_B3.T
    result: Floats = floor_B + scale_B * size**-power_B
    return result


def _non_negative(
    basis_PS: Floats, errors_BS: Floats, weights_S: Floats, has_floor_B: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return floor and scale, each (P, B), of the line `floor + scale * basis` that fits best.

    Where the best line has a negative part, that part is 0 and the other is fitted alone: with two
    unknowns this is the least-squares solution under the condition.
    """
    total = weights_S.sum()
    basis_P1 = (basis_PS @ weights_S / total)[:, None]
    errors_B = errors_BS @ weights_S / total
    squares_P1 = (basis_PS**2 @ weights_S / total)[:, None]
    products_PB = (basis_PS * weights_S) @ errors_BS.T / total
    spread_P1 = squares_P1 - basis_P1**2
    scale_PB = (products_PB - basis_P1 * errors_B) / spread_P1
    floor_PB = errors_B - scale_PB * basis_P1
    alone_PB = (floor_PB < 0) | ~has_floor_B
    flat_PB = (scale_PB < 0) & has_floor_B
    scale_PB = np.where(alone_PB, products_PB / squares_P1, np.maximum(scale_PB, 0.0))
    floor_PB = np.where(flat_PB, errors_B, np.where(alone_PB, 0.0, floor_PB))
    return floor_PB, scale_PB
