"""Everything that is said of a classifier's quality on one split, each number with its interval.

In: the `Predictions` of one split, and the rule by which the classifier decides. Out: an
`Evaluation`, which mirrors `evaluation.json`.
Not covered: fitting that rule (`decision`), and comparisons of models.

Shapes: N images, C classes, B resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError
from fieldmark.base.run_folder import check_schema
from fieldmark.evaluation import metrics
from fieldmark.evaluation.abstention import Abstention, abstention_of
from fieldmark.evaluation.conformal import Conformal, conformal_of
from fieldmark.evaluation.decision import NOTHING_FITTED, DecisionRule
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import (
    NUM_RESAMPLES,
    Estimate,
    bootstrap,
    group_indices,
    wilson_interval,
)
from fieldmark.evaluation.metrics import ClassCounts
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.reliability import Calibration, reliability_bins
from fieldmark.evaluation.resampled import resampled_statistics
from fieldmark.evaluation.unfamiliar import Unfamiliar, unfamiliar_of

SCHEMA_VERSION = 3
"""2: the temperature is fitted; abstention and conformal sets. 3: a score for unfamiliar images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """One measure averaged over classes in two ways."""

    macro: Estimate
    """Plain mean over the classes that have images or predictions in the split; bootstrap."""
    micro: Estimate
    """Over all images alike; where each has one class this is the accuracy. Wilson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """How well one class is recognised."""

    precision: Estimate
    """Correct among those predicted as the class; 0 (0 to 1) if none is. Wilson."""
    recall: Estimate
    """Correct among the images of the class; 0 (0 to 1) if there are none. Wilson."""
    f1: Estimate
    """Harmonic mean of the two. Bootstrap, in which a resample without the class counts as 0, so
    that the interval of a class with few images is as wide as it should be."""
    support: int
    """Images of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPair:
    """How often one class was taken for another."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The quality of a classifier on one split; intervals cover 95 %."""

    split: str
    num_images: int
    classes: tuple[str, ...]
    loss: Estimate
    """Mean negative log-likelihood in nats, of calibrated probabilities. Bootstrap."""
    accuracy: Estimate
    """Wilson."""
    top_k: Mapping[int, Estimate]
    """Share of images whose class is among the k most likely, equal logits in class order. Wilson.
    For k of 1, 2, 3 up to the number of classes, and 5 always."""
    precision: Averages
    recall: Averages
    f1: Averages
    thresholded_precision: Estimate
    """Of the probabilities over 0.5, the share that stands at the true class; 0 (0 to 1) if there
    are none. What Keras' Precision() reports. Wilson."""
    thresholded_recall: Estimate
    """Share of images whose true class has a probability over 0.5: Keras' Recall(). Wilson."""
    per_class: Mapping[str, ClassMetrics]
    """In the order of `classes`."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts of images: rows are true classes, columns predicted ones, both as in `classes`."""
    most_confused: tuple[ConfusedPair, ...]
    """At most 10, the most frequent first, equal counts in class order."""
    calibration: Calibration
    abstention: Abstention
    conformal: Conformal
    unfamiliar: Unfamiliar | None
    """None where no score for unfamiliar images was fitted."""

    @property
    def decision(self) -> DecisionRule:
        """The rule by which the classifier was judged."""
        return DecisionRule(
            temperature=self.calibration.temperature,
            temperature_reason=self.calibration.reason,
            target_accuracy=self.abstention.target_accuracy,
            abstain_below=self.abstention.threshold,
            abstain_reason=self.abstention.reason,
            coverage=self.conformal.coverage,
            set_threshold=self.conformal.threshold,
            set_reason=self.conformal.reason,
            unfamiliar=self.unfamiliar.rule if self.unfamiliar else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of `evaluation.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = "evaluation.json") -> Self:
        """Return the evaluation that `to_json` gave.

        Raises:
            RunError: if the schema is newer than this version knows, or a field is missing or
                malformed; the message names it.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        content = dict(content) if content["schema_version"] > 1 else _from_version_1(content)
        if content["schema_version"] < SCHEMA_VERSION:
            content["unfamiliar"] = None
        result: Self = from_plain(cls, content, where=where)
        return result


def read_evaluation(path: Path) -> Evaluation | None:
    """Read `evaluation.json`; None where there is no such file.

    Raises:
        RunError: it cannot be read, is malformed or of a newer schema.
    """
    return read_document(path, Evaluation.from_json)


def _from_version_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what version 1 said, in which nothing was fitted, as version 2 says it."""
    old = content.get("calibration")
    calibration = dict(old) if isinstance(old, Mapping) else {}
    same = {"loss_before": content.get("loss"), "bins_before": calibration.get("bins")}
    return {
        **content,
        "calibration": {"reason": NOTHING_FITTED, **same, **calibration},
        "abstention": to_plain(Abstention(reason=NOTHING_FITTED)),
        "conformal": to_plain(Conformal(reason=NOTHING_FITTED)),
    }


def evaluate(
    predictions: Predictions,
    *,
    groups: Mapping[str, str] | None = None,
    decision: DecisionRule | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Evaluation:
    """Compute every measure on the predictions of one split.

    Args:
        predictions: of one split, as `Predictions.of_split` gives.
        groups: of images that are no independent evidence, by path, such as near-duplicates; the
            bootstrap draws whole groups. An image without one stands alone, as do all where None.
        decision: the classifier's; None: a plain softmax at the temperature of the predictions.
        seed: of the bootstrap; the same seed gives the same intervals.
        num_resamples: of the bootstrap, at least 1.

    Raises:
        EvaluationError: if there are no predictions, or of several splits.
    """
    split = _only_split(predictions)
    if decision is None:
        decision = DecisionRule(temperature=predictions.temperature)
    predictions = replace(predictions, temperature=decision.temperature)
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    num_classes = len(predictions.classes)
    counts = metrics.count_classes(labels_N, predicted_N, num_classes=num_classes)
    confusion_CC = metrics.confusion_matrix(labels_N, predicted_N, num_classes=num_classes)
    accuracy = wilson_interval(int(counts.correct.sum()), predictions.num_images)
    loss, ece, loss_before, ece_before, precision, recall, f1, *f1_of_class = bootstrap(
        resampled_statistics(predictions),
        num_images=predictions.num_images,
        generator=np.random.default_rng(seed),
        num_resamples=num_resamples,
        groups_N=group_indices(predictions.paths, groups),
    )
    thresholded_precision, thresholded_recall = _thresholded(predictions)
    return Evaluation(
        split=split,
        num_images=predictions.num_images,
        classes=predictions.classes,
        loss=loss,
        accuracy=accuracy,
        top_k=_top_k(predictions),
        precision=Averages(macro=precision, micro=accuracy),
        recall=Averages(macro=recall, micro=accuracy),
        f1=Averages(macro=f1, micro=accuracy),
        thresholded_precision=thresholded_precision,
        thresholded_recall=thresholded_recall,
        per_class=_per_class(predictions.classes, counts=counts, f1_of_class=f1_of_class),
        confusion=tuple(tuple(row) for row in confusion_CC.tolist()),
        most_confused=_most_confused(predictions.classes, confusion_CC=confusion_CC),
        calibration=Calibration(
            temperature=decision.temperature,
            reason=decision.temperature_reason,
            loss_before=loss_before,
            ece_before=ece_before,
            ece_after=ece,
            bins=reliability_bins(predictions),
            bins_before=reliability_bins(replace(predictions, temperature=1.0)),
        ),
        abstention=abstention_of(
            predictions.confidence_N,
            labels_N == predicted_N,
            target_accuracy=decision.target_accuracy,
            threshold=decision.abstain_below,
            reason=decision.abstain_reason,
        ),
        conformal=conformal_of(
            predictions.probabilities_NC,
            labels_N,
            coverage=decision.coverage,
            threshold=decision.set_threshold,
            reason=decision.set_reason,
        ),
        unfamiliar=unfamiliar_of(predictions.unfamiliarity_N, rule=decision.unfamiliar),
    )


def _only_split(predictions: Predictions) -> str:
    splits = sorted(set(predictions.splits.tolist()))
    if not splits:
        raise EvaluationError("there are no predictions to evaluate: the split has no images")
    if len(splits) > 1:
        raise EvaluationError(
            f"predictions of one split are evaluated at a time, met {', '.join(splits)}; "
            f"choose one with predictions.of_split('test')"
        )
    return str(splits[0])


def _top_k(predictions: Predictions) -> dict[int, Estimate]:
    ranks_N = metrics.ranks_of_truth(predictions.logits_NC, predictions.labels_N)
    return {
        k: wilson_interval(int((ranks_N < k).sum()), predictions.num_images)
        for k in metrics.top_k_choices(len(predictions.classes))
    }


def _thresholded(predictions: Predictions) -> tuple[Estimate, Estimate]:
    correct, positive = metrics.thresholded_counts(
        predictions.probabilities_NC, predictions.labels_N
    )
    return wilson_interval(correct, positive), wilson_interval(correct, predictions.num_images)


def _per_class(
    classes: tuple[str, ...], *, counts: ClassCounts, f1_of_class: list[Estimate]
) -> dict[str, ClassMetrics]:
    rows = zip(
        classes,
        counts.correct.tolist(),
        counts.predicted.tolist(),
        counts.support.tolist(),
        f1_of_class,
        strict=True,
    )
    return {
        name: ClassMetrics(
            precision=wilson_interval(correct, predicted),
            recall=wilson_interval(correct, support),
            f1=f1,
            support=support,
        )
        for name, correct, predicted, support, f1 in rows
    }


def _most_confused(
    classes: tuple[str, ...], *, confusion_CC: NDArray[np.int64]
) -> tuple[ConfusedPair, ...]:
    return tuple(
        ConfusedPair(true=classes[true], predicted=classes[predicted], count=count)
        for true, predicted, count in metrics.most_confused_pairs(confusion_CC)
    )
