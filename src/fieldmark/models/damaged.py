"""What a classifier says of photos as they are and damaged in many ways.

In: a classifier and files of photos. Out: logits.
Not covered: which photos (`evaluation.sampling`), and what the answers come to
(`evaluation.degradation`).

Shapes: S side of what the network sees; V versions of a photo: as it is, then kind after kind,
strength after strength; C classes.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import DataError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.data.degrade import (
    Kind,
    at_working_size,
    degrade_all,
    num_versions,
    working_side,
)
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

CHUNK_BYTES = 128 << 20
"""How much damaged photos may take before they are run."""


def damaged_logits(
    classifier: Classifier,
    photos: Sequence[tuple[Path, str]],
    *,
    kinds: Sequence[Kind],
    seed: int,
    device: torch.device,
    on_batch: Callable[[int], None],
) -> Iterator[NDArray[np.float32]]:
    """Yield logits_VC (float32) of each photo, which is read and decoded once.

    Args:
        classifier: is not changed.
        photos: files, each with its SHA-256.
        kinds: of damage; may be none.
        seed: of the damage, 0 or more.
        device: on which it shall predict.
        on_batch: told how many pictures are done after each batch; a photo has V of them.

    Raises:
        DataError: a photo cannot be read any more, or is another file by now.
    """
    preprocess = classifier.preprocess
    predictor = Predictor(classifier, device=device)
    versions = num_versions(kinds)
    chunk = max(1, CHUNK_BYTES // (versions * 3 * preprocess.size_px**2))
    make = partial(_versions, preprocess=preprocess, kinds=kinds, seed=seed)
    for start in range(0, len(photos), chunk):
        made = list(ThreadExecutor().map(make, photos[start : start + chunk]))
        logits_MC = predictor.logits(np.concatenate(made), on_batch=on_batch)
        yield from logits_MC.reshape(len(made), versions, -1)


def _versions(
    photo: tuple[Path, str], *, preprocess: Preprocess, kinds: Sequence[Kind], seed: int
) -> NDArray[np.uint8]:
    """Return (V, S, S, 3): a photo as the network sees it, as it is and under all damage."""
    path, digest = photo
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} could be read a moment ago, and no longer: {error.strerror}. Leave the photos "
            "where they are meanwhile, and start again."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(
            f"{path} was changed a moment ago. Leave the photos as they are meanwhile, and start "
            "again."
        )
    whole_HW3 = at_working_size(preprocess.decode(content).pixels_HW3, preprocess)
    damaged = degrade_all(
        whole_HW3, kinds, side_px=working_side(preprocess), sha256=digest, seed=seed
    )
    return np.stack([preprocess.to_pixels(one) for one in (whole_HW3, *damaged)])
