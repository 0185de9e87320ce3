"""Any raster mode to RGB with 8 bits a channel, and what had to be changed for it.

In: a loaded Pillow image. Out: the same picture as RGB, and repairs in words.
Not covered: colour profiles, which are left aside; the numbers in the file are taken as sRGB.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEEP_TO_8_BITS = 257
"""65535 / 255: what maps full white of 16 bits to full white of 8."""
REDUCED = "16 bits a channel reduced to 8"
ON_WHITE = "alpha laid on white"
_OTHER_SPACES = frozenset({"CMYK", "YCbCr", "HSV", "LAB"})


def to_rgb(image: Image.Image, *, is_16_bit: bool) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image as RGB and the repairs that changed what its pixels mean.

    Args:
        image: loaded, in any mode that a raster format of Pillow gives.
        is_16_bit: whether the file holds 16 bits a channel, which the mode alone does not say.

    Raises:
        ValueError: where no pixel is a finite number.
    """
    repairs = (REDUCED,) if is_16_bit else ()
    if image.mode.startswith("I;16") or (image.mode == "I" and is_16_bit):
        return _grey(_from_16_bits(np.asarray(image))), (REDUCED,)
    if image.mode in {"I", "F"}:
        pixels_HW, scaled = _stretch(np.asarray(image, dtype=np.float64))
        return _grey(pixels_HW), scaled
    if image.has_transparency_data:
        laid, was_transparent = _on_white(image)
        return laid, (*repairs, ON_WHITE) if was_transparent else repairs
    if image.mode in _OTHER_SPACES:
        repairs = (*repairs, f"converted from {image.mode}")
    return (image if image.mode == "RGB" else image.convert("RGB")), repairs


def _from_16_bits(values_HW: NDArray[Any]) -> NDArray[np.uint8]:
    wide_HW: NDArray[np.uint32] = np.clip(values_HW, 0, 65535).astype(np.uint32)
    rounded_HW: NDArray[np.uint32] = (wide_HW + DEEP_TO_8_BITS // 2) // DEEP_TO_8_BITS
    return rounded_HW.astype(np.uint8)


def _stretch(values_HW: NDArray[np.float64]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Map the smallest finite value to 0 and the largest to 255; NaN becomes 0."""
    finite = np.isfinite(values_HW)
    if not finite.any():
        raise ValueError("no pixel is a finite number")
    low, high = float(values_HW[finite].min()), float(values_HW[finite].max())
    repairs = [f"values {low:g} to {high:g} scaled to 0 to 255"]
    if num_odd := int(values_HW.size - finite.sum()):
        repairs.append(f"{num_odd} pixels that are not finite numbers replaced")
    span = high - low if high > low else 1.0
    filled_HW = np.nan_to_num(values_HW, nan=low, posinf=high, neginf=low)
    scaled_HW: NDArray[np.float64] = np.rint((filled_HW - low) / span * 255)
    return scaled_HW.astype(np.uint8), tuple(repairs)


def _grey(pixels_HW: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels_HW).convert("RGB")


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Lay the image on white; the second value says whether anything was transparent."""
    # Pillow knows no way from La (premultiplied) to RGBA but through LA.
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = straight.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return rgba.convert("RGB"), False
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB"), True
