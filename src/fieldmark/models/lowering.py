"""Convolutions computed as matrix products where that is faster on a CPU.

In: a network that is about to be trained. Out: the same network, its convolutions computed another
way for a while; weights, names and results stay, but for rounding.
A CPU's convolution reorders the weights at every call, forward and backward. On maps of a few
pixels with hundreds of channels, as the last stages of a ResNet have them on small photos, that
costs more than the arithmetic; a matrix product (Chellapilla, Puri and Simard 2006) reads the
weights as they lie.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

MAX_POSITIONS = 16
"""Of the output, for kernels wider than 1: on larger maps the copies of the input cost more than
the reordering (measured with ResNet-50 at 50 px: 4, 16 and 49 give 167, 172 and 167 photos/s)."""

# Legend for shape suffixes: N photos, C channels in, O channels out, H height, W width, K = C times
# the area of the kernel.


class LoweredConv2d(nn.Conv2d):
    """A convolution that is a matrix product on channels_last maps."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return what the convolution returns, in channels_last."""
        height, width = self._output_size(images_NCHW)
        if self.kernel_size != (1, 1) and height * width > MAX_POSITIONS:
            return super().forward(images_NCHW)
        columns_XK = self._columns(images_NCHW, height, width)
        weight_OK = self.weight.permute(0, 2, 3, 1).reshape(self.out_channels, -1)
        result_XO = functional.linear(columns_XK, weight_OK, self.bias)
        return result_XO.view(len(images_NCHW), height, width, -1).permute(0, 3, 1, 2)

    def _output_size(self, images_NCHW: Tensor) -> tuple[int, int]:
        (pad_h, pad_w), (kernel_h, kernel_w) = self._paddings, self.kernel_size
        height, width = images_NCHW.shape[2:]
        down, across = self.stride
        tall, wide = height + 2 * pad_h - kernel_h, width + 2 * pad_w - kernel_w
        return tall // down + 1, wide // across + 1

    @property
    def _paddings(self) -> tuple[int, int]:
        assert not isinstance(self.padding, str)
        return self.padding[0], self.padding[1]

    def _columns(self, images_NCHW: Tensor, height: int, width: int) -> Tensor:
        """Return, for each position of the output, the part of the input that it sees."""
        (down, across), (kernel_h, kernel_w) = self.stride, self.kernel_size
        pad_h, pad_w = self._paddings
        images_NHWC = images_NCHW.permute(0, 2, 3, 1)
        if pad_h or pad_w:
            images_NHWC = functional.pad(images_NHWC, (0, 0, pad_w, pad_w, pad_h, pad_h))
        last_h, last_w = down * (height - 1) + 1, across * (width - 1) + 1
        parts = [
            images_NHWC[:, i : i + last_h : down, j : j + last_w : across]
            for i in range(kernel_h)
            for j in range(kernel_w)
        ]
        columns = parts[0] if len(parts) == 1 else torch.cat(parts, dim=3)
        return columns.reshape(-1, self.in_channels * kernel_h * kernel_w)


@contextmanager
def lowered(network: nn.Module, *, wanted: bool = True) -> Iterator[None]:
    """Compute the convolutions of `network` as matrix products for as long as the block lasts."""
    convolutions = [module for module in network.modules() if _can_be_lowered(module)]
    try:
        for module in convolutions if wanted else ():
            module.__class__ = LoweredConv2d
        yield
    finally:
        for module in convolutions:
            module.__class__ = nn.Conv2d


def has_lowerable(network: nn.Module) -> bool:
    """Return whether any convolution of `network` can be lowered."""
    return any(_can_be_lowered(module) for module in network.modules())


def _can_be_lowered(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.dilation == (1, 1)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )
