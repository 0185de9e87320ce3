"""Designs: all combinations, or the part of them that tells effects apart best."""

from itertools import product

import numpy as np
import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.studies.design import (
    fraction,
    full_factorial,
    log_determinant,
    model_matrix,
    num_possible,
)
from fieldmark.studies.space import Factor

TWO = [Factor(key=f"a.{name}", values=("low", "high")) for name in "wxyz"]
MIXED = [
    Factor(key="optim.lr", values=(1e-4, 1e-3, 1e-2)),
    Factor(key="optim.name", values=("adam", "sgd")),
    Factor(key="train.epochs", values=(5, 10, 20, 40)),
]


def levels(factors: list[Factor], settings: list[dict[str, object]]) -> np.ndarray:
    return np.array([[f.values.index(one[f.key]) for f in factors] for one in settings])


def test_a_full_design_has_every_combination_once() -> None:
    settings = full_factorial(MIXED)
    assert len(settings) == num_possible(MIXED) == 24
    assert [tuple(one.values()) for one in settings] == list(
        product(*(factor.values for factor in MIXED))
    )


def test_half_of_a_two_level_design_is_the_textbook_one() -> None:
    # Of 2^4 in 8 runs no design for main effects is better than an orthogonal one, det = 8^5.
    settings = fraction(TWO, num_runs=8, seed=0)
    mains_NP = model_matrix(TWO, levels(TWO, settings))[:, :5]
    assert np.allclose(mains_NP.T @ mains_NP, 8 * np.eye(5))


@pytest.mark.parametrize("num_runs", [7, 12, 20])
def test_a_part_is_at_least_as_good_as_the_best_of_many_random_ones(num_runs: int) -> None:
    settings = fraction(MIXED, num_runs=num_runs, seed=0)
    assert len({tuple(one.values()) for one in settings}) == num_runs
    rng = np.random.default_rng(1)
    everything = levels(MIXED, full_factorial(MIXED))
    random = [
        log_determinant(MIXED, everything[rng.choice(24, num_runs, replace=False)])
        for _ in range(300)
    ]
    assert log_determinant(MIXED, levels(MIXED, settings)) >= max(random) - 1e-9


def test_every_value_can_be_estimated_from_the_fewest_runs() -> None:
    settings = fraction(MIXED, num_runs=7, seed=3)
    assert np.linalg.matrix_rank(model_matrix(MIXED, levels(MIXED, settings))[:, :7]) == 7


def test_the_same_seed_gives_the_same_design() -> None:
    assert fraction(MIXED, num_runs=10, seed=5) == fraction(MIXED, num_runs=10, seed=5)


def test_too_few_runs_are_refused_with_the_number_that_is_enough() -> None:
    with pytest.raises(RecipeError, match=r"--runs 6 is too few.*--runs 7 or more"):
        fraction(MIXED, num_runs=6, seed=0)


def test_as_many_runs_as_there_are_combinations_is_the_full_design() -> None:
    assert fraction(MIXED, num_runs=99, seed=0) == full_factorial(MIXED)


def test_more_combinations_than_anybody_can_mean_are_refused() -> None:
    many = [Factor(key=f"a.b{place}", values=tuple(range(10))) for place in range(6)]
    with pytest.raises(RecipeError, match="1,000,000 combinations"):
        full_factorial(many)
