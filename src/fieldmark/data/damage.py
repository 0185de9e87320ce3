"""The arithmetic of damage: noise, blur, light, compression, turns and cover, one photo at a time.

In: RGB pixels, uint8, and how much. Out: new pixels, uint8, of the same size but for `reduced`.
Not covered: how much is done at which strength (`degrade`).
Shapes: H height, W width; 3 channels.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fieldmark.data.resizing import resized

Pixels = NDArray[np.uint8]

GAMMA = 2.2
"""Between light and the numbers of a photo, nearly (sRGB, IEC 61966-2-1)."""
GREY = 127


def noisy(pixels_HW3: Pixels, deviation: float, generator: np.random.Generator) -> Pixels:
    """Add Gaussian noise of this standard deviation, a share of the range of 0 to 255."""
    noise_HW3 = generator.standard_normal(pixels_HW3.shape, dtype=np.float32)
    return _as_bytes(pixels_HW3 + (255 * np.float32(deviation)) * noise_HW3)


def blurred(pixels_HW3: Pixels, sigma_px: float) -> Pixels:
    """Blur with a Gaussian of `sigma_px` (over 0) pixels.

    By Pillow, whose three box filters one after another are a Gaussian within a few grey levels
    away from the edges (Gwosdek et al. 2011), at a cost that does not grow with the blur.
    """
    return np.asarray(Image.fromarray(pixels_HW3).filter(ImageFilter.GaussianBlur(sigma_px)))


def reduced(pixels_HW3: Pixels, share: float) -> Pixels:
    """Reduce to this share of the sides (over 0 to 1), each pixel a mean of those around it."""
    height, width = (max(1, round(side * share)) for side in pixels_HW3.shape[:2])
    return resized(pixels_HW3, (height, width), interpolation="bilinear", antialias=True)


def compressed(pixels_HW3: Pixels, quality: float) -> Pixels:
    """Save as a JPEG of this quality (1 to 95, of libjpeg) and read it back."""
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW3).save(buffer, format="JPEG", quality=round(quality))
    with Image.open(buffer) as image:
        return np.array(image.convert("RGB"), dtype=np.uint8)


def brightened(pixels_HW3: Pixels, added: float) -> Pixels:
    """Add a share of the range to the value of each colour (HSV), hue and saturation kept."""
    source_HW3 = pixels_HW3.astype(np.float32)
    value_HW1 = source_HW3.max(axis=2, keepdims=True)
    wanted_HW1 = np.minimum(value_HW1 + np.float32(255 * added), 255)
    scaled_HW3 = source_HW3 * (wanted_HW1 / np.maximum(value_HW1, 1))
    return _as_bytes(np.where(value_HW1 > 0, scaled_HW3, wanted_HW1))  # black has no hue to keep


def darkened(pixels_HW3: Pixels, stops: float) -> Pixels:
    """Take half of the light away `stops` times."""
    return _as_bytes(pixels_HW3 * np.float32(2 ** (-stops / GAMMA)))


def flattened(pixels_HW3: Pixels, left: float) -> Pixels:
    """Leave this share of the contrast: each channel is drawn towards its mean over the photo."""
    source_HW3 = pixels_HW3.astype(np.float32)
    mean_3 = source_HW3.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return _as_bytes((source_HW3 - mean_3) * np.float32(left) + mean_3)


def turned(pixels_HW3: Pixels, degrees: float) -> Pixels:
    """Turn about the middle, anticlockwise where `degrees` is over 0; outside is the mirror image.

    The size is kept, pixels between others are bilinear.
    """
    height, width = pixels_HW3.shape[:2]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # How far the turned frame reaches beyond the photo, and one pixel for what lies between.
    across = max(0, math.ceil((abs(cosine) * width + abs(sine) * height - width) / 2)) + 1
    down = max(0, math.ceil((abs(sine) * width + abs(cosine) * height - height) / 2)) + 1
    mirrored = np.pad(pixels_HW3, ((down, down), (across, across), (0, 0)), mode="symmetric")
    # Where each pixel of the result is looked up: x' = a x + b y + c, y' = d x + e y + f.
    to_x = across + (1 - cosine) * width / 2 + sine * height / 2
    to_y = down + (1 - cosine) * height / 2 - sine * width / 2
    lookup = (cosine, -sine, to_x, sine, cosine, to_y)
    image = Image.fromarray(mirrored).transform(
        (width, height), Image.Transform.AFFINE, lookup, Image.Resampling.BILINEAR
    )
    return np.asarray(image)


def covered(pixels_HW3: Pixels, share: float, *, across: float, down: float) -> Pixels:
    """Cover a share of the area (0 to 1) with grey, by a rectangle of the photo's own shape.

    `across` and `down`, 0 to 1, say where in the room that is left; a larger rectangle at the same
    place covers all that a smaller one does, give or take a pixel.
    """
    height, width = pixels_HW3.shape[:2]
    sides = round(height * share**0.5), round(width * share**0.5)
    top, left = round(down * (height - sides[0])), round(across * (width - sides[1]))
    damaged_HW3 = pixels_HW3.copy()
    damaged_HW3[top : top + sides[0], left : left + sides[1]] = GREY
    return damaged_HW3


def _as_bytes(values_HW3: NDArray[np.float32]) -> Pixels:
    return np.clip(np.rint(values_HW3), 0, 255).astype(np.uint8)
