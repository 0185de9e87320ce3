"""The memory format of one batch is given to another."""

import pytest
import torch

from fieldmark.data.memory_format import in_format_of


@pytest.mark.parametrize("changed_is_last", [True, False])
@pytest.mark.parametrize("is_last", [True, False])
def test_values_stay_and_strides_are_those_of_the_other(
    changed_is_last: bool, is_last: bool
) -> None:
    values = torch.arange(120.0).view(2, 3, 4, 5)
    formats = {True: torch.channels_last, False: torch.contiguous_format}
    other = torch.zeros(2, 3, 4, 5).contiguous(memory_format=formats[is_last])
    given = values.contiguous(memory_format=formats[changed_is_last])
    formatted = in_format_of(given, other)
    assert torch.equal(formatted, values)
    assert formatted.stride() == other.stride()
    if changed_is_last == is_last:
        assert formatted is given, "nothing is copied without need"


def test_a_slice_that_is_neither_counts_as_contiguous() -> None:
    formatted = in_format_of(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 8, 8)[:, :, ::2, ::2])
    assert formatted.is_contiguous()
