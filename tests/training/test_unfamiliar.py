"""The better score is taken, its threshold keeps to its share, and what is missing is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import LeftOutClass, Separation, auroc, energy
from fieldmark.training import unfamiliar as module
from fieldmark.training.probe import Labelled, fit_head
from fieldmark.training.unfamiliar import FittedScore, fit_unfamiliar, is_clearly_better

NUM_FEATURES = 24
Table = tuple[Predictions, NDArray[np.float32]]


def drawn(
    *, num_classes: int = 4, train: int = 30, held: int = 30, known: int | None = None
) -> Table:
    """Return predictions by a head on features of classes in blobs, and the features.

    Of `known` classes alone there are training and validation photos; test photos are of all.
    """
    known = num_classes if known is None else known
    centres_CF = np.random.default_rng(5).normal(scale=2.5, size=(num_classes, NUM_FEATURES))
    sizes = {"train": train * known, "validation": held * known, "test": 20 * num_classes}
    splits_N = np.repeat(list(sizes), list(sizes.values()))
    labels_N = np.arange(len(splits_N)) % known
    labels_N[splits_N == "test"] = np.arange(sizes["test"]) % num_classes
    noise_NF = np.random.default_rng(6).normal(size=(len(labels_N), NUM_FEATURES))
    features_NF = (centres_CF[labels_N] + noise_NF).astype(np.float32)
    learned_N = splits_N == "train"
    head = fit_head(
        Labelled(features_NF=features_NF[learned_N], labels_N=labels_N[learned_N]),
        l2=0.03,
        num_classes=known,
    )
    predictions = Predictions(
        paths=tuple(f"{place}.jpg" for place in range(len(labels_N))),
        splits=splits_N,
        labels_N=np.where(labels_N < known, labels_N, 0),
        classes=tuple("abcdefgh"[:known]),
        logits_NC=head.logits(features_NF).astype(np.float32),
    )
    return predictions, features_NF


def fitted(**given: Any) -> FittedScore:
    return fit_unfamiliar(*drawn(**given), rate=0.02)


def left_out(*shares: tuple[float, float]) -> tuple[LeftOutClass, ...]:
    return tuple(
        LeftOutClass(
            name=str(place),
            num_images=9,
            distance=Separation(auroc=0.9, caught=distance),
            energy=Separation(auroc=0.9, caught=of_energy),
        )
        for place, (distance, of_energy) in enumerate(shares)
    )


def test_photos_of_classes_that_were_never_there_are_recognised() -> None:
    predictions, features_NF = drawn(num_classes=6, known=4)
    score = fit_unfamiliar(predictions, features_NF, rate=0.02)
    is_strange_N = (predictions.splits == "test") & (np.arange(len(features_NF)) >= 240)
    strange_N = score.scores_N[is_strange_N][np.arange(is_strange_N.sum()) % 6 >= 4]
    familiar_N = score.scores_N[predictions.splits == "validation"]
    assert score.space is not None
    assert auroc(familiar_N, strange_N) > 0.95
    np.testing.assert_allclose(score.space.distances(features_NF), score.scores_N)


def test_the_threshold_is_that_of_validation_photos_alone() -> None:
    predictions, features_NF = drawn()
    score = fit_unfamiliar(predictions, features_NF, rate=0.02)
    held_N = np.sort(score.scores_N[predictions.splits == "validation"])
    assert score.rule.threshold == held_N[int(np.ceil(121 * 0.98)) - 1]
    assert "120 validation photos" in score.rule.reason
    tests_N = predictions.splits == "test"
    changed_NF = np.where(tests_N[:, None], features_NF + 9, features_NF)
    assert fit_unfamiliar(predictions, changed_NF, rate=0.02).rule == score.rule


def test_each_class_is_left_out_and_held_against_validation_photos_of_the_others() -> None:
    rule = fitted().rule
    assert [one.name for one in rule.left_out] == ["a", "b", "c", "d"]
    assert {one.num_images for one in rule.left_out} == {30}
    assert all(one.distance.auroc > 0.9 for one in rule.left_out)
    assert "4 classes were left out in turn" in rule.score_reason


def test_a_class_without_validation_photos_is_not_judged() -> None:
    predictions, features_NF = drawn()
    moved_N = (predictions.splits == "validation") & (predictions.labels_N == 2)
    splits_N = np.where(moved_N, "train", predictions.splits)
    score = fit_unfamiliar(replace(predictions, splits=splits_N), features_NF, rate=0.02)
    assert [one.name for one in score.rule.left_out] == ["a", "b", "d"]


def test_more_classes_than_parts_are_left_out_several_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldmark.training.left_out.MAX_PARTS", 2)
    assert [one.name for one in fitted(num_classes=5).rule.left_out] == list("abcde")


def test_the_energy_is_taken_where_it_recognises_clearly_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    better = left_out((0.5, 0.9), (0.6, 0.9), (0.5, 0.8))
    monkeypatch.setattr(module, "leave_out", lambda *_, **__: better)
    predictions, features_NF = drawn()
    score = fit_unfamiliar(predictions, features_NF, rate=0.02)
    assert (score.rule.score, score.space) == ("energy", None)
    np.testing.assert_array_equal(score.scores_N, energy(predictions.logits_NC))
    assert score.rule.score_reason.endswith("The energy is clearly better, so it is taken.")
    assert "53.3\u00a0% (mean AUROC 0.900)" in score.rule.score_reason


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        (((0.5, 0.6), (0.5, 0.6), (0.5, 0.6)), True),
        (((0.6, 0.5), (0.6, 0.5), (0.6, 0.5)), False),
        (((0.5, 0.9), (0.6, 0.5), (0.5, 0.6)), False),
        (((0.5, 0.9), (0.5, 0.9)), False),
        ((), False),
    ],
)
def test_clearly_means_more_than_chance_over_classes(
    shares: tuple[tuple[float, float], ...], expected: bool
) -> None:
    assert is_clearly_better(left_out(*shares)) == expected


@pytest.mark.parametrize(
    ("given", "score", "told"),
    [
        ({"num_classes": 2}, "distance", "With two classes none can be left out"),
        ({"held": 2}, "distance", "8 validation photos are too few to leave out classes"),
        ({"train": 9}, "energy", "36 photos to learn from are too few for a distance"),
    ],
)
def test_what_cannot_be_judged_is_told(given: dict[str, int], score: str, told: str) -> None:
    rule = fitted(**given).rule
    assert (rule.score, rule.left_out) == (score, ())
    assert rule.score_reason.startswith(told)


def test_without_features_the_energy_is_taken() -> None:
    predictions, features_NF = drawn()
    for features, told in (
        (None, "The features of the photos were not kept"),
        (np.full_like(features_NF, np.nan), "Some features are not finite"),
        (np.zeros((len(features_NF), 9000), np.float32), "9,000 features are too many"),
    ):
        score = fit_unfamiliar(predictions, features, rate=0.02)
        assert (score.rule.score, score.space) == ("energy", None)
        assert score.rule.score_reason.startswith(told)
        assert score.rule.threshold is not None


def test_too_few_validation_photos_give_a_score_but_no_threshold() -> None:
    predictions, features_NF = drawn(held=10)
    score = fit_unfamiliar(predictions, features_NF, rate=0.02)
    assert score.rule.threshold is None
    assert score.rule.reason.startswith("40 of 49 validation photos that it takes")
    assert np.isfinite(score.scores_N).all()
    none = fitted(held=0).rule
    assert none.threshold is None
    assert none.reason == "There are no validation photos to find a threshold on."


def test_the_same_photos_give_the_same_rule_and_scores() -> None:
    one, other = fitted(), fitted()
    assert one.rule == other.rule
    np.testing.assert_array_equal(one.scores_N, other.scores_N)
