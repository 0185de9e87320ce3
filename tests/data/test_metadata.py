"""Orientation is read from whatever metadata there is, and nothing in it can break the reading."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fieldmark.data.metadata import read_orientation, split_jpeg


def exif(orientation: int, *, order: str = "<", kind: int = 3) -> bytes:
    value = {3: "Hxx", 4: "I"}[kind]
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(order + "HHI" + value, 0x0112, kind, 1, orientation)
    return b"Exif\x00\x00" + head + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 10, 90)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_orientation_is_read_in_both_byte_orders_and_both_types(
    orientation: int, order: str, kind: int
) -> None:
    assert read_orientation(exif(orientation, order=order, kind=kind)) == orientation


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    assert read_orientation(exif(orientation)) == 1


@pytest.mark.parametrize(
    "xmp", [b'<a tiff:Orientation="8"/>', b"<tiff:Orientation>8</tiff:Orientation>"]
)
def test_xmp_counts_only_where_exif_is_silent(xmp: bytes) -> None:
    assert read_orientation(b"", xmp=xmp) == 8
    assert read_orientation(exif(3), xmp=xmp) == 3


def test_nothing_at_all_is_upright() -> None:
    assert read_orientation(b"") == 1


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_give_an_orientation(block: bytes, xmp: bytes) -> None:
    assert 1 <= read_orientation(b"Exif\x00\x00" + block, xmp=xmp) <= 8


@given(st.sampled_from([b"II", b"MM"]), st.binary(max_size=60))
def test_any_directory_gives_an_orientation(order: bytes, rest: bytes) -> None:
    assert 1 <= read_orientation(order + rest) <= 8


def test_metadata_is_taken_out_and_the_pixels_are_the_same() -> None:
    tags = Image.Exif()
    tags[0x0112] = 5
    content = jpeg(exif=tags, comment=b"hello", icc_profile=b"profile" * 9000, xmp=b"<x/>")
    parts = split_jpeg(content)
    assert b"hello" not in parts.content
    assert b"profile" not in parts.content
    assert parts.xmp == b"<x/>"
    assert read_orientation(parts.exif) == 5
    before, after = (Image.open(io.BytesIO(some)) for some in (content, parts.content))
    assert before.tobytes() == after.tobytes()


def test_what_decides_the_colours_stays() -> None:
    adobe = segment(0xEE, b"Adobe\x00\x64\x00\x00\x00\x00\x00")
    content = jpeg()
    marked = content[:2] + adobe + segment(0xE1, b"Exif\x00\x00junk") + content[2:]
    parts = split_jpeg(marked)
    assert parts.content == content[:2] + adobe + content[2:]


def test_a_jpeg_without_metadata_is_not_even_copied() -> None:
    content = b"\xff\xd8" + jpeg()[20:]  # without the JFIF segment, which stays anyway
    assert split_jpeg(content).content is content


def test_the_first_exif_block_counts() -> None:
    content = jpeg()
    two = segment(0xE1, exif(6)) + segment(0xE1, exif(3))
    assert read_orientation(split_jpeg(content[:2] + two + content[2:]).exif) == 6


def test_padding_before_a_marker_is_stepped_over() -> None:
    content = jpeg()
    padded = content[:2] + b"\xff\xff" + segment(0xE1, exif(6)) + content[2:]
    assert read_orientation(split_jpeg(padded).exif) == 6


@given(st.binary(max_size=200))
def test_splitting_any_bytes_neither_fails_nor_invents(rest: bytes) -> None:
    content = b"\xff\xd8" + rest
    parts = split_jpeg(content)
    assert len(parts.content) <= len(content)
    assert parts.exif in content
    assert parts.xmp in content


def test_a_segment_that_claims_more_than_the_file_holds_stays() -> None:
    content = b"\xff\xd8\xff\xe1\xff\xffExif\x00\x00"
    assert split_jpeg(content).content == content
