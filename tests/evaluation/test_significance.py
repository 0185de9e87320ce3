"""Exact p-values: by hand, by counting all exchanges, against SciPy, and how often they err."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats import contingency_tables

from fieldmark.evaluation.significance import SIGNIFICANCE, holm, mcnemar, sign_flip


def by_counting(gains: list[int]) -> float:
    ahead = abs(sum(gains))
    sums = [
        sum(sign * gain for sign, gain in zip(signs, gains, strict=True))
        for signs in product((-1, 1), repeat=len(gains))
    ]
    return float(np.mean([abs(total) >= ahead for total in sums]))


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0), (0, 5, 2 / 32), (3, 1, 10 / 16), (10, 0, 2 / 1024)],
)
def test_mcnemar_by_hand(only_first: int, only_second: int, p_value: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p_value, rel=1e-12)
    assert mcnemar(only_second, only_first) == mcnemar(only_first, only_second)


@given(st.integers(0, 600), st.integers(0, 600))
def test_mcnemar_is_the_two_sided_binomial_test_of_scipy(only_first: int, only_second: int) -> None:
    if only_first + only_second:
        expected = binomtest(only_first, only_first + only_second).pvalue
        assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)


@given(
    agreeing=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    alone=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_mcnemar_is_the_exact_test_of_statsmodels(
    agreeing: tuple[int, int], alone: tuple[int, int]
) -> None:
    table = np.array([[agreeing[0], alone[0]], [alone[1], agreeing[1]]])
    if sum(alone):
        expected = contingency_tables.mcnemar(table, exact=True).pvalue
        assert mcnemar(*alone) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("less", "more"), [(15, 1060), (300, 900), (1200, 1400), (4900, 5100)])
def test_mcnemar_of_many_photos_is_that_of_whole_numbers(less: int, more: int) -> None:
    ways = 2 * sum(comb(less + more, number) for number in range(less + 1))
    expected = float(Fraction(ways, 2 ** (less + more)))
    assert mcnemar(less, more) == pytest.approx(expected, rel=1e-11, abs=0)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more, met 3 and -1"):
        mcnemar(3, -1)


@given(st.lists(st.integers(-5, 5), max_size=10))
def test_sign_flip_counts_every_exchange_of_whole_groups(gains: list[int]) -> None:
    found = sign_flip(np.array(gains, dtype=np.int64))
    assert found == pytest.approx(by_counting(gains), rel=1e-12)


def test_groups_of_one_are_mcnemar() -> None:
    gains = np.array([1] * 7 + [-1] * 19 + [0] * 100, dtype=np.int64)
    assert sign_flip(gains) == mcnemar(19, 7)


def test_copies_of_the_same_photos_change_nothing() -> None:
    gains = np.array([1, 1, 1, -1, 1, 1, 1, 1], dtype=np.int64)
    assert sign_flip(5 * gains) == pytest.approx(sign_flip(gains), rel=1e-12)


def test_equally_good_classifiers_are_told_apart_in_at_most_one_case_of_twenty() -> None:
    generator = np.random.default_rng(0)
    of_photos, of_groups = [], []
    for _ in range(1000):
        # 100 groups of 1 to 8 copies, all of which a classifier names alike.
        sizes_G = generator.integers(1, 9, size=100)
        ease_G = generator.beta(4, 1, size=100)
        first_G, second_G = generator.random((2, 100)) < ease_G
        gains_G = sizes_G * (second_G.astype(np.int64) - first_G)
        of_groups.append(sign_flip(gains_G) < SIGNIFICANCE)
        behind, ahead = -gains_G[gains_G < 0].sum(), gains_G[gains_G > 0].sum()
        of_photos.append(mcnemar(int(behind), int(ahead)) < SIGNIFICANCE)
    assert np.mean(of_groups) <= 0.07
    assert np.mean(of_photos) > 0.2, "copies taken for evidence of their own should mislead"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == (1.0, 1.0)
    assert holm([0.2]) == (0.2,)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= min(1, len(p_values) * p) for p, a in zip(p_values, adjusted, strict=True))
    ordered = [adjusted[index] for index in sorted(range(len(p_values)), key=p_values.__getitem__)]
    assert ordered == sorted(ordered)
