import numpy as np
import pytest

from fieldmark.audit import candidates
from fieldmark.audit.candidates import close_pairs, describe, luma_chroma


@pytest.mark.parametrize("block_photos", [1, 7, 64, 500])
def test_the_index_finds_exactly_the_pairs_within_the_radius(
    block_photos: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "BLOCK_PHOTOS", block_photos)
    descriptors = np.random.default_rng(0).normal(0, 2.5, (200, 8)).astype(np.float32)
    found = [tuple(pair) for block in close_pairs(descriptors) for pair in block.tolist()]
    distances = np.linalg.norm(descriptors[:, None] - descriptors[None], axis=2)
    within = np.argwhere(np.triu(distances <= candidates.RADIUS, k=1))
    assert 0 < len(found) < 200 * 199 / 2
    assert sorted(found) == [tuple(pair) for pair in within.tolist()]


def test_no_photos_have_no_pairs() -> None:
    assert list(close_pairs(np.zeros((0, 8), dtype=np.float32))) == []


def test_turns_and_mirrors_leave_the_descriptor_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    turned = [np.rot90(pixels, quarters, axes=(1, 2)) for quarters in range(4)]
    every = np.concatenate([*turned, *(one[:, :, ::-1] for one in turned)])
    descriptors = describe(luma_chroma(every))
    assert np.ptp(descriptors, axis=0).max() < 1e-3
    assert descriptors[0].std() > 1


def test_luma_and_chroma_are_those_of_jpeg() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels[0]).convert("YCbCr"), dtype=float)
    planes = luma_chroma(pixels)[0] + np.array([0, 128, 128])[:, None, None]
    assert np.abs(planes.transpose(1, 2, 0) - expected).max() <= 1


def test_a_plain_picture_has_no_coefficients() -> None:
    descriptor = describe(luma_chroma(np.full((1, 32, 32, 3), 70, dtype=np.uint8)))[0]
    assert descriptor[0] == pytest.approx(70 / candidates.MEAN_UNITS[0], abs=1e-3)
    assert np.abs(descriptor[1:]).max() < 1e-3
