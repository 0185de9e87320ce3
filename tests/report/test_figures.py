"""What the figures show, read back from their SVG."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from fieldmark.report.entries import ClassCount, Epoch, Strength
from fieldmark.report.figures import (
    class_counts,
    epoch_charts,
    strength_charts,
    strength_label,
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def epoch(number: int, *, val_loss: float = 0.5, val_accuracy: float = 0.8) -> Epoch:
    return Epoch(
        epoch=number,
        lr=1e-3,
        train_loss=1 / number,
        train_accuracy=0.7,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
    )


def strength(l2: float, *, chosen: bool = False) -> Strength:
    return Strength(
        l2=l2, train_loss=0.1, train_accuracy=1.0, val_loss=0.2, val_accuracy=0.9, chosen=chosen
    )


def count(name: str, train: int, validation: int, test: int) -> ClassCount:
    return ClassCount(name=name, train=train, validation=validation, test=test)


def bar_lengths(svg: str, variable: str) -> list[float]:
    lengths = []
    for path in ET.fromstring(svg).iter("path"):
        if path.get("clip-path") and variable in path.get("style", ""):
            xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", path.get("d", ""))]
            lengths.append(max(xs) - min(xs))
    return lengths


def test_bars_are_as_long_as_the_counts_and_named() -> None:
    svg = class_counts([count("cat", 600, 100, 300), count("dog", 300, 100, 100)])
    assert {"cat", "dog", "1,000", "500", "train", "validation", "test"} <= set(texts(svg))
    cat, dog = bar_lengths(svg, "--train")
    assert cat == pytest.approx(2 * dog, rel=1e-3)
    cat_test, dog_test = bar_lengths(svg, "--test")
    assert cat_test == pytest.approx(3 * dog_test, rel=1e-3)


def test_long_names_widen_the_figure_and_are_cut() -> None:
    short, long = (
        ET.fromstring(class_counts([count(name, 1, 1, 1)])).get("viewBox", "").split()[2]
        for name in ("cat", "x" * 80)
    )
    assert float(long) > float(short)
    assert "x" * 29 + "…" in texts(class_counts([count("x" * 80, 1, 1, 1)]))


def test_an_empty_split_draws_without_a_bar() -> None:
    svg = class_counts([count("cat", 3, 0, 2)])
    assert bar_lengths(svg, "--validation") in ([], [0.0])


def test_training_over_epochs_gives_loss_accuracy_and_learning_rate() -> None:
    charts = epoch_charts([epoch(1), epoch(2), epoch(3)])
    titles = [chart.title for chart in charts]
    assert titles == ["Loss over the epochs", "Accuracy over the epochs", "Learning rate"]
    assert any(text.endswith(" %") for text in texts(charts[1].svg))
    assert not any(text.endswith(" %") for text in texts(charts[0].svg))
    assert all("epoch" in texts(chart.svg) for chart in charts)
    assert all(chart.caption for chart in charts)


@pytest.mark.parametrize("num_epochs", [1, 2, 200])
def test_few_and_many_epochs_are_drawn(num_epochs: int) -> None:
    loss = epoch_charts([epoch(i + 1) for i in range(num_epochs)])[0].svg
    assert "var(--train)" in loss
    assert loss.count("<use") < 100


def test_missing_validation_is_drawn_as_a_gap() -> None:
    unmeasured = [epoch(i, val_loss=math.nan, val_accuracy=math.nan) for i in (1, 2)]
    loss = epoch_charts(unmeasured)[0].svg
    assert "nan" not in loss.lower()


def test_a_line_at_100_percent_stands_near_the_top() -> None:
    perfect = [replace(strength(l2, chosen=l2 == 0.1), val_accuracy=1.0) for l2 in (0.01, 0.1)]
    root = ET.fromstring(strength_charts(perfect)[0].svg)
    (place,) = [element for element in root.iter("text") if element.text == "100 %"]
    assert float(place.get("y", "inf")) < 60


def test_the_chosen_strength_is_marked_in_both_charts() -> None:
    tried = [strength(1.0), strength(0.01, chosen=True), strength(0.0001)]
    charts = strength_charts(tried)
    assert [chart.title for chart in charts] == ["Accuracy by strength", "Loss by strength"]
    assert all(texts(chart.svg).count("chosen") == 1 for chart in charts)
    assert {"1", "0.01", "10⁻⁴"} <= set(texts(charts[0].svg))


def test_a_strength_of_zero_can_be_shown() -> None:
    accuracy = strength_charts([strength(0.0), strength(0.1, chosen=True)])[0]
    assert {"0", "0.1"} <= set(texts(accuracy.svg))


@pytest.mark.parametrize(
    ("l2", "text"),
    [(0.0, "0"), (0.01, "0.01"), (0.3, "0.3"), (1e-5, "10⁻⁵"), (3e-4, "3·10⁻⁴"), (1e3, "10³")],
)
def test_strengths_are_written_short(l2: float, text: str) -> None:
    assert strength_label(l2) == text
