"""The kinds of damage by strength: stronger is worse, and the same seed gives the same photo."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fieldmark.data.degrade import (
    KINDS,
    KINDS_BY_KEY,
    NUM_STRENGTHS,
    Kind,
    at_working_size,
    degrade,
    degrade_all,
    generator_of,
    num_versions,
    working_side,
)
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.resizing import resized

SHA256 = "0123456789abcdef" * 4
KEYS = tuple(KINDS_BY_KEY)
RANDOM = ("noise", "rotation", "occlusion")


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    """A picture of 64 x 96 pixels with large and small things in it."""
    generator = np.random.default_rng(3)
    coarse_HW3 = gaussian_filter(generator.normal(0, 2500, (64, 96, 3)), (6, 6, 0))
    fine_HW3 = gaussian_filter(generator.normal(0, 120, (64, 96, 3)), (1, 1, 0))
    pixels_HW3: NDArray[np.uint8] = (120 + coarse_HW3 + fine_HW3).clip(0, 255).astype(np.uint8)
    return pixels_HW3


def under(
    pixels: NDArray[np.uint8], key: str, strength: int, *, seed: int = 0, sha256: str = SHA256
) -> NDArray[np.uint8]:
    generator = generator_of(sha256, kind=key, seed=seed)
    return degrade(pixels, key, strength=strength, side_px=64, generator=generator)


def harm(pixels: NDArray[np.uint8], key: str, strength: int) -> float:
    """Mean difference to the undamaged, where the fewer pixels of a reduced photo are enlarged."""
    damaged = under(pixels, key, strength)
    height, width = pixels.shape[:2]
    whole = resized(damaged, (height, width), interpolation="bilinear", antialias=True)
    return float(np.abs(whole.astype(np.float64) - pixels).mean())


@pytest.mark.parametrize("key", KEYS)
def test_each_strength_harms_more_than_the_one_before(key: str, scene: NDArray[np.uint8]) -> None:
    harms = [harm(scene, key, strength) for strength in range(1, NUM_STRENGTHS + 1)]
    assert harms[0] > 0.2
    assert all(low < high for low, high in pairwise(harms)), harms


@pytest.mark.parametrize("kind", KINDS, ids=KEYS)
def test_each_kind_has_five_amounts_told_in_words(kind: Kind) -> None:
    assert len(kind.amounts) == len(kind.told) == NUM_STRENGTHS
    assert len(set(kind.amounts)) == NUM_STRENGTHS
    assert list(kind.amounts) in (sorted(kind.amounts), sorted(kind.amounts, reverse=True))
    assert kind.source


@pytest.mark.parametrize("key", KEYS)
def test_the_same_seed_gives_the_same_photo(key: str, scene: NDArray[np.uint8]) -> None:
    assert (under(scene, key, 3) == under(scene, key, 3)).all()


@pytest.mark.parametrize("key", RANDOM)
def test_another_seed_or_photo_is_damaged_otherwise(key: str, scene: NDArray[np.uint8]) -> None:
    digests = [f"{number:064x}"[::-1] for number in range(8)]
    by_seed = [under(scene, key, 5, seed=seed).tobytes() for seed in range(8)]
    by_photo = [under(scene, key, 5, sha256=digest).tobytes() for digest in digests]
    assert len(set(by_seed)) > 1
    assert len(set(by_photo)) > 1


def test_turns_go_both_ways(scene: NDArray[np.uint8]) -> None:
    found = {under(scene, "rotation", 3, seed=seed).tobytes() for seed in range(12)}
    assert len(found) == 2


def test_kinds_do_not_depend_on_which_others_are_asked_for(scene: NDArray[np.uint8]) -> None:
    asked = {"side_px": 64, "sha256": SHA256, "seed": 4}
    both = list(degrade_all(scene, KINDS[:2], **asked))  # type: ignore[arg-type]
    alone = list(degrade_all(scene, KINDS[1:2], **asked))  # type: ignore[arg-type]
    assert len(both) + 1 == num_versions(KINDS[:2]) == 11
    for one, other in zip(both[NUM_STRENGTHS:], alone, strict=True):
        assert (one == other).all()


def test_a_blur_grows_with_the_side(scene: NDArray[np.uint8]) -> None:
    generator = np.random.default_rng(0)
    small, large = (
        degrade(scene, "blur", strength=2, side_px=side, generator=generator) for side in (64, 224)
    )
    assert small.std() > large.std()


@pytest.mark.parametrize(("kind", "strength"), [("rain", 1), ("noise", 0), ("noise", 6)])
def test_what_does_not_exist_is_refused(kind: str, strength: int, scene: NDArray[np.uint8]) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match="degrade knows noise, blur"):
        degrade(scene, kind, strength=strength, side_px=64, generator=generator)


def test_other_than_rgb_bytes_is_refused(scene: NDArray[np.uint8]) -> None:
    generator = np.random.default_rng(0)
    for wrong in (scene[..., 0], scene.astype(np.float32)):
        with pytest.raises(ValueError, match="takes RGB as uint8"):
            degrade(wrong, "blur", strength=1, side_px=64, generator=generator)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        ("squash", (100, 200), (50, 100)),
        ("crop", (200, 100), (100, 50)),
        ("pad", (100, 200), (25, 50)),
        ("squash", (10, 20), (50, 100)),
        ("squash", (10, 1000), (2, 200)),
    ],
)
def test_photos_are_damaged_at_the_side_that_the_network_takes(
    resize: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    preprocess = Preprocess(size_px=50, resize=resize)  # type: ignore[arg-type]
    found = at_working_size(np.zeros((*size, 3), np.uint8), preprocess)
    assert found.shape == (*expected, 3)
    assert preprocess.to_pixels(found).shape == (50, 50, 3)


def test_a_photo_of_that_size_is_taken_as_it_is() -> None:
    pixels = np.zeros((50, 80, 3), np.uint8)
    assert at_working_size(pixels, Preprocess(size_px=50)) is pixels


def test_of_photos_reduced_before_they_are_enlarged_the_smaller_side_counts() -> None:
    assert working_side(Preprocess(size_px=224, prescale_px=50)) == 50
    assert working_side(Preprocess(size_px=224)) == 224


def test_the_docs_name_each_kind_and_its_amounts() -> None:
    text = (Path(__file__).parents[2] / "docs/degrade.md").read_text("utf-8")
    for kind in KINDS:
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{kind.key}` |"))
        assert kind.what in row
        assert ", ".join(f"{amount:g}" for amount in kind.amounts) in row
