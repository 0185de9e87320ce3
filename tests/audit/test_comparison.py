import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.audit import comparison
from fieldmark.audit.candidates import luma_chroma
from fieldmark.audit.comparison import compare, shrink, smoothing


@pytest.mark.parametrize("width_px", [0.65, 1.3, 4.0])
def test_smoothing_keeps_slopes_up_to_the_border(width_px: float) -> None:
    smooth = smoothing(32, width_px)
    assert smooth @ np.arange(32) == pytest.approx(np.arange(32), abs=1e-3)
    assert smooth.sum(axis=1) == pytest.approx(np.ones(32), abs=1e-5)


def test_smoothing_far_from_the_border_is_gaussian() -> None:
    expected = np.exp(-(np.arange(-16, 16.0) ** 2) / (2 * 1.3**2))
    assert smoothing(32, 1.3)[16] == pytest.approx(expected / expected.sum(), abs=1e-3)


def test_shrinking_takes_the_mean_of_squares() -> None:
    picture = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    assert shrink(picture, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]


def test_a_picture_is_like_itself_and_unlike_its_negative() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (3, 8, 8, 3), dtype=np.uint8)
    pictures = luma_chroma(coarse.repeat(4, axis=1).repeat(4, axis=2))
    assert compare(pictures, pictures) == pytest.approx(np.ones(3), abs=1e-4)
    assert compare(pictures, 255 - pictures).tolist() == [0, 0, 0]


def test_too_large_a_difference_is_no_match_though_it_correlates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    first = coarse.repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3)
    other = rng.integers(-40, 41, (1, 16, 16, 1)).repeat(2, axis=1).repeat(2, axis=2)
    pictures = luma_chroma(first), luma_chroma((first + other).clip(0, 255).astype(np.uint8))
    monkeypatch.setattr(comparison, "SMALLEST_SIMILARITY", 0.9)
    monkeypatch.setattr(comparison, "SMALLEST_DETAIL_SIMILARITY", 0.9)
    assert compare(*pictures)[0] == 0
    monkeypatch.setattr(comparison, "LARGEST_DIFFERENCE", 30)
    assert compare(*pictures)[0] > 0.9


def test_another_brightness_is_another_photo() -> None:
    first = luma_chroma(np.random.default_rng(0).integers(40, 200, (1, 8, 8, 3), dtype=np.uint8))
    first = first.repeat(4, axis=2).repeat(4, axis=3)
    slightly, clearly = first.copy(), first.copy()
    slightly[:, 0] += comparison.LARGEST_COLOUR_CHANGE - 1
    clearly[:, 0] += comparison.LARGEST_COLOUR_CHANGE + 1
    assert compare(first, slightly)[0] > 0.99
    assert compare(first, clearly)[0] == 0


@pytest.mark.parametrize(("off_each_side", "is_same"), [(0.05, True), (0.12, False)])
def test_only_a_slight_crop_is_the_same_picture(off_each_side: float, is_same: bool) -> None:
    def waves(reach: float) -> NDArray[np.float32]:
        x = np.linspace(-reach, reach, 32)
        luma = 128 + 50 * np.sin(9 * x) * np.cos(7 * x[:, None]) + 40 * np.sin(12 * x[:, None] + x)
        return np.stack([luma, 0 * luma, 0 * luma])[None].astype(np.float32)

    whole, part = waves(1), waves(1 - 2 * off_each_side)
    assert (compare(whole, part)[0] > 0) == is_same
    assert (compare(part, whole)[0] > 0) == is_same
