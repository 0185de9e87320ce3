"""Every raster mode comes out as the colours that it stands for."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fieldmark.data.colour import ON_WHITE, REDUCED
from fieldmark.data.images import Decoded, UnreadableImage, decode

RED, HALF_RED_ON_WHITE = (255, 0, 0), (255, 127, 127)


def decoded(image: Image.Image, image_format: str, **options: object) -> Decoded:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return decode(buffer.getvalue())


def first_pixel(photo: Decoded) -> tuple[int, ...]:
    return tuple(int(value) for value in np.asarray(photo.image)[0, 0])


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 90, (90, 90, 90)),
        ("RGB", RED, RED),
        ("P", 7, (7, 7, 7)),
        ("RGBA", (*RED, 255), RED),
        ("LA", (90, 255), (90, 90, 90)),
    ],
)
def test_a_plain_mode_needs_no_repair(
    mode: str, colour: int | tuple[int, ...], expected: tuple[int, ...]
) -> None:
    image = Image.new(mode, (4, 4), colour)
    if mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])
    photo = decoded(image, "PNG")
    assert first_pixel(photo) == expected
    assert photo.repairs == ()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (*RED, 128), HALF_RED_ON_WHITE),
        ("RGBA", (*RED, 0), (255, 255, 255)),
        ("LA", (0, 51), (204, 204, 204)),
    ],
)
def test_alpha_is_laid_on_white(
    mode: str, colour: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    photo = decoded(Image.new(mode, (4, 4), colour), "PNG")
    assert first_pixel(photo) == expected
    assert photo.repairs == (ON_WHITE,)


def test_a_single_transparent_pixel_is_enough_to_be_laid_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (*RED, 255))
    image.putpixel((0, 0), (*RED, 0))
    photo = decoded(image, "PNG")
    assert first_pixel(photo) == (255, 255, 255)
    assert photo.image.getpixel((1, 0)) == RED
    assert photo.repairs == (ON_WHITE,)


@pytest.mark.parametrize("transparency", [0, bytes([128, 255])])
def test_transparent_colours_of_a_palette_are_laid_on_white(transparency: int | bytes) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, 0, 0, 0])
    photo = decoded(image, "PNG", transparency=transparency)
    assert first_pixel(photo) == ((255, 255, 255) if transparency == 0 else HALF_RED_ON_WHITE)
    assert photo.repairs == (ON_WHITE,)


def test_a_transparent_colour_of_a_gif_is_laid_on_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, *RED])
    assert first_pixel(decoded(image, "GIF", transparency=1)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "key"), [("RGB", RED), ("L", 90)])
def test_a_colour_that_stands_for_transparent_is_laid_on_white(
    mode: str, key: int | tuple[int, ...]
) -> None:
    photo = decoded(Image.new(mode, (4, 4), key), "PNG", transparency=key)
    assert first_pixel(photo) == (255, 255, 255)
    assert photo.repairs == (ON_WHITE,)


def test_premultiplied_alpha_is_laid_on_white() -> None:
    grey = Image.new("LA", (4, 4), (100, 51)).convert("La")
    assert first_pixel(decoded(grey.convert("LA"), "PNG")) == (224, 224, 224)
    from fieldmark.data.colour import to_rgb

    laid, repairs = to_rgb(grey, is_16_bit=False)
    assert laid.getpixel((0, 0)) == (224, 224, 224)
    assert repairs == (ON_WHITE,)


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_is_converted_with_its_ink_the_right_way_round(image_format: str) -> None:
    photo = decoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), image_format)
    assert photo.repairs == ("converted from CMYK",)
    assert np.allclose(first_pixel(photo), RED, atol=3)


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_other_colour_spaces_are_converted(mode: str) -> None:
    if mode == "LAB":
        from PIL import ImageCms

        way = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        image = ImageCms.applyTransform(Image.new("RGB", (8, 8), (200, 60, 30)), way)
        assert image is not None
    else:
        image = Image.new("RGB", (8, 8), (200, 60, 30)).convert(mode)
    photo = decoded(image, "TIFF")
    assert photo.repairs == (f"converted from {mode}",)
    assert np.allclose(first_pixel(photo), (200, 60, 30), atol=6)


@given(st.integers(0, 65535))
def test_sixteen_bits_of_grey_are_divided_by_257(value: int) -> None:
    image = Image.fromarray(np.full((2, 2), value, np.uint16))
    for image_format in ("PNG", "TIFF", "PPM"):
        photo = decoded(image, image_format)
        assert first_pixel(photo) == (round(value / 257),) * 3
        assert photo.repairs == (REDUCED,)


def test_big_endian_sixteen_bits_are_read_in_their_order() -> None:
    values = np.array([[0, 257, 65535]], dtype=">u2")
    image = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert np.asarray(decoded(image, "TIFF").image)[0, :, 0].tolist() == [0, 1, 255]


def test_sixteen_bits_of_colour_are_told() -> None:
    content = b"P6\n1 1\n65535\n" + np.array([65535, 257, 0], ">u2").tobytes()
    photo = decode(content)
    assert first_pixel(photo) == (255, 1, 0)
    assert photo.repairs == (REDUCED,)


def test_a_portable_map_with_few_levels_is_stretched_as_its_header_says() -> None:
    photo = decode(b"P5\n2 1\n15\n\x00\x0f")
    assert np.asarray(photo.image)[0, :, 0].tolist() == [0, 255]
    assert photo.repairs == ()


def test_integers_of_32_bits_are_stretched_between_their_extremes() -> None:
    values = np.array([[-100, 0, 100], [100, 50, -100]], np.int32)
    photo = decoded(Image.fromarray(values), "TIFF")
    assert np.asarray(photo.image)[..., 0].tolist() == [[0, 128, 255], [255, 191, 0]]
    assert photo.repairs == ("values -100 to 100 scaled to 0 to 255",)


def test_floats_are_stretched_and_odd_values_replaced_and_counted() -> None:
    values = np.array([[0.0, 1.0, 0.5], [np.nan, np.inf, -np.inf]], np.float32)
    photo = decoded(Image.fromarray(values), "TIFF")
    assert np.asarray(photo.image)[..., 0].tolist() == [[0, 255, 128], [0, 255, 0]]
    assert photo.repairs == (
        "values 0 to 1 scaled to 0 to 255",
        "3 pixels that are not finite numbers replaced",
    )


def test_a_picture_of_one_float_is_black_and_no_error() -> None:
    assert first_pixel(decoded(Image.new("F", (3, 3), 7.5), "TIFF")) == (0, 0, 0)


def test_extreme_floats_do_not_overflow() -> None:
    values = np.array([[-3e38, 3e38, 0]], np.float32)
    photo = decoded(Image.fromarray(values), "TIFF")
    assert np.asarray(photo.image)[0, :, 0].tolist() == [0, 255, 128]


def test_a_picture_without_a_number_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="no pixel is a finite number"):
        decoded(Image.new("F", (3, 3), float("nan")), "TIFF")
