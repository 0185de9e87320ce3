"""The layer table is of the network that is asked for, and what is wrong is said by its flag."""

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.layer_summary import Summary, summarise


def of_resnet18(size_px: int | None, *overrides: str) -> Summary:
    return summarise(
        "quick", backbone="resnet18", size_px=size_px, num_classes=3, overrides=overrides
    )


@pytest.mark.parametrize("size_px", [0, 3, 5000])
def test_a_size_that_is_not_allowed_is_told_by_the_flag_that_gave_it(size_px: int) -> None:
    with pytest.raises(RecipeError, match=rf"^--size: data\.size_px is {size_px}: .* 8 to 4096"):
        of_resnet18(size_px)


def test_a_setting_that_is_not_allowed_is_told_as_such() -> None:
    with pytest.raises(RecipeError, match=r"^--set: data\.size_px is 3"):
        of_resnet18(None, "data.size_px=3")


def test_the_size_counts_together_with_the_other_settings() -> None:
    assert of_resnet18(64, "data.prescale_px=48").size_px == 64
