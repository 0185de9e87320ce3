"""Random erasing fills one rectangle of a photo and leaves the rest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.data.draws import Draws
from fieldmark.data.erasing import erase, rectangles

OUTSIDE = 300.0
"""A value that no noise has."""


def drawn(num_images: int = 200, *, seed: int = 0) -> Draws:
    return Draws.sample(num_images, generator=torch.Generator().manual_seed(seed))


def erased(images: torch.Tensor, *, probability: float, noise_seed: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(noise_seed)
    return erase(images, drawn(len(images)), probability=probability, generator=generator)


def test_exactly_the_rectangle_is_filled_with_noise_in_each_channel() -> None:
    images = torch.full((200, 3, 30, 40), OUTSIDE)
    changed = erased(images, probability=1.0)
    is_noise = changed != OUTSIDE
    for index, (top, bottom, left, right) in enumerate(
        rectangles(drawn(), height=30, width=40).tolist()
    ):
        expected = torch.zeros(3, 30, 40, dtype=torch.bool)
        expected[:, top:bottom, left:right] = True
        assert torch.equal(is_noise[index], expected)
    noise = changed[is_noise]
    assert 0 <= float(noise.min()) < 1
    assert 254 < float(noise.max()) <= 255
    assert float(noise.mean()) == pytest.approx(127.5, abs=2)
    assert not torch.equal(changed[:, 0], changed[:, 1])
    assert torch.equal(images, torch.full_like(images, OUTSIDE)), "the input must not be altered"


def test_areas_and_shapes_are_those_of_the_paper() -> None:
    top, bottom, left, right = rectangles(drawn(2000), height=1000, width=1000).unbind(1)
    share = ((bottom - top) * (right - left)) / 1e6
    aspect = (bottom - top) / (right - left)
    # Where a rectangle would be longer than the photo it is cut, so it may have another shape.
    assert 0.019 < float(share.min()) < 0.03
    assert 0.35 < float(share.max()) < 0.401
    assert float(share.median()) == pytest.approx(0.21, abs=0.02)
    assert 0.29 < float(aspect.min()) < 0.33
    assert 3.0 < float(aspect.max()) < 3.4
    assert float(aspect.median()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_as_many_photos_are_erased_as_asked(probability: float) -> None:
    images = torch.full((1000, 1, 16, 16), OUTSIDE)
    changed = erased(images, probability=probability)
    num_erased = int((changed != OUTSIDE).flatten(1).any(1).sum())
    # Six standard deviations of a binomial with 1000 throws are at most 95.
    assert num_erased == pytest.approx(1000 * probability, abs=95 if 0 < probability < 1 else 0)


def test_more_often_erases_the_same_photos_and_others() -> None:
    images = torch.full((100, 1, 16, 16), OUTSIDE)
    seldom, often = (erased(images, probability=share) for share in (0.2, 0.6))
    chosen = (seldom != OUTSIDE).flatten(1).any(1)
    assert chosen.any()
    assert torch.equal(seldom[chosen], often[chosen])


def test_the_noise_is_of_the_seed() -> None:
    images = torch.full((4, 3, 16, 16), OUTSIDE)
    first, again, other = (erased(images, probability=1.0, noise_seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first == OUTSIDE, other == OUTSIDE)
    assert not torch.equal(first, other)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10_000))
def test_rectangles_lie_inside_the_photo(height: int, width: int, seed: int) -> None:
    top, bottom, left, right = rectangles(drawn(20, seed=seed), height=height, width=width).unbind(
        1
    )
    assert bool(((top >= 0) & (top <= bottom) & (bottom <= height)).all())
    assert bool(((left >= 0) & (left <= right) & (right <= width)).all())
