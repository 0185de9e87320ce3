"""What the charts over the epochs show, read back from their SVG."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from fieldmark.report.charts import Chart
from fieldmark.report.entries import Epoch
from fieldmark.report.epoch_curves import CAPTIONS, epoch_charts


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


def test_test_photos_have_their_line_where_they_were_scored() -> None:
    nan = math.nan
    alone = [replace(epoch(i, val_loss=nan), test_loss=0.4 / i) for i in (1, 2)]
    both = [replace(one, val_loss=0.5) for one in alone]
    (svg, other) = (epoch_charts(epochs).first[0].svg for epochs in (alone, both))
    assert "test" in texts(svg)
    assert 'class="line validation"' not in svg
    assert {"training", "validation", "test"} <= set(texts(other))
    assert [svg.count('class="line test"'), other.count('class="line validation"')] == [2, 2]


def test_scores_at_a_threshold_have_charts_of_their_own() -> None:
    scored = [
        replace(full(i), train_thresholded_precision=0.9, test_thresholded_recall=0.6)
        for i in (1, 2)
    ]
    assert titles(epoch_charts(scored).more)[3:5] == ["Precision above 50 %", "Recall above 50 %"]


def test_a_legend_of_three_lines_and_a_mark_fits_into_a_small_chart() -> None:
    scored = [replace(full(i), test_precision=0.6) for i in (1, 2)]
    root = ET.fromstring(epoch_charts(scored, kept_epoch=2).more[0].svg)
    (kept,) = [element for element in root.iter("text") if element.text == "kept"]
    assert float(kept.get("x", "inf")) + 4 * 7 <= 300
    (first,) = [element for element in root.iter("text") if element.text == "training"]
    assert float(first.get("x", "-1")) > 0


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


def test_speed_and_learning_rate_are_drawn_from_zero() -> None:
    charts = epoch_charts([full(1), full(2)]).more[-2:]
    assert all("0" in texts(chart.svg) for chart in charts)


def test_a_loss_that_leaps_is_drawn_on_a_logarithmic_axis() -> None:
    losses = [2.0, 1.0, 1000.0, 0.9, 0.8, 0.7]
    rows = [epoch(place, val_loss=loss) for place, loss in enumerate(losses, 1)]
    loss = epoch_charts(rows).first[0]
    assert {"1", "10", "100", "1,000"} <= set(texts(loss.svg))
    assert "1,000" in loss.svg
    calm = epoch_charts([replace(row, val_loss=1.0) for row in rows]).first[0]
    assert "1,000" not in calm.svg


def test_a_loss_that_is_not_a_number_leaves_a_gap_on_that_axis_too() -> None:
    losses = [2.0, math.nan, 1000.0, 0.9, 0.8, 0.7]
    rows = [epoch(place, val_loss=loss) for place, loss in enumerate(losses, 1)]
    ET.fromstring(epoch_charts(rows).first[0].svg)
