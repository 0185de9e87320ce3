"""Quantiles of Student's t and tails of F, from the incomplete beta function alone.

In: statistics and degrees of freedom, which need not be whole. Out: quantiles and p-values.
A study is read where nothing but NumPy is loaded, so these few lines stand in for SciPy, which the
tests hold them against.
"""

import math
from functools import lru_cache

SHARE_95 = 0.95
PRECISION = 1e-13
"""Relative: where the bisection stops."""
MIN_PAIRS, PAIRS_A_ROOT = 24, 4.0
"""Pairs of terms of the continued fraction: so many, and more with the root of its larger
parameter, by which it converges; with these it agrees with SciPy to 1e-10."""


@lru_cache(maxsize=1024)
def t_quantile(df: float, *, share: float = SHARE_95) -> float:
    """Return the t that holds a share of Student's distribution between its minus and itself.

    Args:
        df: degrees of freedom, over 0.
        share: over 0 and below 1; 0.95 for a two-sided interval of 95 %.

    Raises:
        ValueError: unless both are in range.
    """
    if not (df > 0 and 0 < share < 1):
        raise ValueError(f"df must be over 0 and share within 0 and 1, met {df} and {share}")
    low, high = 0.0, 1.0
    while t_tails(high, df=df) > 1 - share:
        low, high = high, 2 * high
    while high - low > PRECISION * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if t_tails(middle, df=df) > 1 - share:
            low = middle
        else:
            high = middle
    return high


def t_tails(t: float, *, df: float) -> float:
    """Return the chance of a t at least as far from zero, 0 to 1.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.1 and 26.5.27.
    """
    square = t * t
    if square < df:  # near zero the other form would lose digits
        return 1 - beta_share(square / (df + square), 0.5, df / 2)
    return beta_share(df / (df + square), df / 2, 0.5)


def f_tail(value: float, *, df: float, df_noise: float) -> float:
    """Return the chance of an F at least as large, 0 to 1.

    Source: Abramowitz and Stegun (1964), 26.6.2.

    Args:
        value: the ratio of two variances, 0 or more; infinity gives 0.
        df: degrees of freedom of the upper one, over 0.
        df_noise: of the lower one, over 0.
    """
    if math.isinf(value):
        return 0.0
    upper = df * value
    if upper < df_noise:  # near zero the other form would lose digits
        return 1 - beta_share(upper / (df_noise + upper), df / 2, df_noise / 2)
    return beta_share(df_noise / (df_noise + upper), df_noise / 2, df / 2)


def beta_share(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), 0 to 1.

    Source: the continued fraction 8.17.22 of the NIST "Digital Library of Mathematical Functions".

    Args:
        x: 0 to 1.
        a: over 0.
        b: over 0.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # beyond it the fraction converges slowly
        return 1 - beta_share(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) - math.log(a) - _log_beta(a, b)
    return min(1.0, math.exp(log_front) / _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """Return 1 + d1 / (1 + d2 / (1 + ...)), evaluated from the back."""
    value = 1.0
    for m in range(MIN_PAIRS + math.ceil(PAIRS_A_ROOT * math.sqrt(max(a, b))), -1, -1):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        n = m + 1
        even = n * (b - n) * x / ((a + 2 * n - 1) * (a + 2 * n))
        value = 1 + odd / (1 + even / value)
    return value


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
