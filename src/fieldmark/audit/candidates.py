"""Which of many thumbnails may show the same photo: an index instead of comparing all pairs.

In: thumbnails. Out: pairs whose descriptors lie close together, streamed in blocks.
Not covered: whether they do show the same photo (`similarity`).

A descriptor holds few numbers that a turn or a mirror leaves as they are, and a slight crop nearly:
mean colour and the lowest frequencies under a window that fades towards the borders, since that is
where a crop takes away. Mirrors change only the signs of cosine coefficients, a transposition swaps
them in pairs: so of each pair their magnitudes' sum and difference are kept. Coefficients are put
on a scale that is linear near zero and logarithmic above (asinh), as differences grow with them.

Shapes: N photos, S side, C luma and two chroma channels, D descriptor, K pairs.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.alignment import Floats, pixel_centres

RADIUS = 8.5
"""How far apart descriptors may lie, in units of what a crop changes in each number. Of 500 photos
of Natural Images 99.6 % stay this close to themselves when 5 % is cropped off each side, and all
that are encoded anew, resized or mirrored stay within 4; of the pairs of its 6,899 photos, one in
3,600 lies as close."""
MEAN_UNITS = (3.5, 1.0, 1.0)
"""What such a crop changes in the mean of luma and chroma: standard deviation in grey levels."""
COEFFICIENT_UNITS = (0.30, 0.15, 0.15)
"""Likewise in coefficients on the asinh scale."""
NUM_FREQUENCIES = (6, 3, 3)
"""Coefficients (u, v) with u + v below this, for luma and the two chroma channels."""
LINEAR_UP_TO = 2.0
"""Grey levels up to which the asinh scale is nearly linear: below is mostly noise."""
BLOCK_PHOTOS = 64
"""Photos whose neighbours are sought at once: bounds memory at this times all photos."""

JFIF = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
    dtype=np.float32,
)
"""RGB to luma and chroma as JPEG files have it (ITU-T T.871), chroma around 0."""


def luma_chroma(thumbnails_NSSC: NDArray[np.uint8]) -> Floats:
    """Return RGB pictures as planes (N, C, S, S): luma (0 to 255), two of chroma (-128 to 127)."""
    pictures_NSSC = thumbnails_NSSC.astype(np.float32) @ JFIF.T
    return np.ascontiguousarray(pictures_NSSC.transpose(0, 3, 1, 2))


def describe(pictures_NCSS: Floats) -> Floats:
    """Return the descriptors (N, D) of pictures in luma and chroma."""
    side = pictures_NCSS.shape[-1]
    window_S = np.cos(np.pi / 2 * pixel_centres(side)) ** 2
    window_S /= window_S.sum()
    parts = []
    for channel, num_frequencies in enumerate(NUM_FREQUENCIES):
        angles = np.outer(np.arange(num_frequencies), pixel_centres(side) + 1) * np.pi / 2
        waves_FS = np.cos(angles).astype(np.float32) * window_S
        coefficients_NFF = waves_FS @ pictures_NCSS[:, channel] @ waves_FS.T
        mean_N11 = coefficients_NFF[:, :1, :1]
        of_window_F = waves_FS.sum(axis=1)
        about_mean_NFF = coefficients_NFF - mean_N11 * np.outer(of_window_F, of_window_F)
        scaled_NFF = np.arcsinh(np.abs(about_mean_NFF) / LINEAR_UP_TO)
        parts.append(mean_N11[:, 0] / MEAN_UNITS[channel])
        parts.append(_invariants(scaled_NFF) / COEFFICIENT_UNITS[channel])
    return np.concatenate(parts, axis=1)


def close_pairs(descriptors_ND: Floats) -> Iterator[NDArray[np.intp]]:
    """Yield the pairs of descriptors within RADIUS of each other, exactly, each pair once.

    Yields:
        Blocks of pairs (K, 2), the lower index first. The same descriptors give the same blocks.
    """
    from scipy.spatial import cKDTree

    if len(descriptors_ND) < 2:
        return
    tree = cKDTree(descriptors_ND)
    for start in range(0, len(descriptors_ND), BLOCK_PHOTOS):
        # In the order of the tree, so that the photos of a block are neighbours themselves.
        block = tree.indices[start : start + BLOCK_PHOTOS]
        found = cKDTree(descriptors_ND[block]).sparse_distance_matrix(
            tree, RADIUS, output_type="ndarray"
        )
        pairs_K2 = np.stack([block[found["i"]], found["j"]], axis=1)
        yield pairs_K2[pairs_K2[:, 0] < pairs_K2[:, 1]]


def _invariants(magnitudes_NFF: Floats) -> Floats:
    """Return of magnitudes (u, v) what does not change when u and v are swapped."""
    num_frequencies = magnitudes_NFF.shape[1]
    kept = []
    for u in range(num_frequencies):
        for v in range(max(u, 1), num_frequencies - u):
            one_N, other_N = magnitudes_NFF[:, u, v], magnitudes_NFF[:, v, u]
            if u == v:
                kept.append(one_N)
            else:
                # Divided so that a distance is the same as between the two magnitudes.
                kept += [(one_N + other_N) / np.sqrt(2), np.abs(one_N - other_N) / np.sqrt(2)]
    return np.stack(kept, axis=1).astype(np.float32)
