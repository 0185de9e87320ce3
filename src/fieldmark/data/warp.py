"""The arithmetic of augmentation: mirror, resample and recolour whole batches of photos.

In: a batch on the scale of 0 to 255, what to do, and the draws. Out: a new batch.
Shapes: N images, C channels (3), H height, W width; coordinates run from -1 to 1 over the photo.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from fieldmark.data.augment import Changes

CROP_ASPECT = (3 / 4, 4 / 3)
"""Width to height of a crop, against the photo's own (Szegedy et al. 2015, section 6)."""
LUMA = (0.299, 0.587, 0.114)
"""The grey of a colour (ITU-R BT.601, section 2.5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Uniform random numbers in [0, 1), one of each kind for every photo: (N,), on the CPU."""

    flip_horizontal: Tensor
    flip_vertical: Tensor
    turn: Tensor
    area: Tensor
    aspect: Tensor
    across: Tensor
    down: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor

    @classmethod
    def sample(cls, num_images: int, *, generator: torch.Generator) -> Self:
        """Draw all kinds for a batch."""
        kinds = cls.__dataclass_fields__
        columns = torch.rand(num_images, len(kinds), generator=generator).unbind(1)
        return cls(**dict(zip(kinds, columns, strict=True)))


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
    """Flip, crop and turn in one bilinear resampling; what lies outside is the photo mirrored."""
    height, width = images_NCHW.shape[-2:]
    theta_N23 = sampling_matrices(changes, draws, height=height, width=width)
    source_NCHW = images_NCHW.float()
    grid_NHW2 = functional.affine_grid(
        theta_N23.to(source_NCHW.device), list(source_NCHW.shape), align_corners=False
    )
    warped_NCHW = functional.grid_sample(
        source_NCHW, grid_NHW2, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return _like(warped_NCHW, images_NCHW)


def sampling_matrices(changes: Changes, draws: Draws, *, height: int, width: int) -> Tensor:
    """Return (N, 2, 3): where in the source each point of the result is looked up.

    A point is mirrored, moved into the crop, and turned about the middle of the photo. The turn is
    a turn of pixels, so it is stretched by the photo's sides where these differ.
    """
    angle_N = 2 * math.pi * changes.rotate_turns * (2 * draws.turn - 1)
    sine_N, cosine_N = angle_N.sin(), angle_N.cos()
    across_N, down_N = _crop_sides(changes, draws)
    shift_x_N = (1 - across_N) * (2 * draws.across - 1)
    shift_y_N = (1 - down_N) * (2 * draws.down - 1)
    scale_x_N = across_N * _sign(draws.flip_horizontal, is_on=changes.flip_horizontal)
    scale_y_N = down_N * _sign(draws.flip_vertical, is_on=changes.flip_vertical)
    to_x_N, to_y_N = -sine_N * height / width, sine_N * width / height
    rows = (
        (cosine_N * scale_x_N, to_x_N * scale_y_N, cosine_N * shift_x_N + to_x_N * shift_y_N),
        (to_y_N * scale_x_N, cosine_N * scale_y_N, to_y_N * shift_x_N + cosine_N * shift_y_N),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def recolour(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Change brightness, then contrast, then saturation, and clamp to 0 to 255 at the end.

    Each factor is uniform in 1 ± colour. Contrast pulls towards the mean grey of the photo,
    saturation towards the grey of each pixel; as all three are linear, they are one step:
    s k x + (1 - s) k grey(x) + (1 - c) b mean grey, with k = b c.
    """
    source_NCHW = images_NCHW.float()
    brightness, contrast, saturation = (
        (1 + changes.colour * (2 * draw_N - 1)).view(-1, 1, 1, 1).to(source_NCHW.device)
        for draw_N in (draws.brightness, draws.contrast, draws.saturation)
    )
    luma = torch.tensor(LUMA, device=source_NCHW.device).view(1, 3, 1, 1)
    grey_N1HW = (source_NCHW * luma).sum(dim=1, keepdim=True)
    mean_N111 = grey_N1HW.mean(dim=(2, 3), keepdim=True)
    both = brightness * contrast
    changed_NCHW = source_NCHW * (saturation * both)
    changed_NCHW += grey_N1HW * ((1 - saturation) * both) + mean_N111 * (
        (1 - contrast) * brightness
    )
    return _like(changed_NCHW.clamp_(0, 255), images_NCHW)


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


def _like(changed_NCHW: Tensor, images_NCHW: Tensor) -> Tensor:
    """Bring a float32 result into the type (uint8 stays float32) and memory format of the input."""
    is_float = images_NCHW.is_floating_point()
    is_last = images_NCHW.is_contiguous(memory_format=torch.channels_last)
    is_plain = images_NCHW.is_contiguous()
    return changed_NCHW.to(
        dtype=images_NCHW.dtype if is_float else torch.float32,
        memory_format=torch.channels_last if is_last and not is_plain else torch.contiguous_format,
    )
