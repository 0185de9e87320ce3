"""What is varied, as it is written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import RecipeError
from fieldmark.studies.space import Factor, Range, parse_range, parse_vary, text_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("optim.lr=1e-4,3e-4", (1e-4, 3e-4)),
        ("optim.name=adam, sgd", ("adam", "sgd")),
        ("augment.crop_scale=[0.5,1.0],[0.8,1.0]", ((0.5, 1.0), (0.8, 1.0))),
        ("train.ema=none,0.99", ("none", 0.99)),
        ("train.watch_test=true,false", (True, False)),
        ('model.backbone="a,b",c', ("a,b", "c")),
        ("train.epochs=5,10,20", (5, 10, 20)),
    ],
)
def test_values_are_read_as_toml_and_as_text_where_they_are_none(
    text: str, values: tuple[Any, ...]
) -> None:
    key = text.partition("=")[0]
    assert parse_vary(text) == Factor(key=key, values=values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("optim.lr", "not of the form"),
        ("lr=1,2", "not of the form"),
        ("optim.lr=", "not of the form"),
        ("optim.lr=1e-4", "has one value"),
        ("optim.lr=1e-4,1e-3,0.0001", "names 0.0001 twice"),
        ("optim.lr=1e-5..1e-2", "--search N explores"),
    ],
)
def test_what_cannot_be_varied_is_refused_with_what_to_write(text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_vary(text)


def test_a_range_says_how_it_is_drawn_from() -> None:
    assert parse_range("optim.lr=1e-5..1e-2:log") == Range(
        key="optim.lr", low=1e-5, high=1e-2, is_log=True, is_whole=False
    )
    assert parse_range("train.epochs=5..20") == Range(
        key="train.epochs", low=5, high=20, is_log=False, is_whole=True
    )
    assert parse_range("optim.name=adam,sgd") == Factor(key="optim.name", values=("adam", "sgd"))


@pytest.mark.parametrize(
    "text",
    [
        "a.b=1..1",
        "a.b=2..1",
        "a.b=0..1:log",
        "a.b=x..y",
        "a.b=1..2:linear",
        "a.b=1..",
        "a.b=1..inf",
    ],
)
def test_ranges_without_sense_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"a\.b"):
        parse_range(text)


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True).filter(lambda t: t not in ("true", "false")),
)


@given(st.lists(VALUES, min_size=2, max_size=4, unique_by=text_of))
def test_what_is_written_of_a_value_is_read_as_that_value(values: list[Any]) -> None:
    if len(set(values)) < len(values):  # 1 and 1.0 and true are the same to Python
        return
    factor = parse_vary(f"a.b={','.join(map(text_of, values))}")
    assert factor.values == tuple(values)
    assert Factor.from_json(json.loads(json.dumps(factor.to_json()))) == factor
