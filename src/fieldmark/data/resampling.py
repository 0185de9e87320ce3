"""The weights by which pixels are averaged when a photo is resized, and resizing by them in NumPy.

In: lengths, and RGB pixels. Out: whole-number weights, and the pixels at another size.
torch's arithmetic on bytes, to the bit: weights as whole numbers of 15 bits, rows first, rounded to
bytes in between. It is what `resizing` does where torch is not installed, and the plan after which
the exported graph resizes (`models.resize_graph`).
Shapes: H height, W width, L length before, O length after, K pixels a weight is given to.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_WEIGHT = 1 << 15
"""Weights stay below this: they are numbers of 16 bits with a sign."""
MAX_PRECISION = 22
"""Bits after the point at most, of which as many are taken as the largest weight allows."""
CUBIC, CUBIC_ANTIALIASED = -0.75, -0.5
"""The free number of Keys' cubic filter (1981): OpenCV's and, antialiased, Pillow's choice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """What each pixel after resizing takes of the pixels before."""

    first_O: NDArray[np.int64]
    """The first pixel that it takes something of."""
    weights_OK: NDArray[np.int32]
    """What it takes of that one and the next ones, in parts of 2 to the power of `precision`."""
    precision: int

    def dense(self, length: int) -> NDArray[np.float64]:
        """Return the weights as a matrix of (O, length)."""
        num, taps = self.weights_OK.shape
        matrix_OL = np.zeros((num, length + taps))
        places_OK = self.first_O[:, None] + np.arange(taps)
        np.put_along_axis(matrix_OL, places_OK, self.weights_OK.astype(np.float64), axis=1)
        return matrix_OL[:, :length]


def weights_for(length: int, wanted: int, *, interpolation: str, antialias: bool) -> Weights:
    """Return the weights from `length` pixels to `wanted` ones.

    Args:
        length: 1 or more.
        wanted: 1 or more.
        interpolation: bilinear or bicubic.
        antialias: whether the filter grows as the photo is reduced. Not for bilinear without it,
            which `resizing` does as OpenCV does.
    """
    if antialias:
        first_O, shares_OK = _antialiased(length, wanted, is_cubic=interpolation == "bicubic")
        largest = shares_OK.max()
    else:
        assert interpolation == "bicubic", "bilinear without antialiasing is OpenCV's"
        first_O, shares_OK, largest = _nearest_four(length, wanted)
    precision = sum(
        int(0.5 + largest * (1 << bits)) < MAX_WEIGHT for bits in range(1, MAX_PRECISION + 1)
    )
    whole_OK = np.trunc(shares_OK * (1 << precision) + np.copysign(0.5, shares_OK))
    return Weights(first_O=first_O, weights_OK=whole_OK.astype(np.int32), precision=precision)


def resampled(
    pixels_HW3: NDArray[np.uint8], size: tuple[int, int], *, interpolation: str, antialias: bool
) -> NDArray[np.uint8]:
    """Return the pixels at `size` (height, width); see `weights_for` for the rest."""
    for axis in (1, 0):
        length, wanted = pixels_HW3.shape[axis], size[axis]
        if length != wanted:
            weights = weights_for(length, wanted, interpolation=interpolation, antialias=antialias)
            pixels_HW3 = _averaged(pixels_HW3, weights, axis=axis)
    return pixels_HW3


def _averaged(pixels_HW3: NDArray[np.uint8], weights: Weights, *, axis: int) -> NDArray[np.uint8]:
    last = pixels_HW3.shape[axis] - 1
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    total = np.int32(1 << (weights.precision - 1))
    for tap, weights_O in enumerate(weights.weights_OK.T):
        places_O = np.minimum(weights.first_O + tap, last)  # past the end the weight is 0
        taken = np.take(pixels_HW3, places_O, axis=axis).astype(np.int32)
        total = total + taken * weights_O.reshape(shape)
    return (total >> weights.precision).clip(0, 255).astype(np.uint8)


def _antialiased(
    length: int, wanted: int, *, is_cubic: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    scale = length / wanted
    grown = max(scale, 1.0)
    support = (2.0 if is_cubic else 1.0) * grown
    centre_O = scale * (np.arange(wanted) + 0.5)
    first_O = np.maximum((centre_O - support + 0.5).astype(np.int64), 0)
    end_O = np.minimum((centre_O + support + 0.5).astype(np.int64), length)
    places_OK = first_O[:, None] + np.arange((end_O - first_O).max())
    distance_OK = np.abs((places_OK - centre_O[:, None] + 0.5) * (1.0 / grown))
    shares_OK = _cubic(distance_OK, CUBIC_ANTIALIASED) if is_cubic else _linear(distance_OK)
    shares_OK = np.where(places_OK < end_O[:, None], shares_OK, 0.0)
    return first_O, shares_OK / shares_OK.sum(axis=1, keepdims=True)


def _nearest_four(
    length: int, wanted: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], np.float64]:
    """Return the first pixels, the shares, and the largest share met while they were added up."""
    place_O = (length / wanted) * (np.arange(wanted) + 0.5) - 0.5
    below_O = np.minimum(np.floor(place_O).astype(np.int64), length - 1)
    beyond_O = np.clip(place_O - below_O, 0.0, 1.0)
    # At the edges the outermost pixel stands for those beyond it, too.
    places_O4 = np.clip(below_O[:, None] + np.arange(-1, 3), 0, length - 1)
    shares_O4 = _cubic(np.abs(np.arange(-1, 3) - beyond_O[:, None]), CUBIC)
    first_O, rows_O = places_O4[:, 0], np.arange(wanted)
    added_O4, largest = np.zeros((wanted, 4)), np.float64(0)
    for tap in range(4):
        added_O4[rows_O, places_O4[:, tap] - first_O] += shares_O4[:, tap]
        # torch takes the largest on the way, which negative shares may have lowered again.
        largest = max(largest, added_O4.max())
    return first_O, added_O4, largest


def _linear(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(distance < 1, 1 - distance, 0.0)


def _cubic(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))
