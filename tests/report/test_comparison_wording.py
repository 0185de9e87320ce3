"""What is said of a comparison, in words."""

from dataclasses import dataclass, replace

import pytest

from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.paired import Pair
from fieldmark.report.comparison_wording import (
    joined,
    loss_text,
    p_text,
    pair_verdict,
    right_title,
    verdict,
)

SPACE = "\u00a0"
MINUS = "\u2212"


@dataclass(frozen=True)
class Side:
    name: str
    accuracy: Estimate


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


def side(name: str, accuracy: float) -> Side:
    return Side(name, estimate(accuracy, accuracy, accuracy))


NONE = Pair(
    first=0,
    second=1,
    both_right=8,
    only_first=1,
    only_second=1,
    both_wrong=0,
    num_named_otherwise=2,
    accuracy=estimate(0.0, -0.01, 0.02),
    loss=estimate(0, 0, 0),
    f1=estimate(0, 0, 0),
    mcnemar=1.0,
    p_value=1.0,
    p_adjusted=1.0,
)


def apart(first: int, second: int, gain: float = 0.05) -> Pair:
    difference = estimate(gain, gain - 0.01, gain + 0.01)
    return replace(NONE, first=first, second=second, accuracy=difference, p_adjusted=0.001)


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.0, "p < 0.0001"),
        (0.0001, "p = 0.0001"),
        (0.0494, "p = 0.049"),
        (0.05, "p = 0.050"),
        (0.5, "p = 0.50"),
        (1.0, "p = 1.00"),
    ],
)
def test_p_values_are_short_and_never_zero(p_value: float, text: str) -> None:
    assert p_text(p_value) == text


def test_of_two_runs_the_better_one_is_named_whichever_comes_first() -> None:
    names = ("a", "b")
    ahead = pair_verdict(apart(0, 1), names=names, num_photos=10)
    behind = pair_verdict(apart(0, 1, gain=-0.05), names=names, num_photos=10)
    assert ahead == "b names more photos right than a: +5.0 points (+4.0 to +6.0), p = 0.0010."
    assert behind == "a names more photos right than b: +5.0 points (+4.0 to +6.0), p = 0.0010."


def test_no_difference_is_called_unknown_not_equal() -> None:
    told = pair_verdict(NONE, names=("a", "b"), num_photos=1_234)
    assert told.startswith("a and b cannot be told apart on 1,234 photos: 0.0 points")
    assert f"({MINUS}1.0 to +2.0)" in told


def test_the_same_names_are_told_as_such() -> None:
    same = replace(NONE, num_named_otherwise=0)
    told = pair_verdict(same, names=("a", "b"), num_photos=1_234)
    assert told == "a and b give the same names to all 1,234 photos."


def test_of_several_runs_the_best_is_named_and_from_which_it_can_be_told() -> None:
    runs = [side("a", 0.8), side("b", 0.9), side("c", 0.89)]
    pairs = [apart(0, 1), apart(0, 2), replace(NONE, first=1, second=2)]
    told = verdict(runs, pairs, num_photos=10)
    assert told == (
        f"b names the most photos right, 90.0{SPACE}%. It can be told apart from a, not from c."
    )
    all_apart = verdict(runs, [*pairs[:2], apart(1, 2)], num_photos=10)
    assert all_apart.endswith("It can be told apart from every other run.")


def test_where_nothing_is_told_apart_no_run_is_called_the_best() -> None:
    runs = [side("a", 0.8), side("b", 0.9), side("c", 0.89)]
    pairs = [replace(NONE, first=i, second=j) for i, j in ((0, 1), (0, 2), (1, 2))]
    told = verdict(runs, pairs, num_photos=10)
    assert told == "No two of the 3 runs can be told apart on 10 photos."


def test_of_two_others_told_apart_the_best_is_no_better_than_any() -> None:
    runs = [side("a", 0.8), side("b", 0.9), side("c", 0.89)]
    pairs = [replace(NONE, second=1), apart(0, 2), replace(NONE, first=1, second=2)]
    assert verdict(runs, pairs, num_photos=9).endswith("It cannot be told apart from any other.")


def test_many_runs_are_counted_not_named() -> None:
    runs = [side("best", 0.9), side("like", 0.9), *(side(f"r{i}", 0.5) for i in range(5))]
    pairs = [replace(NONE, second=1), *(apart(0, place) for place in range(2, 7))]
    told = verdict(runs, pairs, num_photos=9)
    assert told.endswith("It can be told apart from 5 others, not from like.")


@pytest.mark.parametrize(
    ("right", "names", "title"),
    [
        ((), "ab", "Neither is right"),
        ((), "abc", "None is right, and they differ"),
        ((1,), "ab", "Only b is right"),
        ((0, 2), "abc", "All but b are right"),
        ((0, 2), "abcd", "a and c are right, not b and d"),
    ],
)
def test_kinds_of_disagreement_have_titles(right: tuple[int, ...], names: str, title: str) -> None:
    assert right_title(right, names=tuple(names)) == title


def test_names_are_joined_as_people_write_them() -> None:
    assert [joined(list("abc")), joined(["a"])] == ["a, b and c", "a"]


def test_differences_of_losses_are_signed() -> None:
    assert loss_text(estimate(-0.02123, -0.04, 0.0)) == f"{MINUS}0.0212 ({MINUS}0.0400 to 0)"
