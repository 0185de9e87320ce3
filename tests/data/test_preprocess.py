"""The one way from a photo to the input of a network."""

import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import BundleError, RecipeError
from fieldmark.data.preprocess import DataConfig, Preprocess

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def array(image: Image.Image) -> NDArray[np.uint8]:
    return np.array(image, dtype=np.uint8)


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def stripes() -> Image.Image:
    """30 x 10: a red square, a green square, a blue square."""
    values = np.zeros((10, 30, 3), np.uint8)
    for channel in range(3):
        values[:, 10 * channel : 10 * channel + 10, channel] = 255
    return Image.fromarray(values)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(30, 10), (10, 30), (16, 16), (1, 40), (500, 3)])
def test_any_shape_becomes_a_square_of_bytes(resize: str, size: tuple[int, int]) -> None:
    preprocess = Preprocess(size_px=16, resize=resize)  # type: ignore[arg-type]
    pixels = preprocess.to_pixels(array(noise(*size)))
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size_px", [9, 20, 64])
def test_squash_is_pillows_resize_within_a_grey_level(interpolation: str, size_px: int) -> None:
    image = noise(37, 23)
    preprocess = Preprocess(size_px=size_px, interpolation=interpolation)  # type: ignore[arg-type]
    expected = image.resize((size_px, size_px), Image.Resampling[interpolation.upper()])
    difference = preprocess.to_pixels(array(image)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1


def test_a_photo_that_may_not_be_written_to_is_resized_all_the_same() -> None:
    frozen = array(noise(37, 23))
    frozen.flags.writeable = False
    pixels = Preprocess(size_px=20).to_pixels(frozen)
    assert np.array_equal(pixels, Preprocess(size_px=20).to_pixels(frozen.copy()))


def test_without_antialias_only_the_nearest_pixels_count() -> None:
    """By hand: reduced from 8 to 2, the centres lie between the pixels 1 and 2, 5 and 6."""
    row = np.array([0, 10, 20, 200, 200, 30, 41, 0], np.uint8)
    pixels_HW3 = np.repeat(np.tile(row, (8, 1))[:, :, None], 3, axis=2)
    small = Preprocess(size_px=8, prescale_px=8).to_pixels(pixels_HW3)
    assert np.array_equal(small, pixels_HW3)
    reduced = Preprocess(size_px=8, antialias=False)._resized(pixels_HW3, (2, 2))
    assert reduced[:, :, 0].tolist() == [[15, 36], [15, 36]]


@pytest.mark.parametrize("size", [(100, 100), (256, 171), (52, 777)])
def test_without_antialias_the_pixels_are_opencvs(size: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    pixels_HW3 = array(noise(*size))
    ours = Preprocess(size_px=50, antialias=False).to_pixels(pixels_HW3)
    assert np.array_equal(ours, cv2.resize(pixels_HW3, (50, 50)))


def test_without_antialias_a_jpeg_is_decoded_in_full() -> None:
    buffer = io.BytesIO()
    noise(400, 400).save(buffer, "JPEG")
    decoded = Preprocess(size_px=50, antialias=False).decode(buffer.getvalue())
    assert (decoded.reduced_by, decoded.image.size) == (1, (400, 400))


def test_a_photo_of_the_right_size_is_not_touched() -> None:
    image = noise(24, 24)
    for resize in ("squash", "crop", "pad"):
        pixels = Preprocess(size_px=24, resize=resize).to_pixels(array(image))
        assert np.array_equal(pixels, np.asarray(image))


def test_crop_shows_the_square_in_the_middle() -> None:
    pixels = Preprocess(size_px=10, resize="crop").to_pixels(array(stripes()))
    assert (pixels == (0, 255, 0)).all()


def test_pad_shows_everything_between_bars_in_the_mean_colour() -> None:
    preprocess = Preprocess(size_px=30, resize="pad", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    pixels = preprocess.to_pixels(array(stripes()))
    assert preprocess.mean_colour == (124, 116, 104)
    assert (pixels[:10] == (124, 116, 104)).all()
    assert (pixels[20:] == (124, 116, 104)).all()
    assert np.array_equal(pixels[10:20], np.asarray(stripes()))


def test_prescale_reduces_first_and_enlarges_then() -> None:
    image = noise(60, 40)
    pixels = Preprocess(size_px=32, prescale_px=8).to_pixels(array(image))
    small = image.resize((8, 8), Image.Resampling.BILINEAR)
    expected = np.asarray(small.resize((32, 32), Image.Resampling.BILINEAR), dtype=int)
    assert np.abs(pixels - expected).max() <= 2
    assert not np.array_equal(pixels, Preprocess(size_px=32).to_pixels(array(image)))


def test_prescale_keeps_the_way_of_resizing() -> None:
    preprocess = Preprocess(size_px=20, prescale_px=10, resize="crop")
    assert (preprocess.to_pixels(array(stripes())) == (0, 255, 0)).all()


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_only_rgb_of_8_bits_is_taken(pixels: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="RGB as uint8"):
        Preprocess(size_px=16).to_pixels(pixels)  # type: ignore[arg-type]


def test_a_file_is_decoded_as_the_model_expects() -> None:
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    noise(30, 10).save(buffer, "JPEG", exif=exif)
    turned = Preprocess(size_px=16).decode(buffer.getvalue())
    stored = Preprocess(size_px=16, orientation="stored").decode(buffer.getvalue())
    assert (turned.width, turned.height) == (10, 30)
    assert (stored.width, stored.height) == (30, 10)


@pytest.mark.parametrize(
    ("size", "px", "part"),
    [((900, 640), 80, 8), ((900, 639), 80, 4), ((900, 640), 300, 2), ((900, 640), 400, 1)],
)
def test_a_jpeg_is_decoded_no_smaller_than_it_is_needed(
    size: tuple[int, int], px: int, part: int
) -> None:
    smooth = noise(9, 7).resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    smooth.save(buffer, "JPEG", quality=95)
    preprocess = Preprocess(size_px=px)
    decoded = preprocess.decode(buffer.getvalue())
    assert decoded.reduced_by == part
    assert decoded.image.size == tuple(-(-side // part) for side in size)
    assert (decoded.width, decoded.height) == size
    pixels = preprocess.to_pixels(decoded.pixels_HW3).astype(int)
    in_full = preprocess.to_pixels(array(smooth)).astype(int)
    assert np.abs(pixels - in_full).mean() < 3  # of 255, at hard edges of colour


def test_what_a_photo_is_reduced_to_first_decides_how_it_is_decoded() -> None:
    buffer = io.BytesIO()
    noise(400, 400).save(buffer, "JPEG")
    first = Preprocess(size_px=224, prescale_px=50).decode(buffer.getvalue())
    assert (first.reduced_by, first.image.size) == (8, (50, 50))


def test_other_formats_are_decoded_in_full() -> None:
    buffer = io.BytesIO()
    noise(400, 400).save(buffer, "PNG")
    decoded = Preprocess(size_px=50).decode(buffer.getvalue())
    assert (decoded.reduced_by, decoded.image.size) == (1, (400, 400))


def test_normalise_is_the_formula() -> None:
    preprocess = Preprocess(size_px=8, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    mean, std = (np.array(three).reshape(1, 3, 1, 1) for three in (IMAGENET_MEAN, IMAGENET_STD))
    expected = (values / 255 - mean) / std
    result = preprocess.normalise(torch.from_numpy(values))
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=2e-6)


def test_normalise_takes_floats_on_the_same_scale() -> None:
    preprocess = Preprocess(size_px=8, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    images = torch.arange(192, dtype=torch.uint8).reshape(1, 3, 8, 8)
    before = images.float()
    same = preprocess.normalise(before)
    assert torch.equal(preprocess.normalise(images), same)
    assert torch.equal(before, images.float()), "the input must not be altered"


def test_bfloat16_is_rounded_once_from_float32() -> None:
    preprocess = Preprocess(size_px=8, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    images = torch.arange(192, dtype=torch.uint8).reshape(1, 3, 8, 8)
    expected = preprocess.normalise(images).to(torch.bfloat16)
    assert torch.equal(preprocess.normalise(images, dtype=torch.bfloat16), expected)


@pytest.mark.parametrize("num_images", [1, 5])
def test_normalise_keeps_the_memory_format(num_images: int) -> None:
    preprocess = Preprocess(size_px=8, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    plain = torch.zeros(num_images, 3, 8, 8, dtype=torch.uint8)
    last = plain.contiguous(memory_format=torch.channels_last)
    for dtype in (torch.float32, torch.bfloat16):
        assert preprocess.normalise(plain, dtype=dtype).is_contiguous()
        assert preprocess.normalise(last, dtype=dtype).stride() == last.stride()


def test_gradients_pass_through_normalise() -> None:
    images = torch.full((1, 3, 8, 8), 100.0, requires_grad=True)
    Preprocess(size_px=8, std=(0.5, 0.25, 1.0)).normalise(images).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    np.testing.assert_allclose(images.grad[0, :, 0, 0], [2 / 255, 4 / 255, 1 / 255], rtol=1e-6)


@given(
    st.builds(
        Preprocess,
        size_px=st.integers(64, 512),
        resize=st.sampled_from(["squash", "crop", "pad"]),
        interpolation=st.sampled_from(["bilinear", "bicubic"]),
        prescale_px=st.none() | st.integers(8, 64),
        mean=st.tuples(*[st.floats(0, 1)] * 3),
        std=st.tuples(*[st.floats(0.01, 1)] * 3),
        orientation=st.sampled_from(["exif", "stored"]),
    )
)
def test_json_brings_back_the_same(preprocess: Preprocess) -> None:
    text = json.dumps(preprocess.to_json(), allow_nan=False)
    assert Preprocess.from_json(json.loads(text)) == preprocess


def test_json_that_is_not_valid_is_refused() -> None:
    good = Preprocess(size_px=64).to_json()
    without = {key: value for key, value in good.items() if key != "std"}
    for bad, told in (
        (without, "missing .'std'."),
        (good | {"gamma": 2}, "unknown .'gamma'."),
        (good | {"size_px": -1}, "size_px is -1"),
        (good | {"mean": 3}, "not valid"),
        (good | {"std": [0, 0, 0]}, "std"),
    ):
        with pytest.raises(BundleError, match=told):
            Preprocess.from_json(bad)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size_px": 7}, "data.size_px is 7"),
        ({"size_px": 5000}, "data.size_px is 5000"),
        ({"size_px": 64.0}, "data.size_px is 64.0"),
        ({"size_px": True}, "data.size_px is True"),
        ({"size_px": 64, "resize": "crp"}, "data.resize is 'crp'.*Did you mean 'crop'"),
        ({"size_px": 64, "prescale_px": 65}, "data.prescale_px is 65 and data.size_px is 64"),
        ({"size_px": 64, "prescale_px": 4}, "data.prescale_px is 4"),
        ({"size_px": 64, "orientation": "up"}, "data.orientation is 'up'"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values: dict[str, object], told: str) -> None:
    for owner in (Preprocess, DataConfig):
        with pytest.raises(RecipeError, match=told):
            owner(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("std", [(0.0, 1.0, 1.0), (1.0, 1.0), (float("nan"), 1.0, 1.0), [1, 1, 1]])
def test_a_deviation_that_cannot_be_divided_by_is_refused(std: object) -> None:
    with pytest.raises(RecipeError, match="std"):
        Preprocess(size_px=64, std=std)  # type: ignore[arg-type]


def test_a_config_may_leave_everything_open() -> None:
    values = dataclasses.asdict(DataConfig())
    assert values.pop("antialias") is True
    assert set(values.values()) == {None}


def test_torch_is_not_imported_until_it_is_needed() -> None:
    modules = "fieldmark.data.preprocess, fieldmark.data.augment, fieldmark.data.scan"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
