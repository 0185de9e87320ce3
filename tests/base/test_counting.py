"""Numbers of things in words."""

import pytest

from fieldmark.base.counting import counted, listed


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 photos"), (1, "1 photo"), (2, "2 photos"), (1234, "1,234 photos")]
)
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "photo") == text


def test_a_plural_that_is_irregular_is_given() -> None:
    assert counted(1, "was", "were") == "1 was"
    assert counted(1200, "class", "classes") == "1,200 classes"


def test_of_many_names_the_first_are_told_and_how_many_more() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(1205)], most=2) == "0, 1 and 1,203 more"
    assert listed([]) == ""
