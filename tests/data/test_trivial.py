"""Each operation of the policy trivial, against torchvision and by hand; one of them a photo."""

from dataclasses import fields, replace

import pytest
import torch
from torchvision.transforms import functional as vision

from fieldmark.data.draws import Draws
from fieldmark.data.trivial import (
    MAX_BITS_LOST,
    MAX_FACTOR,
    MAX_SHEAR,
    OPERATIONS,
    matrices,
    operations,
    recolour,
    reshape,
)

COLOURS = ("brightness", "contrast", "saturation", "sharpness", "posterize", "solarize")


def draws(operation: str, signed: float = 0.0) -> Draws:
    """Draws for one photo with that operation, at a strength from -1 to 1."""
    values = {
        "operation": (OPERATIONS.index(operation) + 0.5) / len(OPERATIONS),
        "strength": (signed + 1) / 2,
    }
    return Draws(
        **{kind.name: torch.full((1,), values.get(kind.name, 0.5)) for kind in fields(Draws)}
    )


def sampled(num_images: int, *, seed: int = 0) -> Draws:
    return Draws.sample(num_images, generator=torch.Generator().manual_seed(seed))


def picture(height: int = 9, width: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (1, 3, height, width), generator=generator).float()


def test_every_operation_is_drawn_equally_often() -> None:
    num_each = 5
    evenly = (torch.arange(num_each * len(OPERATIONS)) + 0.5) / (num_each * len(OPERATIONS))
    which = operations(replace(sampled(len(evenly)), operation=evenly))
    assert which.bincount().tolist() == [num_each] * len(OPERATIONS)


def test_the_highest_draw_there_is_names_an_operation() -> None:
    highest = torch.tensor([1 - 2**-24])
    which = operations(replace(sampled(1), operation=highest))
    assert which.item() == len(OPERATIONS) - 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_changes_places_or_values_but_not_both(operation: str) -> None:
    drawn = draws(operation, 0.7)
    moved = not torch.equal(reshape(picture(), drawn), picture())
    coloured = not torch.equal(recolour(picture(), drawn), picture())
    of_geometry = operation in {"shear-x", "shear-y", "move-x", "move-y", "turn"}
    # The picture holds 0 and 255 in no channel only by chance, so its contrast can be stretched.
    of_colour = operation in {*COLOURS, "autocontrast"}
    assert (moved, coloured) == (of_geometry, of_colour)


def test_at_no_strength_only_autocontrast_changes_anything() -> None:
    for operation in set(OPERATIONS) - {"autocontrast"}:
        changed = recolour(reshape(picture(), draws(operation)), draws(operation))
        torch.testing.assert_close(changed, picture(), atol=1e-2, rtol=0)


@pytest.mark.parametrize(("strength", "num_quarters"), [(90 / 135, 1), (-90 / 135, -1)])
def test_a_quarter_turn_is_rot90(strength: float, num_quarters: int) -> None:
    turned = reshape(picture(), draws("turn", strength))
    expected = torch.rot90(picture(), num_quarters, dims=(2, 3))
    torch.testing.assert_close(turned, expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize(("operation", "axis"), [("move-x", 3), ("move-y", 2)])
def test_the_longest_move_is_a_seventh_of_the_side(operation: str, axis: int) -> None:
    moved = reshape(picture(14, 14), draws(operation, 1.0))
    expected = picture(14, 14).roll(-2, dims=axis).narrow(axis, 0, 12)
    torch.testing.assert_close(moved.narrow(axis, 0, 12), expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("operation", "in_pixels"),
    [("shear-x", [[1, MAX_SHEAR], [0, 1]]), ("shear-y", [[1, 0], [MAX_SHEAR, 1]])],
)
def test_a_shear_of_a_wide_photo_is_a_shear_of_its_pixels(
    operation: str, in_pixels: list[list[float]]
) -> None:
    theta = matrices(draws(operation, 1.0), height=10, width=20)
    half_sides = torch.tensor([10.0, 5.0])
    turned = half_sides.diag() @ theta[0, :, :2] @ (1 / half_sides).diag()
    torch.testing.assert_close(turned, torch.tensor(in_pixels))
    assert not theta[0, :, 2].any(), "the middle stays"


@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.3, 1.0])
@pytest.mark.parametrize(
    ("operation", "adjust"),
    [
        ("brightness", vision.adjust_brightness),
        ("contrast", vision.adjust_contrast),
        ("saturation", vision.adjust_saturation),
        ("sharpness", vision.adjust_sharpness),
    ],
)
def test_factors_work_as_in_torchvision(operation: str, adjust: object, strength: float) -> None:
    changed = recolour(picture(), draws(operation, strength))
    expected = adjust(picture() / 255, 1 + MAX_FACTOR * strength) * 255  # type: ignore[operator]
    torch.testing.assert_close(changed, expected, atol=0.1, rtol=0)


@pytest.mark.parametrize(("strength", "bits"), [(0.0, 8), (0.5, 5), (-0.5, 5), (1.0, 2)])
def test_posterize_keeps_as_many_bits_as_torchvision(strength: float, bits: int) -> None:
    changed = recolour(picture(), draws("posterize", strength))
    assert torch.equal(changed.byte(), vision.posterize(picture().byte(), bits))
    assert bits >= 8 - MAX_BITS_LOST


@pytest.mark.parametrize(("strength", "threshold"), [(0.0, 255), (0.6, 102), (-0.6, 102), (1, 0)])
def test_solarize_turns_bright_values_as_torchvision(strength: float, threshold: int) -> None:
    # No value of 255, which is not below the highest threshold; and none on a threshold, which may
    # be off by a rounding.
    source = picture().clamp(max=254)
    source[source == threshold] += 1
    changed = recolour(source, draws("solarize", strength))
    assert torch.equal(changed.byte(), vision.solarize(source.byte(), threshold))


def test_autocontrast_stretches_each_channel_as_torchvision() -> None:
    source = picture() * 0.4 + torch.tensor([10.0, 50.0, 90.0]).view(1, 3, 1, 1)
    changed = recolour(source, draws("autocontrast"))
    torch.testing.assert_close(changed, vision.autocontrast(source / 255) * 255, atol=1e-2, rtol=0)
    assert changed.amin(dim=(2, 3)).tolist() == [[0, 0, 0]]


def test_autocontrast_leaves_a_plain_photo_alone() -> None:
    plain = torch.full((1, 3, 4, 4), 90.0)
    assert torch.equal(recolour(plain, draws("autocontrast")), plain)


def test_a_photo_of_two_pixels_has_no_inside_to_sharpen() -> None:
    tiny = picture(2, 2)
    assert torch.equal(recolour(tiny, draws("sharpness", 1.0)), tiny)


def test_no_photo_depends_on_the_others_of_its_batch() -> None:
    images = picture().repeat(60, 1, 1, 1) * torch.linspace(0.2, 1, 60).view(-1, 1, 1, 1)
    drawn = sampled(60)
    assert len(set(operations(drawn).tolist())) == len(OPERATIONS)
    together = recolour(reshape(images, drawn), drawn)
    for index in range(60):
        own = Draws(
            **{kind.name: getattr(drawn, kind.name)[index : index + 1] for kind in fields(Draws)}
        )
        alone = recolour(reshape(images[index : index + 1], own), own)
        torch.testing.assert_close(together[index : index + 1], alone, atol=1e-2, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_the_input_is_not_altered_and_its_type_is_kept(dtype: torch.dtype) -> None:
    images = picture().to(dtype).repeat(40, 1, 1, 1)
    before = images.clone()
    for change in (reshape, recolour):
        changed = change(images, sampled(40))
        assert torch.equal(images, before)
        assert changed.dtype == (dtype if dtype.is_floating_point else torch.float32)
