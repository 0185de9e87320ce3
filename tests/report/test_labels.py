"""Texts that fit into a picture."""

from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.labels import label_width, short_label


@given(st.text(max_size=60), st.integers(2, 30))
def test_a_short_label_fits_and_is_printable(name: str, width: int) -> None:
    label = short_label(name, width=width)
    assert label_width(label) <= width
    assert label.isprintable()


def test_a_name_that_fits_is_left_alone() -> None:
    assert short_label("motorbike", width=9) == "motorbike"
    assert short_label("motorbike", width=8) == "motorbi…"


def test_wide_letters_count_twice() -> None:
    assert label_width("日本a") == 5
    assert short_label("日本語", width=5) == "日本…"


def test_control_characters_are_replaced() -> None:
    assert short_label("a\x07\nb", width=9) == "a\ufffd\ufffdb"
