"""Photos mixed with each other while the network learns: MixUp and CutMix, a whole batch at once.

In: a batch, ready for the network or not, and its labels. Out: mixed photos, and how much of each
class is in them. MixUp (Zhang et al. 2018) lays two photos over each other; CutMix (Yun et al.
2019) puts a rectangle of one into the other.
Shapes: N images, C classes in targets and channels in images, H height, W width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fieldmark.data.augment import AugmentConfig
from fieldmark.data.boxes import areas, pixel_boxes
from fieldmark.data.memory_format import in_format_of


def mix(
    images_NCHW: Tensor,
    labels_N: Tensor,
    *,
    config: AugmentConfig,
    num_classes: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mix each photo with another of the batch, in a proportion of its own.

    The partner of a photo is the one before it in a random order of the batch, so none is mixed
    with itself unless it is alone. Its share is drawn from Beta(alpha, alpha). Where both kinds
    are on, each batch takes one, at random with equal chances.

    Args:
        images_NCHW: floating point, on any scale. Not altered; type, device and memory format are
            kept.
        labels_N: int64 class indices, on the same device.
        config: `mixup` and `cutmix` are read.
        num_classes: how many classes there are.
        generator: on the CPU, whatever the device of the batch. It moves on by the same number of
            draws for any mixing, and stays where it is with none.

    Returns:
        images_NCHW and targets_NC, float32 of sum 1 over the classes. Without mixing the images
        are those given, and the targets one-hot.
    """
    targets_NC = functional.one_hot(labels_N, num_classes).float()
    if not (config.mixup or config.cutmix):
        return images_NCHW, targets_NC
    num_images = len(images_NCHW)
    choice = torch.rand((), generator=generator)
    share_N, across_N, down_N = torch.rand(3, num_images, generator=generator).unbind(0)
    partner_N = _partners(num_images, generator=generator)
    if config.mixup and (not config.cutmix or float(choice) < 0.5):
        kept_N = beta_quantiles(share_N, alpha=config.mixup)
        mixed_NCHW = _blend(images_NCHW, partner_N, kept_N)
    else:
        kept_N = beta_quantiles(share_N, alpha=config.cutmix)
        height, width = images_NCHW.shape[-2:]
        box_N4 = rectangles(kept_N, across_N, down_N, height=height, width=width)
        kept_N = 1 - areas(box_N4) / (height * width)
        mixed_NCHW = _insert(images_NCHW, partner_N, box_N4)
    return in_format_of(mixed_NCHW, images_NCHW), _blend(targets_NC, partner_N, kept_N)


def beta_quantiles(uniform_N: Tensor, *, alpha: float) -> Tensor:
    """Turn uniform draws into draws from Beta(alpha, alpha), on the CPU.

    By the inverse of its distribution function, so that another alpha moves each draw a little
    rather than making all of them anew.

    Args:
        uniform_N: float32 in [0, 1).
        alpha: above 0. At 1 the draws stay as they are; below, they gather at 0 and 1, and above,
            in the middle.

    Returns:
        float32 of the same shape, from 0 to 1.
    """
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, uniform_N.double().numpy())).float()


def rectangles(
    kept_N: Tensor, across_N: Tensor, down_N: Tensor, *, height: int, width: int
) -> Tensor:
    """Return the rectangle of each photo that its partner fills: (N, 4), int64 pixels.

    Its sides are sqrt(1 - kept) of the photo's; its middle lies anywhere, and what would stick
    out is cut off (Yun et al. 2019, section 3.1), so less than 1 - kept may be filled.

    Args:
        kept_N: the share of the area to keep, 0 to 1.
        across_N: where the middle is, from 0 at the left to 1 at the right.
        down_N: the same from top to bottom.
        height: of the photos, in pixels.
        width: of the photos, in pixels.

    Returns:
        Top, bottom, left and right of each, as of slices.
    """
    half_N = (1 - kept_N).clamp(0, 1).sqrt() / 2
    return pixel_boxes(
        top_N=down_N - half_N,
        bottom_N=down_N + half_N,
        left_N=across_N - half_N,
        right_N=across_N + half_N,
        height=height,
        width=width,
    )


def _partners(num_images: int, *, generator: torch.Generator) -> Tensor:
    """Return for each photo the index of the one before it in a random order, round the end."""
    order_N = torch.randperm(num_images, generator=generator)
    partner_N = torch.empty_like(order_N)
    partner_N[order_N] = order_N.roll(1)
    return partner_N


def _blend(given: Tensor, partner_N: Tensor, kept_N: Tensor) -> Tensor:
    """Return kept * given + (1 - kept) * partner, each row by its own share."""
    partners = given[partner_N.to(given.device)]
    kept = kept_N.view(-1, *[1] * (given.ndim - 1)).to(given.device, given.dtype)
    return partners.lerp_(given, kept)


def _insert(images_NCHW: Tensor, partner_N: Tensor, box_N4: Tensor) -> Tensor:
    # Photo by photo: only the rectangles are touched, at a tenth of the time of a mask over all.
    mixed_NCHW = images_NCHW.clone()
    for index, (partner, box) in enumerate(zip(partner_N.tolist(), box_N4.tolist(), strict=True)):
        top, bottom, left, right = box
        mixed_NCHW[index, :, top:bottom, left:right] = images_NCHW[
            partner, :, top:bottom, left:right
        ]
    return mixed_NCHW
