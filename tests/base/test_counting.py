"""Numbers of things in words."""

import pytest

from fieldmark.base.counting import counted, listed, rounded


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


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (65_536, "65,536"),
        (999_999, "999,999"),
        (1_000_000, "1.0 million"),
        (277_312_345, "277.3 million"),
        (999_949_999, "999.9 million"),
        (999_950_000, "1.00 billion"),
        (7_801_405_440, "7.80 billion"),
        (1_234_500_000_000, "1,234.50 billion"),
    ],
)
def test_a_large_number_is_told_in_millions_or_billions(number: int, text: str) -> None:
    assert rounded(number) == text
