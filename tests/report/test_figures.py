"""What the bars show, read back from their SVG."""

import xml.etree.ElementTree as ET

import pytest

from fieldmark.report.entries import ClassCount
from fieldmark.report.figures import class_counts


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def count(name: str, train: int, validation: int, test: int) -> ClassCount:
    return ClassCount(name=name, train=train, validation=validation, test=test)


def bars(svg: str, kind: str) -> list[tuple[float, float]]:
    """Return where the bars of a split begin and how long they are, without the legend's."""
    return [
        (float(rect.get("x", "")), float(rect.get("width", "")))
        for rect in ET.fromstring(svg).iter("rect")
        if rect.get("class") == kind and rect.find("title") is not None
    ]


def test_bars_are_as_long_as_the_counts_and_named() -> None:
    svg = class_counts([count("cat", 600, 100, 300), count("dog", 300, 100, 100)])
    assert {"cat", "dog", "1,000", "500", "train", "validation", "test"} <= set(texts(svg))
    (_, cat), (_, dog) = bars(svg, "train")
    assert cat == pytest.approx(2 * dog, abs=0.02)
    (_, cat_test), (_, dog_test) = bars(svg, "test")
    assert cat_test == pytest.approx(3 * dog_test, abs=0.02)


def test_bars_of_a_class_follow_each_other_and_stay_within_the_figure() -> None:
    svg = class_counts([count("cat", 6, 1, 3)])
    (((start, first),), ((then, second),), ((last, third),)) = (
        bars(svg, kind) for kind in ("train", "validation", "test")
    )
    assert then == pytest.approx(start + first, abs=0.02)
    assert last == pytest.approx(then + second, abs=0.02)
    assert last + third < float(ET.fromstring(svg).get("viewBox", "").split()[2]) - 40


def test_long_names_widen_the_figure_and_are_cut() -> None:
    short, long = (
        ET.fromstring(class_counts([count(name, 1, 1, 1)])).get("viewBox", "").split()[2]
        for name in ("cat", "x" * 80)
    )
    assert float(long) > float(short)
    assert "x" * 29 + "…" in texts(class_counts([count("x" * 80, 1, 1, 1)]))


def test_an_empty_split_has_no_bar() -> None:
    svg = class_counts([count("cat", 3, 0, 2)])
    assert bars(svg, "validation") == []


def test_a_class_without_photos_and_no_class_at_all_can_be_drawn() -> None:
    assert {"cat", "0"} <= set(texts(class_counts([count("cat", 0, 0, 0)])))
    assert "train" in texts(class_counts([]))


@pytest.mark.parametrize("name", ["$x_1$", "<b>x</b>", "a & b", "日本語", "50 %", '"quoted"'])
def test_any_name_stands_as_it_is(name: str) -> None:
    svg = class_counts([count(name, 1, 1, 1)])
    assert name in texts(svg)


def test_every_figure_is_named_for_those_who_cannot_see_it() -> None:
    root = ET.fromstring(class_counts([count("cat", 1, 1, 1)]))
    assert (root.get("role"), root.get("aria-label")) == ("img", "Photos per class and split")


def test_a_split_without_photos_is_not_in_the_legend() -> None:
    shown = texts(class_counts([count("cat", 3, 0, 2), count("dog", 1, 0, 4)]))
    assert {"train", "test"} <= set(shown)
    assert "validation" not in shown
