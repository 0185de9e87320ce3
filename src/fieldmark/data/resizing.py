"""Pixels at another height and width.

In: RGB pixels. Out: the same, larger or smaller.
With antialiasing torch does it, faster than Pillow and within a grey level of it; without, the
arithmetic is OpenCV's. Where torch is not installed NumPy does what torch does, to the bit.
Shapes: H height, W width, O height or width of the result; 3 channels.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.resampling import resampled

WEIGHT_BITS = 11
"""OpenCV's bilinear resizing of bytes weighs pixels by whole numbers of this many bits
(INTER_RESIZE_COEF_BITS), and drops these bits and two of them again in two steps."""


def resized(
    pixels_HW3: NDArray[np.uint8],
    size: tuple[int, int],
    *,
    interpolation: Literal["bilinear", "bicubic"],
    antialias: bool,
) -> NDArray[np.uint8]:
    """Return the pixels at `size` (height, width).

    With `antialias` the filter grows as the photo is reduced, as Pillow's does; without it looks
    at the nearest 2 (bilinear) or 4 (bicubic) pixels each way. Bilinear without antialiasing gives
    what OpenCV's `resize` gives by default, to the bit where the photo is reduced.
    """
    if interpolation == "bilinear" and not antialias:
        return _from_nearest_two(pixels_HW3, size)
    try:
        import torch
        from torch.nn.functional import interpolate
    except ImportError:
        return resampled(pixels_HW3, size, interpolation=interpolation, antialias=antialias)
    height, width, _ = pixels_HW3.shape
    whole_HW3 = np.require(pixels_HW3, requirements=["C", "W"])
    if min(whole_HW3.strides) < 0:  # a side of one pixel, turned: NumPy calls that contiguous
        whole_HW3 = whole_HW3.copy()
    # Such strides are taken for channels_last at once; those of a batch made by [None] are not.
    image_1CHW = torch.from_numpy(whole_HW3).view(1, height, width, 3).permute(0, 3, 1, 2)
    changed_1CHW = interpolate(image_1CHW, size, mode=interpolation, antialias=antialias)
    return changed_1CHW.permute(0, 2, 3, 1)[0].numpy()


def _from_nearest_two(pixels_HW3: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width, _ = pixels_HW3.shape
    top_O, above_O, below_O = _weights(height, size[0])
    left_O, before_O, after_O = _weights(width, size[1])
    right_O = np.minimum(left_O + 1, width - 1)

    def across(rows_O: NDArray[np.int64]) -> NDArray[np.int32]:
        rows_OW3 = pixels_HW3[rows_O].astype(np.int32)
        return rows_OW3[:, left_O] * before_O[:, None] + rows_OW3[:, right_O] * after_O[:, None]

    upper_OO3 = above_O[:, None, None] * (across(top_O) >> 4)
    lower_OO3 = below_O[:, None, None] * (across(np.minimum(top_O + 1, height - 1)) >> 4)
    return (((upper_OO3 >> 16) + (lower_OO3 >> 16) + 2) >> 2).astype(np.uint8)


def _weights(
    length: int, wanted: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Return for each pixel of the result the first of its two, and what both of them weigh."""
    place_O = ((np.arange(wanted) + 0.5) * (length / wanted) - 0.5).astype(np.float32)
    place_O = place_O.clip(0, length - 1)
    first_O = np.floor(place_O).astype(np.int64)
    share_O = place_O - first_O
    scale = 1 << WEIGHT_BITS
    first_weight_O = np.rint((1 - share_O) * scale).astype(np.int32)
    return first_O, first_weight_O, np.rint(share_O * scale).astype(np.int32)
