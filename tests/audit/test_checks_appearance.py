from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fieldmark.audit import checks_appearance
from fieldmark.audit.checks_appearance import is_bright, is_dark, is_plain
from fieldmark.data.cues import Cues, measure
from fieldmark.data.images import Decoded

Make = Callable[..., Any]

CHECKS = {
    "FM201": checks_appearance.very_dark,
    "FM202": checks_appearance.very_bright,
    "FM203": checks_appearance.blurred,
    "FM204": checks_appearance.single_coloured,
}


def picture(seed: int, *, size_px: int = 256) -> Image.Image:
    """Return a picture with structure at all scales, as photos have (a spectrum of 1/f)."""
    generator = np.random.default_rng(seed)
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(size_px), np.fft.fftfreq(size_px)))
    frequencies[0, 0] = 1
    planes = []
    for _ in range(3):
        noise = np.fft.fft2(generator.normal(size=(size_px, size_px)))
        plane = np.fft.ifft2(noise / frequencies).real
        planes.append(127 + 50 * plane / plane.std())
    return Image.fromarray(np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8))


def cues_of(image: Image.Image) -> dict[str, Any]:
    decoded = SimpleNamespace(
        image=image,
        format="JPEG",
        mode="RGB",
        camera="",
        orientation=1,
        width=image.width,
        height=image.height,
    )
    found = measure(cast("Decoded", decoded))
    names = ("brightness", "contrast", "sharpness", "thumbnail_SSC")
    return {name: getattr(found, name) for name in names}


def seen(image: Image.Image) -> Cues:
    """Return the cues alone, for the questions asked of them."""
    return cast("Cues", SimpleNamespace(**cues_of(image)))


def changed(seed: int, factor: float, offset: int = 0) -> Image.Image:
    return picture(seed).point([round(factor * value + offset) for value in range(256)] * 3)


@pytest.fixture(scope="module")
def sound() -> list[dict[str, Any]]:
    return [cues_of(picture(seed)) for seed in range(30)]


def found_by(photos: list[Any], survey_of: Make) -> dict[str, set[str]]:
    """Return the paths that each check finds."""
    survey = survey_of(photos)
    found = {code: check(survey) for code, check in CHECKS.items()}
    return {
        code: {path for one in finding.evidence for path in one.paths}
        for code, finding in found.items()
        if finding
    }


def as_photos(photo: Make, measured: list[dict[str, Any]], label: str = "cat") -> list[Any]:
    return [photo(f"{label}/{n:02d}.jpg", **cues) for n, cues in enumerate(measured)]


def test_sound_photos_are_no_finding(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    assert found_by(as_photos(photo, sound), survey_of) == {}
    assert found_by([], survey_of) == {}


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (changed(90, 0.2), "FM201"),
        (changed(90, 0.2, 204), "FM202"),
        (picture(90).filter(ImageFilter.GaussianBlur(6)), "FM203"),
        (Image.new("RGB", (200, 150), (0, 0, 0)), "FM204"),
        (Image.new("RGB", (200, 150), (250, 250, 250)), "FM204"),
        (changed(90, 0.2).filter(ImageFilter.GaussianBlur(6)), "FM201"),
        (changed(90, 0.2, 204).filter(ImageFilter.GaussianBlur(6)), "FM202"),
    ],
)
def test_each_flaw_is_found_by_one_check_only(
    image: Image.Image, code: str, sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    photos = [*as_photos(photo, sound), photo("cat/odd.jpg", **cues_of(image))]
    assert found_by(photos, survey_of) == {code: {"cat/odd.jpg"}}


def drawn(background: Any, colour: Any, share: float) -> Image.Image:
    """Return a picture with a square of another colour that takes a share of it."""
    image = Image.new("RGB", (200, 200), background)
    side = round(200 * share**0.5)
    image.paste(colour, (20, 20, 20 + side, 20 + side))
    return image


@pytest.mark.parametrize(
    ("background", "colour", "share"),
    [
        ("white", "black", 0.03),
        ("black", "white", 0.03),
        ("white", (240, 220, 60), 0.3),
        ("black", (60, 20, 200), 0.3),
    ],
)
def test_subjects_on_black_or_white_are_neither_dark_nor_bright(
    background: Any, colour: Any, share: float
) -> None:
    cues = seen(drawn(background, colour, share))
    assert not is_dark(cues)
    assert not is_bright(cues)
    assert not is_plain(cues)


def test_saturated_red_is_not_dark_though_its_luma_is_low() -> None:
    red = np.zeros((100, 100, 3), dtype=np.uint8)
    red[..., 0] = np.linspace(60, 160, 100)
    assert not is_dark(seen(Image.fromarray(red)))


def test_colours_of_the_same_luma_are_not_a_single_colour() -> None:
    image = drawn((130, 76, 76), (76, 103, 76), 0.5)
    cues = seen(image)
    assert cues.contrast < checks_appearance.PLAIN_SPREAD
    assert not is_plain(cues)


def test_single_colour_is_told_with_its_colour_and_is_a_warning(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    blank = cues_of(Image.new("RGB", (64, 64), (10, 200, 30)))
    survey = survey_of([*as_photos(photo, sound), photo("cat/odd.jpg", **blank)])
    found = checks_appearance.single_coloured(survey)
    assert found is not None
    assert found.severity == "warning"
    assert found.evidence[0].detail == "red 10, green 200, blue 30"
    assert found.summary == "1 photo is of a single colour."


def test_blur_is_found_up_to_any_strength_the_worst_first(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    blurs = {f"cat/r{radius:02d}.jpg": radius for radius in (6, 12, 24)}
    odd = [
        photo(path, **cues_of(picture(50 + radius).filter(ImageFilter.GaussianBlur(radius))))
        for path, radius in blurs.items()
    ]
    found = checks_appearance.blurred(survey_of(as_photos(photo, sound) + odd))
    assert found is not None
    assert {path for one in found.evidence for path in one.paths} == set(blurs)
    assert all(one.detail.endswith(" % of the detail usual in 'cat'") for one in found.evidence)
    shares = [float(one.detail.partition(" ")[0]) for one in found.evidence]
    assert shares == sorted(shares)
    assert shares[-1] < 10


def test_blur_common_in_a_class_is_found_next_to_its_sound_photos(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    blurred = [
        photo(f"cat/b{n}.jpg", **cues_of(picture(60 + n).filter(ImageFilter.GaussianBlur(6))))
        for n in range(8)
    ]
    found = checks_appearance.blurred(survey_of(as_photos(photo, sound) + blurred))
    assert found is not None
    assert found.num_photos == 8
    assert found.severity == "warning"


def test_class_that_is_smooth_throughout_is_no_finding(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    smooth = [cues_of(picture(n).filter(ImageFilter.GaussianBlur(5))) for n in range(20)]
    photos = as_photos(photo, sound) + as_photos(photo, smooth, label="sky")
    assert found_by(photos, survey_of) == {}


def test_small_class_is_measured_against_the_folder(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    smooth = [cues_of(picture(n).filter(ImageFilter.GaussianBlur(6))) for n in range(3)]
    photos = as_photos(photo, sound) + as_photos(photo, smooth, label="sky")
    assert found_by(photos, survey_of) == {
        "FM203": {"sky/00.jpg", "sky/01.jpg", "sky/02.jpg"},
    }


def test_texture_too_fine_for_the_thumbnail_is_not_blur(
    sound: list[dict[str, Any]], photo: Make, survey_of: Make
) -> None:
    board_HW = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board = cues_of(Image.fromarray(board_HW).convert("RGB"))
    assert np.ptp(board["thumbnail_SSC"]) == 0
    assert found_by([*as_photos(photo, sound), photo("cat/odd.jpg", **board)], survey_of) == {}
