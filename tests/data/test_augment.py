"""What each policy does to a batch, and that it does nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.base.errors import RecipeError
from fieldmark.data.augment import AugmentConfig, augment
from fieldmark.data.preprocess import Preprocess

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    ),
]


def batch(num_images: int = 8, side: int = 12, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (num_images, 3, side, side)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def run(images: torch.Tensor, *, seed: int = 0, **values: object) -> torch.Tensor:
    config = AugmentConfig(**values)  # type: ignore[arg-type]
    return augment(images, config, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "policy", ["none", "flip", "flip-rotate", "any-side-up", "standard", "trivial"]
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_shape_scale_device_format_and_input_are_kept(
    device: str, policy: str, dtype: torch.dtype
) -> None:
    plain = batch().to(device, dtype)
    for images in (plain, plain.contiguous(memory_format=torch.channels_last)):
        before = images.clone()
        changed = run(images, policy=policy)
        assert changed.shape == images.shape
        assert changed.stride() == images.stride()
        assert changed.device == images.device
        assert float(changed.min()) >= 0
        assert float(changed.max()) <= 255
        assert torch.equal(images, before), "the input must not be altered"
        stays = dtype.is_floating_point or policy in {"none", "flip"}
        assert changed.dtype == (dtype if stays else torch.float32)
        assert Preprocess(size_px=12).normalise(changed).dtype == torch.float32


def test_none_changes_nothing() -> None:
    assert torch.equal(run(batch(), policy="none"), batch())


@pytest.mark.parametrize(("axis", "values"), [(3, {}), (2, {"flip_vertical": True})])
def test_a_flip_gives_each_photo_or_its_mirror_image_to_the_bit(
    axis: int, values: dict[str, bool]
) -> None:
    images = batch(400)
    values = {"flip_horizontal": axis == 3} | values
    changed = run(images, policy="none", **values)
    is_same = (changed == images).flatten(1).all(1)
    is_mirrored = (changed == images.flip(axis)).flatten(1).all(1)
    assert bool((is_same ^ is_mirrored).all())
    # Of 400 fair throws fewer than 150 or more than 250 heads come once in a million times.
    assert 150 < int(is_mirrored.sum()) < 250


def test_both_flips_are_drawn_apart() -> None:
    images = batch(200)
    changed = run(images, policy="none", flip_horizontal=True, flip_vertical=True)
    kinds = [images, images.flip(3), images.flip(2), images.flip(2, 3)]
    counts = [int((changed == kind).flatten(1).all(1).sum()) for kind in kinds]
    assert sum(counts) == 200
    assert min(counts) > 20


def test_the_same_seed_gives_the_same_and_another_something_else() -> None:
    images = batch()
    first = run(images, policy="standard", seed=1)
    assert torch.equal(first, run(images, policy="standard", seed=1))
    assert not torch.equal(first, run(images, policy="standard", seed=2))


def test_one_setting_does_not_disturb_the_draws_of_another() -> None:
    images = batch(64)
    mirrored = (run(images, policy="flip") != images).flatten(1).any(1)
    both = run(images, policy="flip", colour=1e-6).round().to(torch.uint8)
    assert torch.equal((both != images).flatten(1).any(1), mirrored)
    ends = []
    for policy in ("none", "standard"):
        generator = torch.Generator().manual_seed(5)
        augment(images, AugmentConfig(policy=policy), generator)
        ends.append(torch.rand(1, generator=generator).item())
    assert ends[0] == ends[1]


def test_erasing_leaves_all_else_as_it_would_have_been() -> None:
    images = batch(64)
    without = run(images, policy="standard")
    erased = run(images, policy="standard", erase=0.5)
    is_changed = (erased != without).any(1)
    # A rectangle has at most two fifths of a photo; rounding to pixels adds less than a tenth.
    assert float(is_changed.float().mean(dim=(1, 2)).max()) < 0.5
    assert 15 < int(is_changed.flatten(1).any(1).sum()) < 49


@pytest.mark.parametrize("values", [{"translate": 0.2}, {"erase": 1.0}, {"policy": "trivial"}])
def test_every_setting_takes_the_same_number_of_draws(values: dict[str, object]) -> None:
    ends = []
    for settings_of_run in ({"policy": "none"}, values):
        generator = torch.Generator().manual_seed(5)
        augment(batch(), AugmentConfig(**settings_of_run), generator)
        ends.append(torch.rand(1, generator=generator).item())
    assert ends[0] == ends[1]


def test_trivial_comes_on_top_of_the_flips_that_are_drawn() -> None:
    images = batch(200)
    flipped, changed = run(images, policy="flip"), run(images, policy="trivial")
    num_same = int((changed == flipped).flatten(1).all(1).sum())
    # Identity is one of 13, and weak strengths of others change nothing, too.
    assert 8 < num_same < 60


def test_all_geometry_is_one_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    sample = torch.nn.functional.grid_sample

    def counted(*given: torch.Tensor, **options: object) -> torch.Tensor:
        calls.append(len(given[0]))
        return sample(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "grid_sample", counted)
    run(batch(), policy="trivial", rotate_turns=0.2, crop_scale=0.5, translate=0.1)
    assert calls == [8]


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    run(batch(), policy="standard")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_plain_picture_stays_plain_under_flip_rotation_and_crop() -> None:
    images = torch.full((6, 3, 10, 10), 90.0)
    changed = run(images, policy="flip-rotate", crop_scale=0.3, rotate_turns=0.5)
    torch.testing.assert_close(changed, images)


def test_rotation_keeps_the_middle_of_the_photo() -> None:
    images = torch.zeros(5, 3, 11, 11)
    images[:, :, 5, 5] = 200
    changed = run(images, policy="none", rotate_turns=0.5)
    torch.testing.assert_close(changed[:, :, 5, 5], images[:, :, 5, 5])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("policy", ["flip", "flip-rotate", "any-side-up", "standard", "trivial"])
def test_the_gpu_does_what_the_cpu_does(policy: str) -> None:
    images = batch(16, 32)
    on_cpu, on_gpu = run(images, policy=policy), run(images.cuda(), policy=policy).cpu()
    torch.testing.assert_close(on_gpu.float(), on_cpu.float(), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("none", (False, False, 0.0, (1.0, 1.0), 0.0)),
        ("flip", (True, False, 0.0, (1.0, 1.0), 0.0)),
        ("flip-rotate", (True, False, 0.1, (1.0, 1.0), 0.0)),
        ("any-side-up", (True, True, 0.4, (1.0, 1.0), 0.0)),
        ("standard", (True, False, 0.0, (0.5, 1.0), 0.2)),
        ("trivial", (True, False, 0.0, (1.0, 1.0), 0.0)),
    ],
)
def test_each_policy_fills_in_its_own_values(policy: str, expected: tuple[object, ...]) -> None:
    config = AugmentConfig(policy=policy).resolved()  # type: ignore[arg-type]
    assert config.resolved() == config
    assert (config.translate, config.erase) == (0.0, 0.0)
    assert expected == (
        config.flip_horizontal,
        config.flip_vertical,
        config.rotate_turns,
        config.crop_scale,
        config.colour,
    )


def test_what_is_given_comes_before_the_policy() -> None:
    config = AugmentConfig(
        policy="standard",
        flip_horizontal=False,
        rotate_turns=0,
        crop_scale=0.8,
        colour=0,
        translate=0.1,
        erase=0.25,
    ).resolved()
    assert (config.translate, config.erase) == (0.1, 0.25)
    assert config.flip_horizontal is False
    assert (config.rotate_turns, config.crop_scale, config.colour) == (0, (0.8, 1.0), 0)


def test_a_list_from_toml_is_taken_for_the_crop() -> None:
    config = AugmentConfig(crop_scale=[0.2, 0.7])  # type: ignore[arg-type]
    assert config.resolved().crop_scale == (0.2, 0.7)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"policy": "flips"}, "augment.policy is 'flips'.*Did you mean 'flip'"),
        ({"flip_horizontal": 1}, "augment.flip_horizontal is 1: give true or false"),
        ({"rotate_turns": 0.6}, "augment.rotate_turns is 0.6: give a number from 0 to 0.5"),
        ({"rotate_turns": float("nan")}, "augment.rotate_turns is nan"),
        ({"colour": -0.1}, "augment.colour is -0.1"),
        ({"colour": True}, "augment.colour is True"),
        ({"crop_scale": 0}, "augment.crop_scale is 0"),
        ({"crop_scale": (0.9, 0.5)}, "augment.crop_scale is"),
        ({"crop_scale": (0.5, 1.5)}, "augment.crop_scale is"),
        ({"crop_scale": (0.5,)}, "augment.crop_scale is"),
        ({"crop_scale": "half"}, "augment.crop_scale is 'half'"),
        ({"translate": 0.6}, "augment.translate is 0.6: give a number from 0 to 0.5"),
        ({"erase": 1.1}, "augment.erase is 1.1: give a number from 0 to 1"),
        ({"erase": True}, "augment.erase is True"),
        ({"mixup": -0.1}, "augment.mixup is -0.1: give a number from 0 to 10; 0 is off"),
        ({"mixup": None}, "augment.mixup is None"),
        ({"mixup": float("nan")}, "augment.mixup is nan"),
        ({"cutmix": 11}, "augment.cutmix is 11"),
        ({"test_views": 3}, "augment.test_views is 3: give one of 1, 2, 4, 8"),
        ({"test_views": True}, "augment.test_views is True"),
        ({"test_views": 2.0}, "augment.test_views is 2.0"),
    ],
)
def test_values_out_of_range_are_refused_by_name(values: dict[str, object], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        AugmentConfig(**values)  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["none", "trivial"]),
    st.floats(0, 0.5),
    st.floats(0.05, 1),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 1000),
)
def test_no_setting_leaves_the_scale(
    policy: str, share: float, scale: float, colour: float, flip: bool, seed: int
) -> None:
    changed = run(
        batch(4, 8),
        seed=seed,
        policy=policy,
        translate=share,
        erase=share,
        rotate_turns=share,
        crop_scale=scale,
        colour=colour,
        flip_vertical=flip,
    ).float()
    assert bool(torch.isfinite(changed).all())
    assert float(changed.min()) >= -1e-3
    assert float(changed.max()) <= 255 + 1e-3
