"""Pairs of classifiers: by hand, against the numbers of each alone, and how often they err."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.paired import Pair, compare_predictions
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.significance import mcnemar

CLASSES = ("cat", "dog", "fox")


def predictions(
    labels: Sequence[int] | NDArray[np.int64],
    logits: object,
    *,
    classes: tuple[str, ...] = CLASSES,
    temperature: float = 1.0,
) -> Predictions:
    return Predictions(
        paths=tuple(f"{place}.png" for place in range(len(labels))),
        splits=np.array(["test"] * len(labels)),
        labels_N=np.asarray(labels, dtype=np.int64),
        classes=classes,
        logits_NC=np.asarray(logits, dtype=np.float32),
        temperature=temperature,
    )


def naming(labels: Sequence[int], named: Sequence[int]) -> Predictions:
    return predictions(labels, 4 * np.eye(len(CLASSES))[list(named)])


def drawn(seed: int, *, num: int = 300, skill: float = 2.0, truth: int = 0) -> Predictions:
    """Return a classifier of a seed; those of one truth look at the same photos."""
    photos = np.random.default_rng([truth, num])
    labels_N, ease_N = photos.integers(0, 3, num), photos.normal(0, 1, num)
    logits_NC = np.random.default_rng([seed, truth]).normal(size=(num, 3))
    logits_NC[np.arange(num), labels_N] += skill + ease_N
    return predictions(labels_N, logits_NC)


def pair_of(first: Predictions, second: Predictions, **more: object) -> Pair:
    (pair,) = compare_predictions([first, second], **more)  # type: ignore[arg-type]
    return pair


def test_a_pair_by_hand() -> None:
    labels = [0, 0, 1, 1, 2, 2]
    first, second = naming(labels, [0, 1, 1, 0, 0, 2]), naming(labels, [0, 0, 1, 1, 1, 0])
    pair = pair_of(first, second)
    assert (pair.first, pair.second) == (0, 1)
    counts = (pair.both_right, pair.only_first, pair.only_second, pair.both_wrong)
    assert counts == (2, 1, 2, 1)
    assert pair.num_named_otherwise == 4
    assert pair.accuracy.value == pytest.approx(1 / 6)
    assert pair.mcnemar == pair.p_value == pair.p_adjusted == mcnemar(1, 2) == 1.0
    assert not pair.is_told_apart


@pytest.mark.parametrize("grouped", [False, True])
def test_differences_are_those_of_the_numbers_of_each_alone(grouped: bool) -> None:
    first, second = drawn(1), replace(drawn(2, skill=2.6), temperature=1.7)
    groups = {path: str(place // 3) for place, path in enumerate(first.paths)} if grouped else None
    alone = [evaluate(each, groups=groups) for each in (first, second)]
    pair = pair_of(first, second, groups=groups)
    for name, values in {
        "accuracy": [each.accuracy.value for each in alone],
        "loss": [each.loss.value for each in alone],
        "f1": [each.f1.macro.value for each in alone],
    }.items():
        difference = getattr(pair, name)
        assert difference.value == pytest.approx(values[1] - values[0], abs=1e-12), name
        assert difference.low < difference.value < difference.high


def test_the_other_way_round_is_the_same_difference_turned() -> None:
    first, second = drawn(1), drawn(2)
    there, back = pair_of(first, second), pair_of(second, first)
    for name in ("accuracy", "loss", "f1"):
        one, other = getattr(there, name), getattr(back, name)
        assert (one.value, one.low, one.high) == pytest.approx(
            (-other.value, -other.high, -other.low)
        )
    assert there.p_value == back.p_value


def test_the_same_names_are_no_difference_but_a_few_photos_prove_little() -> None:
    first = drawn(1, num=50)
    second = replace(first, temperature=2.0)
    groups = {path: str(place // 5) for place, path in enumerate(first.paths)}
    for given, num_groups in ((None, 50), (groups, 10)):
        pair = pair_of(first, second, groups=given)
        reach = wilson_interval(0, num_groups).high
        for estimate in (pair.accuracy, pair.f1):
            assert (estimate.low, estimate.value, estimate.high) == (-reach, 0.0, reach)
        assert pair.p_value == 1.0
        assert pair.num_named_otherwise == 0
        assert pair.loss.value != 0.0, "the temperature changes how sure they are"


def test_the_order_of_the_classes_does_not_matter() -> None:
    first, second = drawn(1), drawn(2)
    order = [2, 0, 1]
    turned = predictions(
        np.argsort(order)[second.labels_N],
        second.logits_NC[:, order],
        classes=tuple(CLASSES[place] for place in order),
    )
    assert pair_of(first, turned) == pair_of(first, second)


def test_a_class_that_only_one_of_them_knows_counts_where_it_is_named() -> None:
    labels = [0, 0, 1, 1]
    first = predictions(labels, 4 * np.eye(2)[[0, 0, 1, 1]], classes=("cat", "dog"))
    second = predictions(labels, 4 * np.eye(3)[[0, 2, 1, 1]])
    pair = pair_of(first, second)
    assert pair.only_first == 1
    # Without the fox: 1. With it: of cat 2/3, of dog 1, of fox 0.
    assert pair.f1.value == pytest.approx((2 / 3 + 1 + 0) / 3 - 1)


def test_copies_of_photos_are_no_new_evidence() -> None:
    first, second = drawn(1, num=60), drawn(2, num=60, skill=3.0)
    places = np.arange(60).repeat(5)
    copies = [
        predictions(each.labels_N[places], each.logits_NC[places]) for each in (first, second)
    ]
    groups = {path: str(place // 5) for place, path in enumerate(copies[0].paths)}
    single, copied = pair_of(first, second), pair_of(copies[0], copies[1], groups=groups)
    alone = pair_of(copies[0], copies[1])
    assert copied.accuracy.value == pytest.approx(single.accuracy.value)
    assert copied.p_value == pytest.approx(single.p_value)
    assert copied.mcnemar == alone.p_value < copied.p_value

    def width(pair: Pair) -> float:
        return pair.accuracy.high - pair.accuracy.low

    assert width(copied) == pytest.approx(width(single), rel=0.15)
    assert width(alone) < 0.6 * width(copied)


def test_a_better_classifier_is_told_apart_and_p_is_adjusted_for_the_pairs() -> None:
    pairs = compare_predictions([drawn(1), drawn(2), drawn(3, skill=4.0)])
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
    assert [pair.is_told_apart for pair in pairs] == [False, True, True]
    assert pairs[1].accuracy.low > 0 > pairs[1].loss.high
    lowest = min(pairs, key=lambda pair: pair.p_value)
    assert lowest.p_adjusted == 3 * lowest.p_value


def test_the_same_seed_gives_the_same_pairs() -> None:
    tables = [drawn(1), drawn(2)]
    assert compare_predictions(tables, seed=3) == compare_predictions(tables, seed=3)
    assert compare_predictions(tables, seed=3) != compare_predictions(tables, seed=4)


def test_two_seeds_of_one_recipe_are_told_apart_in_at_most_7_of_100_pairs() -> None:
    pairs = [
        pair_of(drawn(1, truth=truth), drawn(2, truth=truth), num_resamples=1)
        for truth in range(100)
    ]
    assert np.mean([pair.is_told_apart for pair in pairs]) <= 0.07
    assert np.median([pair.num_named_otherwise for pair in pairs]) > 30, "or it proves nothing"


def test_intervals_of_no_difference_take_in_zero_about_as_often_as_they_say() -> None:
    pairs = [
        pair_of(drawn(1, truth=truth, num=150), drawn(2, truth=truth, num=150), num_resamples=300)
        for truth in range(200)
    ]
    for name in ("accuracy", "loss", "f1"):
        estimates = [getattr(pair, name) for pair in pairs]
        covered = np.mean([estimate.low <= 0 <= estimate.high for estimate in estimates])
        assert 0.90 <= covered <= 0.985, name


def test_what_cannot_be_compared_is_refused() -> None:
    one = drawn(1)
    with pytest.raises(EvaluationError, match="two classifiers or more are compared, met 1"):
        compare_predictions([one])
    with pytest.raises(EvaluationError, match="these differ"):
        compare_predictions([one, drawn(2, num=299)])
    with pytest.raises(EvaluationError, match="these differ"):
        compare_predictions([one, drawn(2, truth=1)])
    nothing = one.take(np.zeros(one.num_images, dtype=np.bool_))
    with pytest.raises(EvaluationError, match="has no images"):
        compare_predictions([nothing, nothing])
