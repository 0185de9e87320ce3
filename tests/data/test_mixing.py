"""Mixed photos and their targets agree; shares are of the Beta distribution asked for."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from fieldmark.data.augment import AugmentConfig
from fieldmark.data.mixing import beta_quantiles, mix, rectangles

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    ),
]
KINDS: list[dict[str, Any]] = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]


def plain(num_images: int, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return photos of one value each, the number of their class, which is all their own."""
    labels = torch.arange(num_images)
    return labels.float().view(-1, 1, 1, 1).expand(-1, 3, side, side).clone(), labels


def run(
    images: torch.Tensor, labels: torch.Tensor, *, num_classes: int, seed: int = 0, **values: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    return mix(
        images,
        labels,
        config=AugmentConfig(**values),
        num_classes=num_classes,
        generator=torch.Generator().manual_seed(seed),
    )


def test_without_mixing_the_images_are_those_given_and_the_targets_one_hot() -> None:
    images, labels = plain(4)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    mixed, targets = mix(
        images, labels.flip(0), config=AugmentConfig(), num_classes=5, generator=generator
    )
    assert mixed is images
    assert torch.equal(targets, torch.eye(5)[[3, 2, 1, 0]])
    assert torch.equal(generator.get_state(), state)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 12), st.integers(0, 10_000))
def test_targets_say_how_much_of_each_photo_is_in_each(
    values: dict[str, Any], num_images: int, seed: int
) -> None:
    images, labels = plain(num_images, side=9)
    mixed, targets = run(images, labels, num_classes=num_images, seed=seed, **values)
    torch.testing.assert_close(targets.sum(1), torch.ones(num_images))
    assert float(targets.min()) >= 0
    torch.testing.assert_close(
        mixed.mean(dim=(1, 2, 3)), targets @ labels.float(), atol=1e-4, rtol=1e-4
    )


def test_every_photo_has_a_partner_and_every_photo_is_one() -> None:
    images, labels = plain(40)
    _, targets = run(images, labels, num_classes=40, mixup=10.0)
    partners = (targets - torch.eye(40) * 2).argmax(1)
    assert sorted(partners.tolist()) == list(range(40))
    assert not (partners == labels).any()
    again = run(images, labels, num_classes=40, mixup=10.0, seed=1)[1]
    assert not torch.equal((again - torch.eye(40) * 2).argmax(1), partners)


@pytest.mark.parametrize("values", KINDS)
def test_a_photo_alone_stays_as_it_is(values: dict[str, Any]) -> None:
    images, labels = plain(1)
    images += 5
    mixed, targets = run(images, labels, num_classes=2, **values)
    assert torch.equal(mixed, images)
    assert targets.tolist() == [[1.0, 0.0]]


def test_mixup_lays_whole_photos_over_each_other() -> None:
    images, labels = plain(8)
    mixed, targets = run(images, labels, num_classes=8, mixup=1.0)
    assert bool((mixed.amax(dim=(1, 2, 3)) == mixed.amin(dim=(1, 2, 3))).all())
    # No target is that of one photo alone.
    assert float(targets.max()) < 1


def test_cutmix_puts_one_rectangle_of_a_photo_at_the_same_place_into_another() -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(30, 3, 12, 18, generator=generator)
    mixed, targets = run(images, torch.arange(30), num_classes=30, cutmix=1.0)
    partners = (targets - torch.eye(30) * 2).argmax(1)
    for index, partner in enumerate(partners.tolist()):
        if targets[index, index] == 1:
            assert torch.equal(mixed[index], images[index])
            continue
        is_other = mixed[index] != images[index]
        assert torch.equal(is_other[0], is_other.all(0)), "all channels go together"
        assert torch.equal(mixed[index][is_other], images[partner][is_other])
        rows, columns = is_other[0].any(1).sum(), is_other[0].any(0).sum()
        assert int(rows * columns) == int(is_other[0].sum()), "a full rectangle"
        kept = 1 - int(rows * columns) / (12 * 18)
        assert float(targets[index, index]) == pytest.approx(kept, abs=1e-6)


def test_both_kinds_take_turns_at_random() -> None:
    images, labels = plain(6)
    num_mixup = 0
    for seed in range(100):
        both, _ = run(images, labels, num_classes=6, seed=seed, mixup=1.0, cutmix=1.0)
        kinds = [
            run(images, labels, num_classes=6, seed=seed, **one)[0]
            for one in ({"mixup": 1.0}, {"cutmix": 1.0})
        ]
        is_mixup, is_cutmix = (torch.equal(both, kind) for kind in kinds)
        assert is_mixup != is_cutmix
        num_mixup += is_mixup
    # Of 100 fair throws fewer than 26 or more than 74 heads come once in a million times.
    assert 25 < num_mixup < 75


def test_any_mixing_takes_the_same_number_of_draws() -> None:
    ends = set()
    for values in KINDS:
        generator = torch.Generator().manual_seed(0)
        images, labels = plain(5)
        config = AugmentConfig(**values)
        mix(images, labels, config=config, num_classes=5, generator=generator)
        ends.add(torch.rand(1, generator=generator).item())
    assert len(ends) == 1


@pytest.mark.parametrize("alpha", [0.3, 1.0, 3.0])
def test_shares_are_of_the_beta_distribution(alpha: float) -> None:
    uniform = torch.rand(2000, generator=torch.Generator().manual_seed(0))
    shares = beta_quantiles(uniform, alpha=alpha)
    assert shares.dtype == torch.float32
    # Not with an alpha much below: float32 then has too few numbers next to 1 for this test.
    assert kstest(shares.numpy(), "beta", args=(alpha, alpha)).pvalue > 0.01


def test_another_alpha_keeps_the_order_of_the_shares() -> None:
    uniform = torch.rand(100, generator=torch.Generator().manual_seed(0))
    few, many = (beta_quantiles(uniform, alpha=alpha) for alpha in (0.5, 2.0))
    assert torch.equal(few.argsort(), many.argsort())
    torch.testing.assert_close(beta_quantiles(uniform, alpha=1.0), uniform)


@pytest.mark.parametrize("alpha", [1e-6, 10.0])
def test_the_smallest_and_largest_alpha_give_shares(alpha: float) -> None:
    shares = beta_quantiles(torch.tensor([0.0, 0.25, 0.5, 1 - 2**-24]), alpha=alpha)
    assert bool(((shares >= 0) & (shares <= 1)).all())


@pytest.mark.parametrize(
    ("kept", "across", "down", "expected"),
    [
        (0.75, 0.5, 0.5, [2, 6, 4, 12]),
        (0.75, 0.0, 0.5, [2, 6, 0, 4]),
        (0.75, 1.0, 1.0, [6, 8, 12, 16]),
        (1.0, 0.5, 0.5, [4, 4, 8, 8]),
        (0.0, 0.5, 0.5, [0, 8, 0, 16]),
    ],
)
def test_a_rectangle_has_the_area_and_the_middle_drawn(
    kept: float, across: float, down: float, expected: list[int]
) -> None:
    one = (torch.tensor([value]) for value in (kept, across, down))
    assert rectangles(*one, height=8, width=16).tolist() == [expected]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("values", KINDS)
def test_type_device_and_memory_format_are_kept_and_the_input_too(
    device: str, dtype: torch.dtype, values: dict[str, Any]
) -> None:
    images, labels = plain(6)
    labels = labels.to(device)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        given_images = images.to(device, dtype).contiguous(memory_format=memory_format)
        before = given_images.clone()
        mixed, targets = run(given_images, labels, num_classes=6, **values)
        assert torch.equal(given_images, before)
        assert (mixed.dtype, mixed.device) == (dtype, given_images.device)
        assert mixed.stride() == given_images.stride()
        assert (targets.dtype, targets.device) == (torch.float32, labels.device)
        on_cpu = run(images, labels.cpu(), num_classes=6, **values)[1]
        assert torch.allclose(targets.cpu(), on_cpu), "draws do not depend on the device"
