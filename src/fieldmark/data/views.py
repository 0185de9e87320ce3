"""Views of photos at test time: mirrored and turned, with every pixel as it was.

In: a batch. Out: one batch a view, over which the caller averages what the network says.
The eight views are the symmetries of the square; 1, 2 and 4 of them are groups, too.
Shapes: N images, C channels, H height, W width.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NUM_VIEWS = (1, 2, 4, 8)
"""1: the photo. 2: and its mirror image. 4: and both upside down. 8: and all by a quarter turn."""


def views(images_NCHW: "Tensor", num_views: int) -> Iterator["Tensor"]:
    """Yield the batch itself, then its other views, each of the same shape and memory format.

    Args:
        images_NCHW: of any type, on any device. It is not altered; the first view is it, not a
            copy.
        num_views: one of `NUM_VIEWS`; 8 take square photos.

    Raises:
        ValueError: the number is none of these, or photos to turn are not square.
    """
    if num_views not in NUM_VIEWS:
        raise ValueError(f"num_views is {num_views}; allowed: {', '.join(map(str, NUM_VIEWS))}")
    height, width = images_NCHW.shape[-2:]
    if num_views == 8 and height != width:
        raise ValueError(f"8 views take square photos, not {width} x {height} pixels")
    return _views(images_NCHW, num_views)


def _views(images_NCHW: "Tensor", num_views: int) -> Iterator["Tensor"]:
    from fieldmark.data.memory_format import in_format_of

    yield images_NCHW
    for axes in ((3,), (2,), (2, 3))[: min(num_views, 4) - 1]:
        yield in_format_of(images_NCHW.flip(axes), images_NCHW)
    if num_views == 8:
        turned_NCHW = in_format_of(images_NCHW.transpose(2, 3), images_NCHW)
        yield from _views(turned_NCHW, 4)
