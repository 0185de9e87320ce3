"""The probe: regularised multinomial logistic regression on frozen features.

In: features and labels of the train and validation splits. Out: the weights of a linear head.
The strength of regularisation is chosen by the loss on validation (see `choose`); the test split
is not seen. Not covered: computing the features (see `models.features`).
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.evaluation.metrics import negative_log_likelihood

L2_TRIED = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Strengths tried, strongest first, so that each fit starts from the one before it. On
standardised features the best lies well inside: 0.02 to 0.2 on photos, less on few features."""
MAX_ITERATIONS = 500
TOLERANCE = 1e-5
SMALLEST_SPREAD = 1e-6
"""A feature that varies less than this is the same for all photos, and is only centred."""

# Legend for shape suffixes: N photos, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeConfig:
    """The recipe's `[probe]` section."""

    l2: float | str = "auto"
    """Strength of the squared penalty on the weights, beside the mean loss; "auto" tries nine, and
    needs validation photos to choose by."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if isinstance(self.l2, str) and self.l2 != "auto":
            raise RecipeError(f"probe.l2 is '{self.l2}'; allowed: a number over 0, or \"auto\".")
        if not isinstance(self.l2, str) and not 0 < self.l2 < float("inf"):
            raise RecipeError(f'probe.l2 is {self.l2}; allowed: a number over 0, or "auto".')


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Features_NF (float32) and labels_N (class indices) of one split."""

    features_NF: NDArray[np.float32]
    labels_N: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """weight_CF and bias_C (float64) that turn raw features into logits."""

    weight_CF: NDArray[np.float64]
    bias_C: NDArray[np.float64]

    def logits(self, features_NF: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return logits_NC."""
        return features_NF.astype(np.float64) @ self.weight_CF.T + self.bias_C


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """mean_F and spread_F (float64) of features over the photos that are learned from."""

    mean_F: NDArray[np.float64]
    spread_F: NDArray[np.float64]
    """Standard deviations; 1 where a feature is the same for all photos."""

    def standardised(self, features_NF: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the features less their mean, divided by their spread."""
        standardised_NF: NDArray[np.float64] = (features_NF - self.mean_F) / self.spread_F
        return standardised_NF

    def on_raw_features(
        self, weight_CF: NDArray[np.float64], bias_C: NDArray[np.float64]
    ) -> LinearHead:
        """Return the head that gives for raw features what this one gives for standardised."""
        scaled_CF = weight_CF / self.spread_F
        return LinearHead(weight_CF=scaled_CF, bias_C=bias_C - scaled_CF @ self.mean_F)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTrial:
    """One strength and how far it got; losses are mean natural-log cross-entropies.

    Without validation photos their figures are NaN.
    """

    l2: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_loss_error: float
    """Standard error of `val_loss` over the validation photos."""
    val_accuracy: float
    head: LinearHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The strengths tried, the one chosen, and the head to be used."""

    trials: Sequence[ProbeTrial]
    chosen: ProbeTrial
    """Fitted on the train split alone, so its validation logits are of photos it never saw."""
    head: LinearHead
    """Fitted again with the chosen strength on train and validation together."""


def fit_probe(
    train: Labelled,
    validation: Labelled,
    *,
    config: ProbeConfig,
    num_classes: int,
    on_trial: Callable[[ProbeTrial], None],
) -> Probe:
    """Fit a head for each strength, choose one on validation (see `choose`), refit it on both.

    `on_trial` is called after each strength. A single strength needs no validation photos.

    Raises:
        RecipeError: there are several strengths, and no validation photos to choose by.
    """
    strengths = L2_TRIED if isinstance(config.l2, str) else (config.l2,)
    if len(strengths) > 1 and not len(validation.labels_N):
        raise RecipeError(
            "probe.l2 is 'auto', and there are no validation photos to choose it by. Set probe.l2 "
            "to a number such as 0.03, or split.validation to a share such as 0.1."
        )
    trials: list[ProbeTrial] = []
    for l2, head in _heads(train, strengths=strengths, num_classes=num_classes):
        trials.append(_trial(l2, head, train, validation))
        on_trial(trials[-1])
    chosen = choose(trials)
    if not len(validation.labels_N):
        return Probe(trials=trials, chosen=chosen, head=chosen.head)
    both = Labelled(
        features_NF=np.concatenate([train.features_NF, validation.features_NF]),
        labels_N=np.concatenate([train.labels_N, validation.labels_N]),
    )
    head = fit_head(both, l2=chosen.l2, num_classes=num_classes)
    return Probe(trials=trials, chosen=chosen, head=head)


def fit_head(train: Labelled, *, l2: float, num_classes: int) -> LinearHead:
    """Fit one head with one strength; every class must be among the labels."""
    ((_, head),) = _heads(train, strengths=(l2,), num_classes=num_classes)
    return head


def choose(trials: Sequence[ProbeTrial]) -> ProbeTrial:
    """Return the strongest penalty whose validation loss is within one error of the lowest.

    The one-standard-error rule (Hastie, Tibshirani and Friedman 2009, section 7.10): differences
    smaller than the noise of the validation photos are no reason to trust the weights more.
    """
    if len(trials) == 1:
        return trials[0]
    best = min(trials, key=lambda trial: trial.val_loss)
    limit = best.val_loss + best.val_loss_error
    return max((trial for trial in trials if trial.val_loss <= limit), key=lambda trial: trial.l2)


def scale_of(features_NF: NDArray[np.float32]) -> Scale:
    """Return the mean and the spread of each feature over at least one photo."""
    mean_F = features_NF.mean(axis=0, dtype=np.float64)
    spread_F = features_NF.std(axis=0, dtype=np.float64)
    spread_F[spread_F < SMALLEST_SPREAD] = 1.0
    return Scale(mean_F=mean_F, spread_F=spread_F)


def _heads(
    train: Labelled, *, strengths: Sequence[float], num_classes: int
) -> Iterator[tuple[float, LinearHead]]:
    """Yield (strength, head fitted with it), each fit starting from the one before."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    scale = scale_of(train.features_NF)
    standardised_NF = scale.standardised(train.features_NF)
    model = LogisticRegression(max_iter=MAX_ITERATIONS, tol=TOLERANCE, warm_start=True)
    for l2 in strengths:
        # scikit-learn's objective is the summed loss times C plus half the squared weights.
        model.set_params(C=1.0 / (l2 * len(train.labels_N)))
        # These matrices are too small to share out: a second thread makes the fit slower.
        with warnings.catch_warnings(), threadpool_limits(limits=1):
            # A fit that ran out of iterations still is a candidate: validation judges it.
            warnings.simplefilter("ignore")
            model.fit(standardised_NF, train.labels_N)
        assert len(model.classes_) == num_classes
        yield l2, scale.on_raw_features(*_row_a_class(model.coef_, model.intercept_))


def _row_a_class(
    weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(weight) > 1:
        return weight, bias
    # With two classes there is one row, the log-odds of the second; split it evenly.
    return np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def _trial(l2: float, head: LinearHead, train: Labelled, validation: Labelled) -> ProbeTrial:
    train_logits_NC = head.logits(train.features_NF)
    val_logits_NC = head.logits(validation.features_NF)
    val_losses_N = negative_log_likelihood(val_logits_NC, validation.labels_N)
    return ProbeTrial(
        l2=l2,
        train_loss=float(negative_log_likelihood(train_logits_NC, train.labels_N).mean()),
        train_accuracy=_accuracy(train_logits_NC, train.labels_N),
        val_loss=float(val_losses_N.mean()) if len(val_losses_N) else math.nan,
        val_loss_error=_error_of_mean(val_losses_N),
        val_accuracy=_accuracy(val_logits_NC, validation.labels_N),
        head=head,
    )


def _error_of_mean(values_N: NDArray[np.float64]) -> float:
    return float(values_N.std() / np.sqrt(len(values_N))) if len(values_N) else math.nan


def _accuracy(logits_NC: NDArray[np.float64], labels_N: NDArray[np.int64]) -> float:
    if not len(labels_N):
        return math.nan
    return float((logits_NC.argmax(axis=1) == labels_N).mean())
