"""A linear model of factors, fitted by least squares, and what any contrast of it is worth.

In: numbers with the value of each factor that they were measured at. Out: a `Fit`.
Factors are sum-coded: the columns of a factor are deviations from the mean over its values, those
of an interaction their products. So a main effect is an average over all values of the other
factors, each counting the same, however many trials there were of each (Yates 1934, "weighted
squares of means"), as long as the model has the interactions that matter.
Not covered: what the estimates mean (`effects`), and where the noise is taken from (`noise`).

Shapes: N trials, F factors, P columns of the model, K values of a factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Term = tuple[int, ...]
"""The factors of a main effect (one) or an interaction (two), by their places."""

RANK_TOLERANCE = 1e-9
"""Relative to the largest singular value. The columns hold -1, 0 and 1, so that columns that depend
on each other differ from others by many powers of ten."""
MIN_ALIAS = 0.1
"""The part of an interaction from which on it counts as mixed into what is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Which columns belong to which term."""

    columns: dict[Term, slice]
    left_out: tuple[Term, ...]
    """Those that the trials do not tell apart from the terms before them."""
    matrix_NP: NDArray[np.float64]
    num_levels: tuple[int, ...]
    """How many values each factor has."""

    @property
    def rank(self) -> int:
        """How many columns there are; none depends on others."""
        return int(self.matrix_NP.shape[1])

    def coded(self, term: Term, levels: Sequence[int]) -> NDArray[np.float64]:
        """Return the weights (P,) that give a term's deviation at a value of each of its factors.

        Args:
            term: one that is in the model.
            levels: the place of the value, one for each factor of the term.
        """
        weights_P = np.zeros(self.rank)
        row = np.ones(1)
        for factor, level in zip(term, levels, strict=True):
            row = np.outer(row, sum_coding(self.num_levels[factor])[level]).ravel()
        weights_P[self.columns[term]] = row
        return weights_P


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted model."""

    model: Model
    values_N: NDArray[np.float64]
    coefficients_P: NDArray[np.float64]
    inverse_PN: NDArray[np.float64]
    """The pseudo-inverse: a coefficient is this row times the values."""

    @property
    def residuals_N(self) -> NDArray[np.float64]:
        """The values less what the model gives."""
        return self.values_N - self.model.matrix_NP @ self.coefficients_P

    def estimate(self, weights_P: NDArray[np.float64]) -> float:
        """Return a combination of the coefficients."""
        return float(weights_P @ self.coefficients_P)

    def weights_of_trials(self, weights_P: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much each trial counts in a combination of the coefficients, (N,)."""
        trials_N: NDArray[np.float64] = weights_P @ self.inverse_PN
        return trials_N


def sum_coding(num_levels: int) -> NDArray[np.float64]:
    """Return the coding of each value (K, K - 1): unit rows, and minus one throughout for the last.

    The columns sum to zero, so that coefficients are deviations from the mean over the values.
    """
    return np.vstack([np.eye(num_levels - 1), -np.ones((1, num_levels - 1))])


def build_model(
    levels_NF: NDArray[np.int64],
    *,
    num_levels: Sequence[int],
    blocks_N: NDArray[np.int64] | None = None,
    with_interactions: bool = True,
) -> Model:
    """Return the model of main effects and two-way interactions that these trials can tell apart.

    The terms come in turn: blocks, main effects, interactions. One whose columns depend on those
    before it is left out whole, so that what is estimated is not a mixture that nobody named.

    Args:
        levels_NF: the place of each factor's value in each trial, 0 to its number of values.
        num_levels: how many values each factor has, 2 or more, all of them met.
        blocks_N: trials with the same number were made under like conditions; None: no blocks.
        with_interactions: False: main effects alone.
    """
    num_trials, num_factors = levels_NF.shape
    matrix_NP = np.ones((num_trials, 1))
    if blocks_N is not None and len(np.unique(blocks_N)) > 1:
        _, block_N = np.unique(blocks_N, return_inverse=True)
        matrix_NP = np.hstack([matrix_NP, sum_coding(int(block_N.max()) + 1)[block_N]])
    terms: list[Term] = [(factor,) for factor in range(num_factors)]
    terms += list(combinations(range(num_factors), 2)) if with_interactions else []
    coded = [
        sum_coding(num)[levels_N] for num, levels_N in zip(num_levels, levels_NF.T, strict=True)
    ]
    columns: dict[Term, slice] = {}
    left_out = []
    for term in terms:
        is_open = all((factor,) in columns for factor in term) if len(term) > 1 else True
        wider = np.hstack([matrix_NP, _products([coded[factor] for factor in term])])
        if is_open and matrix_rank(wider) == wider.shape[1]:
            columns[term] = slice(matrix_NP.shape[1], wider.shape[1])
            matrix_NP = wider
        else:
            left_out.append(term)
    return Model(
        columns=columns,
        left_out=tuple(left_out),
        matrix_NP=matrix_NP,
        num_levels=tuple(num_levels),
    )


def aliases(model: Model, levels_NF: NDArray[np.int64]) -> dict[Term, tuple[Term, ...]]:
    """Return for each term of a model the interactions of two factors that are mixed into it.

    They are those that the model lacks. A coefficient is then expected to be off by a part of
    theirs, which the alias matrix gives: the pseudo-inverse of the model's columns times those left
    out (Box and Wilson 1951). A part below `MIN_ALIAS` does not count.
    """
    num_levels, inverse_PN = model.num_levels, np.linalg.pinv(model.matrix_NP)
    coded = [
        sum_coding(num)[levels_N] for num, levels_N in zip(num_levels, levels_NF.T, strict=True)
    ]
    mixed: dict[Term, list[Term]] = {term: [] for term in model.columns}
    for pair in combinations(range(len(num_levels)), 2):
        if pair in model.columns:
            continue
        parts = np.abs(inverse_PN @ _products([coded[factor] for factor in pair]))
        for term, columns in model.columns.items():
            if parts[columns].max() >= MIN_ALIAS:
                mixed[term].append(pair)
    return {term: tuple(pairs) for term, pairs in mixed.items()}


def fit(model: Model, values_N: NDArray[np.float64]) -> Fit:
    """Fit a model by least squares."""
    inverse_PN = np.asarray(np.linalg.pinv(model.matrix_NP), dtype=np.float64)
    return Fit(
        model=model,
        values_N=values_N,
        coefficients_P=inverse_PN @ values_N,
        inverse_PN=inverse_PN,
    )


def matrix_rank(matrix: NDArray[np.float64]) -> int:
    """Return how many columns are independent."""
    return int(np.linalg.matrix_rank(matrix, rtol=RANK_TOLERANCE))


def _products(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the columns of a term: those of its factor, or all products of those of two."""
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
