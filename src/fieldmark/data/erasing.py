"""Random erasing (Zhong et al. 2020): a rectangle of a photo is filled with noise.

In: a batch on the scale of 0 to 255, how often to do it, and the draws. Out: a new batch.
Shapes: N images, C channels, H height, W width; 4 is top, bottom, left and right of a rectangle.
"""

import math

import torch
from torch import Tensor

from fieldmark.data.boxes import pixel_boxes
from fieldmark.data.draws import Draws

ERASED_AREA = (0.02, 0.4)
"""Share of the photo that is filled (Zhong et al. 2020, section 4.2)."""
ERASED_ASPECT = (0.3, 1 / 0.3)
"""Height to width of the rectangle, against the photo's own (the same), on a log scale, so that
tall and wide ones come equally often."""


def erase(
    images_NCHW: Tensor, draws: Draws, *, probability: float, generator: torch.Generator
) -> Tensor:
    """Fill a rectangle of some photos with noise, uniform from 0 to 255 in each pixel and channel.

    One picture of noise is drawn a batch, and each photo gets another part of it: as good as
    noise of its own, since no network sees two photos beside each other.

    Args:
        images_NCHW: on the scale of 0 to 255. Not altered; device and memory format are kept.
        draws: which photos, and where.
        probability: that a photo is chosen, 0 to 1.
        generator: on the CPU, for the noise.

    Returns:
        float32 where the input was uint8; the type of the input otherwise.
    """
    is_float = images_NCHW.is_floating_point()
    erased_NCHW = images_NCHW.clone() if is_float else images_NCHW.float()
    noise_CHW = torch.rand(images_NCHW.shape[1:], generator=generator).mul_(255).to(erased_NCHW)
    chosen = (draws.erase < probability).nonzero().squeeze(1).tolist()
    boxes = rectangles(draws, height=images_NCHW.shape[2], width=images_NCHW.shape[3]).tolist()
    # Photo by photo: only the rectangles are touched, and most photos have none.
    for index in chosen:
        top, bottom, left, right = boxes[index]
        erased_NCHW[index, :, top:bottom, left:right] = noise_CHW[:, top:bottom, left:right]
    return erased_NCHW


def rectangles(draws: Draws, *, height: int, width: int) -> Tensor:
    """Return (N, 4) int64 pixels: a rectangle of each photo, whole and inside it.

    A rectangle that would be longer than a side is as long as the side; so a few are smaller than
    drawn.
    """
    low, high = ERASED_AREA
    area_N = low + (high - low) * draws.erase_area
    narrow, wide = (math.log(aspect) for aspect in ERASED_ASPECT)
    aspect_N = torch.exp(narrow + (wide - narrow) * draws.erase_aspect)
    down_N = (area_N * aspect_N).sqrt().clamp(max=1)
    across_N = (area_N / aspect_N).sqrt().clamp(max=1)
    top_N, left_N = (1 - down_N) * draws.erase_down, (1 - across_N) * draws.erase_across
    return pixel_boxes(
        top_N=top_N,
        bottom_N=top_N + down_N,
        left_N=left_N,
        right_N=left_N + across_N,
        height=height,
        width=width,
    )
