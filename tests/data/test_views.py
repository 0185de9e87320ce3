"""Views are the symmetries of the square: complete, without loss, and closed."""

import pytest
import torch

from fieldmark.data.views import NUM_VIEWS, views


def photos(side: int = 5) -> torch.Tensor:
    return torch.arange(2 * 3 * side * side).view(2, 3, side, side)


def as_keys(batch: torch.Tensor, num_views: int) -> set[bytes]:
    return {view.contiguous().numpy().tobytes() for view in views(batch, num_views)}


@pytest.mark.parametrize("num_views", NUM_VIEWS)
def test_views_are_as_many_as_asked_and_all_different(num_views: int) -> None:
    assert len(list(views(photos(), num_views))) == num_views
    assert len(as_keys(photos(), num_views)) == num_views


def test_the_first_view_is_the_batch_itself() -> None:
    batch = photos()
    for num_views in NUM_VIEWS:
        assert next(iter(views(batch, num_views))) is batch


def test_two_views_are_the_photo_and_its_mirror_image() -> None:
    _, second = views(photos(), 2)
    assert torch.equal(second, photos().flip(3))


def test_eight_views_hold_every_quarter_turn_of_both() -> None:
    turns = [torch.rot90(photos(), turn, dims=(2, 3)) for turn in range(4)]
    expected = {turn.contiguous().numpy().tobytes() for turn in turns}
    expected |= {turn.flip(3).contiguous().numpy().tobytes() for turn in turns}
    assert as_keys(photos(), 8) == expected


@pytest.mark.parametrize("num_views", NUM_VIEWS)
def test_every_view_has_the_same_views_so_that_their_mean_knows_no_side(num_views: int) -> None:
    for view in views(photos(), num_views):
        assert as_keys(view, num_views) == as_keys(photos(), num_views)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_type_shape_and_memory_format_are_kept(
    memory_format: torch.memory_format, dtype: torch.dtype
) -> None:
    batch = photos().to(dtype).contiguous(memory_format=memory_format)
    for view in views(batch, 8):
        assert (view.shape, view.dtype, view.stride()) == (batch.shape, dtype, batch.stride())


def test_photos_that_are_not_square_have_four_views() -> None:
    wide = torch.zeros(1, 3, 4, 6)
    assert [view.shape for view in views(wide, 4)] == [wide.shape] * 4
    with pytest.raises(ValueError, match="8 views take square photos, not 6 x 4 pixels"):
        views(wide, 8)


@pytest.mark.parametrize("num_views", [0, 3, 16])
def test_other_numbers_are_refused_at_once(num_views: int) -> None:
    with pytest.raises(ValueError, match=f"num_views is {num_views}; allowed: 1, 2, 4, 8"):
        views(photos(), num_views)
