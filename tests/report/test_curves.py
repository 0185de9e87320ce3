"""What the charts of learning show, read back from their SVG."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from fieldmark.report.curves import (
    CAPTIONS,
    Chart,
    epoch_charts,
    range_chart,
    rate_text,
    strength_charts,
)
from fieldmark.report.entries import Epoch, RangeTest, Strength


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def titles(charts: tuple[Chart, ...]) -> list[str]:
    return [chart.title for chart in charts]


def epoch(number: int, *, val_loss: float = 0.5, val_accuracy: float = 0.8) -> Epoch:
    return Epoch(
        epoch=number,
        lr=1e-3,
        train_loss=1 / number,
        train_accuracy=0.7,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
    )


def full(number: int) -> Epoch:
    return replace(
        epoch(number),
        train_precision=0.7,
        train_recall=0.7,
        train_top_k=0.9,
        val_precision=0.8,
        val_recall=0.8,
        val_top_k=0.95,
        seconds=2.0,
        images_per_second=100.0,
        data_wait_s=0.1,
    )


def strength(l2: float, *, chosen: bool = False) -> Strength:
    return Strength(
        l2=l2, train_loss=0.1, train_accuracy=1.0, val_loss=0.2, val_accuracy=0.9, chosen=chosen
    )


def ranged(chosen: float | None = 1e-3) -> RangeTest:
    rates = tuple(10.0 ** (power / 4) for power in range(-24, 1))
    losses = tuple(2 - i / 20 if i < 20 else 3.0 for i in range(len(rates)))
    return RangeTest(rates=rates, losses=losses, smoothed=losses, chosen=chosen)


def test_loss_and_accuracy_come_first_and_everything_else_is_smaller() -> None:
    charts = epoch_charts([full(1), full(2), full(3)])
    assert titles(charts.first) == ["Loss over the epochs", "Accuracy over the epochs"]
    assert titles(charts.more) == [
        "Precision",
        "Recall",
        "Top-5 accuracy",
        "Learning rate",
        "Photos per second",
    ]
    widths = [
        {ET.fromstring(chart.svg).get("viewBox", "").split()[2] for chart in group}
        for group in (charts.first, charts.more)
    ]
    assert widths == [{"400"}, {"300"}]


def test_each_chart_says_in_one_sentence_how_to_read_it() -> None:
    assert all(len(re.findall(r"[.!?](?:\s|$)", caption)) == 1 for caption in CAPTIONS.values())


def test_shares_are_in_percent_and_losses_are_not() -> None:
    loss, accuracy = epoch_charts([epoch(1), epoch(2), epoch(3)]).first
    assert any(text.endswith(" %") for text in texts(accuracy.svg))
    assert not any(text.endswith(" %") for text in texts(loss.svg))
    assert "epoch" in texts(loss.svg)
    assert {"1", "2", "3"} <= set(texts(loss.svg))


def test_what_was_not_measured_has_no_chart() -> None:
    charts = epoch_charts([epoch(1), epoch(2)])
    assert titles(charts.more) == ["Learning rate"]


def test_without_validation_photos_there_is_one_line() -> None:
    nan = math.nan
    unmeasured = [epoch(i, val_loss=nan, val_accuracy=nan) for i in (1, 2)]
    loss = epoch_charts(unmeasured).first[0].svg
    assert "nan" not in loss
    assert 'class="line train"' in loss
    assert "validation" not in loss
    assert "training" in texts(loss)


def test_a_single_epoch_has_no_course_to_draw() -> None:
    charts = epoch_charts([full(1)])
    assert (charts.first, charts.more) == ((), ())


@pytest.mark.parametrize("num_epochs", [2, 200, 10_000])
def test_few_and_many_epochs_are_drawn(num_epochs: int) -> None:
    charts = epoch_charts([full(i + 1) for i in range(num_epochs)])
    assert len(charts.first) == 2
    assert sum(len(chart.svg) for chart in (*charts.first, *charts.more)) < 200_000


def test_the_kept_epoch_is_marked_in_the_charts_of_the_result() -> None:
    charts = epoch_charts([full(1), full(2), full(3)], kept_epoch=2)
    marked = [c.title for c in (*charts.first, *charts.more) if "kept" in texts(c.svg)]
    assert marked == [
        "Loss over the epochs",
        "Accuracy over the epochs",
        "Precision",
        "Recall",
        "Top-5 accuracy",
    ]
    unmarked = epoch_charts([full(1), full(2)], kept_epoch=7)
    assert "kept" not in texts(unmarked.first[0].svg)


def test_a_top_k_accuracy_of_100_percent_throughout_has_no_chart() -> None:
    sure = [replace(full(i), train_top_k=1.0, val_top_k=1.0) for i in (1, 2)]
    assert "Top-5 accuracy" not in titles(epoch_charts(sure).more)


def test_a_line_at_100_percent_stands_near_the_top() -> None:
    perfect = [replace(strength(l2, chosen=l2 == 0.1), val_accuracy=1.0) for l2 in (0.01, 0.1)]
    root = ET.fromstring(strength_charts(perfect)[0].svg)
    (place,) = [element for element in root.iter("text") if element.text == "100 %"]
    assert float(place.get("y", "inf")) < 60


def test_speed_and_learning_rate_are_drawn_from_zero() -> None:
    charts = epoch_charts([full(1), full(2)]).more[-2:]
    assert all("0" in texts(chart.svg) for chart in charts)


def test_the_chosen_strength_is_marked_in_both_charts() -> None:
    tried = [strength(1.0), strength(0.01, chosen=True), strength(0.0001)]
    charts = strength_charts(tried)
    assert titles(charts) == ["Accuracy by strength", "Loss by strength"]
    assert all(texts(chart.svg).count("chosen") == 1 for chart in charts)
    assert {"1", "0.01", "10⁻⁴"} <= set(texts(charts[0].svg))


def test_a_strength_of_zero_can_be_shown() -> None:
    accuracy = strength_charts([strength(0.0), strength(0.1, chosen=True)])[0]
    assert {"0", "0.1"} <= set(texts(accuracy.svg))


def test_the_range_test_has_powers_of_ten_and_the_chosen_rate() -> None:
    svg = range_chart(ranged()).svg
    assert {"10⁻⁶", "10⁻³", "10⁰", "chosen", "smoothed", "learning rate"} <= set(texts(svg))
    assert "chosen: learning rate 0.001" in svg
    assert "chosen" not in texts(range_chart(ranged(None)).svg)


def test_a_range_test_that_blew_up_still_shows_where_the_loss_fell() -> None:
    test = ranged()
    wild = replace(test, losses=(*test.losses[:-2], 1e30, math.inf))
    assert range_chart(wild).svg.count("<text") == range_chart(test).svg.count("<text")
    assert "e+" not in range_chart(wild).svg


def test_a_range_test_without_a_single_finite_loss_can_be_drawn() -> None:
    none = replace(ranged(), losses=(math.nan,) * 25, smoothed=(math.nan,) * 25)
    assert "nan" not in range_chart(none).svg


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0012, "0.0012"), (0.001, "0.001"), (3e-5, "3·10⁻⁵"), (0.0, "0")]
)
def test_learning_rates_are_written_plainly_down_to_a_thousandth(rate: float, text: str) -> None:
    assert rate_text(rate) == text
