"""The order in which a batch lies in memory, kept from one operation to the next.

In: a batch and the one that it was made from. Out: the same values, laid out as that one is.
"""

import torch
from torch import Tensor


def in_format_of(changed_NCHW: Tensor, images_NCHW: Tensor) -> Tensor:
    """Return `changed_NCHW` laid out like `images_NCHW`: channels_last or contiguous.

    A batch that is both, such as one with a single channel or pixel, counts as contiguous.
    """
    is_last = images_NCHW.is_contiguous(memory_format=torch.channels_last)
    is_plain = images_NCHW.is_contiguous()
    return changed_NCHW.contiguous(
        memory_format=torch.channels_last if is_last and not is_plain else torch.contiguous_format
    )
