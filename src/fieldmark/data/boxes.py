"""Rectangles of photos in whole pixels, one for every photo of a batch.

In: edges as shares of the sides. Out: slices.
Shapes: N images; 4 is top, bottom, left and right.
"""

import torch
from torch import Tensor


def pixel_boxes(
    *, top_N: Tensor, bottom_N: Tensor, left_N: Tensor, right_N: Tensor, height: int, width: int
) -> Tensor:
    """Return (N, 4) int64: the edges in pixels, for slices; what sticks out is cut off.

    Args:
        top_N: floating point, as a share of the height; 0 is the upper edge of the photo.
        bottom_N: the same, not less than the top.
        left_N: floating point, as a share of the width; 0 is the left edge of the photo.
        right_N: the same, not less than the left.
        height: of the photos, in pixels.
        width: of the photos, in pixels.
    """
    edges = ((top_N, height), (bottom_N, height), (left_N, width), (right_N, width))
    pixels = [(edge_N * length).round().clamp(0, length).long() for edge_N, length in edges]
    return torch.stack(pixels, dim=1)


def areas(box_N4: Tensor) -> Tensor:
    """Return the number of pixels in each rectangle: (N,), int64."""
    top_N, bottom_N, left_N, right_N = box_N4.unbind(1)
    return (bottom_N - top_N) * (right_N - left_N)
