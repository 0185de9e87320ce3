"""Lay one small picture over another: which part of the second shows what the first shows.

In: pairs of thumbnails that may be cropped or shifted against each other by a tenth of their side.
Out: for each axis a scale and a shift, and the second picture sampled accordingly.
Not covered: turns and mirrors (`similarity` undoes them first), rotation by small angles.

The method is that of Lucas and Kanade (1981) with four parameters: Gauss-Newton steps that minimise
the squared difference, with the gradient taken from the mean of both pictures.

Shapes: N pairs, S side of the pictures, C channels. Coordinates run from -1 to 1 over a side.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LARGEST_MOVE = 0.25
"""Scales and shifts stay below this: an eighth of the side, more than any slight crop takes."""
DAMPING = 1e-3
"""Added to the normal equations in parts of their trace: a flat picture then stays where it is."""


def pixel_centres(side: int) -> Floats:
    """Return the coordinates of the middles of `side` pixels, -1 to 1."""
    return ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)


def align(first_NSS: Floats, second_NSS: Floats, start_N4: Floats, *, num_steps: int) -> Floats:
    """Return the moves that lay each second picture over the first.

    Args:
        first_NSS: one channel, any unit.
        second_NSS: likewise.
        start_N4: moves to start from, zeros where nothing is known.
        num_steps: Gauss-Newton steps.

    Returns:
        Per pair `(scale_x, shift_x, scale_y, shift_y)`: what the first shows at x is found in the
        second at `(1 + scale_x) * x + shift_x`.
    """
    side = first_NSS.shape[1]
    moves_N4 = start_N4
    first_dy, first_dx = _gradients(first_NSS)
    at_x, at_y = pixel_centres(side), pixel_centres(side)[:, None]
    for _ in range(num_steps):
        rows, columns, inside_NSS = sampling(moves_N4, side)
        moved_NSS = resample(second_NSS, rows, columns)
        moved_dy, moved_dx = _gradients(moved_NSS)
        dx = (first_dx + moved_dx) * (inside_NSS * np.float32(0.5))
        dy = (first_dy + moved_dy) * (inside_NSS * np.float32(0.5))
        error_NSS = centred(first_NSS - moved_NSS, inside_NSS)
        slopes_N4SS = np.stack([dx * at_x, dx, dy * at_y, dy], axis=1)
        step_N4 = _solve(slopes_N4SS.reshape(len(dx), 4, -1), error_NSS.reshape(len(dx), -1, 1))
        moves_N4 = np.clip(np.add(moves_N4, step_N4), -LARGEST_MOVE, LARGEST_MOVE)
    return moves_N4


def inverted(moves_N4: Floats) -> Floats:
    """Return the moves that lay the first picture over the second."""
    scale_N2, shift_N2 = 1 + moves_N4[:, 0::2], moves_N4[:, 1::2]
    inverse_N22 = np.stack([1 / scale_N2 - 1, -shift_N2 / scale_N2], axis=2)
    inverse_N4: Floats = inverse_N22.reshape(-1, 4)
    return inverse_N4


def sampling(moves_N4: Floats, side: int) -> tuple[Floats, Floats, Floats]:
    """Return how to sample pictures of `side` pixels that are moved.

    Returns:
        Matrices for `resample` that interpolate linearly along rows and along columns (N, S, S);
        and 1 where the pixel lies within the second picture, 0 elsewhere (N, S, S).
    """
    columns, inside_x = _sampling_of_axis(moves_N4[:, :2], side)
    rows, inside_y = _sampling_of_axis(moves_N4[:, 2:], side)
    return rows, columns, inside_y[:, :, None] * inside_x[:, None, :]


def resample(pictures: Floats, rows: Floats, columns: Floats) -> Floats:
    """Return `rows @ picture @ columns.T` for each of the pictures (..., S, S)."""
    resampled: Floats = np.matmul(np.matmul(rows, pictures), np.swapaxes(columns, -2, -1))
    return resampled


def mean(pictures: Floats, inside: Floats) -> Floats:
    """Return the mean of pictures (..., S, S) over what is inside (..., 1, 1)."""
    total = (pictures * inside).sum(axis=(-2, -1), keepdims=True)
    mean_of_each: Floats = total / inside.sum(axis=(-2, -1), keepdims=True)
    return mean_of_each


def centred(pictures: Floats, inside: Floats) -> Floats:
    """Return pictures (..., S, S) less their mean over what is inside, and 0 outside."""
    return (pictures - mean(pictures, inside)) * inside


def spread(pictures: Floats, inside: Floats) -> Floats:
    """Return the standard deviation of pictures (..., S, S) over what is inside."""
    deviation: Floats = np.sqrt(mean(centred(pictures, inside) ** 2, inside)[..., 0, 0])
    return deviation


def correlation(first: Floats, second: Floats, inside: Floats) -> Floats:
    """Return Pearson's correlation of pictures (N, S, S) or (N, C, S, S) over what is inside.

    Channels are centred one by one and then taken together. Plain pictures correlate by 0.
    """
    first, second = centred(first, inside), centred(second, inside)
    over = tuple(range(1, first.ndim))
    norm_N = np.sqrt((first**2).sum(axis=over) * (second**2).sum(axis=over))
    product_N: Floats = (first * second).sum(axis=over) / np.maximum(norm_N, 1e-6)
    return product_N


def _sampling_of_axis(moves_N2: Floats, side: int) -> tuple[Floats, Floats]:
    found_NS = (1 + moves_N2[:, :1]) * pixel_centres(side) + moves_N2[:, 1:]
    pixel_NS = np.clip((found_NS + 1) / 2 * side - 0.5, 0, side - 1)
    distance_NSS = np.abs(pixel_NS[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - distance_NSS), (np.abs(found_NS) <= 1).astype(np.float32)


def _gradients(pictures_NSS: Floats) -> tuple[Floats, Floats]:
    """Return the slopes along y and along x, per unit of the coordinates."""
    per_unit = np.float32(pictures_NSS.shape[1] / 4)  # a central difference spans two pixels
    dy, dx = np.zeros_like(pictures_NSS), np.zeros_like(pictures_NSS)
    dy[:, 1:-1] = (pictures_NSS[:, 2:] - pictures_NSS[:, :-2]) * per_unit
    dx[:, :, 1:-1] = (pictures_NSS[:, :, 2:] - pictures_NSS[:, :, :-2]) * per_unit
    return dy, dx


def _solve(slopes: Floats, error: Floats) -> Floats:
    """Return the damped least-squares step for slopes (N, 4, pixels) and error (N, pixels, 1)."""
    normal_N44 = slopes @ slopes.transpose(0, 2, 1)
    damping_N = DAMPING * (np.trace(normal_N44, axis1=1, axis2=2) + 1)
    normal_N44 += damping_N[:, None, None] * np.eye(4, dtype=np.float32)
    step: Floats = np.linalg.solve(normal_N44, slopes @ error)[:, :, 0]
    return step
