"""Predictions for files that are not part of a run: each file gets an answer or a reason.

In: a classifier and paths of photos. Out: one `Prediction` a file, in the order given.
Not covered: files with labels (see `workflow.evaluate`).
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.chunks import in_chunks
from fieldmark.base.executor import Executor
from fieldmark.data.images import UnreadableImage
from fieldmark.data.photo_file import read_photo
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.answer import Prediction, answer, check_top_k
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.classifier import Classifier
from fieldmark.models.familiarity import scores_of
from fieldmark.models.inference import Predictor

__all__ = ["CHUNK", "Prediction", "predict_files"]

CHUNK = 64
"""Photos decoded before they are run: bounds memory however many files there are."""


def predict_files(
    classifier: Classifier,
    files: Iterable[Path],
    *,
    top_k: int,
    device: torch.device,
    executor: Executor,
) -> Iterator[Prediction]:
    """Yield a prediction for each file, in order; files are taken as they are needed.

    Raises:
        DataError: `top_k` is below 1.
    """
    check_top_k(top_k)
    predictor = Predictor(classifier, device=device)
    load = partial(_load, preprocess=classifier.preprocess)
    for chunk in in_chunks(files, CHUNK):
        loaded = list(executor.map(load, chunk))
        pixels = [item for item in loaded if not isinstance(item, str)]
        rows = _rows(classifier, predictor, pixels)
        for file, item in zip(chunk, loaded, strict=True):
            if isinstance(item, str):
                yield Prediction(path=str(file), ranking=(), error=item)
            else:
                probabilities_C, unfamiliarity = next(rows)
                yield answer(
                    str(file),
                    probabilities_C,
                    classes=classifier.classes,
                    rule=classifier.decision,
                    top_k=top_k,
                    unfamiliarity=unfamiliarity,
                )


def _rows(
    classifier: Classifier, predictor: Predictor, pixels: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[NDArray[np.float64], float | None]]:
    """Yield the calibrated probabilities and the unfamiliarity of each photo."""
    if not pixels:
        return
    features_NF = predictor.features(np.stack(pixels))
    logits_NC = predictor.logits_of_features(features_NF)
    scores_N = scores_of(classifier, features_NF=features_NF, logits_NC=logits_NC)
    scores = [None] * len(pixels) if scores_N is None else scores_N.tolist()
    probabilities_NC = softmax(logits_NC.astype(np.float64) / classifier.temperature)
    yield from zip(probabilities_NC, scores, strict=True)


def _load(file: Path, *, preprocess: Preprocess) -> NDArray[np.uint8] | str:
    try:
        return preprocess.to_pixels(preprocess.decode(read_photo(file)).pixels_HW3)
    except UnreadableImage as error:
        return str(error)
