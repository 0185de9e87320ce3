"""JPEGs to pixels without a Pillow image between, where the extra "fast" is installed.

In: the bytes of a JPEG without its metadata. Out: RGB pixels, those that Pillow gives; or None,
where Pillow must do it: another colour space, damage that it may gloss over or has words for.
Shapes: H height, W width; 3 channels.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REDUCTIONS = (8, 4, 2)
"""The parts of its size at which a decoder gives a JPEG, besides the whole."""
_MODES = {"YCbCr": "RGB", "Gray": "L"}
"""The colour spaces of all but a few JPEGs, and what Pillow calls their pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jpeg:
    """A JPEG decoded."""

    pixels_HW3: NDArray[np.uint8]
    """RGB as it lies in the file."""
    size: tuple[int, int]
    """Width and height in full, even where it was decoded at a reduced scale."""
    mode: str
    """Pillow's name for the pixels in the file: "RGB" or "L"."""
    reduced_by: int
    """1, or 2, 4 or 8 where it was decoded at that part of its size."""


def read_jpeg(content: bytes, *, max_pixels: int, reduce_to_px: int | None) -> Jpeg | None:
    """Decode a JPEG, or return None where Pillow must do it.

    Args:
        content: the file.
        max_pixels: width times height above which it is left to Pillow undecoded.
        reduce_to_px: decode at a half, a quarter or an eighth where both sides keep at least this
            many pixels; None: in full.
    """
    decoder = _decoder()
    if decoder is None:
        return None
    try:
        height, width, space, _ = decoder.decode_jpeg_header(content)
        if space not in _MODES or not 0 < width * height <= max_pixels:
            return None
        part = reduction((width, height), to_px=reduce_to_px) if reduce_to_px else 1
        pixels_HW3 = decoder.decode_jpeg(
            content, "RGB", min_height=-(-height // part), min_width=-(-width // part)
        )
    except ValueError:
        return None
    return Jpeg(pixels_HW3=pixels_HW3, size=(width, height), mode=_MODES[space], reduced_by=part)


def reduction(size: tuple[int, int], *, to_px: int) -> int:
    """Return the part of its size, 1, 2, 4 or 8, at which a JPEG keeps `to_px` on both sides."""
    return next((part for part in _REDUCTIONS if min(size) // to_px >= part), 1)


@cache
def _decoder() -> Any:
    """Return the module simplejpeg, which uses libjpeg-turbo as Pillow does; None without it."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
