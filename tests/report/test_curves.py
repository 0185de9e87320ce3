"""What the charts of things tried out show, read back from their SVG."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from fieldmark.report.charts import Chart
from fieldmark.report.curves import CAPTIONS, range_chart, strength_charts
from fieldmark.report.entries import RangeTest, Strength


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def titles(charts: tuple[Chart, ...]) -> list[str]:
    return [chart.title for chart in charts]


def strength(l2: float, *, chosen: bool = False) -> Strength:
    return Strength(
        l2=l2, train_loss=0.1, train_accuracy=1.0, val_loss=0.2, val_accuracy=0.9, chosen=chosen
    )


def ranged(chosen: float | None = 1e-3) -> RangeTest:
    rates = tuple(10.0 ** (power / 4) for power in range(-24, 1))
    losses = tuple(2 - i / 20 if i < 20 else 3.0 for i in range(len(rates)))
    return RangeTest(rates=rates, losses=losses, smoothed=losses, chosen=chosen)


def test_each_chart_says_in_one_sentence_how_to_read_it() -> None:
    assert all(len(re.findall(r"[.!?](?:\s|$)", caption)) == 1 for caption in CAPTIONS.values())


def test_a_line_at_100_percent_stands_near_the_top() -> None:
    perfect = [replace(strength(l2, chosen=l2 == 0.1), val_accuracy=1.0) for l2 in (0.01, 0.1)]
    root = ET.fromstring(strength_charts(perfect)[0].svg)
    (place,) = [element for element in root.iter("text") if element.text == "100 %"]
    assert float(place.get("y", "inf")) < 60


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
