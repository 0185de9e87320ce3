"""The arithmetic of augmentation: mirror, resample and recolour whole batches of photos.

In: a batch on the scale of 0 to 255, what to do, and the draws. Out: a new batch.
Shapes: N images, C channels (3), H height, W width; coordinates run from -1 to 1 over the photo.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fieldmark.data.augment import Changes
from fieldmark.data.draws import Draws

CROP_ASPECT = (3 / 4, 4 / 3)
"""Width to height of a crop, against the photo's own (Szegedy et al. 2015, section 6)."""
LUMA = (0.299, 0.587, 0.114)
"""The grey of a colour (ITU-R BT.601, section 2.5.1)."""


def mirror(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Flip half of the photos; every value is kept, and the type."""
    flips = (
        (changes.flip_horizontal, draws.flip_horizontal, 3),
        (changes.flip_vertical, draws.flip_vertical, 2),
    )
    mirrored_NCHW = images_NCHW.clone()
    for is_on, draw_N, axis in flips:
        if is_on:
            chosen = (draw_N < 0.5).nonzero().squeeze(1).to(images_NCHW.device)
            mirrored_NCHW[chosen] = mirrored_NCHW[chosen].flip(axis)
    return mirrored_NCHW


def warp(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Flip, crop, move and turn in one resampling."""
    height, width = images_NCHW.shape[-2:]
    theta_N23 = sampling_matrices(changes, draws, height=height, width=width)
    return resample(images_NCHW, theta_N23)


def resample(images_NCHW: Tensor, theta_N23: Tensor) -> Tensor:
    """Look each point of the result up in the source, bilinear; outside is the photo mirrored.

    Args:
        images_NCHW: not altered.
        theta_N23: on any device; from coordinates in the result to those in the source.

    Returns:
        float32 where the input was uint8; the type of the input otherwise.
    """
    source_NCHW = as_planes(images_NCHW)
    grid_NHW2 = functional.affine_grid(
        theta_N23.to(source_NCHW.device), list(source_NCHW.shape), align_corners=False
    )
    warped_NCHW = functional.grid_sample(
        source_NCHW, grid_NHW2, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return in_type_of(warped_NCHW, images_NCHW)


def compose(outer_N23: Tensor, inner_N23: Tensor) -> Tensor:
    """Return the lookup by `inner` and then by `outer`: what is nearer to the source is outer."""
    turned_N23 = outer_N23[:, :, :2] @ inner_N23
    turned_N23[:, :, 2] += outer_N23[:, :, 2]
    return turned_N23


def sampling_matrices(changes: Changes, draws: Draws, *, height: int, width: int) -> Tensor:
    """Return (N, 2, 3): where in the source each point of the result is looked up.

    A point is mirrored, put into the crop, moved, and turned about the middle of the photo. The
    turn is a turn of pixels, so it is stretched by the photo's sides where these differ.
    """
    angle_N = 2 * math.pi * changes.rotate_turns * (2 * draws.turn - 1)
    sine_N, cosine_N = angle_N.sin(), angle_N.cos()
    across_N, down_N = _crop_sides(changes, draws)
    shift_x_N = (1 - across_N) * (2 * draws.across - 1)
    shift_y_N = (1 - down_N) * (2 * draws.down - 1)
    if changes.translate > 0:
        shift_x_N = shift_x_N + 2 * changes.translate * (2 * draws.move_across - 1)
        shift_y_N = shift_y_N + 2 * changes.translate * (2 * draws.move_down - 1)
    scale_x_N = across_N * _sign(draws.flip_horizontal, is_on=changes.flip_horizontal)
    scale_y_N = down_N * _sign(draws.flip_vertical, is_on=changes.flip_vertical)
    to_x_N, to_y_N = -sine_N * height / width, sine_N * width / height
    rows = (
        (cosine_N * scale_x_N, to_x_N * scale_y_N, cosine_N * shift_x_N + to_x_N * shift_y_N),
        (to_y_N * scale_x_N, cosine_N * scale_y_N, to_y_N * shift_x_N + cosine_N * shift_y_N),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def recolour(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Change brightness, contrast and saturation, each by a factor uniform in 1 ± colour."""
    factors = (
        (1 + changes.colour * (2 * draw_N - 1)).view(-1, 1, 1, 1).to(images_NCHW.device)
        for draw_N in (draws.brightness, draws.contrast, draws.saturation)
    )
    return blend_colours(images_NCHW, *factors)


def blend_colours(
    images_NCHW: Tensor, brightness_N111: Tensor, contrast_N111: Tensor, saturation_N111: Tensor
) -> Tensor:
    """Multiply brightness, then contrast, then saturation, and clamp to 0 to 255 at the end.

    Contrast pulls towards the mean grey of the photo, saturation towards the grey of each pixel;
    as all three are linear, they are one step:
    s k x + (1 - s) k grey(x) + (1 - c) b mean grey, with k = b c.

    Returns:
        float32 where the input was uint8; the type of the input otherwise.
    """
    source_NCHW = as_planes(images_NCHW)
    luma = torch.tensor(LUMA, device=source_NCHW.device).view(1, 3, 1, 1)
    grey_N1HW = (source_NCHW * luma).sum(dim=1, keepdim=True)
    mean_N111 = grey_N1HW.mean(dim=(2, 3), keepdim=True)
    both_N111 = brightness_N111 * contrast_N111
    changed_NCHW = source_NCHW * (saturation_N111 * both_N111)
    changed_NCHW += grey_N1HW * ((1 - saturation_N111) * both_N111) + mean_N111 * (
        (1 - contrast_N111) * brightness_N111
    )
    return in_type_of(changed_NCHW.clamp_(0, 255), images_NCHW)


def in_type_of(changed_NCHW: Tensor, images_NCHW: Tensor) -> Tensor:
    """Bring a float32 result into the type of the input; of uint8 it stays float32."""
    return changed_NCHW.to(images_NCHW.dtype) if images_NCHW.is_floating_point() else changed_NCHW


def as_planes(images_NCHW: Tensor, *, copy: bool = False) -> Tensor:
    """Return the batch, or a copy in any case, as float32 with each channel in one piece.

    In this form all that is done here takes a half to a third of the time that it takes where the
    channels of each pixel lie together (channels_last). `augment` restores the form at its end.
    """
    return images_NCHW.to(torch.float32, memory_format=torch.contiguous_format, copy=copy)


def _crop_sides(changes: Changes, draws: Draws) -> tuple[Tensor, Tensor]:
    """Return width and height of each crop as shares of the photo's, at most 1."""
    low, high = changes.crop_scale
    area_N = low + (high - low) * draws.area
    if low == 1:
        return area_N, area_N
    narrow, wide = (math.log(aspect) for aspect in CROP_ASPECT)
    aspect_N = torch.exp(narrow + (wide - narrow) * draws.aspect)
    return (area_N * aspect_N).sqrt().clamp(max=1), (area_N / aspect_N).sqrt().clamp(max=1)


def _sign(draw_N: Tensor, *, is_on: bool) -> Tensor:
    """Return -1 for the photos to flip and 1 for the others."""
    return torch.where(draw_N < 0.5, -1.0, 1.0) if is_on else torch.ones_like(draw_N)
