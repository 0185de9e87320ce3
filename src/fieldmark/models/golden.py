"""Golden photos: a few photos' pixels with their logits, by which a bundle proves itself.

In: a classifier and pixels. Out: `Golden`, kept with the bundle, and on loading a classifier that
gives the same logits again, or a refusal that says how far it strays.
The plain network computes them on the CPU in float32, whatever it predicts in elsewhere: what is
asked is whether weights, network and preprocessing are those of then.

Shapes: G golden photos, C classes, S side in pixels.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import BundleError
from fieldmark.data.views import views
from fieldmark.models.classifier import Classifier
from fieldmark.models.heads import head_logits

NUM_GOLDEN = 8
TOLERANCE = 1e-3
"""How far logits may stray, as a share of the range of all golden logits. Other processors, numbers
of threads and versions of PyTorch move float32 logits by about 1e-6 of it; a network whose padding
or activation is another one moves them by more than 1e-2."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """Photos and what was made of them when the bundle was saved."""

    pixels_GSS3: NDArray[np.uint8]
    """As `Preprocess.to_pixels` gives them."""
    logits_GC: NDArray[np.float32]


def choose_golden(labels_N: Sequence[int] | NDArray[np.int64], num: int = NUM_GOLDEN) -> list[int]:
    """Return the positions of `num` photos, or all: the first of each class, then the second, ...

    Args:
        labels_N: the index of each photo's class.
        num: how many to choose, 1 or more.
    """
    met: dict[int, int] = {}
    ranked = []
    for place, label in enumerate(labels_N):
        met[int(label)] = met.get(int(label), 0) + 1
        ranked.append((met[int(label)], int(label), place))
    return [place for _, _, place in sorted(ranked)[:num]]


def drawn_pixels(size_px: int, num: int = NUM_GOLDEN) -> NDArray[np.uint8]:
    """Return pictures of coloured patches, for bundles that shall hold no photo; always the same.

    Returns:
        uint8 of shape (num, size_px, size_px, 3).
    """
    patches = np.random.default_rng(0).integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    places = np.arange(size_px) * 8 // size_px
    return np.ascontiguousarray(patches[:, places][:, :, places])


def golden_of(classifier: Classifier, pixels_GSS3: NDArray[np.uint8]) -> Golden:
    """Return photos with their logits; the classifier is not changed."""
    plain = Classifier(
        network=copy.deepcopy(classifier.network).cpu().float().eval(),
        architecture=classifier.architecture,
        preprocess=classifier.preprocess,
        classes=classifier.classes,
    )
    return Golden(pixels_GSS3=pixels_GSS3, logits_GC=plain_logits(plain, pixels_GSS3))


def plain_logits(classifier: Classifier, pixels_GSS3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return logits_GC by the network as it is, in float32, on the CPU and in evaluation mode."""
    network, num_views = classifier.network, classifier.architecture.views
    with torch.inference_mode():
        images_GCSS = torch.from_numpy(pixels_GSS3).permute(0, 3, 1, 2).contiguous()
        normalised_GCSS = classifier.preprocess.normalise(images_GCSS)
        total = sum(network.extractor(view) for view in views(normalised_GCSS, num_views))
        assert isinstance(total, torch.Tensor)
        return head_logits(network.head, (total / num_views).numpy())


def replay(classifier: Classifier, golden: Golden, *, where: str, num: int = 1) -> float:
    """Compute the logits of the first golden photos again and compare.

    Args:
        classifier: as loaded: on the CPU, in float32, in evaluation mode.
        golden: what the bundle holds.
        where: names the bundle in messages.
        num: how many photos to replay.

    Returns:
        How far the logits stray, as a share of their range; at most `TOLERANCE`.

    Raises:
        BundleError: they stray further, or the network cannot be run at all.
    """
    try:
        found_GC = plain_logits(classifier, golden.pixels_GSS3[:num])
    except Exception as error:  # each network has its own way to fail
        raise BundleError(f"The network of {where} cannot be run: {error}") from error
    drift = _drift(found_GC, golden)
    if not drift <= TOLERANCE:
        raise BundleError(
            f"{where} does not give the logits that it was saved with: on a golden photo they "
            f"stray by {drift:.2g} of their range, and {TOLERANCE:g} is allowed. The libraries "
            "compute this network in another way now; use those of the run (see its run.json), or "
            "train again."
        )
    return drift


def check_golden(golden: Golden, *, size_px: int, num_classes: int, where: str) -> None:
    """Refuse golden photos that cannot be this classifier's.

    Raises:
        BundleError: a shape or a type is not what it must be, or a logit is not finite.
    """
    pixels, logits = golden.pixels_GSS3, golden.logits_GC
    num = len(pixels)
    is_right = (
        pixels.dtype == np.uint8
        and logits.dtype == np.float32
        and num > 0
        and pixels.shape == (num, size_px, size_px, 3)
        and logits.shape == (num, num_classes)
        and bool(np.isfinite(logits).all())
    )
    if not is_right:
        raise BundleError(
            f"{where} does not fit the model: pixels {pixels.dtype} {pixels.shape}, logits "
            f"{logits.dtype} {logits.shape}, finite."
        )


def _drift(found_GC: NDArray[np.float32], golden: Golden) -> float:
    expected_GC = golden.logits_GC.astype(np.float64)
    strayed = float(np.abs(found_GC - expected_GC[: len(found_GC)]).max())
    spread = float(np.ptp(expected_GC))
    if not strayed:
        return 0.0
    return strayed / spread if spread else float("inf")
