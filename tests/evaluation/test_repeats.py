"""Repeats of a training: the spread by hand, the pooled figures, the photos named wrong."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.repeated import Kind, Repeated, spread_of
from fieldmark.evaluation.repeats import Answered, evaluate_repeats, pool

CLASSES = ("cat", "dog", "fox")


def answers(
    paths: Sequence[str], labels: Sequence[int], named: Sequence[int], *, sure: float = 3.0
) -> Predictions:
    logits_NC = np.zeros((len(paths), len(CLASSES)))
    logits_NC[np.arange(len(paths)), list(named)] = sure
    return Predictions(
        paths=tuple(paths),
        splits=np.array(["test"] * len(paths)),
        labels_N=np.array(labels),
        classes=CLASSES,
        logits_NC=logits_NC.astype(np.float32),
    )


def repeat(name: str, table: Predictions) -> Answered:
    return Answered(name=name, test=table, evaluation=evaluate(table, num_resamples=20))


@pytest.fixture
def folds() -> list[Answered]:
    """Two folds of four photos: none and two of them wrong."""
    return [
        repeat("fold-1", answers(["a", "b", "c", "d"], [0, 0, 1, 1], [0, 0, 1, 1])),
        repeat("fold-2", answers(["e", "f", "g", "h"], [0, 0, 1, 1], [0, 1, 1, 2], sure=2.0)),
    ]


@pytest.fixture
def seeds() -> list[Answered]:
    """Three seeds on four photos: c is always wrong, d with one seed, the others never."""
    paths, labels = ["a", "b", "c", "d"], [0, 0, 1, 1]
    named = ([0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 2, 0])
    return [repeat(f"seed-{n}", answers(paths, labels, of)) for n, of in enumerate(named)]


def repeated(of: Sequence[Answered], kind: Kind) -> Repeated:
    return evaluate_repeats(of, kind=kind, groups={}, num_resamples=50)


# Spread


def test_the_spread_by_hand() -> None:
    spread = spread_of([0.9, 0.8, 1.0])
    assert (spread.mean, spread.sd) == pytest.approx((0.9, 0.1))
    assert (spread.low, spread.high) == (0.8, 1.0)
    assert spread_of([0.5]).sd == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2))
def test_the_spread_is_that_of_numpy_and_holds_its_mean(values: list[float]) -> None:
    spread = spread_of(values)
    assert spread.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert spread.sd == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-6)
    assert spread.low <= spread.mean <= spread.high


@given(st.floats(-1e6, 1e6), st.integers(2, 9))
def test_equal_values_have_no_spread_to_the_bit(value: float, num: int) -> None:
    spread = spread_of([value] * num)
    assert (spread.mean, spread.sd) == (value, 0)


# Folds


def test_folds_are_pooled_each_photo_counted_once(folds: list[Answered]) -> None:
    result = repeated(folds, "folds")
    assert result.num_photos == 8
    assert result.overall.value == 6 / 8
    assert result.pooled is not None
    assert result.pooled.accuracy == result.overall
    expected = f1_score([0, 0, 1, 1] * 2, [0, 0, 1, 1, 0, 1, 1, 2], average="macro")
    assert result.pooled.f1.value == pytest.approx(expected)
    assert result.measures["accuracy"].mean == pytest.approx(0.75)
    assert result.measures["accuracy"].sd == pytest.approx(0.5 / np.sqrt(2))
    assert {(p.true, p.predicted, p.count) for p in result.pooled.most_confused} == {
        ("cat", "dog", 1),
        ("dog", "fox", 1),
    }


def test_each_fold_is_pooled_at_its_own_temperature(folds: list[Answered]) -> None:
    cooler = replace(folds[1].test, temperature=4.0)
    joint = pool([folds[0], replace(folds[1], test=cooler)])
    assert joint.temperature == 1
    expected = np.concatenate([folds[0].test.probabilities_NC, cooler.probabilities_NC])
    np.testing.assert_allclose(joint.probabilities_NC, expected, atol=1e-7)


def test_a_class_is_told_over_the_folds_that_have_photos_of_it(folds: list[Answered]) -> None:
    result = repeated(folds, "folds")
    assert set(result.per_class) == {"cat", "dog"}  # no fox was tested
    cat = result.per_class["cat"]
    assert cat.support == 4
    assert (cat.recall.low, cat.recall.high) == (0.5, 1.0)
    assert cat.pooled is not None
    assert cat.pooled.recall.value == 3 / 4
    assert cat.pooled.precision.value == 1.0
    dog = result.per_class["dog"].pooled
    assert dog is not None
    assert dog.precision.value == 3 / 4  # c, d and g, and the cat f


def test_groups_widen_the_pooled_intervals(folds: list[Answered]) -> None:
    alone = repeated(folds, "folds")
    pairs = {"a": "1", "b": "1", "c": "2", "d": "2", "e": "3", "g": "3", "f": "4", "h": "4"}
    grouped = evaluate_repeats(folds, kind="folds", groups=pairs, num_resamples=50)
    assert (alone.num_groups, grouped.num_groups) == (8, 4)
    assert grouped.overall.low < alone.overall.low


def test_wrong_photos_of_folds_name_the_fold_and_the_surest_comes_first(
    folds: list[Answered],
) -> None:
    folds[0] = repeat("fold-1", answers(["a", "b", "c", "h"], [0, 0, 1, 1], [0, 0, 1, 2]))
    folds[1] = repeat("fold-2", answers(["e", "f"], [0, 0], [0, 1], sure=2.0))
    wrong = repeated(folds, "folds").wrong
    assert [(one.path, one.label, one.predicted, one.repeat) for one in wrong] == [
        ("h", "dog", "fox", "fold-1"),
        ("f", "cat", "dog", "fold-2"),
    ]
    assert wrong[0].confidence == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    assert {(one.num_tested, one.num_wrong) for one in wrong} == {(1, 1)}


def folds_of(*numbers_wrong: int, size: int = 1000) -> Repeated:
    of = []
    for fold, wrong in enumerate(numbers_wrong):
        paths = [f"{fold}/{n}" for n in range(size)]
        of.append(
            repeat(f"fold-{fold}", answers(paths, [0] * size, [1] * wrong + [0] * (size - wrong)))
        )
    return repeated(of, "folds")


def test_folds_that_differ_as_chance_does_are_not_called_different() -> None:
    result = folds_of(100, 108, 92)
    assert result.sd_by_chance == pytest.approx(np.sqrt(0.1 * 0.9 / 1000))
    assert not result.differ_beyond_chance


def test_folds_that_differ_more_than_chance_does_are_called_different() -> None:
    assert folds_of(60, 150, 100).differ_beyond_chance


def test_one_in_twenty_of_equal_folds_is_called_different() -> None:
    generator = np.random.default_rng(3)
    base = folds_of(100, 100, 100, size=200)
    called = 0
    for _ in range(2000):
        of = generator.binomial(200, 0.8, 3) / 200
        chance = np.sqrt(of.mean() * (1 - of.mean()) / 200)
        measures = {**base.measures, "accuracy": spread_of(of.tolist())}
        called += replace(base, measures=measures, sd_by_chance=chance).differ_beyond_chance
    assert 0.03 <= called / 2000 <= 0.07


# Seeds


def test_seeds_are_averaged_on_the_same_photos(seeds: list[Answered]) -> None:
    result = repeated(seeds, "seeds")
    assert result.num_photos == 4
    assert result.measures["accuracy"].mean == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert result.overall.value == pytest.approx(result.measures["accuracy"].mean)
    assert result.pooled is None
    assert result.sd_by_chance is None
    assert result.per_class["dog"].support == 2
    assert not result.are_alike


def test_photos_wrong_in_most_seeds_come_first(seeds: list[Answered]) -> None:
    result = repeated(seeds, "seeds")
    first, second = result.wrong
    assert (first.path, first.num_wrong, first.num_tested) == ("c", 3, 3)
    assert (first.predicted, first.num_agreeing) == ("cat", 2)
    assert (second.path, second.num_wrong, second.repeat) == ("d", 1, "")
    assert (result.num_always_wrong, result.num_mostly_wrong) == (1, 1)


def test_seeds_that_make_no_difference_are_told_so(seeds: list[Answered]) -> None:
    assert repeated([seeds[0], replace(seeds[0], name="seed-1")], "seeds").are_alike


# Refusals and files


def test_what_does_not_go_together_is_refused(folds: list[Answered], seeds: list[Answered]) -> None:
    with pytest.raises(EvaluationError, match="two or more"):
        repeated(folds[:1], "folds")
    with pytest.raises(EvaluationError, match="tested in several"):
        repeated(seeds, "folds")
    with pytest.raises(EvaluationError, match="same photos"):
        repeated(folds, "seeds")
    other = replace(folds[1].test, classes=("cat", "dog", "owl"))
    with pytest.raises(EvaluationError, match="same classes"):
        repeated([folds[0], replace(folds[1], test=other)], "folds")


@pytest.mark.parametrize("kind", ["folds", "seeds"])
def test_what_they_come_to_reads_back_as_it_was_written(
    kind: Kind, folds: list[Answered], seeds: list[Answered]
) -> None:
    result = repeated(folds if kind == "folds" else seeds, kind)
    content = json.loads(json.dumps(to_plain(result)))
    assert from_plain(Repeated, content, where="repeats.json") == result
