"""Photos whose label is doubted by a classifier that has not seen them.

In: features, labels and folds. Out: out-of-fold probabilities, and from them `Suspect`s, ranked.
Not covered: computing the features, and what to do about a suspect.

Shapes: N photos, F features, P principal components, C classes.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.executor import ThreadExecutor

NUM_COMPONENTS = 256
"""Principal components kept for the classifier: on 6,899 photos with 1,280 features it is right on
99.2 % out of fold, and five folds take about a second."""
L2 = 0.1
"""Strength of the squared penalty beside the mean loss. Weaker ones (0.03, 0.01) learn more of the
wrong labels by heart: on 2,000 photos with 5 % of the labels flipped, 91 to 93 % of the suspects
were flipped at 0.1, and 87 % and 81 % at the weaker two."""
MAX_ITERATIONS = 200
POWER_ITERATIONS = 2
"""Of the randomized decomposition; Halko, Martinsson and Tropp (2011, section 1.6) find one or two
to be enough in practice."""
BLOCK = 64
"""Features that are standardised at once, in double precision."""
SMALLEST_SPREAD = 1e-6
"""A feature that varies less than this is the same for all photos, and is only centred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A photo that may be labelled wrong."""

    index: int
    """Its row."""
    given: int
    """The class that it is labelled."""
    suggested: int
    """The class that a classifier which has not seen it finds likeliest."""
    self_confidence: float
    """The probability of the given class, 0 to 1."""
    suggested_confidence: float
    """The probability of the suggested class, 0 to 1."""


def principal_components(
    features_NF: NDArray[np.float32], *, num_components: int, seed: int = 0
) -> NDArray[np.float32]:
    """Return scores_NP on the leading principal components of the standardised features.

    P is `num_components`, or fewer where there are fewer photos or features. A feature that does
    not vary counts for nothing.

    Args:
        features_NF: finite.
        num_components: at least 1.
        seed: of the randomized decomposition.

    Raises:
        ValueError: if a feature is not finite.
    """
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    if not np.isfinite(features_NF).all():
        raise ValueError("the features must be finite")
    standardised_NF = _standardised(features_NF)
    # How a product is divided among threads decides its last bits, and so would their number.
    with threadpool_limits(limits=1):
        _, _, directions_PF = randomized_svd(
            standardised_NF,
            n_components=min(num_components, *standardised_NF.shape),
            n_iter=POWER_ITERATIONS,
            random_state=seed,
        )
        scores_NP: NDArray[np.float32] = standardised_NF @ directions_PF.T
    return scores_NP


def _standardised(features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features less their mean over their spread, with room for little but the result."""
    standardised_NF = np.empty(features_NF.shape, dtype=np.float32)
    for start in range(0, features_NF.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        of_part_NB = features_NF[:, part].astype(np.float64)
        of_part_NB -= of_part_NB.mean(axis=0)
        spread_B = of_part_NB.std(axis=0)
        spread_B[spread_B < SMALLEST_SPREAD] = 1.0
        standardised_NF[:, part] = of_part_NB / spread_B
    return standardised_NF


def out_of_fold_probabilities(
    features_NF: NDArray[np.float32],
    labels_N: NDArray[np.int64],
    folds_N: NDArray[np.int64],
    *,
    num_classes: int,
) -> NDArray[np.float64]:
    """Return for each photo what a classifier fitted on the other folds makes of it.

    Multinomial logistic regression on principal components. The components are those of all
    photos: they never see a label, so nothing leaks through them.

    Args:
        features_NF: finite, of a frozen backbone.
        labels_N: 0 to `num_classes` - 1.
        folds_N: the fold of each photo; photos that belong together share one.
        num_classes: C, at least 1.

    Returns:
        probabilities_NC; rows sum to 1. A class that no photo of the other folds has gets exactly
        0. Where all photos lie in one fold there is nothing to learn from, and all rows are 1/C.

    Raises:
        ValueError: if a feature is not finite.
    """
    from threadpoolctl import threadpool_limits

    uniform = 1.0 / num_classes
    probabilities_NC = np.full((len(labels_N), num_classes), uniform)
    folds = np.unique(folds_N).tolist()
    if len(folds) < 2:
        return probabilities_NC
    scores_NP = principal_components(features_NF, num_components=NUM_COMPONENTS)

    def judge(fold: int) -> NDArray[np.float64]:
        within_N = folds_N == fold
        return _predict(scores_NP[~within_N], labels_N[~within_N], scores_NP[within_N], num_classes)

    # Both settings hold for the whole process, so they are made here and not in the threads.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        # A fit that ran out of iterations is still good enough to doubt a label.
        warnings.simplefilter("ignore")
        for fold, judged in zip(folds, ThreadExecutor().map(judge, folds), strict=True):
            probabilities_NC[folds_N == fold] = judged
    return probabilities_NC


def _predict(
    train_MP: NDArray[np.float32],
    labels_M: NDArray[np.int64],
    judged_NP: NDArray[np.float32],
    num_classes: int,
) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression

    probabilities_NC = np.zeros((len(judged_NP), num_classes))
    known = np.unique(labels_M)
    if len(known) == 1:
        probabilities_NC[:, known] = 1.0
        return probabilities_NC
    # scikit-learn's objective is the summed loss times C plus half the squared weights.
    model = LogisticRegression(C=1.0 / (L2 * len(labels_M)), max_iter=MAX_ITERATIONS)
    model.fit(train_MP.astype(np.float64), labels_M)
    probabilities_NC[:, known] = model.predict_proba(judged_NP.astype(np.float64))
    return probabilities_NC


def find_suspects(
    probabilities_NC: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> list[Suspect]:
    """Find photos that are probably labelled wrong, by confident learning.

    C. Northcutt, L. Jiang and I. Chuang, "Confident learning: estimating uncertainty in dataset
    labels", Journal of Artificial Intelligence Research 70 (2021), 1373-1411: the confident joint
    (section 3.1) estimates how many photos of each class are labelled wrong, and as many of the
    class with the lowest probability for their label are taken ("prune by class", section 3.2).
    Of 5 % flipped labels among 2,000 photos it found 95 %, where the off-diagonal of the
    confident joint itself found 80 %; of those named, 91 % and 95 % were flipped (see
    `EXPERIMENTS.md`).

    Never a suspect are a photo for which no class is likelier than the given one, one with a
    probability of exactly 0 for its label (the classifier did not know that class), and one of a
    class of which most photos would be (the classifier does not know it well enough).

    Args:
        probabilities_NC: out of fold, rows sum to 1.
        labels_N: 0 to C - 1.

    Returns:
        The most suspicious first: by the probability of the given class less that of the
        suggested one (the normalised margin), then by row.
    """
    rows_N = np.arange(len(labels_N))
    own_N = probabilities_NC[rows_N, labels_N]
    errors_C = estimate_errors(probabilities_NC, labels_N)
    likeliest_N, most_N = probabilities_NC.argmax(axis=1), probabilities_NC.max(axis=1)
    suspects = []
    for label, num_errors in enumerate(errors_C.tolist()):
        of_class = np.flatnonzero((labels_N == label) & (own_N > 0))
        doubted = of_class[np.argsort(own_N[of_class], kind="stable")][:num_errors]
        suspects += [int(row) for row in doubted if own_N[row] < most_N[row]]
    found = [
        Suspect(
            index=row,
            given=int(labels_N[row]),
            suggested=int(likeliest_N[row]),
            self_confidence=float(own_N[row]),
            suggested_confidence=float(most_N[row]),
        )
        for row in suspects
    ]
    return sorted(
        found, key=lambda one: (one.self_confidence - one.suggested_confidence, one.index)
    )


def confident_joint(
    probabilities_NC: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the photos that confidently belong to a class: rows given, columns confident classes.

    A photo confidently belongs to a class where its probability reaches the mean that photos
    labelled so have for it; to the likeliest where that holds for several, to none where for none.
    Photos with a probability of exactly 0 for their label take no part.
    """
    num_classes = probabilities_NC.shape[1]
    counts_CC = np.zeros((num_classes, num_classes), dtype=np.int64)
    known_N = probabilities_NC[np.arange(len(labels_N)), labels_N] > 0
    known_NC, known_labels_N = probabilities_NC[known_N], labels_N[known_N]
    # A class without a photo that could be judged has no threshold, and nothing reaches it.
    thresholds_C = np.full(num_classes, np.inf)
    for label in np.unique(known_labels_N):
        thresholds_C[label] = known_NC[known_labels_N == label, label].mean()
    # Rounding must not put the photos of a class that all agree below their own mean.
    reached_NC = np.where(known_NC >= thresholds_C - 1e-6, known_NC, -1.0)
    is_confident_N = reached_NC.max(axis=1, initial=-1.0) >= 0
    guesses_N = reached_NC[is_confident_N].argmax(axis=1) if is_confident_N.any() else []
    np.add.at(counts_CC, (known_labels_N[is_confident_N], guesses_N), 1)
    return counts_CC


def estimate_errors(
    probabilities_NC: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Estimate how many photos of each class (C) are labelled wrong.

    The share of the off-diagonal in the class's row of the confident joint, times its photos:
    those that are not confident of any class are taken to be wrong as often as the others.
    """
    counts_CC = confident_joint(probabilities_NC, labels_N)
    known_N = probabilities_NC[np.arange(len(labels_N)), labels_N] > 0
    photos_C = np.bincount(labels_N[known_N], minlength=len(counts_CC))
    right_C = counts_CC.diagonal()
    wrong_C = counts_CC.sum(axis=1) - right_C
    # Confident learning takes it that most labels of a class are right. Where that would be false
    # it is the classifier that does not know the class, as with features that tell nothing.
    is_judged_C = wrong_C < right_C
    share_C = np.where(is_judged_C, wrong_C / np.maximum(right_C + wrong_C, 1), 0.0)
    errors_C: NDArray[np.int64] = (photos_C * share_C + 0.5).astype(np.int64)
    return errors_C
