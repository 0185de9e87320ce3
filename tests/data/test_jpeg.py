"""JPEGs decoded without Pillow: the same pixels, or none."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fieldmark.data import jpeg
from fieldmark.data.images import MAX_PIXELS, decode

pytest.importorskip("simplejpeg", reason="the extra fast is not installed")


@pytest.fixture
def without_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "_decoder", lambda: None)


def photo(width: int, height: int, *, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    mode=st.sampled_from(["RGB", "L"]),
    quality=st.integers(20, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    reduce_to_px=st.sampled_from([None, 1, 8, 20, 64]),
)
def test_the_pixels_are_pillows(
    width: int,
    height: int,
    mode: str,
    quality: int,
    subsampling: int,
    progressive: bool,
    reduce_to_px: int | None,
) -> None:
    image = photo(width, height).convert(mode)
    options = {"quality": quality, "progressive": progressive}
    content = encoded(image, **options, **({} if mode == "L" else {"subsampling": subsampling}))
    read = jpeg.read_jpeg(content, max_pixels=MAX_PIXELS, reduce_to_px=reduce_to_px)
    assert read is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "_decoder", lambda: None)
        by_pillow = decode(content, reduce_to_px=reduce_to_px)
    assert np.array_equal(read.pixels_HW3, by_pillow.pixels_HW3)
    assert read.size == (width, height) == (by_pillow.width, by_pillow.height)
    assert (read.mode, read.reduced_by) == (by_pillow.mode, by_pillow.reduced_by)


def test_what_is_known_of_a_photo_is_the_same_either_way(without_fast: None) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "X100"
    content = encoded(photo(90, 60), exif=exif)
    slow = decode(content)
    jpeg_decoder = __import__("simplejpeg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "_decoder", lambda: jpeg_decoder)
        fast = decode(content)
    assert np.array_equal(fast.pixels_HW3, slow.pixels_HW3)
    assert (fast.width, fast.height, fast.camera) == (60, 90, "X100")
    assert fast.repairs == slow.repairs == ("turned upright (EXIF orientation 6)",)


def test_other_colour_spaces_are_left_to_pillow() -> None:
    content = encoded(photo(20, 20).convert("CMYK"))
    assert jpeg.read_jpeg(content, max_pixels=MAX_PIXELS, reduce_to_px=None) is None
    assert decode(content).repairs == ("converted from CMYK",)


@pytest.mark.parametrize("kept", [0, 3, 30, 300, -3])
def test_damage_is_left_to_pillow(kept: int) -> None:
    content = encoded(photo(80, 80))[:kept]
    assert jpeg.read_jpeg(content, max_pixels=MAX_PIXELS, reduce_to_px=None) is None


def test_a_photo_of_too_many_pixels_is_not_decoded() -> None:
    content = encoded(photo(80, 80))
    assert jpeg.read_jpeg(content, max_pixels=6399, reduce_to_px=None) is None
    assert jpeg.read_jpeg(content, max_pixels=6400, reduce_to_px=None) is not None


def test_without_the_extra_pillow_decodes(without_fast: None) -> None:
    content = encoded(photo(80, 80))
    assert jpeg.read_jpeg(content, max_pixels=MAX_PIXELS, reduce_to_px=None) is None
    assert decode(content, reduce_to_px=20).pixels_HW3.shape == (20, 20, 3)


@pytest.mark.parametrize(
    ("size", "to_px", "part"),
    [((900, 640), 80, 8), ((900, 639), 80, 4), ((640, 900), 300, 2), ((10, 10), 20, 1)],
)
def test_both_sides_keep_what_is_needed(size: tuple[int, int], to_px: int, part: int) -> None:
    assert jpeg.reduction(size, to_px=to_px) == part
