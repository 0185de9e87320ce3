"""Decide of two small pictures whether they show the same, once one is laid over the other.

In: pairs of thumbnails that stand the same way up. Out: how alike they are, 0 where not the same.
Not covered: which pairs to look at, and the eight turns (`similarity`).

The thresholds come from Natural Images (6,899 photos, eight classes). "Copies" are 500 of them
encoded anew after: JPEG quality 40; 60 % size; a mirror; a quarter turn; 2.5 or 5 % off each side;
5 % off one side; and crop, mirror, 60 % size and quality 40 together.

Shapes: K pairs, C luma and two chroma channels, S side of the pictures.
"""

import numpy as np

from fieldmark.audit.alignment import (
    Floats,
    align,
    correlation,
    inverted,
    mean,
    resample,
    sampling,
    spread,
)

SMALLEST_SIMILARITY = 0.988
"""Correlation of the aligned, smoothed pictures. Of the copies 99.5 % reach 0.993; motorbikes and
faces in the same pose before the same plain ground mostly stay below 0.98."""
SMALLEST_DETAIL_SIMILARITY = 0.97
"""Likewise without the coarse shapes, which are the same in all photos of, say, an orange on white.
Of the copies 99.5 % reach 0.983."""
LARGEST_DIFFERENCE = 5.0
"""Root mean square of what the details differ, in grey levels. Of the copies 99.5 % stay within
3.9; handwritten digits that correlate as well, being strokes on black and little else, differ by
more, and so do most views of one fruit on a turntable."""
LARGEST_COLOUR_CHANGE = 6.0
"""How far the mean of luma or chroma may differ where both show the same, in grey levels. All
copies stay within 3.6."""
SMALLEST_DETAIL = 1.0
"""Standard deviation of the luma's details, in grey levels, with less of which nothing is the same:
two skies that darken towards the top are no duplicates."""
SMALLEST_OVERLAP = 0.7
"""Share of the one picture that the other must show; 5 % off each side leaves 0.77 to 0.81, in
whole pixels of the thumbnail."""

FINE_PX = 1.3
"""Gaussian width, in pixels of the thumbnail: evens out what resampling does to the finest ones."""
COARSE_PX = 4.0
"""Gaussian width of what counts as a coarse shape."""

CUTOFF_WIDTHS = 4.0
"""A Gaussian is taken as 0 further out: its tail holds numbers too small to be multiplied fast."""

MIDDLE_SIDE = 16
"""Side of the pictures that are aligned first."""
SMALLEST_MIDDLE_CORRELATION = 0.85
"""Of the aligned 16x16 pictures; 99.5 % of the copies reach 0.93."""
MIDDLE_STEPS = 4
FINE_STEPS = 2
"""More steps do not raise the similarity of the copies."""


def compare(first_KCSS: Floats, second_KCSS: Floats) -> Floats:
    """Return how alike pictures are: the smaller of both correlations, or 0 if not the same.

    Args:
        first_KCSS: in luma and chroma; the side is a multiple of MIDDLE_SIDE.
        second_KCSS: likewise. Which of two pictures is the second makes no difference to speak of.
    """
    similarity_K = np.zeros(len(first_KCSS), dtype=np.float32)
    moves_K4, middle_K = _align_middle(first_KCSS[:, 0], second_KCSS[:, 0])
    is_likely_K = middle_K >= SMALLEST_MIDDLE_CORRELATION
    if not is_likely_K.any():
        return similarity_K
    first_KCSS, second_KCSS = first_KCSS[is_likely_K], second_KCSS[is_likely_K]
    moves_K4 = moves_K4[is_likely_K]
    moves_K4 = align(first_KCSS[:, 0], second_KCSS[:, 0], moves_K4, num_steps=FINE_STEPS)
    # The one that shows more goes first: the other is then reduced, which keeps it sharp.
    is_narrower_K = moves_K4[:, 0] + moves_K4[:, 2] < 0
    swap = is_narrower_K[:, None, None, None]
    similarity_K[is_likely_K] = _judge(
        np.where(swap, second_KCSS, first_KCSS),
        np.where(swap, first_KCSS, second_KCSS),
        np.where(is_narrower_K[:, None], inverted(moves_K4), moves_K4),
    )
    return similarity_K


def _align_middle(first_KSS: Floats, second_KSS: Floats) -> tuple[Floats, Floats]:
    """Return the moves found on small pictures, and the correlation after them."""
    first_KSS, second_KSS = shrink(first_KSS, MIDDLE_SIDE), shrink(second_KSS, MIDDLE_SIDE)
    start_K4 = np.zeros((len(first_KSS), 4), dtype=np.float32)
    moves_K4 = align(first_KSS, second_KSS, start_K4, num_steps=MIDDLE_STEPS)
    rows, columns, inside_KSS = sampling(moves_K4, MIDDLE_SIDE)
    smooth_SS = smoothing(MIDDLE_SIDE, FINE_PX / 2)
    moved_KSS = resample(second_KSS, rows, columns)
    return moves_K4, correlation(
        resample(first_KSS, smooth_SS, smooth_SS),
        resample(moved_KSS, smooth_SS, smooth_SS),
        inside_KSS,
    )


def _judge(first_KCSS: Floats, second_KCSS: Floats, moves_K4: Floats) -> Floats:
    """Return how alike pictures are after the moves, 0 where a threshold is missed."""
    rows, columns, inside_KSS = sampling(moves_K4, first_KCSS.shape[-1])
    inside = inside_KSS[:, None]
    moved_KCSS = resample(second_KCSS, rows[:, None], columns[:, None])
    # Outside, the smoothing must see the same on both sides.
    first_KCSS = np.where(inside > 0, first_KCSS, moved_KCSS)
    first_fine, first_detail = _fine_and_detail(first_KCSS)
    moved_fine, moved_detail = _fine_and_detail(moved_KCSS)
    similarity_K = correlation(first_fine, moved_fine, inside)
    detail_K = correlation(first_detail, moved_detail, inside)
    change_K = np.abs(mean(first_KCSS - moved_KCSS, inside)).max(axis=(1, 2, 3))
    is_same_K = (
        (similarity_K >= SMALLEST_SIMILARITY)
        & (detail_K >= SMALLEST_DETAIL_SIMILARITY)
        & (change_K <= LARGEST_COLOUR_CHANGE)
        & (_length(first_detail - moved_detail, inside) <= LARGEST_DIFFERENCE)
        & (spread(first_detail[:, 0], inside_KSS) >= SMALLEST_DETAIL)
        & (inside_KSS.mean(axis=(1, 2)) >= SMALLEST_OVERLAP)
    )
    return np.where(is_same_K, np.minimum(similarity_K, detail_K), np.float32(0))


def _fine_and_detail(pictures_KCSS: Floats) -> tuple[Floats, Floats]:
    """Return pictures smoothed a little, and these less their coarse shapes."""
    side = pictures_KCSS.shape[-1]
    fine_SS, coarse_SS = smoothing(side, FINE_PX), smoothing(side, COARSE_PX)
    fine_KCSS = resample(pictures_KCSS, fine_SS, fine_SS)
    return fine_KCSS, fine_KCSS - resample(pictures_KCSS, coarse_SS, coarse_SS)


def _length(colours_KCSS: Floats, inside: Floats) -> Floats:
    """Return the root mean square, over what is inside, of the lengths of colour vectors."""
    squares_K = (colours_KCSS**2 * inside).sum(axis=(1, 2, 3)) / inside.sum(axis=(1, 2, 3))
    length_K: Floats = np.sqrt(squares_K)
    return length_K


def smoothing(side: int, width_px: float) -> Floats:
    """Return the matrix (S, S) that smooths along an axis: locally linear regression.

    Its weights are Gaussian and corrected near the borders so that a linear slope stays as it is
    (Fan 1992); a plain Gaussian would bend it there and turn every bright sky into detail.
    """
    offsets_SS = np.subtract.outer(np.arange(side), np.arange(side)).astype(np.float64)
    weights_SS = np.exp(-(offsets_SS**2) / (2 * width_px**2))
    weights_SS[np.abs(offsets_SS) > CUTOFF_WIDTHS * width_px] = 0
    first_S1 = (weights_SS * offsets_SS).sum(axis=1, keepdims=True)
    second_S1 = (weights_SS * offsets_SS**2).sum(axis=1, keepdims=True)
    weights_SS *= second_S1 - offsets_SS * first_S1
    smooth_SS: Floats = (weights_SS / weights_SS.sum(axis=1, keepdims=True)).astype(np.float32)
    return smooth_SS


def shrink(pictures_NSS: Floats, side: int) -> Floats:
    """Return pictures reduced to `side` pixels, each the mean of a block."""
    factor = pictures_NSS.shape[-1] // side
    shrunk: Floats = pictures_NSS.reshape(-1, side, factor, side, factor).mean(axis=(2, 4))
    return shrunk
