"""Cues: what is measured of a photo small, and that a reduced scale changes little of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fieldmark.data.cues import LOOK_PX, THUMBNAIL_PX, inspect
from fieldmark.data.images import UnreadableImage, decode

ROTATION_TAG, MAKE_TAG, MODEL_TAG = 274, 271, 272


def scene(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Return a smooth scene with some texture, unlike its mirror image."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_metadata(image: Image.Image, *, rotation: int = 1, model: str = "") -> bytes:
    exif = Image.Exif()
    exif[ROTATION_TAG] = rotation
    if model:
        exif[MAKE_TAG], exif[MODEL_TAG] = "Acme", model
    return encoded(image, exif=exif)


def test_format_mode_and_size_are_those_of_the_file() -> None:
    cues = inspect(encoded(scene(90, 60).convert("L"), "PNG")).cues
    assert cues is not None
    assert (cues.format, cues.mode, cues.stored_width, cues.stored_height) == ("PNG", "L", 90, 60)
    assert (cues.camera, cues.orientation) == ("", 1)
    assert cues.thumbnail_SSC.shape == (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    assert cues.thumbnail_SSC.dtype == np.uint8


def test_camera_and_rotation_are_read_and_the_picture_stays_as_it_lies() -> None:
    picture = scene(90, 60)
    plain = inspect(encoded(picture)).cues
    turned = inspect(with_metadata(picture, rotation=6, model="Acme One"))
    assert plain is not None
    assert turned.cues is not None
    assert (turned.cues.camera, turned.cues.orientation) == ("Acme One", 6)
    assert (turned.cues.stored_width, turned.cues.stored_height) == (90, 60)
    assert np.array_equal(turned.cues.thumbnail_SSC, plain.thumbnail_SSC)
    assert turned.repairs == ()


def test_the_maker_stands_before_a_model_that_does_not_name_it() -> None:
    cues = inspect(with_metadata(scene(60, 60), model="One")).cues
    assert cues is not None
    assert cues.camera == "Acme One"


@pytest.mark.parametrize("size", [(1024, 768), (300, 300), (100, 80)])
@pytest.mark.parametrize("rotation", [1, 6])
@pytest.mark.parametrize("to_px", [None, 30, LOOK_PX, 400])
def test_cues_do_not_depend_on_the_scale_that_the_photo_was_decoded_at(
    size: tuple[int, int], rotation: int, to_px: int | None
) -> None:
    content = with_metadata(scene(*size), rotation=rotation)
    decoded = decode(content, reduce_to_px=to_px)
    alone, beside = inspect(content).cues, inspect(content, decoded=decoded).cues
    assert alone is not None
    assert beside is not None
    assert np.array_equal(alone.thumbnail_SSC, beside.thumbnail_SSC)
    assert (alone.sharpness, alone.contrast) == (beside.sharpness, beside.contrast)


def test_a_photo_decoded_at_the_scale_that_is_looked_at_is_not_decoded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = encoded(scene(2400, 1800))
    decoded = decode(content, reduce_to_px=224)
    assert decoded.reduced_by == 8

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("fieldmark.data.cues.decode", refuse)
    assert inspect(content, decoded=decoded).cues is not None


def test_a_large_jpeg_is_decoded_at_a_reduced_scale_that_keeps_what_is_looked_at() -> None:
    content = encoded(scene(1600, 1200), quality=95)
    reduced = decode(content, reduce_to_px=LOOK_PX)
    assert min(reduced.image.size) == 150
    assert (reduced.width, reduced.height) == (1600, 1200)
    cues = inspect(content).cues
    assert cues is not None
    full = scene(1600, 1200).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    difference = cues.thumbnail_SSC.astype(int) - np.asarray(full).astype(int)
    assert np.abs(difference).mean() < 2


def test_brightness_and_contrast_by_hand() -> None:
    half = np.zeros((64, 64, 3), dtype=np.uint8)
    half[:, 32:] = 200
    cues = inspect(encoded(Image.fromarray(half), "PNG")).cues
    assert cues is not None
    assert (cues.brightness, cues.contrast) == (100.0, 100.0)


def test_blur_lowers_sharpness_and_a_change_of_contrast_does_not() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    crisp = Image.fromarray(noise)
    blurred = crisp.filter(ImageFilter.GaussianBlur(3))
    pale = Image.fromarray((noise // 4 + 90).astype(np.uint8))
    sharp, soft, weak = (
        inspect(encoded(picture, "PNG")).cues for picture in (crisp, blurred, pale)
    )
    assert sharp is not None
    assert soft is not None
    assert weak is not None
    assert soft.sharpness < 0.2 * sharp.sharpness
    assert weak.sharpness == pytest.approx(sharp.sharpness, rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (2, 40)])
def test_a_plain_or_tiny_picture_has_no_sharpness(size: tuple[int, int]) -> None:
    cues = inspect(encoded(Image.new("RGB", size, (9, 9, 9)), "PNG")).cues
    assert cues is not None
    assert cues.sharpness == 0.0


def test_what_cannot_be_read_is_a_problem_and_repairs_are_kept() -> None:
    content = encoded(scene(60, 40))
    assert inspect(content[: len(content) // 2]).problem == "truncated: the JPEG data ends early"
    assert inspect(content[: len(content) // 2]).cues is None
    assert inspect(encoded(scene(60, 40).convert("CMYK"))).repairs == ("converted from CMYK",)


def test_want_of_memory_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("fieldmark.data.images.to_rgb", fail)
    with pytest.raises(UnreadableImage, match="not enough memory"):
        inspect(encoded(scene(60, 40), "PNG"))


def test_broken_camera_names_never_make_a_photo_unreadable(tmp_path: Path) -> None:
    content = bytearray(with_metadata(scene(60, 40), model="Acme One"))
    start = content.find(b"Exif\x00\x00")
    for place in range(start + 6, start + 72):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        assert inspect(bytes(broken)).cues is not None
