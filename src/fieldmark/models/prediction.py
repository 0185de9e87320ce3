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
from fieldmark.evaluation.conformal import prediction_sets
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

CHUNK = 64
"""Photos decoded before they are run: bounds memory however many files there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one file: the classes by falling probability, or why there is none.

    Probabilities are calibrated where the classifier has a temperature.
    """

    path: str
    ranking: tuple[tuple[str, float], ...]
    """(class, probability 0 to 1), highest first; empty where `error` says why."""
    error: str | None = None
    candidates: tuple[str, ...] | None = None
    """The classes that the photo may be of, the likeliest first: sets like this one hold the right
    class as often as `abstain.coverage` says. None where the classifier has no such rule."""
    is_withheld: bool | None = None
    """Whether the confidence is too low for `abstain.target_accuracy`. None where no accuracy was
    asked for, or none could be vouched for."""
    doubt: tuple[str, ...] = ()
    """The classes it wavers between, at least two, the likeliest first; empty where it is sure."""

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
        logits_NC = predictor.logits(np.stack(pixels)).astype(np.float64) if pixels else None
        rows = iter(() if logits_NC is None else softmax(logits_NC / classifier.temperature))
        for file, item in zip(chunk, loaded, strict=True):
            if isinstance(item, str):
                yield Prediction(path=str(file), ranking=(), error=item)
            else:
                yield _answer(str(file), next(rows), classifier=classifier, top_k=top_k)


def _load(file: Path, *, preprocess: Preprocess) -> NDArray[np.uint8] | str:
    try:
        return preprocess.to_pixels(preprocess.decode(file.read_bytes()).pixels_HW3)
    except UnreadableImage as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _answer(
    path: str, probabilities_C: NDArray[np.float64], *, classifier: Classifier, top_k: int
) -> Prediction:
    order = np.argsort(-probabilities_C, kind="stable").tolist()
    ranking = [(classifier.classes[index], float(probabilities_C[index])) for index in order]
    rule = classifier.decision
    candidates = is_withheld = None
    if rule.set_threshold is not None:
        (in_set_C,) = prediction_sets(probabilities_C[None], rule.set_threshold)
        candidates = tuple(classifier.classes[index] for index in order if in_set_C[index])
    if rule.abstain_below is not None:
        is_withheld = ranking[0][1] < rule.abstain_below
    doubt = candidates if candidates and len(candidates) > 1 else ()
    if is_withheld and not doubt:
        doubt = tuple(name for name, _ in ranking[:2])
    return Prediction(
        path=path,
        ranking=tuple(ranking[:top_k]),
        candidates=candidates,
        is_withheld=is_withheld,
        doubt=doubt,
    )
