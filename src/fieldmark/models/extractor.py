"""What a backbone makes of photos: one row of features each.

In: a backbone and normalised images. Out: features_NF.
Not covered: which backbone (see `backbones`).
"""

from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError

# Legend for shape suffixes: N photos, C channels, H height, W width, F features.


class FeatureExtractor(nn.Module):
    """A backbone and the pooling, or flattening, that makes one row of features of a photo.

    With `stages` 0 the features are the backbone's own pooled ones. With more, the outputs of
    that many stages from the end, averaged over height and width, stand beside them (all but the
    one that was pooled itself): earlier stages keep texture and detail that the last one has given
    up for ImageNet's classes.
    With `flatten` the backbone gives its last maps unpooled, and every place of them is a feature
    of its own; stages must be 0.
    A power below 1 is the signed power normalisation of Perronnin et al. 2010.
    """

    def __init__(
        self, backbone: nn.Module, *, stages: int, power: float, flatten: bool = False
    ) -> None:
        assert not (flatten and stages), "stages stand beside pooled features"
        super().__init__()
        self.backbone = backbone
        self.stages = stages
        self.power = power
        # A module, so that it stands in the layer table.
        self.flat = nn.Flatten() if flatten else None

    @property
    def flatten(self) -> bool:
        """Whether the features are the backbone's maps, place by place."""
        return self.flat is not None

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return features_NF of normalised images."""
        features_NF = self._pooled(images_NCHW)
        if self.power == 1:
            return features_NF
        return features_NF.sign() * features_NF.abs().pow(self.power)

    def _pooled(self, images_NCHW: Tensor) -> Tensor:
        if self.flat is not None:
            # Flattening goes by the logical order NCHW, however the maps lie in memory.
            return self.flat(self.backbone(images_NCHW))  # type: ignore[no-any-return]
        if not self.stages:
            return self.backbone(images_NCHW)  # type: ignore[no-any-return]
        backbone: Any = self.backbone
        last, earlier = backbone.forward_intermediates(images_NCHW, indices=self.stages)
        pooled = backbone.forward_head(last, pre_logits=True)
        # Where the last stage is also what was pooled, as in a ResNet, it would stand there twice.
        others = [stage for stage in reversed(earlier) if stage is not last]
        return torch.cat([pooled, *(stage.mean((2, 3)) for stage in others)], dim=1)


def num_features(extractor: FeatureExtractor, *, size_px: int) -> int:
    """Return the number of features of a photo, found by running one blank photo.

    Raises:
        RecipeError: the backbone does not take photos of `size_px` pixels; or does not pool where
            it should, or pools where it should not.
    """
    was_training = extractor.training
    extractor.eval()
    parameter = next(extractor.parameters())
    blank = torch.zeros(1, 3, size_px, size_px, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            features_NF = extractor(blank)
            is_pooled = extractor.flatten and extractor.backbone(blank).ndim == 2
    except Exception as error:  # each network has its own way to refuse
        raise RecipeError(
            f"The backbone cannot be run on photos of {size_px} pixels with model.stages "
            f"{extractor.stages}: {str(error).rstrip('.')}. Set data.size_px to a size that it "
            "was made for, or model.stages to 0."
        ) from error
    finally:
        extractor.train(was_training)
    if is_pooled:
        raise RecipeError(
            "The backbone pools its maps whatever it is told, so there is nothing for model.head "
            "'flatten'. Set model.head to linear."
        )
    if features_NF.ndim != 2:
        raise RecipeError(
            "The backbone gives maps instead of one row of features a photo. Leave "
            "model.backbone_args.global_pool out, or set it to 'avg'."
        )
    return int(features_NF.shape[1])
