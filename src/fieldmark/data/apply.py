"""The changes of augmentation done to a batch, in parts that stay in the processor's cache.

In: a batch on the scale of 0 to 255, what to do, and the draws. Out: a new batch. Erasing and
mixing come later.
Shapes: N images, C channels (3), H height, W width.
"""

import math

import torch
from torch import Tensor

from fieldmark.data import trivial, warp
from fieldmark.data.augment import Changes
from fieldmark.data.draws import Draws
from fieldmark.data.memory_format import in_format_of

VALUES_AT_ONCE = 750_000
"""So many values a thread are changed at a time on a CPU: five photos of 224 pixels, 3 MB as
float32. With the policy standard, 32 of them took a third less processor time so than at once; half
and one and a half times as many made no difference."""


def apply(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Return the batch with pixels moved and colours changed, in the memory format of the input.

    Each photo comes out the same however the batch is divided.
    """
    if not (changes.resamples or changes.one_of_all or changes.colour > 0):
        return in_format_of(warp.mirror(images_NCHW, changes, draws), images_NCHW)
    num_parts = _num_parts(images_NCHW)
    if num_parts == 1:
        return in_format_of(_apply(images_NCHW, changes, draws), images_NCHW)
    dtype = images_NCHW.dtype if images_NCHW.is_floating_point() else torch.float32
    changed_NCHW = torch.empty_like(images_NCHW, dtype=dtype)
    begin = 0
    for target_NCHW in changed_NCHW.tensor_split(num_parts):
        part = slice(begin, begin + len(target_NCHW))
        target_NCHW.copy_(_apply(images_NCHW[part], changes, draws.part(part)))
        begin = part.stop
    return in_format_of(changed_NCHW, images_NCHW)


def _num_parts(images_NCHW: Tensor) -> int:
    """Return into how many parts to divide: none of one photo, whose mean adds up differently."""
    if images_NCHW.device.type != "cpu":
        return 1
    at_once = VALUES_AT_ONCE * torch.get_num_threads()
    return max(1, min(math.ceil(images_NCHW.numel() / at_once), len(images_NCHW) // 2))


def _apply(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    changed_NCHW = _reshape(images_NCHW, changes, draws)
    if changes.one_of_all:
        changed_NCHW = trivial.recolour(changed_NCHW, draws)
    if changes.colour > 0:
        changed_NCHW = warp.recolour(changed_NCHW, changes, draws)
    return changed_NCHW


def _reshape(images_NCHW: Tensor, changes: Changes, draws: Draws) -> Tensor:
    """Move pixels: all that is asked for in one resampling, and none where flips are enough."""
    if not changes.resamples:
        mirrored_NCHW = warp.mirror(images_NCHW, changes, draws)
        return trivial.reshape(mirrored_NCHW, draws) if changes.one_of_all else mirrored_NCHW
    height, width = images_NCHW.shape[-2:]
    theta_N23 = warp.sampling_matrices(changes, draws, height=height, width=width)
    if changes.one_of_all:
        inner_N23 = trivial.matrices(draws, height=height, width=width)
        theta_N23 = warp.compose(theta_N23, inner_N23)
    return warp.resample(images_NCHW, theta_N23)
