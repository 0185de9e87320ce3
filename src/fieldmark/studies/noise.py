"""How far trials of one setting lie apart by chance, and what that makes of a contrast.

In: the outcome of each trial, its setting, and the fitted model. Out: `Noise`, and the standard
error of any weighted sum of trials with its degrees of freedom.
Not covered: the choice of validation photos. Trials share them, so that chance is the same for all.

Shapes: N trials, S settings.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.studies.least_squares import Fit, matrix_rank, sum_coding
from fieldmark.studies.quantiles import f_tail

Source = Literal["replicates", "residual", "none"]
"""replicates: trials of the same setting, the pooled pure error. residual: what the model leaves
over, where each setting was tried once. none: nothing is left over."""

UNEVEN_P = 0.01
"""Below it the spread differs between settings by more than chance. Then each setting counts with
its own. Small, since with even spread pooling them all gives the shorter intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The chance in a single trial."""

    source: Source
    sd: float
    """Standard deviation of single trials around their setting; 0 where the source is none."""
    df: float
    """Degrees of freedom behind it: how many differences it was learned from."""
    is_uneven: bool
    """Whether settings differ in it (then `sd` is that of an average setting)."""
    floor: float
    """The least that `sd` is taken for: accuracies come in steps of a photo."""
    variance_S: NDArray[np.float64]
    """Of each setting; where spread is even the same for all."""
    df_S: NDArray[np.float64]
    setting_N: NDArray[np.int64]
    """The setting of each trial."""

    def of(self, weights_N: NDArray[np.float64]) -> tuple[float, float]:
        """Return standard error and degrees of freedom of a weighted sum of trials.

        With uneven spread the degrees of freedom are those of F. E. Satterthwaite, "An approximate
        distribution of estimates of variance components", Biometrics Bulletin 2 (1946), 110-114.
        """
        if not self.is_uneven:
            return self.sd * float(np.linalg.norm(weights_N)), self.df
        squares_S = np.bincount(self.setting_N, weights_N**2, minlength=len(self.variance_S))
        parts_S = squares_S * self.variance_S
        total = float(parts_S.sum())
        spread = float((parts_S**2 / self.df_S).sum())
        return math.sqrt(total), total**2 / spread if spread > 0 else self.df

    def p_value(self, weights_QN: NDArray[np.float64], values_Q: NDArray[np.float64]) -> float:
        """Return the chance of Q weighted sums as far from zero together, by an F test.

        With uneven spread the fewest degrees of freedom of any of them are taken.
        """
        variance_N = self.variance_S[self.setting_N]
        covariance_QQ = (weights_QN * variance_N) @ weights_QN.T
        if not np.any(covariance_QQ):
            return float(not np.any(values_Q))
        square = float(values_Q @ np.linalg.solve(covariance_QQ, values_Q))
        df_noise = min(self.of(weights_N)[1] for weights_N in weights_QN)
        return f_tail(square / len(values_Q), df=len(values_Q), df_noise=df_noise)


def noise_of(
    fit: Fit,
    *,
    setting_N: NDArray[np.int64],
    levels_NF: NDArray[np.int64],
    blocks_N: NDArray[np.int64] | None = None,
    step: float = 0.0,
) -> Noise:
    """Return the noise of trials.

    Args:
        fit: the model, for the residual where no setting was tried twice.
        setting_N: which setting each trial has, 0 to S - 1.
        levels_NF: the values by which settings may differ in their spread.
        blocks_N: as for the model; spread is then taken to be even.
        step: what the outcome is counted in, such as 1 over the number of photos; rounding to it
            alone makes a variance of step² / 12.
    """
    floor = step / math.sqrt(12)
    pure_N, df = _pure_error(fit.values_N, setting_N, blocks_N)
    source: Source = "replicates"
    if df < 1:
        df = len(setting_N) - fit.model.rank
        source, pure_N = "residual" if df >= 1 else "none", fit.residuals_N
    variance = max(float(pure_N @ pure_N) / df, floor**2) if df >= 1 else 0.0
    num_S = np.bincount(setting_N)
    variance_S, df_S = np.full(len(num_S), variance), np.full(len(num_S), float(max(df, 1)))
    is_uneven = False
    if source == "replicates" and blocks_N is None:
        squares_S = np.asarray(np.bincount(setting_N, pure_N**2), dtype=np.float64)
        is_uneven = _differ(squares_S, num_S - 1, _groups(setting_N, levels_NF), floor=floor)
        if is_uneven:
            known_S = num_S > 1
            own_S = squares_S[known_S] / (num_S[known_S] - 1)
            variance_S[known_S] = np.maximum(own_S, floor**2)
            df_S[known_S] = num_S[known_S] - 1
    return Noise(
        source=source,
        sd=math.sqrt(variance),
        df=float(max(df, 0)),
        is_uneven=is_uneven,
        floor=floor,
        variance_S=variance_S,
        df_S=df_S,
        setting_N=setting_N,
    )


def _pure_error(
    values_N: NDArray[np.float64],
    setting_N: NDArray[np.int64],
    blocks_N: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], int]:
    """Return how far each trial lies from its setting (and block), and the degrees of freedom."""
    cells = np.eye(int(setting_N.max()) + 1)[setting_N]
    if blocks_N is not None and len(np.unique(blocks_N)) > 1:
        _, block_N = np.unique(blocks_N, return_inverse=True)
        cells = np.hstack([cells, sum_coding(int(block_N.max()) + 1)[block_N]])
    away_N: NDArray[np.float64] = values_N - cells @ (np.linalg.pinv(cells) @ values_N)
    return away_N, len(values_N) - matrix_rank(cells)


def _groups(
    setting_N: NDArray[np.int64], levels_NF: NDArray[np.int64]
) -> Iterable[NDArray[np.bool_]]:
    """Yield the groups of settings (S,) whose spread may stand out: one alone, or those of a value.

    Where there are two settings in all, one is enough.
    """
    _, first_S = np.unique(setting_N, return_index=True)
    levels_SF = levels_NF[first_S]
    num = len(first_S)
    yield from np.eye(num, dtype=np.bool_)[: num if num > 2 else 1]
    for levels_S in levels_SF.T:
        for level in np.unique(levels_S):
            members_S = levels_S == level
            if 1 < members_S.sum() < num:
                yield members_S


def _differ(
    squares_S: NDArray[np.float64],
    df_S: NDArray[np.int64],
    groups: Iterable[NDArray[np.bool_]],
    *,
    floor: float,
) -> bool:
    """Tell whether the spread of any group of settings differs from that of all others.

    By the ratio of their variances, each with the rest, at `UNEVEN_P` in all (Bonferroni); with
    single settings it is Cochran's test (W. G. Cochran, Annals of Eugenics 11 (1941), 47-52).
    """
    p_values = []
    for members_S in groups:
        df, df_rest = int(df_S[members_S].sum()), int(df_S[~members_S].sum())
        if not (df and df_rest):
            continue
        inner = max(float(squares_S[members_S].sum()) / df, floor**2)
        outer = max(float(squares_S[~members_S].sum()) / df_rest, floor**2)
        if max(inner, outer) == 0:
            continue
        pairs = ((inner, df, outer, df_rest), (outer, df_rest, inner, df))
        p_values.append(2 * min(_tail(*pair) for pair in pairs))
    return bool(p_values) and min(p_values) * len(p_values) < UNEVEN_P


def _tail(upper: float, df: int, lower: float, df_lower: int) -> float:
    return f_tail(upper / lower if lower > 0 else math.inf, df=df, df_noise=df_lower)
