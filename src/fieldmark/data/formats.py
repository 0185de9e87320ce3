"""Which raster formats are read, told by the content and never by the name of a file.

In: the bytes of a file. Out: the name of its format, and the file opened but not yet decoded.
Not covered: vector graphics, camera raw files, HEIC.
"""

import io
from collections.abc import Callable

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from fieldmark.base.errors import DataError

EXTENSIONS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
}
"""The formats read, and what their files are called."""

_OPENERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
# Image.open would also try formats that start other programs, and it warns of a large file before
# its size can be looked at. A JPEG of several pictures (MPO) is read as the one it begins with.

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_LONGEST_BRAND_LIST = 256


class UnreadableImage(DataError):  # noqa: N818 - it reads as what is wrong with the file
    """A file that cannot be used as a photo; the message is the reason, without the file's name."""


def recognise(content: bytes) -> str:
    """Return the format's name, a key of `EXTENSIONS`.

    Raises:
        UnreadableImage: where the content is empty or in no format that is read.
    """
    if not content:
        raise UnreadableImage("empty file")
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[:1] == b"P" and content[1:2] in b"123456f" and content[2:3].isspace():
        return "PPM"
    if content[4:8] == b"ftyp":
        return _recognise_brand(content)
    if not any(content):
        raise UnreadableImage("not an image: the file holds only zeros")
    raise UnreadableImage("not an image in a format that is read")


def _recognise_brand(content: bytes) -> str:
    """Tell apart what shares the container of MP4, by the brands that it lists."""
    end = min(int.from_bytes(content[:4], "big"), _LONGEST_BRAND_LIST)
    brands = {content[8:12]} | {content[at : at + 4] for at in range(16, end, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        raise UnreadableImage("a HEIC photo, which is not read: export it as JPEG or PNG")
    raise UnreadableImage("not an image in a format that is read: a film?")


def open_undecoded(content: bytes, *, kind: str) -> ImageFile.ImageFile:
    """Read the header of a file in the format `kind`; whatever the decoder raises comes through."""
    return _OPENERS[kind](io.BytesIO(content))
