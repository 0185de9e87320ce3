"""The arithmetic of augmentation, against turns and crops by hand and torchvision's colours."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.stats import kstest, uniform
from torchvision.transforms import functional as vision

from fieldmark.data.augment import Changes
from fieldmark.data.draws import Draws
from fieldmark.data.warp import compose, mirror, recolour, resample, sampling_matrices, warp

STILL = Changes(
    flip_horizontal=False, flip_vertical=False, rotate_turns=0, crop_scale=(1.0, 1.0), colour=0
)


def changes(**values: object) -> Changes:
    return replace(STILL, **values)  # type: ignore[arg-type]


def draws(**values: float) -> Draws:
    """Draws in the middle, where nothing is flipped or turned, but for those given."""
    return Draws(
        **{field.name: torch.full((1,), values.get(field.name, 0.5)) for field in fields(Draws)}
    )


def picture(height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def test_standing_still_samples_every_pixel_where_it_is() -> None:
    theta = sampling_matrices(STILL, draws(), height=8, width=8)
    torch.testing.assert_close(theta, torch.eye(2, 3)[None])
    torch.testing.assert_close(warp(picture(), STILL, draws()), picture(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("turn", "num_quarters"), [(1.0, 1), (0.0, -1)])
def test_a_quarter_turn_is_rot90(turn: float, num_quarters: int) -> None:
    # The draw 1 stands for + rotate_turns and 0 for - rotate_turns.
    turned = warp(picture(), changes(rotate_turns=0.25), draws(turn=turn))
    expected = torch.rot90(picture(), num_quarters, dims=(2, 3))
    torch.testing.assert_close(turned, expected, atol=1e-2, rtol=0)


def test_half_a_turn_of_a_wide_photo_is_both_flips() -> None:
    wide = picture(4, 10)
    turned = warp(wide, changes(rotate_turns=0.5), draws(turn=1.0))
    torch.testing.assert_close(turned, wide.flip(2, 3), atol=1e-2, rtol=0)


def test_a_turn_of_a_wide_photo_does_not_shear_it() -> None:
    theta = sampling_matrices(changes(rotate_turns=0.125), draws(turn=1.0), height=10, width=20)
    in_pixels = torch.diag(torch.tensor([10.0, 5.0])) @ theta[0, :, :2]
    in_pixels = in_pixels @ torch.diag(torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(in_pixels @ in_pixels.T, torch.eye(2))


@pytest.mark.parametrize("turn", [0.0, 0.1, 0.35, 0.62, 1.0])
def test_a_turn_of_a_square_photo_is_that_of_keras_random_rotation(turn: float) -> None:
    """About the middle between the outermost pixels, bilinear, outside the photo mirrored.

    SciPy's mode "reflect" repeats the pixel at the edge, as Keras' fill_mode="reflect" does: d c b
    a | a b c d | d c b a. Keras 3.15 on TensorFlow is within 0.002 of what is computed here.
    """
    source = picture(50, 50)
    turned = warp(source, changes(rotate_turns=0.4), draws(turn=turn))
    angle, middle = 2 * math.pi * 0.4 * (2 * turn - 1), (50 - 1) / 2
    down, across = np.mgrid[:50, :50] - middle
    rows = math.sin(angle) * across + math.cos(angle) * down + middle
    columns = math.cos(angle) * across - math.sin(angle) * down + middle
    expected = [
        map_coordinates(plane, [rows, columns], order=1, mode="reflect")
        for plane in source[0].double().numpy()
    ]
    np.testing.assert_allclose(turned[0].numpy(), expected, atol=0.01)


def test_the_angle_is_even_over_both_directions() -> None:
    sampled = Draws.sample(5000, generator=torch.Generator().manual_seed(0))
    theta = sampling_matrices(changes(rotate_turns=0.4), sampled, height=50, width=50)
    turns_N = torch.atan2(theta[:, 1, 0], theta[:, 0, 0]).numpy() / (2 * math.pi)
    assert kstest(turns_N, uniform(loc=-0.4, scale=0.8).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("across", "down", "rows", "columns"),
    [
        (0.0, 0.0, slice(0, 4), slice(0, 4)),
        (1.0, 0.0, slice(0, 4), slice(4, 8)),
        (0.0, 1.0, slice(4, 8), slice(0, 4)),
    ],
)
def test_a_quarter_of_the_area_is_half_of_each_side(
    across: float, down: float, rows: slice, columns: slice
) -> None:
    # The source is piecewise constant in 4 x 4 blocks, so a quadrant comes out in its own colour.
    blocks = torch.tensor([[10.0, 20.0], [30.0, 40.0]]).repeat_interleave(4, 0)
    source = blocks.repeat_interleave(4, 1).expand(1, 3, 8, 8)
    cropped = warp(
        source, changes(crop_scale=(0.25, 1.0)), draws(area=0.0, across=across, down=down)
    )
    assert float(cropped[0, 0, 1, 1]) == pytest.approx(float(source[0, 0, rows, columns].mean()))


@pytest.mark.parametrize(("aspect", "expected"), [(0.0, 3 / 4), (0.5, 1.0), (1.0, 4 / 3)])
def test_area_and_aspect_of_a_crop_are_as_drawn(aspect: float, expected: float) -> None:
    theta = sampling_matrices(
        changes(crop_scale=(0.4, 0.6)), draws(area=0.5, aspect=aspect), height=8, width=8
    )
    across, down = float(theta[0, 0, 0]), float(theta[0, 1, 1])
    assert across * down == pytest.approx(0.5)
    assert across / down == pytest.approx(expected)


def test_a_crop_lies_inside_the_photo() -> None:
    sampled = Draws.sample(2000, generator=torch.Generator().manual_seed(0))
    theta = sampling_matrices(changes(crop_scale=(0.05, 1.0)), sampled, height=8, width=8)
    reach = theta[:, :, :2].abs().sum(2) + theta[:, :, 2].abs()
    assert float(reach.max()) <= 1 + 1e-5


@pytest.mark.parametrize(
    ("drawn", "columns", "rows"),
    [({"move_across": 1.0}, 2, 0), ({"move_across": 0.0}, -2, 0), ({"move_down": 1.0}, 0, 2)],
)
def test_a_move_is_a_share_of_the_side(drawn: dict[str, float], columns: int, rows: int) -> None:
    # A quarter of 8 pixels; the two columns or rows at the edge are the photo mirrored.
    moved = warp(picture(), changes(translate=0.25), draws(**drawn))
    rolled = picture().roll((-rows, -columns), dims=(2, 3))
    torch.testing.assert_close(moved[..., 2:6, 2:6], rolled[..., 2:6, 2:6], atol=1e-2, rtol=0)
    if columns > 0:
        torch.testing.assert_close(moved[..., 6:], picture()[..., 6:].flip(3), atol=1e-2, rtol=0)


def test_a_move_comes_on_top_of_a_crop() -> None:
    plain = sampling_matrices(changes(crop_scale=(0.25, 1.0)), draws(area=0.0), height=8, width=8)
    moved = sampling_matrices(
        changes(crop_scale=(0.25, 1.0), translate=0.5),
        draws(area=0.0, move_across=0.75),
        height=8,
        width=8,
    )
    torch.testing.assert_close(moved - plain, torch.tensor([[[0, 0, 0.5], [0, 0, 0]]]))


def test_composed_lookups_are_the_product_of_their_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    outer, inner = torch.rand(2, 5, 2, 3, generator=generator).unbind(0)
    last = torch.tensor([0.0, 0.0, 1.0]).expand(5, 1, 3)
    product = torch.cat([outer, last], 1) @ torch.cat([inner, last], 1)
    torch.testing.assert_close(compose(outer, inner), product[:, :2])


def test_a_composed_lookup_does_the_inner_one_last() -> None:
    quarter = sampling_matrices(changes(rotate_turns=0.25), draws(turn=1.0), height=8, width=8)
    flip = sampling_matrices(
        changes(flip_horizontal=True), draws(flip_horizontal=0.0), height=8, width=8
    )
    both = resample(picture(), compose(quarter, flip))
    expected = torch.rot90(picture(), 1, dims=(2, 3)).flip(3)
    torch.testing.assert_close(both, expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize("flip", ["flip_horizontal", "flip_vertical"])
def test_a_flip_by_resampling_is_the_flip_by_index(flip: str) -> None:
    on, drawn = changes(**{flip: True}), draws(**{flip: 0.49})
    by_index = mirror(picture(), on, drawn)
    assert not torch.equal(by_index, picture())
    torch.testing.assert_close(warp(picture(), on, drawn), by_index, atol=1e-2, rtol=0)
    assert torch.equal(mirror(picture(), on, draws(**{flip: 0.51})), picture())


@pytest.mark.parametrize(
    "factors", [(0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (0.3, 0.8, 0.9)]
)
def test_colours_change_as_torchvision_changes_them(factors: tuple[float, float, float]) -> None:
    # Mid-tones, so that nothing is clipped on the way: torchvision clips after every step.
    source = (picture() * 0.3 + 80).round()
    brightness, contrast, saturation = factors
    changed = recolour(
        source,
        changes(colour=0.2),
        draws(brightness=brightness, contrast=contrast, saturation=saturation),
    )
    expected = source / 255
    for adjust, draw in (
        (vision.adjust_brightness, brightness),
        (vision.adjust_contrast, contrast),
        (vision.adjust_saturation, saturation),
    ):
        expected = adjust(expected, 1 + 0.2 * (2 * draw - 1))
    torch.testing.assert_close(changed, expected * 255, atol=0.1, rtol=0)


def test_colours_are_clamped_at_the_end() -> None:
    white = torch.full((1, 3, 4, 4), 250.0)
    assert float(recolour(white, changes(colour=0.5), draws(brightness=1.0)).max()) == 255


def test_without_saturation_every_pixel_is_grey() -> None:
    grey = recolour(picture(), changes(colour=1.0), draws(saturation=0.0))
    torch.testing.assert_close(grey[:, 0], grey[:, 1])
    torch.testing.assert_close(
        grey[:, 0], vision.rgb_to_grayscale(picture())[:, 0], atol=0.1, rtol=0
    )
