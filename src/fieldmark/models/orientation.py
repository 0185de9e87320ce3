"""Whether the rotation in photos' metadata can be believed.

In: photos that carry one, read both ways, and photos that carry none. Out: a verdict.
Cameras store a photo as the sensor lay and note the turn in its metadata (EXIF orientation).
Editors that turn the pixels and keep the note leave a photo that stands on its side wherever the
note is obeyed. Photos without a note are upright, so a classifier of those tells which reading
of the others looks more like them.
Not covered: telling single photos apart; the verdict is for the folder.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.metrics import negative_log_likelihood

MIN_CHECKED = 20
"""Fewer photos than this could agree by chance."""
MIN_Z = 4.0
"""How many standard errors apart the readings must be before the metadata is overruled: chance
alone gets there once in 30,000 folders."""
L2 = 0.1
"""A strong penalty: a soft, cautious classifier, whose losses are not ruled by single photos."""

# Legend for shape suffixes: N photos with a rotation, M photos without, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How photos with a rotation in their metadata should be read, and the evidence."""

    orientation: str
    """"exif": turn them as it says; "stored": leave them as they lie."""
    num_checked: int
    z: float
    """Mean gain of reading them as stored over its standard error; positive speaks against the
    metadata."""


def judge_orientation(
    *,
    turned_NF: NDArray[np.float32],
    stored_NF: NDArray[np.float32],
    labels_N: NDArray[np.int64],
    upright_MF: NDArray[np.float32],
    upright_labels_M: NDArray[np.int64],
) -> Verdict:
    """Compare two readings of the same photos by the loss of a classifier of upright ones.

    The classifier is multinomial logistic regression on standardised features; the test is on
    the paired differences of the photos' losses. Classes of which no upright photo is at hand
    are left out. Without enough photos the metadata is believed.
    """
    known = np.isin(labels_N, upright_labels_M)
    num_checked = int(known.sum())
    classes, targets_M = np.unique(upright_labels_M, return_inverse=True)
    if num_checked < MIN_CHECKED or len(classes) < 2:
        return Verdict(orientation="exif", num_checked=num_checked, z=0.0)
    targets_N = np.searchsorted(classes, labels_N[known])
    as_turned_N, as_stored_N = _losses(
        upright_MF, targets_M, (turned_NF[known], stored_NF[known]), targets_N
    )
    gains_N = as_turned_N - as_stored_N
    spread = float(gains_N.std(ddof=1)) / math.sqrt(num_checked)
    z = float(gains_N.mean()) / spread if spread > 0 else 0.0
    orientation = "stored" if z >= MIN_Z else "exif"
    return Verdict(orientation=orientation, num_checked=num_checked, z=z)


def _losses(
    upright_MF: NDArray[np.float32],
    targets_M: NDArray[np.int64],
    readings: tuple[NDArray[np.float32], NDArray[np.float32]],
    targets_N: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    regression = LogisticRegression(C=1.0 / (L2 * len(targets_M)), max_iter=200)
    with threadpool_limits(limits=1):
        model = make_pipeline(StandardScaler(), regression).fit(upright_MF, targets_M)
    turned, stored = (
        negative_log_likelihood(np.log(model.predict_proba(reading).clip(1e-12)), targets_N)
        for reading in readings
    )
    return turned, stored
