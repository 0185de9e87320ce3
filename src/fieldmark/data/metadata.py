"""What a photo's metadata says of orientation and camera, read without trusting any of it.

In: the bytes of an EXIF or XMP block, or of a whole JPEG. Out: an orientation from 1 to 8, the
camera's name.
Broken metadata reads as "upright", since it must never make a photo unreadable.
Not covered: every other tag.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

UPRIGHT = 1
ORIENTATION_TAG = 0x0112
"""Where EXIF 2.32, section 4.6.4, keeps the orientation, in the first directory."""
MAKE_TAG, MODEL_TAG = 0x010F, 0x0110
"""Where EXIF 2.32, section 4.6.4, keeps the camera's maker and its model."""
MAX_CAMERA_LETTERS = 80
ASCII_FORMAT = 2
INTEGER_FORMATS = {3: "H", 4: "I"}
"""TIFF field types that hold an orientation in practice: SHORT, as the standard asks, and LONG."""

_EXIF_PREFIX = re.compile(rb"^(Exif\x00\x00)+")
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\x00"
_EXIF_SEGMENT = b"Exif\x00\x00"

_START_OF_SCAN, _END_OF_IMAGE, _FILL = 0xDA, 0xD9, 0xFF
_APP1, _COMMENT = 0xE1, 0xFE
_STANDALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
_WITH_LENGTH = frozenset(range(0xFF)) - _STANDALONE - {_START_OF_SCAN, _END_OF_IMAGE}
_HEAD = struct.Struct(">BBH")
"""How these begin: 0xFF, the marker, and the length without those two."""
_METADATA = frozenset({*range(0xE1, 0xF0), _COMMENT}) - {0xEE}
"""Segments that do not change the pixels. APP0 (JFIF) and APP14 (Adobe) name the colour space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegParts:
    """A JPEG without its metadata, and the two blocks that can hold an orientation."""

    content: bytes
    """The file with only those segments that decide its pixels."""
    exif: bytes
    """The first EXIF block, or nothing."""
    xmp: bytes
    """The first XMP block, or nothing."""


def read_orientation(exif: bytes, *, xmp: bytes = b"") -> int:
    """Return the orientation from 1 to 8 that EXIF gives, or else XMP, or else 1."""
    if not exif and not xmp:
        return UPRIGHT
    try:
        orientation = _from_exif(exif)
    except (struct.error, IndexError):
        orientation = None
    if orientation is None:
        match = _XMP_ORIENTATION.search(xmp)
        orientation = int(match[1]) if match else UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def read_camera(exif: bytes) -> str:
    """Return the camera's make and model as EXIF names them, or nothing."""
    if not exif:
        return ""
    texts = {MAKE_TAG: "", MODEL_TAG: ""}
    try:
        for tag, kind, count, place, block in _entries(exif):
            if tag in texts and kind == ASCII_FORMAT:
                (start,) = (
                    (place,)
                    if count <= 4
                    else struct.unpack_from(_order(block) + "I", block, place)
                )
                texts[tag] = _printable(block[start : start + min(count, MAX_CAMERA_LETTERS)])
    except (struct.error, IndexError):
        pass
    make, model = texts.values()
    return model if model.startswith(make) else f"{make} {model}".strip()


def _printable(text: bytes) -> str:
    letters = text.partition(b"\0")[0].decode("latin-1")
    return " ".join("".join(letter for letter in letters if letter.isprintable()).split())


def _from_exif(exif: bytes) -> int | None:
    for tag, kind, _, place, block in _entries(exif):
        if tag == ORIENTATION_TAG and kind in INTEGER_FORMATS:
            (value,) = struct.unpack_from(_order(block) + INTEGER_FORMATS[kind], block, place)
            return int(value)
    return None


def _entries(exif: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Yield (tag, type, count, place of the value, block) of the first directory's entries."""
    block = _EXIF_PREFIX.sub(b"", exif)
    if not block.startswith((b"II", b"MM")):
        return
    order = _order(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    (num_entries,) = struct.unpack_from(order + "H", block, start)
    for entry in range(num_entries):
        at = start + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(order + "HHI", block, at)
        yield tag, kind, count, at + 8, block


def _order(block: bytes) -> str:
    return "<" if block.startswith(b"II") else ">"


def split_jpeg(content: bytes) -> JpegParts:
    """Take the metadata out of a JPEG, so that no decoder can stumble over it.

    Bytes that are not in a complete metadata segment stay as they are, in their order.
    """
    kept: list[bytes] = []
    blocks = {_EXIF_SEGMENT: b"", _XMP_SEGMENT: b""}
    kept_up_to = 0
    position = 2
    while segment := _next_segment(content, position):
        marker, start, end = segment
        position = end
        if marker not in _METADATA:
            continue
        kept.append(content[kept_up_to:start])
        kept_up_to = end
        if marker == _APP1:
            _remember(content[start + 4 : end], blocks)
    if not kept:
        return JpegParts(content=content, exif=b"", xmp=b"")
    kept.append(content[kept_up_to:])
    return JpegParts(content=b"".join(kept), exif=blocks[_EXIF_SEGMENT], xmp=blocks[_XMP_SEGMENT])


def _next_segment(content: bytes, position: int) -> tuple[int, int, int] | None:
    """Return (marker, start, end) of the next segment with a length, or None where pixels begin."""
    # All but a few files have the next segment right here: a shorter way, taken for each of them.
    if position + 4 > len(content):
        return None
    first, marker, length = _HEAD.unpack_from(content, position)
    if first == _FILL and marker in _WITH_LENGTH:
        end = position + 2 + length
        return (marker, position, end) if length >= 2 and end <= len(content) else None
    while True:
        start = content.find(b"\xff", position)
        if start < 0 or start + 4 > len(content):
            return None
        marker = content[start + 1]
        if marker in {_START_OF_SCAN, _END_OF_IMAGE}:
            return None
        if marker != _FILL and marker not in _STANDALONE:
            break
        position = start + (1 if marker == _FILL else 2)
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    return (marker, start, end) if start + 4 <= end <= len(content) else None


def _remember(payload: bytes, blocks: dict[bytes, bytes]) -> None:
    for prefix, known in blocks.items():
        if payload.startswith(prefix) and not known:
            blocks[prefix] = payload[len(prefix) :]
