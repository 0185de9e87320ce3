"""One photo: the bytes of a file to upright RGB pixels with 8 bits a channel.

In: the content of a file. Out: `Decoded`, or `UnreadableImage` with the reason.
This is the only way from a file to pixels, for training, prediction and serving alike.
Not covered: animations beyond their first frame; colour profiles; damage inside the data of a
JPEG that its decoder glosses over.
Shapes: H height, W width; 3 channels.
"""

import struct
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from fieldmark.data.colour import to_rgb
from fieldmark.data.formats import UnreadableImage, open_undecoded, recognise
from fieldmark.data.jpeg import read_jpeg, reduction
from fieldmark.data.metadata import UPRIGHT, read_camera, read_orientation, split_jpeg
from fieldmark.data.quiet import pillow_warnings_off

__all__ = ["MAX_PIXELS", "TURNED", "Decoded", "UnreadableImage", "decode", "reduction"]

MAX_PIXELS = 178_956_970
"""Width times height above which a photo is refused undecoded: where Pillow's own default takes a
file for a decompression bomb (twice `Image.MAX_IMAGE_PIXELS`), about 0.7 GB once decoded."""

TURNED = "turned upright"
"""How the repair begins that follows the orientation in the metadata."""

_PREVIEW_TAG, _ORIENTATION_TAG = 254, 274
_RAW_EXIF = "Raw profile type exif"
"""Where ImageMagick keeps EXIF in a PNG: a text of two header lines and hexadecimal digits."""

_SWAPS_SIDES = frozenset({5, 6, 7, 8})
"""The orientations that lay a photo on its side."""

_UNDO = {6: 8, 8: 6}
"""The orientations whose turns undo each other; the others undo themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A photo, ready to be resized."""

    pixels_HW3: NDArray[np.uint8]
    """RGB, upright (unless that was not asked for), in one piece, to be changed by none but its
    owner."""
    width: int
    """Of the upright picture in pixels, in full even where it was decoded at a reduced scale."""
    height: int
    """Of the upright picture in pixels, likewise."""
    orientation: int
    """What the metadata note, 1 to 8; 1 where there is none."""
    camera: str
    """Make and model of the camera that the metadata name, or nothing."""
    format: str
    """What the content is, whatever the file's name says: "JPEG", "PNG"..."""
    mode: str
    """Pillow's name for the pixels as they are in the file: "RGB", "CMYK", "P"..."""
    reduced_by: int
    """1, or 2, 4 or 8 where a JPEG was decoded at that part of its size."""
    repairs: tuple[str, ...]
    """What was changed so that the pixels mean what they look like; empty for a plain photo."""

    @property
    def image(self) -> Image.Image:
        """The same as a Pillow image."""
        return Image.fromarray(self.pixels_HW3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raster:
    """What a decoder gave: RGB as it lies in the file, and what else is known of it."""

    pixels_HW3: NDArray[np.uint8]
    size: tuple[int, int]
    """Width and height in full."""
    mode: str
    exif: bytes
    xmp: bytes
    reduced_by: int = 1
    already_turned: int | None = None
    repairs: tuple[str, ...] = ()


def decode(
    content: bytes,
    *,
    turn_upright: bool = True,
    max_pixels: int = MAX_PIXELS,
    reduce_to_px: int | None = None,
) -> Decoded:
    """Decode a photo.

    Args:
        content: all bytes of the file.
        turn_upright: follow the orientation in the metadata; False leaves the picture as stored,
            for collections whose tags outlived an editor that had turned the pixels.
        max_pixels: width times height above which the photo is refused before it is decoded.
        reduce_to_px: decode a JPEG at a half, a quarter or an eighth of its size, where both sides
            keep at least this many pixels: several times faster, for who reduces it anyway, though
            the pixels are not quite those of a photo reduced later. None decodes in full.

    Raises:
        UnreadableImage: for anything but a complete picture in a format that is read.
    """
    kind = recognise(content)
    with _without_warnings(content, kind=kind):
        try:
            return _decode(
                content,
                kind=kind,
                turn=turn_upright,
                max_pixels=max_pixels,
                reduce_to_px=reduce_to_px,
            )
        except UnreadableImage:
            raise
        except MemoryError as error:
            raise UnreadableImage(f"not enough memory to decode this {kind} file") from error
        except Exception as error:  # decoders raise anything on hostile bytes
            raise UnreadableImage(_reason(error, kind=kind)) from error


def _without_warnings(content: bytes, *, kind: str) -> AbstractContextManager[None]:
    """Silence Pillow only for what makes it warn, since doing so reaches into the whole process."""
    is_animated_png = kind == "PNG" and content.find(b"acTL", 0, content.find(b"IDAT")) >= 0
    if kind in {"TIFF", "AVIF"} or is_animated_png:
        return pillow_warnings_off()
    return nullcontext()


def _decode(
    content: bytes, *, kind: str, turn: bool, max_pixels: int, reduce_to_px: int | None
) -> Decoded:
    raster = _rasterise(content, kind=kind, max_pixels=max_pixels, reduce_to_px=reduce_to_px)
    orientation = raster.already_turned or read_orientation(raster.exif, xmp=raster.xmp)
    pixels_HW3, size = raster.pixels_HW3, raster.size
    if orientation != UPRIGHT and bool(raster.already_turned) != turn:
        how = orientation if turn else _UNDO.get(orientation, orientation)
        pixels_HW3, size = _turned(pixels_HW3, how), sides_turned(size, orientation)
    return Decoded(
        pixels_HW3=np.ascontiguousarray(pixels_HW3),
        width=size[0],
        height=size[1],
        orientation=orientation,
        camera=read_camera(raster.exif),
        format=kind,
        mode=raster.mode,
        reduced_by=raster.reduced_by,
        repairs=(*raster.repairs, *repair_of_turn(orientation)) if turn else raster.repairs,
    )


def _rasterise(content: bytes, *, kind: str, max_pixels: int, reduce_to_px: int | None) -> _Raster:
    """Decode a JPEG by the fast decoder if it can, and all else by Pillow."""
    if kind != "JPEG":
        return _by_pillow(content, kind=kind, max_pixels=max_pixels)
    parts = split_jpeg(content)
    read = read_jpeg(parts.content, max_pixels=max_pixels, reduce_to_px=reduce_to_px)
    if read is not None:
        return _Raster(
            pixels_HW3=read.pixels_HW3,
            size=read.size,
            mode=read.mode,
            exif=parts.exif,
            xmp=parts.xmp,
            reduced_by=read.reduced_by,
        )
    raster = _by_pillow(parts.content, kind=kind, max_pixels=max_pixels, reduce_to_px=reduce_to_px)
    return replace(raster, exif=parts.exif or raster.exif, xmp=parts.xmp or raster.xmp)


def _by_pillow(
    content: bytes, *, kind: str, max_pixels: int, reduce_to_px: int | None = None
) -> _Raster:
    opened = open_undecoded(content, kind=kind)
    _refuse(opened, max_pixels=max_pixels)
    mode, is_16_bit, already_turned = opened.mode, _is_16_bit(opened), _turned_by_pillow(opened)
    full_size, reduced_by = _reduce(opened, to_px=reduce_to_px)
    opened.load()
    rgb, repairs = to_rgb(opened, is_16_bit=is_16_bit)
    # A copy: counting the frames moves on in the file, and may drop its pixels.
    pixels_HW3 = np.array(rgb, dtype=np.uint8)
    if getattr(opened, "is_animated", False):
        repairs = (f"first of {_num_frames(opened)} frames taken", *repairs)
    return _Raster(
        pixels_HW3=pixels_HW3,
        size=rgb.size if reduced_by == 1 else full_size,
        mode=mode,
        exif=opened.info.get("exif", b"") or _exif_in_text(opened.info.get(_RAW_EXIF)),
        xmp=_xmp(opened),
        reduced_by=reduced_by,
        already_turned=already_turned,
        repairs=repairs,
    )


def _turned(pixels_HW3: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation, 2 to 8 (EXIF 2.32, section 4.6.4)."""
    if orientation in _SWAPS_SIDES:
        pixels_HW3 = pixels_HW3.transpose(1, 0, 2)
    upside_down, left_to_right = orientation in {3, 4, 7, 8}, orientation in {2, 3, 6, 7}
    return pixels_HW3[:: -1 if upside_down else 1, :: -1 if left_to_right else 1]


def repair_of_turn(orientation: int) -> tuple[str, ...]:
    """Return what a photo's repairs say of its being turned; nothing where it is upright."""
    return (f"{TURNED} (EXIF orientation {orientation})",) if orientation != UPRIGHT else ()


def sides_turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height of a photo once it is turned, or as it was before that."""
    return size[::-1] if orientation in _SWAPS_SIDES else size


def _reduce(opened: ImageFile.ImageFile, *, to_px: int | None) -> tuple[tuple[int, int], int]:
    """Have a JPEG decoded at a reduced scale; return its full size, and by how much."""
    full_size = opened.size
    if to_px is not None and isinstance(opened, JpegImagePlugin.JpegImageFile):
        opened.draft(None, (to_px, to_px))
    return full_size, 1 if opened.size == full_size else reduction(full_size, to_px=to_px or 1)


def _refuse(opened: ImageFile.ImageFile, *, max_pixels: int) -> None:
    """Look at the header alone for what is not worth decoding."""
    width, height = opened.size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width} x {height} pixels, more than the {max_pixels:,} allowed: reduce it"
        )
    if width == 0 or height == 0:
        raise UnreadableImage(f"{width} x {height} pixels: nothing to see")
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        kind = opened.tag_v2.get(_PREVIEW_TAG, 0)
        if isinstance(kind, int) and kind & 1:
            raise UnreadableImage("only a preview can be read (camera raw?): export it as JPEG")


def _is_16_bit(opened: ImageFile.ImageFile) -> bool:
    """Say whether the file holds 16 bits a channel; Pillow hands out 8 of them for colour."""
    if not opened.tile:
        return False
    decoder, arguments = opened.tile[0].codec_name, opened.tile[0].args
    if decoder.startswith("ppm"):
        return isinstance(arguments, tuple) and int(arguments[-1]) > 255
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    # Signed 16 bits ("I;16S") have no fixed white, so they are stretched like other numbers.
    return isinstance(raw_mode, str) and ";16" in raw_mode and "16S" not in raw_mode


def _turned_by_pillow(opened: ImageFile.ImageFile) -> int | None:
    """Return the orientation that Pillow undoes itself as it loads: that of a TIFF, only."""
    if not isinstance(opened, TiffImagePlugin.TiffImageFile):
        return None
    orientation = opened.getexif().get(_ORIENTATION_TAG, UPRIGHT)
    return orientation if orientation in range(2, 9) else UPRIGHT


def _xmp(opened: ImageFile.ImageFile) -> bytes:
    xmp = opened.info.get("xmp", b"") or opened.info.get("XML:com.adobe.xmp", b"")
    return xmp.encode() if isinstance(xmp, str) else xmp


def _exif_in_text(text: object) -> bytes:
    try:
        return bytes.fromhex("".join(str(text).split("\n")[3:])) if text else b""
    except ValueError:
        return b""


def _num_frames(opened: ImageFile.ImageFile) -> int | str:
    try:
        return int(getattr(opened, "n_frames", 1))
    except Exception:  # noqa: BLE001 - a later frame may be broken in any way; the first is good
        return "several"


def _reason(error: Exception, *, kind: str) -> str:
    """Put what a decoder raised in words for the owner of the photo."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: {text}"
    if isinstance(error, EOFError) or "runcated" in text or "not enough image data" in text:
        return f"truncated: the {kind} data ends early"
    if isinstance(error.__cause__ or error, (struct.error, LookupError)):
        return f"damaged {kind} file: its header breaks off or makes no sense"
    return f"damaged {kind} file: {text}"
