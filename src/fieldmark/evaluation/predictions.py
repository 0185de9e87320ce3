"""A classifier's answers on images whose class is known: the table all measures come from.

In: paths, splits, true classes and logits, from a model or from `predictions.csv`.
Out: a validated `Predictions`, and the file.
Not covered: images without a known class.

Shapes: N images, C classes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError, nearest_spelling
from fieldmark.base.files import write_csv
from fieldmark.evaluation import metrics
from fieldmark.evaluation.predictions_table import Record, first_repeated, header, read_table

SPLITS = ("train", "validation", "test")
MIN_CLASSES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """The logits of N labelled images over C classes; answers and probabilities derive from them.

    Integer labels and floating logits of another width are converted.

    Raises:
        EvaluationError: if the shapes do not fit each other, a label is not a class, a logit is
            not finite as float32, a path or class name occurs twice, a split is unknown, or the
            temperature is not over 0.
    """

    paths: tuple[str, ...]
    """N distinct paths, relative to the folder of photos, with forward slashes."""
    splits: NDArray[np.str_]
    """The split of each image, (N,): train, validation or test."""
    labels_N: NDArray[np.int64]
    """The index of each image's true class, 0 to C - 1."""
    classes: tuple[str, ...]
    """C distinct class names, at least two, in the order of the logits."""
    logits_NC: NDArray[np.float32]
    """Unnormalised log-probabilities, finite; as the network gives them."""
    temperature: float = 1.0
    """What the logits are divided by before they become probabilities, over 0. It changes how sure
    the answers are, never which they are."""
    unfamiliarity_N: NDArray[np.float64] | None = None
    """How unlike the images of training each one is (see `unfamiliar`), (N,), finite; None where
    there is no such score."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "splits", np.asarray(self.splits, dtype=np.str_))
        object.__setattr__(self, "labels_N", _as_labels(self.labels_N))
        object.__setattr__(self, "logits_NC", _as_logits(self.logits_NC))
        if self.unfamiliarity_N is not None:
            scores_N = np.asarray(self.unfamiliarity_N, dtype=np.float64)
            object.__setattr__(self, "unfamiliarity_N", scores_N)
        if len(self.classes) < MIN_CLASSES:
            raise EvaluationError(f"at least two classes are needed, met {list(self.classes)}")
        _check_names(self.classes, kind="class")
        _check_names(self.paths, kind="path")
        _check_shapes(self)
        _check_values(self)

    @property
    def num_images(self) -> int:
        """How many images there are (N)."""
        return len(self.paths)

    @property
    def probabilities_NC(self) -> NDArray[np.float64]:
        """The softmax of the logits over the temperature, computed in float64."""
        return metrics.softmax(self.scaled_logits_NC)

    @property
    def scaled_logits_NC(self) -> NDArray[np.float64]:
        """The logits over the temperature."""
        result: NDArray[np.float64] = self.logits_NC.astype(np.float64) / self.temperature
        return result

    @property
    def predicted_N(self) -> NDArray[np.int64]:
        """The class with the largest logit; of equal ones the first in the order of classes."""
        result: NDArray[np.int64] = self.logits_NC.argmax(axis=1).astype(np.int64)
        return result

    @property
    def confidence_N(self) -> NDArray[np.float64]:
        """The probability of the predicted class, 1 / C to 1."""
        result: NDArray[np.float64] = self.probabilities_NC.max(axis=1)
        return result

    def of_split(self, name: str) -> "Predictions":
        """Return the images of one split, in their order.

        Raises:
            EvaluationError: if `name` is not a split or has no images here.
        """
        _check_split(name)
        chosen_N = self.splits == name
        if not chosen_N.any():
            present = ", ".join(sorted(set(self.splits.tolist()))) or "none"
            raise EvaluationError(
                f"there are no predictions for the {name} split (splits with images: {present}); "
                f"give it a larger share when the photos are split, or choose another split"
            )
        return self.take(chosen_N)

    def take(self, chosen_N: NDArray[np.bool_]) -> "Predictions":
        """Return the images chosen, (N,), in their order; there may be none."""
        scores_N = self.unfamiliarity_N
        return replace(
            self,
            paths=tuple(path for path, keep in zip(self.paths, chosen_N, strict=True) if keep),
            splits=self.splits[chosen_N],
            labels_N=self.labels_N[chosen_N],
            logits_NC=self.logits_NC[chosen_N],
            unfamiliarity_N=scores_N[chosen_N] if scores_N is not None else None,
        )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write `predictions.csv` atomically: UTF-8, one row an image, logits that read back exactly.

    `predicted` and `confidence`, at the temperature of the predictions, are there for people;
    `read_predictions` derives them anew.
    """
    has_scores = predictions.unfamiliarity_N is not None
    columns = header(predictions.classes, has_scores=has_scores)
    write_csv(path, header=columns, rows=_rows(predictions))


def read_predictions(path: Path, *, temperature: float = 1.0) -> Predictions:
    """Read a file written by `write_predictions`.

    Further columns and blank lines are ignored; the logit columns give the order of the classes.
    The temperature of a run stands in its `evaluation.json`.

    Raises:
        RunError: if the file cannot be opened.
        EvaluationError: if it is not such a table; the message names the file, and the line or
            the image.
    """
    classes, records = read_table(path)
    logits_NC = np.array([record.logits for record in records], dtype=np.float64)
    try:
        return Predictions(
            paths=tuple(record.path for record in records),
            splits=np.array([record.split for record in records], dtype=np.str_),
            labels_N=np.array([record.label for record in records], dtype=np.int64),
            classes=classes,
            logits_NC=_as_logits(logits_NC.reshape(-1, len(classes))),
            temperature=temperature,
            unfamiliarity_N=_scores(records),
        )
    except EvaluationError as error:
        raise EvaluationError(f"{path}: {error}") from error


def _rows(predictions: Predictions) -> Iterator[list[str]]:
    classes = predictions.classes
    scores_N = predictions.unfamiliarity_N
    scores = [()] * predictions.num_images if scores_N is None else scores_N[:, None].tolist()
    for path, split, label, predicted, confidence, score, logits_C in zip(
        predictions.paths,
        predictions.splits.tolist(),
        predictions.labels_N.tolist(),
        predictions.predicted_N.tolist(),
        predictions.confidence_N.tolist(),
        scores,
        predictions.logits_NC,
        strict=True,
    ):
        answer = [classes[label], classes[predicted], str(confidence), *map(str, score)]
        # A float32's own text is the shortest that reads back to it; a Python float's is not.
        yield [path, split, *answer, *map(str, logits_C)]


def _scores(records: Sequence[Record]) -> NDArray[np.float64] | None:
    """Return the scores of all records; None where one has none."""
    known = [record.unfamiliarity for record in records if record.unfamiliarity is not None]
    return np.array(known) if records and len(known) == len(records) else None


def _as_labels(labels: object) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.size and array.dtype.kind not in "iu":
        raise EvaluationError(f"labels must be indices of classes (int64), met {array.dtype}")
    return array.astype(np.int64, copy=False)


def _as_logits(logits: object) -> NDArray[np.float32]:
    # What float32 cannot hold becomes infinite here and is refused with its path and class later.
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = np.asarray(logits).astype(np.float32, copy=False)
    return array


def _check_names(names: Sequence[str], *, kind: str) -> None:
    repeated = first_repeated(names)
    if repeated is not None:
        raise EvaluationError(f"the {kind} {repeated!r} occurs twice; each may occur once")
    for name in names:
        if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
            raise EvaluationError(f"the {kind} {name!r} is not valid Unicode; rename it")


def _check_shapes(predictions: Predictions) -> None:
    num_images, num_classes = len(predictions.paths), len(predictions.classes)
    scores_N = predictions.unfamiliarity_N
    for name, shape, expected in (
        ("splits", predictions.splits.shape, (num_images,)),
        ("labels_N", predictions.labels_N.shape, (num_images,)),
        ("logits_NC", predictions.logits_NC.shape, (num_images, num_classes)),
        ("unfamiliarity_N", (num_images,) if scores_N is None else scores_N.shape, (num_images,)),
    ):
        if shape != expected:
            raise EvaluationError(
                f"{name} must have shape {expected} for {num_images} paths and {num_classes} "
                f"classes, met {shape}"
            )


def _check_values(predictions: Predictions) -> None:
    if not 0 < predictions.temperature < math.inf:
        raise EvaluationError(f"the temperature must be over 0, met {predictions.temperature}")
    unknown = np.flatnonzero(~np.isin(predictions.splits, SPLITS))
    if unknown.size:
        place = int(unknown[0])
        _check_split(str(predictions.splits[place]), where=f"{predictions.paths[place]!r}: ")
    num_classes = len(predictions.classes)
    wrong = np.flatnonzero((predictions.labels_N < 0) | (predictions.labels_N >= num_classes))
    if wrong.size:
        place = int(wrong[0])
        raise EvaluationError(
            f"the label of {predictions.paths[place]!r} must be a class index from 0 to "
            f"{num_classes - 1}, met {predictions.labels_N[place]}"
        )
    scores_N = predictions.unfamiliarity_N
    if scores_N is not None and not np.isfinite(scores_N).all():
        raise EvaluationError("the unfamiliarity of every image must be finite")
    infinite = np.argwhere(~np.isfinite(predictions.logits_NC))
    if len(infinite):
        place, index = infinite[0].tolist()
        raise EvaluationError(
            f"the logit of {predictions.paths[place]!r} for class {predictions.classes[index]!r} "
            f"is {predictions.logits_NC[place, index]}, and logits must be finite; training that "
            f"diverged gives such values: lower the learning rate"
        )


def _check_split(name: str, *, where: str = "") -> None:
    if name not in SPLITS:
        raise EvaluationError(
            f"{where}unknown split {name!r}; the splits are {', '.join(SPLITS)}."
            f"{nearest_spelling(name, SPLITS)}"
        )
