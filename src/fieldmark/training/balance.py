"""Classes of unequal size: how much each photo counts, or how often it is drawn.

In: the class of each photo. Out: a weight for each class; the order of an epoch's photos.
"""

import numpy as np
import torch
from numpy.typing import NDArray

# Legend for shape suffixes: N photos, C classes, K photos drawn.


def class_weights(labels_N: NDArray[np.int64], *, num_classes: int) -> NDArray[np.float32]:
    """Return weights_C (float32), in inverse proportion to the sizes of the classes.

    A class with n_c of the N photos gets N / (C n_c), C being the number of classes with photos
    (King and Zeng 2001, as in scikit-learn's "balanced"), so that the mean over the photos is 1. A
    class without photos gets 0.

    Args:
        labels_N: class indices from 0 to below `num_classes`, at least one.
        num_classes: length of the result.
    """
    counts_C = np.bincount(labels_N, minlength=num_classes)
    present_C = counts_C > 0
    weights_C = np.zeros(num_classes, np.float32)
    weights_C[present_C] = len(labels_N) / present_C.sum() / counts_C[present_C]
    return weights_C


def epoch_order(
    labels_N: NDArray[np.int64], *, sampling: str, generator: torch.Generator
) -> NDArray[np.int64]:
    """Return the photos of an epoch, as indices into `labels_N`, in the order they are trained on.

    With "shuffle" each photo comes once. With "balanced" there are as many draws as photos, every
    class with photos has the same number of them to within one, and so has every photo of a class;
    who gets one more is drawn anew each time.

    Args:
        labels_N: class indices from 0.
        sampling: "shuffle" or "balanced".
        generator: on the CPU; advanced.

    Returns:
        order_N (int64).
    """
    num_photos = len(labels_N)
    order_N: NDArray[np.int64] = torch.randperm(num_photos, generator=generator).numpy()
    if sampling == "shuffle" or not num_photos:
        return order_N
    classes = np.unique(labels_N)
    shares = _shares(num_photos, among=len(classes), generator=generator)
    chosen = [
        _drawn(np.flatnonzero(labels_N == label), num_draws=share, generator=generator)
        for label, share in zip(classes, shares, strict=True)
    ]
    return np.concatenate(chosen)[order_N]


def _drawn(
    photos_K: NDArray[np.int64], *, num_draws: int, generator: torch.Generator
) -> NDArray[np.int64]:
    """Return `num_draws` of the photos, each as often as any other to within one."""
    times_K = _shares(num_draws, among=len(photos_K), generator=generator)
    return np.repeat(photos_K, times_K)


def _shares(total: int, *, among: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Divide `total` into whole numbers that differ by one at most; chance says who gets more."""
    shares = np.full(among, total // among)
    shares[torch.randperm(among, generator=generator).numpy()[: total % among]] += 1
    return shares
