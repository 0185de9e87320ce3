"""Photos side by side in one picture, such as a batch before and after augmentation.

In: rows of pixels. Out: a PNG, with transparent ground, so that it fits a page of any colour. The
same pixels give the same bytes.
Shapes: N photos of a row, H height, W width, C channels (3).
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def contact_sheet(rows: Sequence[NDArray[np.uint8]], *, side_px: int, gap_px: int = 4) -> bytes:
    """Return a PNG with the rows of photos under each other, each photo in a square of its own.

    A photo is brought to the size of its square and keeps its shape: one that is not square stands
    in the middle. Row and column are those of the input, so a photo stands above itself changed.

    Args:
        rows: uint8 of shape (N, H, W, 3) each, from the top. N may differ, and H and W too.
        side_px: side of the square of each photo, 1 or more.
        gap_px: between two squares, 0 or more; there is none around the outside.

    Raises:
        ValueError: there is no photo, or a row is not of that type and shape.
    """
    for pixels_NHWC in rows:
        if pixels_NHWC.dtype != np.uint8 or pixels_NHWC.ndim != 4 or pixels_NHWC.shape[3] != 3:
            raise ValueError(
                f"a row is {pixels_NHWC.dtype} of shape {pixels_NHWC.shape}; it must be uint8 of "
                "shape (N, H, W, 3)"
            )
    num_columns = max((len(pixels_NHWC) for pixels_NHWC in rows), default=0)
    if not num_columns:
        raise ValueError("there is no photo to show")
    pitch_px = side_px + gap_px
    size = (num_columns * pitch_px - gap_px, len(rows) * pitch_px - gap_px)
    sheet = Image.new("RGBA", size, (255, 255, 255, 0))
    for row, pixels_NHWC in enumerate(rows):
        for column, pixels_HWC in enumerate(pixels_NHWC):
            photo = _fitted(pixels_HWC, side_px=side_px)
            left = column * pitch_px + (side_px - photo.width) // 2
            top = row * pitch_px + (side_px - photo.height) // 2
            sheet.paste(photo, (left, top))
    content = io.BytesIO()
    sheet.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _fitted(pixels_HWC: NDArray[np.uint8], *, side_px: int) -> Image.Image:
    """Return the photo so large that its longer side is `side_px`."""
    height, width, _ = pixels_HWC.shape
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = Image.fromarray(np.ascontiguousarray(pixels_HWC))
    return photo if photo.size == size else photo.resize(size, Image.Resampling.BICUBIC)
