"""Designs: which settings of some factors are tried.

In: factors, and at most how many settings. Out: settings, one value a factor.
All combinations, or a part of them chosen so that main effects and, where they can be had,
two-way interactions are estimated as well as possible: a D-optimal design, found by exchanging
coordinates (Meyer and Nachtsheim 1995), with interactions as potential terms (DuMouchel and
Jones 1994), so that no number of runs is too small to make the best of.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.studies.space import Factor

MAX_SETTINGS = 100_000
"""A full factorial with more is surely a slip."""
NUM_STARTS = 10
"""Random beginnings, the best of which is kept: the exchange finds local optima."""
MAX_PASSES = 50
"""Over all rows; a handful suffices."""
POTENTIAL_SPREAD = 1.0
"""How large an interaction may be, in units of the noise, for the design to make room for it:
DuMouchel and Jones' tau of 1."""
CERTAINLY_SPREAD = 1e3
"""The same of the mean and the main effects: as good as without bounds."""

# Legend for shape suffixes: N settings, F factors, P terms of the model.


def num_possible(factors: Sequence[Factor]) -> int:
    """Return how many combinations of values there are."""
    return math.prod(len(factor.values) for factor in factors)


def full_factorial(factors: Sequence[Factor]) -> list[dict[str, Any]]:
    """Return every combination, the last factor changing fastest.

    Raises:
        RecipeError: there are more than `MAX_SETTINGS`.
    """
    _require_few(num_possible(factors))
    keys = [factor.key for factor in factors]
    combined = product(*(factor.values for factor in factors))
    return [dict(zip(keys, values, strict=True)) for values in combined]


def fraction(factors: Sequence[Factor], *, num_runs: int, seed: int) -> list[dict[str, Any]]:
    """Return at most `num_runs` different combinations, D-optimal, in the order of the full design.

    Args:
        factors: what is varied, at least one.
        num_runs: as many as main effects have, and one, at least: below, values could not be told
            apart.
        seed: of the random beginnings; the same gives the same design.

    Raises:
        RecipeError: there are too few runs for the main effects, or far too many.
    """
    num_main = 1 + sum(len(factor.values) - 1 for factor in factors)
    if num_runs < num_main:
        raise RecipeError(
            f"--runs {num_runs} is too few to tell these values apart: {num_main} settings are the "
            f"least for {len(factors)} fields with {_listed(factors)} values. Give --runs "
            f"{num_main} or more, or vary less."
        )
    if num_runs >= num_possible(factors):
        return full_factorial(factors)
    _require_few(num_runs)
    rng = np.random.default_rng(seed)
    designs = (_exchanged(factors, num_runs=num_runs, rng=rng) for _ in range(NUM_STARTS))
    levels_NF, _ = max(designs, key=lambda found: found[1])
    rows = sorted(map(tuple, levels_NF.tolist()))
    return [
        {factor.key: factor.values[level] for factor, level in zip(factors, row, strict=True)}
        for row in rows
    ]


def model_matrix(factors: Sequence[Factor], levels_NF: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the terms of each setting: the mean, main effects, then two-way interactions.

    Main effects are orthonormal over a factor's values (their squares average 1), so that the
    spreads above mean the same for factors of any number of values; determinants of whole designs
    do not depend on the choice.
    """
    num_settings = len(levels_NF)
    mains = [
        _contrasts(len(factor.values))[levels_NF[:, place]] for place, factor in enumerate(factors)
    ]
    pairs = [
        (one[:, :, None] * other[:, None, :]).reshape(num_settings, -1)
        for one, other in combinations(mains, 2)
    ]
    return np.concatenate([np.ones((num_settings, 1)), *mains, *pairs], axis=1)


def log_determinant(factors: Sequence[Factor], levels_NF: NDArray[np.int64]) -> float:
    """Return the logarithm of the determinant of the information, priors included."""
    terms_NP = model_matrix(factors, levels_NF)
    information_PP = terms_NP.T @ terms_NP + np.diag(_prior_precision(factors))
    return float(np.linalg.slogdet(information_PP)[1])


def _exchanged(
    factors: Sequence[Factor], *, num_runs: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], float]:
    """Return a design that no change of one coordinate betters, and its log determinant."""
    levels_NF = _random_design(factors, num_runs=num_runs, rng=rng)
    precision_P = _prior_precision(factors)
    met = {tuple(row) for row in levels_NF.tolist()}
    for _ in range(MAX_PASSES):
        changed = [
            _better_row(factors, levels_NF, row, met, precision_P) for row in range(num_runs)
        ]
        if not any(changed):
            break
    return levels_NF, log_determinant(factors, levels_NF)


def _better_row(
    factors: Sequence[Factor],
    levels_NF: NDArray[np.int64],
    row: int,
    met: set[tuple[int, ...]],
    precision_P: NDArray[np.float64],
) -> bool:
    """Change the coordinates of one row, in place, as long as each change helps.

    With the other rows fixed, the determinant grows with x' M^-1 x of the row's terms x, M being
    the information of the others (the matrix determinant lemma).
    """
    others_NP = model_matrix(factors, np.delete(levels_NF, row, axis=0))
    inverse_PP = np.linalg.inv(others_NP.T @ others_NP + np.diag(precision_P))
    changed = False
    for place, factor in enumerate(factors):
        current = tuple(levels_NF[row].tolist())
        tried = [
            (*current[:place], level, *current[place + 1 :]) for level in range(len(factor.values))
        ]
        allowed = [one for one in tried if one == current or one not in met]
        terms_KP = model_matrix(factors, np.array(allowed))
        gains_K = np.einsum("kp,pq,kq->k", terms_KP, inverse_PP, terms_KP)
        best = allowed[int(gains_K.argmax())]
        if best != current and gains_K.max() > gains_K[allowed.index(current)] * (1 + 1e-9):
            met.remove(current)
            met.add(best)
            levels_NF[row] = best
            changed = True
    return changed


def _random_design(
    factors: Sequence[Factor], *, num_runs: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return different settings, each factor's values about equally often."""
    counts = [len(factor.values) for factor in factors]
    rows = dict.fromkeys(islice(_drawn(counts, rng), num_runs))
    while len(rows) < num_runs:
        rows |= dict.fromkeys(islice(_drawn(counts, rng), num_runs - len(rows)))
    return np.array(list(rows), dtype=np.int64)


def _drawn(counts: Sequence[int], rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    while True:
        yield tuple(int(rng.integers(count)) for count in counts)


def _contrasts(num_values: int) -> NDArray[np.float64]:
    """Return orthonormal contrasts, (values, values - 1), whose squares average 1."""
    identity = np.eye(num_values)[:, : num_values - 1]
    centred = np.concatenate([np.ones((num_values, 1)), identity], axis=1)
    orthonormal: NDArray[np.float64] = np.linalg.qr(centred)[0][:, 1:]
    return orthonormal * math.sqrt(num_values)


def _prior_precision(factors: Sequence[Factor]) -> NDArray[np.float64]:
    num_main = 1 + sum(len(factor.values) - 1 for factor in factors)
    num_pairs = sum(
        (len(one.values) - 1) * (len(other.values) - 1) for one, other in combinations(factors, 2)
    )
    return np.concatenate(
        [np.full(num_main, CERTAINLY_SPREAD**-2), np.full(num_pairs, POTENTIAL_SPREAD**-2)]
    )


def _require_few(num_settings: int) -> None:
    if num_settings > MAX_SETTINGS:
        raise RecipeError(
            f"These values have {num_settings:,} combinations. Give --runs N to try a part of "
            "them, --search N to look for the best alone, or fewer values."
        )


def _listed(factors: Sequence[Factor]) -> str:
    return ", ".join(str(len(factor.values)) for factor in factors)
