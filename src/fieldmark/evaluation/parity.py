"""Whether an exported model says what the classifier says, photo by photo.

In: the `Predictions` of both on the same photos, and those that the run saved. Out: `Parity`.
Not covered: running either (`exporting`).

Shapes: N photos, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.paired import compare_predictions
from fieldmark.evaluation.predictions import Predictions

TOLERANCE = 1e-4
"""How far a probability of the exported float32 model may be off: a hundredth of a percent, where
the order of summation alone moves one by about a thousandth of that."""
APART = 1e-3
"""A difference between two probabilities that shows where they are written: 0.1 %."""
TEST_PHOTOS, GOLDEN_PHOTOS = "test photos", "golden photos"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRun:
    """How far an exported model is from its run as that predicts, by the predictions it saved.

    A run may predict in bfloat16, which an exported model never does; `Parity` compares with the
    classifier in float32.
    """

    precision: str
    """In which the run predicts: "float32" or "bfloat16"."""
    num_photos: int
    num_agreeing: int
    """Photos that both name the same."""
    num_apart: int
    """Photos of which some probability differs by more than `APART`."""
    max_difference: float
    """The largest difference between two probabilities for one photo and class, 0 to 1."""
    worst_photo: str
    """Where that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far two models agree."""

    photos: str
    """Which photos both were shown: `TEST_PHOTOS`, from their files on, or `GOLDEN_PHOTOS`, whose
    pixels the bundle holds."""
    num_photos: int
    num_agreeing: int
    """Photos that both name the same."""
    max_difference: float
    """The largest difference between two probabilities for one photo and class, 0 to 1."""
    worst_photo: str
    """Where that was."""
    accuracy: float | None = None
    """Of the classifier; None where the true classes are not known."""
    accuracy_lost: Estimate | None = None
    """The classifier's accuracy less the exported model's, -1 to 1; paired bootstrap."""
    num_unfamiliar: int | None = None
    """Photos that the classifier calls unlike anything it was trained on; None where it has no
    such rule, or the photos are golden ones."""
    num_unfamiliar_exported: int | None = None
    """Photos that the exported model calls so."""
    to_run: ToRun | None = None
    """None where the predictions of the run are not at hand."""

    @property
    def is_exact(self) -> bool:
        """Whether both name every photo the same, with probabilities within `TOLERANCE`."""
        return self.num_agreeing == self.num_photos and self.max_difference <= TOLERANCE


def agreement(
    expected_NC: NDArray[np.float64],
    found_NC: NDArray[np.float64],
    *,
    paths: tuple[str, ...],
    photos: str = GOLDEN_PHOTOS,
) -> Parity:
    """Compare two models' probabilities, whose true classes are not known.

    Args:
        expected_NC: of the classifier.
        found_NC: of the exported model; NaN counts as a difference of 1.
        paths: the name of each photo, at least one.
        photos: which photos they are.
    """
    gaps_N = _gaps(expected_NC, found_NC)
    same_N = found_NC.argmax(axis=1) == expected_NC.argmax(axis=1)
    worst = int(gaps_N.argmax())
    return Parity(
        photos=photos,
        num_photos=len(paths),
        num_agreeing=int(same_N.sum()),
        max_difference=float(gaps_N[worst]),
        worst_photo=paths[worst],
    )


def distance_to_run(
    saved: Predictions, found: Predictions, found_NC: NDArray[np.float64], *, precision: str
) -> ToRun | None:
    """Compare an exported model with what its run predicted.

    Args:
        saved: of the run, on the same photos among others.
        found: of the exported model.
        found_NC: the probabilities that the exported model gave.
        precision: in which the run predicts.

    Returns:
        None where the run saved none for any of these photos, or for other classes.
    """
    rows = {path: row for row, path in enumerate(saved.paths)}
    shared_N = np.array([path in rows for path in found.paths])
    if saved.classes != found.classes or not shared_N.any():
        return None
    paths = tuple(path for path in found.paths if path in rows)
    expected_NC = saved.probabilities_NC[[rows[path] for path in paths]]
    gaps_N = _gaps(expected_NC, found_NC[shared_N])
    worst = int(gaps_N.argmax())
    same_N = found_NC[shared_N].argmax(axis=1) == expected_NC.argmax(axis=1)
    return ToRun(
        precision=precision,
        num_photos=len(paths),
        num_agreeing=int(same_N.sum()),
        num_apart=int((gaps_N > APART).sum()),
        max_difference=float(gaps_N[worst]),
        worst_photo=paths[worst],
    )


def measure_parity(
    expected: Predictions,
    found: Predictions,
    found_NC: NDArray[np.float64],
    *,
    groups: Mapping[str, str] | None = None,
) -> Parity:
    """Compare two models on labelled photos.

    Args:
        expected: of the classifier.
        found: of the exported model, on the same photos.
        found_NC: the probabilities that the exported model gave.
        groups: the group of each path, as `compare_predictions` takes them.
    """
    parity = agreement(
        expected.probabilities_NC, found_NC, paths=expected.paths, photos=TEST_PHOTOS
    )
    (pair,) = compare_predictions([expected, found], groups=groups)
    gained = pair.accuracy
    right_N = expected.predicted_N == expected.labels_N
    return replace(
        parity,
        accuracy=float(right_N.mean()),
        accuracy_lost=Estimate(value=-gained.value, low=-gained.high, high=-gained.low),
    )


def _gaps(expected_NC: NDArray[np.float64], found_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest difference of each photo; what is no number counts as 1."""
    gaps_N: NDArray[np.float64] = np.nan_to_num(np.abs(found_NC - expected_NC), nan=1.0).max(axis=1)
    return gaps_N
