"""Any photo comes out upright as RGB, or else the reason; never a warning or half a picture."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fieldmark.data.images import UnreadableImage, decode

ORIENTATION_TAG = 274
REAL_PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "exif-orientation"


def picture(width: int = 40, height: int = 24) -> Image.Image:
    """A gradient with a bright corner, so that every turn of it differs from every other."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([rows * 5, columns * 4, rows + columns], axis=-1).astype(np.uint8)
    pixels[:6, :10] = (250, 240, 10)
    return Image.fromarray(pixels)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels + png_chunk(b"IEND", b"")


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


def encodings() -> dict[str, bytes]:
    image = picture()
    return {
        "jpeg": encode(image, "JPEG"),
        "progressive": encode(image, "JPEG", progressive=True),
        "png": encode(image, "PNG"),
        "gif": encode(image, "GIF"),
        "webp": encode(image, "WEBP"),
        "lossless webp": encode(image, "WEBP", lossless=True),
        "bmp": encode(image, "BMP"),
        "tiff": encode(image, "TIFF"),
        "ppm": encode(image, "PPM"),
        "avif": encode(image, "AVIF"),
        "jpeg 2000": encode(image, "JPEG2000"),
        "animated gif": encode(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        "apng": encode(image, "PNG", save_all=True, append_images=[image.rotate(90)]),
        "tagged jpeg": encode(image, "JPEG", exif=oriented(6)),
    }


ENCODINGS = encodings()


@pytest.mark.parametrize("name", ["png", "bmp", "tiff", "ppm", "lossless webp"])
def test_a_lossless_file_comes_out_as_it_went_in(name: str) -> None:
    decoded = decode(ENCODINGS[name])
    assert np.array_equal(np.asarray(decoded.image), np.asarray(picture()))
    assert (decoded.width, decoded.height) == (40, 24)
    assert decoded.repairs == ()


@pytest.mark.parametrize("name", ["jpeg", "progressive", "webp", "avif", "jpeg 2000", "gif"])
def test_a_lossy_file_decodes_to_the_pixels_that_pillow_gives(name: str) -> None:
    expected = Image.open(io.BytesIO(ENCODINGS[name])).convert("RGB")
    assert np.array_equal(np.asarray(decode(ENCODINGS[name]).image), np.asarray(expected))


def test_the_format_and_mode_are_those_of_the_content() -> None:
    decoded = decode(encode(picture().convert("L"), "PNG"))
    assert (decoded.format, decoded.mode, decoded.image.mode) == ("PNG", "L", "RGB")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_orientation_is_undone_as_pillow_undoes_it(
    image_format: str, orientation: int
) -> None:
    options = {"tiffinfo": {ORIENTATION_TAG: orientation}} if image_format == "TIFF" else {}
    content = encode(picture(), image_format, **{"exif": oriented(orientation)} | options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    decoded = decode(content)
    assert np.array_equal(np.asarray(decoded.image), np.asarray(expected))
    assert (decoded.width, decoded.height) == expected.size
    told = f"turned upright (EXIF orientation {orientation})"
    assert decoded.repairs == (() if orientation == 1 else (told,))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_scene_comes_out_as_the_scene(orientation: int) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what each orientation did to the scene
    scene = picture()
    stored = scene.transpose(Image.Transpose(turn[orientation])) if orientation > 1 else scene
    decoded = decode(encode(stored, "PNG", exif=oriented(orientation)))
    assert np.array_equal(np.asarray(decoded.image), np.asarray(scene))


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_a_picture_can_be_left_as_it_is_stored(image_format: str, orientation: int) -> None:
    options = {"tiffinfo": {ORIENTATION_TAG: orientation}} if image_format == "TIFF" else {}
    content = encode(picture(), image_format, **{"exif": oriented(orientation)} | options)
    decoded = decode(content, turn_upright=False)
    assert np.array_equal(np.asarray(decoded.image), np.asarray(picture()))
    assert decoded.repairs == ()


def test_orientation_in_xmp_counts_where_exif_has_none() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    assert decode(encode(picture(), "JPEG", xmp=xmp)).image.size == (24, 40)


@pytest.mark.skipif(not REAL_PHOTOS.exists(), reason="the shared photos are not on this machine")
@pytest.mark.parametrize("scene", ["Landscape", "Portrait"])
def test_real_photos_of_one_scene_agree_in_all_orientations(scene: str) -> None:
    photos = [decode((REAL_PHOTOS / f"{scene}_{tag}.jpg").read_bytes()) for tag in range(9)]
    reference = np.asarray(photos[1].image.resize((60, 60)), dtype=float)
    for photo in photos:
        assert photo.image.size == photos[1].image.size
        difference = np.abs(np.asarray(photo.image.resize((60, 60)), dtype=float) - reference)
        assert difference.mean() < 6


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00",
        b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + b"\x12\x01\x03\x00" * 5,
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x1a\x00\x05\xff\xff\xff\xff\x00\x00\x00\x99",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x09\x00\x00",
        b"Exif\x00\x00" + b"\xff" * 100,
    ],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_leaves_the_photo_readable(image_format: str, exif: bytes) -> None:
    content = encode(picture(), image_format, exif=exif)
    assert exif[6:] in content, "the broken block must be in the file"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(content).image.size == (40, 24)


def test_the_first_frame_of_an_animation_is_taken_and_told() -> None:
    frames = [picture().rotate(10 * turn) for turn in range(3)]
    for image_format in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if image_format == "WEBP" else {}
        content = encode(
            frames[0], image_format, save_all=True, append_images=frames[1:], **options
        )
        first = Image.open(io.BytesIO(content)).convert("RGB")
        decoded = decode(content)
        assert decoded.repairs == ("first of 3 frames taken",), image_format
        assert not getattr(decoded.image, "tile", None), "nothing may be left to load"
        assert np.array_equal(np.asarray(decoded.image), np.asarray(first)), image_format


def test_a_broken_later_frame_does_not_matter() -> None:
    image = picture().convert("P")
    content = encode(image, "GIF", save_all=True, append_images=[image.rotate(90)])
    cut = content[: content.rindex(b"\x2c") + 4]
    assert decode(cut).repairs[0].startswith("first of ")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"dear diary", "not an image in a format that is read"),
        (bytes(64), "not an image: the file holds only zeros"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image in a format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image in a format"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC photo, which is not read"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp41", "a film"),
        (png_header(0, 5), "nothing to see|damaged|truncated"),
    ],
)
def test_what_is_no_photo_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(content)


@pytest.mark.parametrize("size", [(60000, 60000), (13378, 13378), (178_956_971, 1)])
def test_a_decompression_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableImage, match=f"{size[0]} x {size[1]} pixels, more than"):
        decode(png_header(*size))


def test_a_file_that_pillow_would_warn_of_is_looked_at_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match="more than the 90,000,000 allowed"):
            decode(png_header(10_000, 10_000), max_pixels=90_000_000)


def test_the_limit_itself_is_allowed() -> None:
    content = encode(picture(), "PNG")
    assert decode(content, max_pixels=40 * 24).width == 40
    with pytest.raises(UnreadableImage, match="more than the 959 allowed"):
        decode(content, max_pixels=40 * 24 - 1)


def test_a_preview_in_a_camera_raw_file_is_not_taken_for_the_photo() -> None:
    with pytest.raises(UnreadableImage, match="only a preview"):
        decode(encode(picture(), "TIFF", tiffinfo={254: 1}))


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_a_file_cut_short_is_refused_or_whole(name: str) -> None:
    content = ENCODINGS[name]
    whole = np.asarray(decode(content).image)
    num_refused = 0
    for length in {*range(0, len(content), max(1, len(content) // 60)), len(content) - 1}:
        try:
            pixels = np.asarray(decode(content[:length]).image)
        except UnreadableImage:
            num_refused += 1
        else:
            assert np.array_equal(pixels, whole), f"half a picture from {length} bytes"
    assert num_refused >= 30


def test_a_jpeg_cut_in_the_middle_is_called_truncated() -> None:
    content = ENCODINGS["jpeg"]
    with pytest.raises(UnreadableImage, match="truncated: the JPEG data ends early"):
        decode(content[: len(content) - 40])


def test_a_jpeg_whose_end_was_never_written_is_called_truncated() -> None:
    content = ENCODINGS["jpeg"]
    with pytest.raises(UnreadableImage, match="truncated"):
        decode(content[:-60] + bytes(60))


def photo_or_reason(content: bytes, *, max_pixels: int) -> str:
    """Return the mode of the photo or the reason; any other exception comes through."""
    try:
        return decode(content, max_pixels=max_pixels).image.mode
    except UnreadableImage as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(set(ENCODINGS) - {"avif"})))
def test_flipped_bytes_give_a_photo_or_a_reason_and_never_a_warning(
    data: st.DataObject, name: str
) -> None:
    content = bytearray(ENCODINGS[name])
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # A low limit, so that a size made large by chance costs no time.
        told = photo_or_reason(bytes(content), max_pixels=1_000_000)
    assert told == "RGB" or len(told) > len("RGB")
    assert caught == []


@given(st.binary(max_size=400))
def test_any_bytes_give_a_photo_or_a_reason(content: bytes) -> None:
    told = photo_or_reason(content, max_pixels=1_000_000)
    assert told == "RGB" or len(told) > len("RGB")


def test_odd_tiffs_decode_silently_on_many_threads() -> None:
    odd = encode(picture(), "TIFF", tiffinfo={270: "x" * 40})
    at = odd.index(struct.pack("<HH", 270, 2))
    broken = odd[: at + 4] + struct.pack("<I", 1 << 30) + odd[at + 8 :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="Tag data larger"):
            Image.open(io.BytesIO(broken))
        with ThreadPoolExecutor(4) as pool:
            sizes = {decoded.image.size for decoded in pool.map(decode, [broken] * 200)}
    assert sizes == {(40, 24)}
