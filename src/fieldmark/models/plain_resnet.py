"""The plain networks of He et al. 2015 (section 3.3): ResNet-18 and ResNet-34 without shortcuts.

In: timm's arguments for a ResNet. Out: a network with its stages, its names and its pooling.
They show why shortcuts are there: the deeper plain network has the higher training error
(figure 4). What is left out are the shortcuts alone, with the projections that stand in some of
them; everything else is that of timm's `resnet18` and `resnet34`.
"""

from typing import Any

from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

# Legend for shape suffixes: N photos, C channels, H height, W width.


class PlainBlock(BasicBlock):  # type: ignore[misc]  # timm has no types
    """Two 3x3 convolutions, each normalised and rectified, and no way around them."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,  # noqa: ARG002 - made by timm for every kind of block
        *,
        drop_path: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        if drop_path is not None:
            # Beside a shortcut it drops one of two ways; here nothing would be left of the photo.
            raise ValueError("a plain network has no branch that drop_path_rate could drop")
        super().__init__(inplanes, planes, stride, None, **kwargs)

    def zero_init_last(self) -> None:
        """Leave the last normalisation as it is: without a shortcut, zeros would pass nothing."""

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        """Return the block's maps, of half the size where its stride is 2."""
        maps_NCHW = self.aa(self.act1(self.drop_block(self.bn1(self.conv1(maps_NCHW)))))
        maps_NCHW = self.bn2(self.conv2(maps_NCHW))
        if self.se is not None:
            maps_NCHW = self.se(maps_NCHW)
        return self.act2(maps_NCHW)  # type: ignore[no-any-return]


def plain18(**arguments: Any) -> nn.Module:
    """Return the plain network of 18 layers, its weights drawn as He et al. 2015b draw them.

    `arguments` are those of timm's `ResNet`, such as `num_classes`, `global_pool` and `channels`.

    Raises:
        TypeError: timm's `ResNet` has no such argument.
        ValueError: `drop_path_rate` is over 0.
    """
    return _network({"layers": (2, 2, 2, 2), **arguments})


def plain34(**arguments: Any) -> nn.Module:
    """Return the plain network of 34 layers; as `plain18` in all else."""
    return _network({"layers": (3, 4, 6, 3), **arguments})


def _network(arguments: dict[str, Any]) -> nn.Module:
    network: nn.Module = ResNet(PlainBlock, **arguments)
    return network
