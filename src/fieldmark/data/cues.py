"""What is measured of one photo by looking at it small: enough for every check of a folder.

In: the bytes of a file. Out: `Cues`, about 3 KiB a photo, or the reason why it cannot be read.
A JPEG is decoded at a reduced scale, which is several times faster than in full and changes the
pixels a little: cues are for judging photos, never for training on them.
Not covered: what the numbers mean (see `fieldmark.audit`).

Shapes: S THUMBNAIL_PX, H height, W width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.data.images import TURNED, Decoded, UnreadableImage, decode, reduction
from fieldmark.data.metadata import UPRIGHT

THUMBNAIL_PX = 32
"""Side of the small picture that is kept of each photo."""
LOOK_PX = 128
"""Both sides of the picture on which sharpness is measured, where the photo has as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cues:
    """What is measured of one photo."""

    format: str
    """What the content is, whatever the file is named: "JPEG", "PNG"..."""
    mode: str
    """Pillow's name for the pixels in the file: "RGB", "L", "P", "CMYK", "RGBA", "I;16"..."""
    camera: str
    """Make and model that the metadata name, or nothing."""
    orientation: int
    """The rotation that the metadata note, 1 to 8 as EXIF counts them; 1 where there is none."""
    stored_width: int
    """In pixels, of the picture as it lies in the file."""
    stored_height: int
    """In pixels, of the picture as it lies in the file."""
    brightness: float
    """Mean luma, 0 to 255."""
    contrast: float
    """Standard deviation of the luma, 0 to 127.5."""
    sharpness: float
    """Standard deviation of the Laplacian of the luma at LOOK_PX over `contrast`; 0 for a plain
    picture, about 1 for a crisp one."""
    thumbnail_SSC: NDArray[np.uint8]
    """The picture as it lies in the file, squashed to a square of THUMBNAIL_PX; RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What is known of a file once its content was looked at, whatever it is called."""

    cues: Cues | None = None
    """None where it is no photo that can be read."""
    repairs: tuple[str, ...] = ()
    """What has to be changed so that its pixels mean what they look like, turning aside."""
    problem: str = ""
    """Why it cannot be read, or nothing."""


def inspect(content: bytes, *, decoded: Decoded | None = None) -> Inspected:
    """Look at the bytes of a file.

    Args:
        content: all of them.
        decoded: the same photo, if it was decoded; it is measured instead of decoding once more,
            where that gives the same cues.

    Raises:
        UnreadableImage: there is not enough memory for this photo now; another time there may be.
    """
    try:
        if decoded is None or _would_be_measured_otherwise(decoded):
            decoded = decode(content, turn_upright=False, reduce_to_px=LOOK_PX)
    except UnreadableImage as error:
        if isinstance(error.__cause__, MemoryError):
            raise
        return Inspected(problem=str(error))
    return Inspected(
        cues=measure(decoded),
        repairs=tuple(repair for repair in decoded.repairs if not repair.startswith(TURNED)),
    )


def _would_be_measured_otherwise(decoded: Decoded) -> bool:
    """Say whether the photo was turned, or decoded at another scale than here."""
    size = decoded.width, decoded.height
    part = reduction(size, to_px=LOOK_PX) if decoded.format == "JPEG" else 1
    return part != decoded.reduced_by or decoded.orientation != UPRIGHT


def measure(decoded: Decoded) -> Cues:
    """Measure a photo that was decoded without being turned.

    Args:
        decoded: of the whole file, at any scale with both sides of at least LOOK_PX where the
            photo has as many.
    """
    image = decoded.image
    luma = image.convert("L")
    look_HW = np.asarray(_at_most(luma, side=LOOK_PX), dtype=np.float32)
    contrast = float(look_HW.std())
    thumbnail = image.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    return Cues(
        format=decoded.format,
        mode=decoded.mode,
        camera=decoded.camera,
        orientation=decoded.orientation,
        stored_width=decoded.width,
        stored_height=decoded.height,
        brightness=float(look_HW.mean()),
        contrast=contrast,
        sharpness=_sharpness(look_HW, contrast=contrast),
        thumbnail_SSC=np.array(thumbnail, dtype=np.uint8),
    )


def _at_most(image: Image.Image, *, side: int) -> Image.Image:
    width, height = image.size
    size = min(width, side), min(height, side)
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


def _sharpness(luma_HW: NDArray[np.float32], *, contrast: float) -> float:
    """Return the spread of the Laplacian relative to that of the picture itself.

    The variance of the Laplacian is a measure of focus (Pech-Pacheco et al. 2000); over the
    variance of the picture it no longer depends on contrast.
    """
    if min(luma_HW.shape) < 3 or contrast == 0:
        return 0.0
    return float(laplacian(luma_HW).std()) / contrast


def laplacian(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the four neighbours less four times the pixel, of the inner pixels of (..., H, W)."""
    difference: NDArray[np.float32] = luma[..., :-2, 1:-1] + luma[..., 2:, 1:-1]
    difference += luma[..., 1:-1, :-2]
    difference += luma[..., 1:-1, 2:]
    difference -= 4 * luma[..., 1:-1, 1:-1]
    return difference
