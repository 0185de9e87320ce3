"""One recipe trained several times: how far its results lie apart, and what they come to.

In: the predictions of each repeat on its test photos. Out: `Repeated`. The repeats are folds, whose
test photos are different and all photos together, or seeds, whose test photos are the same.
Not covered: training them (`fieldmark.repeating`), and comparing two recipes (`paired`).

Shapes: N photos, R repeats.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation.clustered import clustered_share, design_effect
from fieldmark.evaluation.evaluation import ClassMetrics, Evaluation, evaluate
from fieldmark.evaluation.intervals import NUM_RESAMPLES, Estimate, group_indices
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.repeated import (
    FOLDS,
    MEASURES,
    SEEDS,
    ClassSpread,
    Kind,
    Pooled,
    Repeated,
    RepeatScores,
    WrongPhoto,
    spread_of,
)

MIN_REPEATS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One repeat, and how it answered its test photos."""

    name: str
    """Such as fold-1."""
    test: Predictions
    """Of its test photos, at the temperature that it decides by."""
    evaluation: Evaluation
    """Of the same."""


def evaluate_repeats(
    tested: Sequence[Answered],
    *,
    kind: Kind,
    groups: Mapping[str, str],
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Repeated:
    """Say how far repeats lie apart, and what they come to together.

    Args:
        tested: two repeats or more. Of folds no photo is tested twice; of seeds all are tested on
            the same photos.
        kind: which of the two.
        groups: of all photos, by path; one that is missing or has an empty group stands alone.
        seed: of the bootstrap.
        num_resamples: of the bootstrap, at least 1.

    Raises:
        EvaluationError: fewer than two repeats, other classes, or photos that do not go together.
    """
    _check(tested, kind=kind)
    answers = _Answers.of(tested)
    groups_P = group_indices(answers.paths, groups)
    assert groups_P is not None
    overall = clustered_share(answers.right_P, groups_P)
    joint = pool(tested) if kind == FOLDS else None
    in_all = (
        evaluate(joint, groups=groups, seed=seed, num_resamples=num_resamples) if joint else None
    )
    scores = tuple(_scores(repeat) for repeat in tested)
    return Repeated(
        kind=kind,
        num_photos=len(answers.paths),
        num_groups=len(np.unique(groups_P)),
        repeats=scores,
        measures={
            name: spread_of([getattr(one, name).value for one in scores]) for name in MEASURES
        },
        overall=overall,
        sd_by_chance=_sd_by_chance(scores, answers, groups_P) if kind == FOLDS else None,
        pooled=_pooled(in_all, overall) if in_all else None,
        per_class=_per_class(tested, answers, joint=joint, in_all=in_all, groups_P=groups_P),
        wrong=_wrong(tested, kind=kind),
    )


def _check(tested: Sequence[Answered], *, kind: Kind) -> None:
    if len(tested) < MIN_REPEATS:
        raise EvaluationError(f"repeats are two or more, met {len(tested)}")
    first = tested[0].test
    if any(repeat.test.classes != first.classes for repeat in tested):
        raise EvaluationError("repeats are of the same classes; these differ")
    paths = [path for repeat in tested for path in repeat.test.paths]
    if kind == FOLDS and len(set(paths)) < len(paths):
        raise EvaluationError("each photo is tested in one fold; some were tested in several")
    if kind == SEEDS and any(set(repeat.test.paths) != set(first.paths) for repeat in tested):
        raise EvaluationError("seeds are tested on the same photos; these differ")


def pool(tested: Sequence[Answered]) -> Predictions:
    """Return the answers of all folds as one table, each one's logits over its own temperature."""
    tables = [repeat.test for repeat in tested]
    return replace(
        tables[0],
        paths=tuple(path for table in tables for path in table.paths),
        splits=np.concatenate([table.splits for table in tables]),
        labels_N=np.concatenate([table.labels_N for table in tables]),
        logits_NC=np.concatenate([table.scaled_logits_NC for table in tables]),
        temperature=1.0,
        unfamiliarity_N=None,  # each fold has a scale of its own
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Answers:
    """P photos, each once: its class, and in what share of the repeats it was named right."""

    paths: tuple[str, ...]
    labels_P: NDArray[np.int64]
    right_P: NDArray[np.float64]

    @classmethod
    def of(cls, tested: Sequence[Answered]) -> "_Answers":
        right: dict[str, list[bool]] = {}
        labels: dict[str, int] = {}
        for repeat in tested:
            table = repeat.test
            right_N = (table.predicted_N == table.labels_N).tolist()
            for path, label, is_right in zip(
                table.paths, table.labels_N.tolist(), right_N, strict=True
            ):
                right.setdefault(path, []).append(is_right)
                labels[path] = label
        return cls(
            paths=tuple(right),
            labels_P=np.array(list(labels.values()), dtype=np.int64),
            right_P=np.array([sum(of) / len(of) for of in right.values()]),
        )


def _scores(repeat: Answered) -> RepeatScores:
    evaluation = repeat.evaluation
    return RepeatScores(
        name=repeat.name,
        num_images=evaluation.num_images,
        accuracy=evaluation.accuracy,
        f1=evaluation.f1.macro,
        loss=evaluation.loss,
        ece=evaluation.calibration.ece_after,
    )


def _sd_by_chance(
    scores: Sequence[RepeatScores], answers: _Answers, groups_P: NDArray[np.int64]
) -> float:
    """Return the root of the mean variance of a fold's accuracy, were all folds equally good."""
    share = float(answers.right_P.mean())
    of_one = share * (1 - share) * design_effect(answers.right_P, groups_P)
    return math.sqrt(sum(of_one / one.num_images for one in scores) / len(scores))


def _pooled(evaluation: Evaluation, overall: Estimate) -> Pooled:
    return Pooled(
        accuracy=overall,
        f1=evaluation.f1.macro,
        loss=evaluation.loss,
        ece=evaluation.calibration.ece_after,
        most_confused=evaluation.most_confused,
    )


def _per_class(
    tested: Sequence[Answered],
    answers: _Answers,
    *,
    joint: Predictions | None,
    in_all: Evaluation | None,
    groups_P: NDArray[np.int64],
) -> dict[str, ClassSpread]:
    """Return each class that was tested, over the repeats that had photos of it."""
    result = {}
    for place, name in enumerate(tested[0].test.classes):
        support = int((answers.labels_P == place).sum())
        found = [repeat.evaluation.per_class[name] for repeat in tested]
        met = [metrics for metrics in found if metrics.support]
        if not met:
            continue
        result[name] = ClassSpread(
            support=support,
            precision=spread_of([metrics.precision.value for metrics in met]),
            recall=spread_of([metrics.recall.value for metrics in met]),
            f1=spread_of([metrics.f1.value for metrics in met]),
            pooled=_pooled_class(joint, place, groups_P=groups_P, f1=in_all.per_class[name].f1)
            if joint and in_all
            else None,
        )
    return result


def _pooled_class(
    joint: Predictions, place: int, *, groups_P: NDArray[np.int64], f1: Estimate
) -> ClassMetrics:
    """Return how well one class is recognised over all photos; no two of them are the same."""
    right_N = joint.labels_N == joint.predicted_N
    named_N, is_N = joint.predicted_N == place, joint.labels_N == place
    nothing_known = Estimate(value=0.0, low=0.0, high=1.0)
    return ClassMetrics(
        precision=clustered_share(right_N[named_N], groups_P[named_N])
        if named_N.any()
        else nothing_known,
        recall=clustered_share(right_N[is_N], groups_P[is_N]),
        f1=f1,
        support=int(is_N.sum()),
    )


def _wrong(tested: Sequence[Answered], *, kind: Kind) -> tuple[WrongPhoto, ...]:
    answers: dict[str, list[tuple[str, int, float]]] = {}
    labels: dict[str, str] = {}
    classes = tested[0].test.classes
    for repeat in tested:
        table = repeat.test
        wrong_N = np.flatnonzero(table.predicted_N != table.labels_N)
        confidence_N = table.confidence_N
        for row in wrong_N.tolist():
            path = table.paths[row]
            labels[path] = classes[table.labels_N[row]]
            answer = repeat.name, int(table.predicted_N[row]), float(confidence_N[row])
            answers.setdefault(path, []).append(answer)
    num_tested = 1 if kind == FOLDS else len(tested)
    photos = [
        _wrong_photo(path, of, label=labels[path], classes=classes, num_tested=num_tested)
        for path, of in answers.items()
    ]
    if kind == SEEDS:
        photos = [replace(photo, repeat="") for photo in photos]
    return tuple(sorted(photos, key=lambda one: (-one.num_wrong, -one.confidence, one.path)))


def _wrong_photo(
    path: str,
    answers: Sequence[tuple[str, int, float]],
    *,
    label: str,
    classes: Sequence[str],
    num_tested: int,
) -> WrongPhoto:
    times = Counter(predicted for _, predicted, _ in answers)
    most = min(times, key=lambda predicted: (-times[predicted], predicted))
    sure = [confidence for _, predicted, confidence in answers if predicted == most]
    return WrongPhoto(
        path=path,
        label=label,
        num_tested=num_tested,
        num_wrong=len(answers),
        predicted=classes[most],
        num_agreeing=times[most],
        confidence=sum(sure) / len(sure),
        repeat=answers[0][0],
    )
