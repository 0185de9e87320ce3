"""Classifiers on the same photos, two at a time: how far apart they are, and if that may be chance.

In: the `Predictions` of two or more classifiers on the same photos. Out: a `Pair` for each two.
Not covered: classifiers judged on different photos, and the spread over training seeds: a
difference that is no chance of the photos can still be one of the seeds.

Shapes: N images, G groups, K classifiers, B resamples, P pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation import metrics
from fieldmark.evaluation.intervals import (
    NUM_RESAMPLES,
    Estimate,
    Statistics,
    bootstrap,
    group_indices,
    wilson_interval,
)
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.significance import SIGNIFICANCE, holm, mcnemar, sign_flip

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MEASURES = ("accuracy", "loss", "f1")
"""What is compared, in the order of the columns of the bootstrap."""
MIN_CLASSIFIERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two classifiers on the same photos; each difference is the second less the first."""

    first: int
    """The place of the first among the classifiers compared."""
    second: int
    both_right: int
    """Photos that both name right."""
    only_first: int
    """Photos that only the first names right."""
    only_second: int
    both_wrong: int
    num_named_otherwise: int
    """Photos to which they give different names, both of which may be wrong."""
    accuracy: Estimate
    """-1 to 1. Paired bootstrap over groups, as are the other two."""
    loss: Estimate
    """Of calibrated probabilities, in nats; below 0 where the second is better."""
    f1: Estimate
    """Of the mean over the classes, -1 to 1."""
    mcnemar: float
    """McNemar's exact p-value, which takes every photo for evidence of its own."""
    p_value: float
    """The same with whole groups (`significance.sign_flip`); equal where each photo is one."""
    p_adjusted: float
    """`p_value` adjusted for the number of pairs, by Holm."""

    @property
    def is_told_apart(self) -> bool:
        """Whether their accuracies differ by more than chance would explain."""
        return self.p_adjusted < SIGNIFICANCE


def compare_predictions(
    predictions: Sequence[Predictions],
    *,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[Pair, ...]:
    """Compare each two of K classifiers on the same photos.

    The bootstrap is paired (all answers to a photo stay together) and clustered (whole groups are
    drawn, as near-duplicates are no independent evidence): Davison and Hinkley, "Bootstrap Methods
    and their Application" (1997), section 3.8. Where two give the same names to all photos there
    is nothing to resample; accuracy and F1 then reach as far either way as Wilson's interval for
    no success among as many groups.

    Args:
        predictions: of the classifiers, with the same paths in the same order and the same class
            for each. The classes, their order and the temperatures may differ between them.
        groups: the group of each path; one that is missing or has an empty group stands alone.
            None where all do.
        seed: of the bootstrap; the same seed gives the same intervals.
        num_resamples: of the bootstrap, at least 1.

    Returns:
        P = K (K - 1) / 2 pairs: each classifier with those after it.

    Raises:
        EvaluationError: fewer than two classifiers, no photos, or photos that differ.
    """
    _check_alike(predictions)
    classes = sorted({name for table in predictions for name in table.classes})
    answers = [_Answers.of(table, classes) for table in predictions]
    paths = predictions[0].paths
    groups_N = group_indices(paths, groups)
    estimates = bootstrap(
        _statistics(answers, num_classes=len(classes)),
        num_images=len(paths),
        groups_N=groups_N,
        generator=np.random.default_rng(seed),
        num_resamples=num_resamples,
    )
    groups_N = np.arange(len(paths)) if groups_N is None else groups_N
    pairs = [
        _pair(answers, place, estimates=estimates[3 * number :], groups_N=groups_N)
        for number, place in enumerate(combinations(range(len(answers)), 2))
    ]
    adjusted = holm([pair.p_value for pair in pairs])
    return tuple(replace(pair, p_adjusted=p) for pair, p in zip(pairs, adjusted, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """What one classifier says of N photos, by classes that all of them share."""

    labels_N: Integers
    predicted_N: Integers
    losses_N: Floats

    @classmethod
    def of(cls, table: Predictions, classes: Sequence[str]) -> "_Answers":
        shared_C = np.array([classes.index(name) for name in table.classes])
        return cls(
            labels_N=shared_C[table.labels_N],
            predicted_N=shared_C[table.predicted_N],
            losses_N=metrics.negative_log_likelihood(table.scaled_logits_NC, table.labels_N),
        )

    @property
    def right_N(self) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = self.labels_N == self.predicted_N
        return result


def _check_alike(predictions: Sequence[Predictions]) -> None:
    if len(predictions) < MIN_CLASSIFIERS:
        raise EvaluationError(f"two classifiers or more are compared, met {len(predictions)}")
    first, *others = predictions
    if not first.num_images:
        raise EvaluationError("there are no predictions to compare: the split has no images")
    names = _true_names(first)
    for other in others:
        if other.paths != first.paths or _true_names(other) != names:
            raise EvaluationError(
                "classifiers are compared on the same photos, in the same order and of the same "
                "classes; these differ"
            )


def _true_names(table: Predictions) -> list[str]:
    return [table.classes[label] for label in table.labels_N.tolist()]


def _statistics(answers: Sequence[_Answers], *, num_classes: int) -> Statistics:
    """Return what the bootstrap recomputes: for each pair the differences of `MEASURES`."""

    def statistics(indices_BN: Integers) -> Floats:
        of_each = [_measures(one, indices_BN, num_classes=num_classes) for one in answers]
        differences = [second - first for first, second in combinations(of_each, 2)]
        return np.concatenate(differences, axis=1)

    return statistics


def _measures(answers: _Answers, indices_BN: Integers, *, num_classes: int) -> Floats:
    """Return accuracy, loss and macro F1 of each resample, (B, 3)."""
    labels_BN, predicted_BN = answers.labels_N[indices_BN], answers.predicted_N[indices_BN]
    counts = metrics.count_classes(labels_BN, predicted_BN, num_classes=num_classes)
    columns = (
        (labels_BN == predicted_BN).mean(axis=-1),
        answers.losses_N[indices_BN].mean(axis=-1),
        metrics.macro_average(metrics.f1(counts), counts),
    )
    return np.column_stack(columns)


def _pair(
    answers: Sequence[_Answers],
    place: tuple[int, int],
    *,
    estimates: Sequence[Estimate],
    groups_N: Integers,
) -> Pair:
    """Return the pair at a place, its p-value not adjusted yet."""
    first, second = (answers[index] for index in place)
    right, other = first.right_N, second.right_N
    accuracy, loss, f1 = estimates[: len(MEASURES)]
    named_otherwise = int((first.predicted_N != second.predicted_N).sum())
    if not named_otherwise:
        accuracy = f1 = _nothing_seen(len(np.unique(groups_N)))
    gains_N = other.astype(np.float64) - right.astype(np.float64)
    gains_G = np.bincount(groups_N, weights=gains_N).astype(np.int64)
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    p_value = sign_flip(gains_G)
    return Pair(
        first=place[0],
        second=place[1],
        both_right=int((right & other).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~right & ~other).sum()),
        num_named_otherwise=named_otherwise,
        accuracy=accuracy,
        loss=loss,
        f1=f1,
        mcnemar=mcnemar(only_first, only_second),
        p_value=p_value,
        p_adjusted=p_value,
    )


def _nothing_seen(num_groups: int) -> Estimate:
    reach = wilson_interval(0, num_groups).high
    return Estimate(value=0.0, low=-reach, high=reach)
