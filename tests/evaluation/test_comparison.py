"""Differences of accuracy on the same photos: by hand, against simulation, and by group."""

import numpy as np
import pytest

from fieldmark.evaluation.comparison import accuracy_difference
from fieldmark.evaluation.intervals import Estimate, wilson_interval


def difference(before: object, after: object, groups: list[str], *, seed: int = 0) -> Estimate:
    return accuracy_difference(
        np.array(before, dtype=np.bool_),
        np.array(after, dtype=np.bool_),
        groups=groups,
        generator=np.random.default_rng(seed),
    )


def names(count: int, *, per_group: int = 1) -> list[str]:
    return [str(index // per_group) for index in range(count)]


def test_the_difference_by_hand() -> None:
    found = difference([1, 0, 0, 1], [1, 1, 1, 0], names(4))
    assert found.value == 0.25
    assert found.low < 0.25 < found.high


def test_photos_on_which_both_agree_make_no_difference_but_a_few_photos_prove_little() -> None:
    right = np.random.default_rng(0).random(50) < 0.7
    found = difference(right, right, names(50))
    assert found.value == 0.0
    assert found.high == -found.low == wilson_interval(0, 50).high
    grouped = difference(right, right, names(50, per_group=5))
    assert grouped.high == wilson_interval(0, 10).high


def test_groups_weigh_by_their_photos() -> None:
    found = difference([0, 0, 0, 1], [1, 1, 1, 1], ["a", "a", "a", "b"])
    assert found.value == 0.75


def test_copies_of_the_same_photos_are_no_new_evidence() -> None:
    generator = np.random.default_rng(1)
    before, after = generator.random(40) < 0.6, generator.random(40) < 0.8
    single = difference(before, after, names(40))
    copied = difference(before.repeat(5), after.repeat(5), names(200, per_group=5))
    alone = difference(before.repeat(5), after.repeat(5), names(200))
    assert copied.value == single.value
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.15)
    assert alone.high - alone.low < 0.6 * (copied.high - copied.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        before, after = generator.random(120) < 0.6, generator.random(120) < 0.75
        found = difference(before, after, names(120), seed=trial)
        covered += found.low <= 0.15 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("before", "after", "groups"), [([], [], []), ([True], [True, False], ["a"]), ([1], [1], [])]
)
def test_lengths_that_differ_or_no_photos_are_refused(
    before: list[int], after: list[int], groups: list[str]
) -> None:
    with pytest.raises(ValueError, match="at least one"):
        difference(before, after, groups)
