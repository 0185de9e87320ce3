"""Heat drawn over a photo: what a network looks at, in colours that all eyes can tell apart.

In: a photo and heat of its size. Out: a picture. The photo stands back in grey where there is
little heat; where there is more, colour covers it, from violet over red to yellow. Brightness
grows with it, so that the order holds in print and for those who see few colours.

Shapes: H height, W width; 3 channels.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RAMP = (
    (0.0, (59, 15, 112)),
    (0.25, (140, 41, 129)),
    (0.5, (222, 73, 104)),
    (0.75, (254, 159, 109)),
    (1.0, (252, 253, 191)),
)
"""Levels of heat and their colours: of lightness that grows evenly."""
STRONGEST = 0.82
"""How much of the photo the strongest heat covers."""
GREY = 0.75
"""How far the colours of the photo are taken back, so that those of the heat stand out."""
TRANSPARENT_BELOW = 0.08
"""Less heat than this share of the strongest shows no colour."""

_LUMINANCE = (0.299, 0.587, 0.114)


def overlay(pixels_HW3: NDArray[np.uint8], heat_HW: NDArray[np.float32]) -> Image.Image:
    """Return the photo with heat laid over it, the strongest place in full colour.

    Args:
        pixels_HW3: RGB, uint8.
        heat_HW: 0 or more, of the same height and width. All zeros: the photo in grey.
    """
    strongest = float(heat_HW.max())
    level_HW = heat_HW / strongest if strongest > 0 else np.zeros_like(heat_HW)
    photo_HW3 = pixels_HW3.astype(np.float32)
    grey_HW1 = (photo_HW3 @ np.array(_LUMINANCE, dtype=np.float32))[:, :, None]
    faded_HW3 = photo_HW3 + GREY * (grey_HW1 - photo_HW3)
    cover_HW1 = _cover(level_HW)[:, :, None]
    mixed_HW3 = faded_HW3 + cover_HW1 * (colours(level_HW) - faded_HW3)
    return Image.fromarray(np.clip(np.rint(mixed_HW3), 0, 255).astype(np.uint8))


def colours(level_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colour (H, W, 3), 0 to 255, of each level of heat, 0 to 1."""
    places = [level for level, _ in RAMP]
    channels = [
        np.interp(level_HW, places, [colour[channel] for _, colour in RAMP]) for channel in range(3)
    ]
    return np.stack(channels, axis=-1).astype(np.float32)


def plain_heat(heat_HW: NDArray[np.float32]) -> Image.Image:
    """Return heat alone, from the least of its colours to the strongest."""
    strongest = max(float(heat_HW.max()), float(np.finfo(np.float32).tiny))
    level_HW = heat_HW / strongest
    return Image.fromarray(np.rint(colours(level_HW)).astype(np.uint8))


def _cover(level_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much of the photo is covered, growing fast at first so that edges can be seen."""
    above = np.clip((level_HW - TRANSPARENT_BELOW) / (1 - TRANSPARENT_BELOW), 0, 1)
    covered: NDArray[np.float32] = (STRONGEST * np.sqrt(above)).astype(np.float32)
    return covered
