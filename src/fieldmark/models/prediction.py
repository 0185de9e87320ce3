"""Predictions for files that are not part of a run: each file gets an answer or a reason.

In: a classifier and paths of photos. Out: one `Prediction` a file, in the order given.
Not covered: files with labels (see `workflow.evaluate`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor
from fieldmark.data.images import UnreadableImage
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

CHUNK = 64
"""Photos decoded before they are run: bounds memory however many files there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one file: the classes by falling probability, or why there is none."""

    path: str
    ranking: tuple[tuple[str, float], ...]
    """(class, probability 0 to 1), highest first; empty where `error` says why."""
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class, None for a file that could not be read."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def confidence(self) -> float | None:
        """The probability of `label`, 0 to 1."""
        return self.ranking[0][1] if self.ranking else None


def predict_files(
    classifier: Classifier,
    files: Sequence[Path],
    *,
    top_k: int,
    device: torch.device,
    executor: Executor,
) -> Iterator[Prediction]:
    """Yield a prediction for each file, in order.

    Raises:
        DataError: `top_k` is below 1.
    """
    if top_k < 1:
        raise DataError(f"--top-k is {top_k}; allowed: 1 or more.")
    predictor = Predictor(classifier, device=device)
    load = partial(_load, preprocess=classifier.preprocess)
    for start in range(0, len(files), CHUNK):
        chunk = files[start : start + CHUNK]
        loaded = list(executor.map(load, chunk))
        pixels = [item for item in loaded if not isinstance(item, str)]
        rows = iter(softmax(predictor.logits(np.stack(pixels)))) if pixels else iter(())
        for file, item in zip(chunk, loaded, strict=True):
            if isinstance(item, str):
                yield Prediction(path=str(file), ranking=(), error=item)
            else:
                ranking = _ranking(next(rows), classes=classifier.classes, top_k=top_k)
                yield Prediction(path=str(file), ranking=ranking)


def _load(file: Path, *, preprocess: Preprocess) -> NDArray[np.uint8] | str:
    try:
        return preprocess.to_pixels(preprocess.decode(file.read_bytes()).pixels_HW3)
    except UnreadableImage as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _ranking(
    probabilities_C: NDArray[np.float64], *, classes: tuple[str, ...], top_k: int
) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities_C, kind="stable")[:top_k]
    return tuple((classes[index], float(probabilities_C[index])) for index in order)
