"""Matplotlib's SVG, made fit to live inside the page."""

import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.svg import (
    Ink,
    blank_figure,
    inline_svg,
    label_width,
    page_style,
    short_label,
)


def draw(name: str, *, label: str = "label 0", title: str = "A line") -> str:
    with page_style():
        figure = blank_figure(width_px=300, height_px=100)
        axes = figure.add_subplot()
        axes.plot([0, 1, 2], [2, 1, 3], color=Ink.TRAIN, marker="o")
        axes.set_xlabel("label 0")
        return inline_svg(figure, name=name, title=title, labels={"label 0": label})


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert draw("one") == draw("one")


def test_two_figures_share_no_ids() -> None:
    ids = [{e.get("id") for e in ET.fromstring(draw(n)).iter()} - {None} for n in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_reference_inside_a_figure_has_its_target() -> None:
    root = ET.fromstring(draw("one"))
    ids = {element.get("id") for element in root.iter()}
    uses = [element.get("href", "") for element in root.iter("use")]
    assert uses
    assert {use.removeprefix("#") for use in uses} <= ids


def test_colours_become_variables_of_the_page_and_fonts_are_inherited() -> None:
    text = draw("one")
    assert "var(--train)" in text
    assert Ink.TRAIN not in text
    assert "font-family" not in text


def test_nothing_reaches_outside_the_figure() -> None:
    text = draw("one")
    assert "<style" not in text
    assert "xmlns" not in text
    assert "http" not in text


def test_one_unit_is_one_pixel() -> None:
    root = ET.fromstring(draw("one"))
    assert root.get("viewBox") == "0 0 300 100"
    assert root.get("width") is None


@pytest.mark.parametrize("label", ["$x_1$", "<script>alert(1)</script>", "a & b", "日本語", "50 %"])
def test_any_name_stands_as_it_is_without_mathematics_or_markup(label: str) -> None:
    root = ET.fromstring(draw("one", label=label, title=label))
    assert label in [element.text for element in root.iter("text")]
    assert root.get("aria-label") == label


def test_the_settings_of_the_user_do_not_show() -> None:
    plain = draw("one")
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.grid": True}):
        assert draw("one") == plain


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
