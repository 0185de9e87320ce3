"""The ResNets of Keras (`keras.applications`), layer for layer, without their classifier.

In: how many blocks each stage has, and how wide they are. Out: a network that gives pooled features
or its last maps, as timm's do.
What sets it apart from timm's `resnet50`: a stage is made smaller by its first 1x1 convolution
instead of a 3x3 one, convolutions have biases, batch normalisation has an epsilon of 1.001e-5 and
moves its statistics by a hundredth a step instead of a tenth, and kernels start Glorot uniform.
Layers carry Keras' own names and stand in Keras' order, so that a layer table reads as Keras' does
and weights go over by name (see `keras_weights`).
Not covered: the classifier, and Keras' second version of these networks (ResNetV2).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1.001e-5
"""Of every batch normalisation, as keras.applications sets it."""
MOMENTUM = 0.01
"""The share of the new in running statistics. Keras counts the share of the old: 0.99, its
default."""
STEM_WIDTH = 64
EXPANSION = 4
"""How many times wider a block's output is than its 3x3 convolution."""
WIDTHS = (64, 128, 256, 512)
POOLS = ("avg", "")

# Legend for shape suffixes: N photos, C channels, H height, W width, F features.


class KerasBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose running variance is that of Keras.

    torch multiplies the variance of a batch by n / (n - 1) before it enters the running one (n
    being photos times places; Bessel's correction). Keras takes it as it is. What a batch is
    normalised with is the same in both.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, eps=EPSILON, momentum=MOMENTUM)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the parent's name for it)
        """Return normalised maps of the same shape; in training, move the statistics."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # A copy, since autograd refuses what it was handed and has been changed since.
        corrected = self.running_var.clone()
        output = functional.batch_norm(
            input,
            self.running_mean,
            corrected,
            self.weight,
            self.bias,
            training=True,
            momentum=MOMENTUM,
            eps=EPSILON,
        )
        # corrected = (1 - m) old + m v n / (n - 1), and (1 - m) old + m v is wanted.
        num_summed = input.numel() // input.shape[1]
        share = (num_summed - 1) / num_summed
        self.running_var.mul_(1 - MOMENTUM).lerp_(corrected, share)
        return output


class Add(nn.Module):
    """The sum of a block's two ways; a module, so that it stands in the layer table."""

    def forward(self, branch_NCHW: Tensor, shortcut_NCHW: Tensor) -> Tensor:
        """Return the sum, written over the first."""
        return branch_NCHW.add_(shortcut_NCHW)


class GlobalAveragePooling(nn.Module):
    """The mean over height and width."""

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Return features_NC."""
        return maps_NCHW.mean((2, 3))


class KerasResNet(nn.Module):
    """A ResNet of bottleneck blocks as keras.applications builds it."""

    def __init__(
        self,
        *,
        blocks: Sequence[int],
        widths: Sequence[int] = WIDTHS,
        num_classes: int = 0,
        global_pool: str = "avg",
    ) -> None:
        """Build it with weights from the global generator, as Keras starts them.

        Args:
            blocks: how many of them each stage has, stage by stage.
            widths: channels of the 3x3 convolutions of each stage.
            num_classes: 0: there is no classifier.
            global_pool: "avg" gives features_NF, "" the last maps_NCHW.

        Raises:
            ValueError: a stage has no block or no width; a classifier or another pooling is asked
                for.
        """
        super().__init__()
        if num_classes != 0:
            raise ValueError(f"num_classes is {num_classes}; this network has no classifier, so 0")
        if global_pool not in POOLS:
            raise ValueError(f"global_pool is {global_pool!r}; allowed: 'avg' and ''")
        if not blocks or len(blocks) != len(widths) or min(blocks) < 1:
            raise ValueError(f"blocks {list(blocks)} and widths {list(widths)} do not go together")
        self.num_features = EXPANSION * widths[-1]
        self._num_blocks = tuple(blocks)
        self._add_stem()
        channels = STEM_WIDTH
        for index, stage in enumerate(self._stages()):
            for place, name in enumerate(stage):
                stride = 2 if index and not place else 1
                self._add_block(name, channels, widths[index], stride=stride, projects=not place)
                channels = EXPANSION * widths[index]
        if global_pool:
            self.avg_pool = GlobalAveragePooling()

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return features_NF, or maps_NCHW where it was built without pooling."""
        return self.forward_head(self.forward_features(images_NCHW))

    def forward_features(self, images_NCHW: Tensor) -> Tensor:
        """Return the maps of the last stage."""
        return self.forward_intermediates(images_NCHW, indices=1)[0]

    def forward_head(self, maps_NCHW: Tensor, *, pre_logits: bool = True) -> Tensor:  # noqa: ARG002
        """Return what is made of the last maps; `pre_logits` is timm's and changes nothing."""
        is_pooled = hasattr(self, "avg_pool")
        return self.avg_pool(maps_NCHW) if is_pooled else maps_NCHW

    def forward_intermediates(
        self, images_NCHW: Tensor, *, indices: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last maps, and those of the last `indices` stages from input to output."""
        maps = self._through(images_NCHW, "conv1", "pad", "conv", "bn", "relu")
        maps = self._through(maps, "pool1", "pad", "pool")
        outputs = []
        for stage in self._stages():
            for name in stage:
                maps = self._block(maps, name, projects=name == stage[0])
            outputs.append(maps)
        return maps, outputs[-indices:]

    def group_matcher(self, *, coarse: bool = False) -> dict[str, str]:
        """Return how parameters are grouped by depth, in timm's form: the stem and the stages."""
        blocks = r"^conv(\d+)_block" if coarse else r"^conv(\d+)_block(\d+)"
        return {"stem": r"^conv1_", "blocks": blocks}

    def _stages(self) -> Iterator[tuple[str, ...]]:
        """Yield the names of the blocks of each stage; Keras counts the stem as the first."""
        for stage, num_blocks in enumerate(self._num_blocks, 2):
            yield tuple(f"conv{stage}_block{block}" for block in range(1, num_blocks + 1))

    def _add_stem(self) -> None:
        self.conv1_pad = nn.ZeroPad2d(3)
        self.conv1_conv = _convolution(3, STEM_WIDTH, 7, stride=2)
        self.conv1_bn = KerasBatchNorm(STEM_WIDTH)
        self.conv1_relu = nn.ReLU(inplace=True)
        self.pool1_pad = nn.ZeroPad2d(1)
        self.pool1_pool = nn.MaxPool2d(3, stride=2)

    def _add_block(
        self, name: str, channels: int, width: int, *, stride: int, projects: bool
    ) -> None:
        wide = EXPANSION * width
        # In the order of Keras' own table, which goes by the distance from the output.
        parts: dict[str, Any] = {
            "1_conv": partial(_convolution, channels, width, 1, stride=stride),
            "1_bn": partial(KerasBatchNorm, width),
            "1_relu": partial(nn.ReLU, inplace=True),
            "2_conv": partial(_convolution, width, width, 3, padding=1),
            "2_bn": partial(KerasBatchNorm, width),
            "2_relu": partial(nn.ReLU, inplace=True),
            "0_conv": partial(_convolution, channels, wide, 1, stride=stride),
            "3_conv": partial(_convolution, width, wide, 1),
            "0_bn": partial(KerasBatchNorm, wide),
            "3_bn": partial(KerasBatchNorm, wide),
            "add": Add,
            "out": partial(nn.ReLU, inplace=True),
        }
        for part, build in parts.items():
            if projects or not part.startswith("0"):
                self.add_module(f"{name}_{part}", build())

    def _block(self, maps_NCHW: Tensor, name: str, *, projects: bool) -> Tensor:
        branch = self._through(maps_NCHW, name, "1_conv", "1_bn", "1_relu")
        branch = self._through(branch, name, "2_conv", "2_bn", "2_relu")
        shortcut = self._through(maps_NCHW, name, "0_conv") if projects else maps_NCHW
        branch = self._through(branch, name, "3_conv")
        shortcut = self._through(shortcut, name, "0_bn") if projects else shortcut
        branch = self._through(branch, name, "3_bn")
        total = getattr(self, f"{name}_add")(branch, shortcut)
        return self._through(total, name, "out")

    def _through(self, maps_NCHW: Tensor, name: str, *parts: str) -> Tensor:
        # By name at every call: a folded copy has other modules in these places (see `folding`).
        for part in parts:
            maps_NCHW = getattr(self, f"{name}_{part}")(maps_NCHW)
        return maps_NCHW


def keras_resnet50(**arguments: Any) -> nn.Module:
    """Return Keras' ResNet50; `arguments` are those of `KerasResNet`."""
    return KerasResNet(**{"blocks": (3, 4, 6, 3), **arguments})


def keras_resnet101(**arguments: Any) -> nn.Module:
    """Return Keras' ResNet101; `arguments` are those of `KerasResNet`."""
    return KerasResNet(**{"blocks": (3, 4, 23, 3), **arguments})


def keras_resnet152(**arguments: Any) -> nn.Module:
    """Return Keras' ResNet152; `arguments` are those of `KerasResNet`."""
    return KerasResNet(**{"blocks": (3, 8, 36, 3), **arguments})


def _convolution(
    channels_in: int, channels_out: int, size: int, *, stride: int = 1, padding: int = 0
) -> nn.Conv2d:
    """Return a convolution that starts as Keras' does: Glorot uniform, its biases zero.

    Glorot and Bengio 2010 (equation 16): uniform within sqrt(6 / (fan in + fan out)).
    """
    convolution = nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=padding)
    nn.init.xavier_uniform_(convolution.weight)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.bias.zero_()
    return convolution
