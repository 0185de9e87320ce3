"""Quantiles and tails without SciPy, held against SciPy's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from fieldmark.studies.quantiles import beta_share, f_tail, t_quantile, t_tails

DF = st.floats(min_value=0.3, max_value=5_000)


@given(DF, st.floats(min_value=0.01, max_value=0.999))
def test_the_quantile_of_t_is_scipys(df: float, share: float) -> None:
    expected = stats.t.ppf((1 + share) / 2, df)
    assert t_quantile(df, share=share) == pytest.approx(expected, rel=1e-8)


@given(DF, st.floats(min_value=-50, max_value=50))
def test_the_tails_of_t_are_scipys(df: float, t: float) -> None:
    assert t_tails(t, df=df) == pytest.approx(2 * stats.t.sf(abs(t), df), abs=1e-9)


@given(DF, DF, st.floats(min_value=0, max_value=1e4))
def test_the_tail_of_f_is_scipys(df: float, df_noise: float, value: float) -> None:
    expected = stats.f.sf(value, df, df_noise)
    assert f_tail(value, df=df, df_noise=df_noise) == pytest.approx(expected, abs=1e-9)


@given(st.floats(min_value=0, max_value=1), DF, DF)
def test_the_share_of_beta_is_scipys(x: float, a: float, b: float) -> None:
    assert beta_share(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-9)


def test_an_infinite_ratio_has_no_tail() -> None:
    assert f_tail(math.inf, df=2, df_noise=3) == 0.0


@pytest.mark.parametrize(("df", "share"), [(0, 0.95), (-1, 0.95), (3, 0.0), (3, 1.0)])
def test_a_quantile_that_does_not_exist_is_refused(df: float, share: float) -> None:
    with pytest.raises(ValueError, match="df must be over 0"):
        t_quantile(df, share=share)
