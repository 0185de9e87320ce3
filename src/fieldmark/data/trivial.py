"""One change a photo, of any kind and strength: the policy `trivial`.

In: a batch on the scale of 0 to 255, and the draws. Out: a new batch. This is TrivialAugment
(Mueller and Hutter 2021) with the strengths of its wide space, but that strength is continuous,
moves are a share of the side, what lies outside is the photo mirrored, and histograms are not
equalised.
Shapes: N images, C channels (3), H height, W width.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.data.draws import Draws
from fieldmark.data.warp import as_planes, blend_colours, in_type_of, resample

MAX_SHEAR = 0.99
"""Pixels to the side for each pixel down (Mueller and Hutter 2021, table 6, as all below)."""
MAX_MOVE = 32 / 224
"""Share of the side: there 32 pixels, of photos of 224."""
MAX_TURN_RADIANS = math.radians(135)
MAX_FACTOR = 0.99
"""Brightness, contrast, saturation and sharpness are multiplied by 1 ± this at most."""
MAX_BITS_LOST = 6
"""Of the 8 of each channel."""

GEOMETRY = ("shear-x", "shear-y", "move-x", "move-y", "turn")
LINEAR = ("brightness", "contrast", "saturation")
OTHER = ("sharpness", "posterize", "solarize", "autocontrast")
OPERATIONS = ("identity", *GEOMETRY, *LINEAR, *OTHER)
"""All are drawn equally often."""


def operations(draws: Draws) -> Tensor:
    """Return for each photo the index in `OPERATIONS` of what is done to it: (N,), int64."""
    index_N = (draws.operation * len(OPERATIONS)).long()
    return index_N.clamp(max=len(OPERATIONS) - 1)


def matrices(draws: Draws, *, height: int, width: int) -> Tensor:
    """Return (N, 2, 3): where each point of the result is looked up; coordinates from -1 to 1.

    The identity for photos whose operation leaves pixels in their places. Shears and turns are of
    pixels, so they are stretched by the photo's sides where these differ.
    """
    which_N, strength_N = operations(draws), _signed(draws)
    shear_x_N, shear_y_N, move_x_N, move_y_N, turn_N = (
        torch.where(which_N == OPERATIONS.index(name), strength_N, 0.0) for name in GEOMETRY
    )
    sine_N = (MAX_TURN_RADIANS * turn_N).sin()
    cosine_N = (MAX_TURN_RADIANS * turn_N).cos()
    to_x_N = (MAX_SHEAR * shear_x_N - sine_N) * height / width
    to_y_N = (MAX_SHEAR * shear_y_N + sine_N) * width / height
    rows = (
        (cosine_N, to_x_N, 2 * MAX_MOVE * move_x_N),
        (to_y_N, cosine_N, 2 * MAX_MOVE * move_y_N),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def reshape(images_NCHW: Tensor, draws: Draws) -> Tensor:
    """Resample the photos whose operation is one of geometry; the others keep every value.

    Returns:
        float32 where the input was uint8; the type of the input otherwise.
    """
    height, width = images_NCHW.shape[-2:]
    theta_N23 = matrices(draws, height=height, width=width)
    rows_K = _rows(draws, *GEOMETRY)
    changed_NCHW = as_planes(images_NCHW, copy=True)
    _change(changed_NCHW, rows_K, lambda part_KCHW: resample(part_KCHW, theta_N23[rows_K]))
    return in_type_of(changed_NCHW, images_NCHW)


def recolour(images_NCHW: Tensor, draws: Draws) -> Tensor:
    """Change the values of the photos whose operation is one of colour.

    Returns:
        From 0 to 255; float32 where the input was uint8, the type of the input otherwise.
    """
    which_N, strength_N = operations(draws), _signed(draws)
    factor_N = 1 + MAX_FACTOR * strength_N
    linear = [torch.where(which_N == OPERATIONS.index(name), factor_N, 1.0) for name in LINEAR]
    lost_N = (MAX_BITS_LOST * strength_N.abs()).round()
    threshold_N = 255 * (1 - strength_N.abs())
    changed_NCHW = as_planes(images_NCHW, copy=True)
    _change(changed_NCHW, _rows(draws, *LINEAR), blend_colours, *linear)
    _change(changed_NCHW, _rows(draws, "sharpness"), sharpen, factor_N)
    _change(changed_NCHW, _rows(draws, "posterize"), posterize, lost_N)
    _change(changed_NCHW, _rows(draws, "solarize"), solarize, threshold_N)
    _change(changed_NCHW, _rows(draws, "autocontrast"), autocontrast)
    return in_type_of(changed_NCHW, images_NCHW)


def sharpen(images_NCHW: Tensor, factor_N111: Tensor) -> Tensor:
    """Move away from the photo blurred (above 1) or towards it (below), but for its border.

    The blur is that of Pillow's filter SMOOTH: of each pixel, 5 parts, and its eight neighbours,
    1 part each. Photos of fewer than 3 pixels a side have nothing but a border.
    """
    if min(images_NCHW.shape[-2:]) < 3:
        return images_NCHW
    across_NCHW = images_NCHW[..., :-2] + images_NCHW[..., 1:-1] + images_NCHW[..., 2:]
    nine_NCHW = across_NCHW[:, :, :-2] + across_NCHW[:, :, 1:-1] + across_NCHW[:, :, 2:]
    inner_NCHW = images_NCHW[:, :, 1:-1, 1:-1]
    blurred_NCHW = nine_NCHW.add_(inner_NCHW, alpha=4).div_(13)
    sharp_NCHW = images_NCHW.clone()
    sharp_NCHW[:, :, 1:-1, 1:-1] = blurred_NCHW.lerp_(inner_NCHW, factor_N111)
    return sharp_NCHW.clamp_(0, 255)


def posterize(images_NCHW: Tensor, bits_lost_N111: Tensor) -> Tensor:
    """Round down to multiples of 2 to the power of the number of bits lost."""
    step_N111 = bits_lost_N111.exp2()
    return (images_NCHW / step_N111).floor_().mul_(step_N111)


def solarize(images_NCHW: Tensor, threshold_N111: Tensor) -> Tensor:
    """Turn values from the threshold on into their negatives."""
    is_bright_NCHW = images_NCHW >= threshold_N111
    # By arithmetic with 0 and 1, at a third of the time of torch.where on a CPU.
    return torch.lerp(images_NCHW, 255 - images_NCHW, is_bright_NCHW.to(images_NCHW.dtype))


def autocontrast(images_NCHW: Tensor) -> Tensor:
    """Stretch each channel of a photo to the whole scale; a plain one stays as it is."""
    low_NC11 = images_NCHW.amin(dim=(2, 3), keepdim=True)
    extent_NC11 = images_NCHW.amax(dim=(2, 3), keepdim=True) - low_NC11
    is_plain = extent_NC11 <= 0
    scale_NC11 = torch.where(is_plain, 1.0, 255 / extent_NC11)
    return ((images_NCHW - low_NC11.masked_fill(is_plain, 0.0)) * scale_NC11).clamp_(0, 255)


def _signed(draws: Draws) -> Tensor:
    """Return the strength from -1 to 1; for operations that know no sign its size counts."""
    return 2 * draws.strength - 1


def _rows(draws: Draws, *names: str) -> Tensor:
    """Return the indices of the photos with one of these operations: (K,)."""
    codes = torch.tensor([OPERATIONS.index(name) for name in names])
    return torch.isin(operations(draws), codes).nonzero().squeeze(1)


def _change(
    images_NCHW: Tensor, rows_K: Tensor, change: Callable[..., Tensor], *amounts_N: Tensor
) -> None:
    """Change some photos in place; `change` gets them, and each amount as (K, 1, 1, 1)."""
    if len(rows_K):
        device = images_NCHW.device
        amounts = (amount_N[rows_K].view(-1, 1, 1, 1).to(device) for amount_N in amounts_N)
        places_K = rows_K.to(device)
        images_NCHW[places_K] = change(images_NCHW[places_K], *amounts)
