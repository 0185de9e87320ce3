"""A batch is changed in parts, and each photo comes out as it would in one piece."""

from typing import Any

import pytest
import torch

from fieldmark.data import apply as module
from fieldmark.data.apply import apply
from fieldmark.data.augment import AugmentConfig, changes_of
from fieldmark.data.draws import Draws

VALUES: list[dict[str, Any]] = [
    {"policy": "standard"},
    {"policy": "flip", "colour": 0.3},
    {"policy": "trivial"},
    {"policy": "trivial", "rotate_turns": 0.1, "translate": 0.2},
]


def batch(num_images: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num_images, 3, 10, 14), generator=generator).to(dtype)


def changed(images: torch.Tensor, **values: Any) -> torch.Tensor:
    draws = Draws.sample(len(images), generator=torch.Generator().manual_seed(1))
    return apply(images, changes_of(AugmentConfig(**values)), draws)


@pytest.mark.parametrize("num_images", [1, 2, 3, 7, 32])
@pytest.mark.parametrize("values", VALUES)
def test_parts_give_the_bits_of_the_whole(
    num_images: int, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for images in (
        batch(num_images),
        batch(num_images).contiguous(memory_format=torch.channels_last),
        batch(num_images, torch.bfloat16),
    ):
        whole = changed(images, **values)
        sizes = []
        one_part = module._apply

        def counted(part: torch.Tensor, *given: Any, one: Any = one_part) -> torch.Tensor:
            sizes.append(len(part))  # noqa: B023
            return one(part, *given)  # type: ignore[no-any-return]

        with monkeypatch.context() as patch:
            patch.setattr(module, "VALUES_AT_ONCE", 1)
            patch.setattr(module, "_apply", counted)
            in_parts = changed(images, **values)
        assert torch.equal(in_parts, whole)
        assert (in_parts.dtype, in_parts.stride()) == (whole.dtype, whole.stride())
        assert sum(sizes) == num_images
        assert len(sizes) == max(1, num_images // 2)


def test_a_batch_as_small_as_the_limit_is_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(module, "VALUES_AT_ONCE", images.numel() // 2)
    assert module._num_parts(images) == 1
    monkeypatch.setattr(module, "VALUES_AT_ONCE", images.numel() // 2 - 1)
    assert module._num_parts(images) == 2
