"""NumPy resizes as torch does, to the bit, so that nothing changes where torch is missing."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldmark.data.resampling import MAX_WEIGHT, resampled, weights_for
from fieldmark.data.resizing import resized

WAYS = [("bilinear", True), ("bicubic", True), ("bicubic", False)]
LENGTHS = st.integers(1, 400)


def photo(size: tuple[int, int], *, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    way=st.sampled_from(WAYS),
    before=st.tuples(LENGTHS, LENGTHS),
    after=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_size_becomes_every_other_as_torch_has_it(
    way: tuple[Any, bool], before: tuple[int, int], after: tuple[int, int], seed: int
) -> None:
    pixels = photo(before, seed=seed)
    interpolation, antialias = way
    found = resampled(pixels, after, interpolation=interpolation, antialias=antialias)
    expected = resized(pixels, after, interpolation=interpolation, antialias=antialias)
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("sizes", [(236, 235), (294, 293), (244, 243)])
def test_weights_that_nearly_need_another_bit_are_torchs_too(sizes: tuple[int, int]) -> None:
    before, after = sizes
    pixels = photo((before, before), seed=3)
    found = resampled(pixels, (after, after), interpolation="bicubic", antialias=False)
    expected = resized(pixels, (after, after), interpolation="bicubic", antialias=False)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("interpolation", "antialias"), WAYS)
def test_weights_of_a_pixel_add_up_to_one(interpolation: str, antialias: bool) -> None:
    weights = weights_for(100, 37, interpolation=interpolation, antialias=antialias)
    parts = 1 << weights.precision
    dense = weights.dense(100)
    assert dense.shape == (37, 100)
    assert np.abs(weights.weights_OK).max() < MAX_WEIGHT
    # Each weight is rounded on its own, by half at most.
    assert np.abs(dense.sum(axis=1) - parts).max() <= weights.weights_OK.shape[1] / 2


def test_halving_averages_by_the_triangle_of_pillow() -> None:
    """By hand: 4 pixels to 2, support 2, weights 1-|x|/2 at -0.5, 0.5 and 1.5, renormalised."""
    weights = weights_for(4, 2, interpolation="bilinear", antialias=True)
    shares = weights.dense(4) / (1 << weights.precision)
    triangle = np.array([0.75, 0.75, 0.25])
    np.testing.assert_allclose(shares[0], [*(triangle / triangle.sum()), 0], atol=1e-4)
    np.testing.assert_allclose(shares[1], [0, *(triangle[::-1] / triangle.sum())], atol=1e-4)


@pytest.mark.parametrize(("interpolation", "antialias"), [*WAYS, ("bilinear", False)])
def test_without_torch_photos_are_resized_to_the_same_pixels(
    interpolation: Any, antialias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = photo((61, 83), seed=1)
    expected = resized(pixels, (30, 44), interpolation=interpolation, antialias=antialias)
    monkeypatch.setitem(sys.modules, "torch", None)
    found = resized(pixels, (30, 44), interpolation=interpolation, antialias=antialias)
    np.testing.assert_array_equal(found, expected)
