"""What is said and drawn of the learning curve."""

import re
from collections.abc import Sequence

import pytest

from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.learning_curve_document import (
    Backtest,
    Curve,
    Forecast,
    LearningCurve,
    Point,
)
from fieldmark.evaluation.power_law import PowerLaw
from fieldmark.report.more_photos import MorePhotos, more_photos_content


def around(value: float, *, by: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - by, high=value + by)


def curve(gain: Estimate, *, accuracies: Sequence[float] = (0.8, 0.85, 0.88, 0.9)) -> Curve:
    sizes = [100 * 2**place for place in range(len(accuracies))]
    return Curve(
        num_test=50,
        points=tuple(
            Point(num_photos=size, num_repeats=1, accuracy=around(share))
            for size, share in zip(sizes, accuracies, strict=True)
        ),
        law=PowerLaw(floor=0.02, scale=0.9, power=0.4),
        forecasts=tuple(
            Forecast(
                factor=factor,
                num_photos=factor * sizes[-1],
                accuracy=around(accuracies[-1] + gain.value),
                gain=gain,
            )
            for factor in (2, 4)
        ),
    )


def content(
    gain: Estimate, *, measured: float = 0.9, is_probe: bool = True, **classes: Curve
) -> MorePhotos:
    whole = LearningCurve(
        overall=curve(gain),
        per_class=classes,
        backtest=Backtest(num_photos=800, foretold=around(0.9), measured=measured),
        method="By hand.",
    )
    found = more_photos_content(whole, is_probe=is_probe)
    assert found is not None
    return found


GAIN = Estimate(value=0.02, low=0.01, high=0.03)


def test_where_nothing_was_measured_nothing_is_said() -> None:
    assert more_photos_content(None, is_probe=True) is None


@pytest.mark.parametrize(
    ("low", "value", "high", "answer"),
    [
        (0.0, 0.001, 0.004, "Hardly. "),
        (0.0, 0.003, 0.005, "Perhaps a little. "),
        (0.001, 0.02, 0.03, "Perhaps a little. "),
        (0.005, 0.02, 0.03, "Yes. "),
    ],
)
def test_the_answer_goes_by_the_whole_interval(
    low: float, value: float, high: float, answer: str
) -> None:
    assert content(Estimate(value=value, low=low, high=high)).sentence.startswith(answer)


def test_the_sentence_tells_how_many_photos_and_what_they_would_bring() -> None:
    told = content(GAIN).sentence.replace("\u00a0", " ")
    assert told == (
        "Yes. Learning from twice as many photos (1,600 instead of 800), it can be expected to "
        "name 92.0 % right (91.0 to 93.0 %): a gain of +2.0 points (+1.0 to +3.0)."
    )


def test_of_a_network_trained_further_the_sentence_speaks_of_a_linear_head() -> None:
    assert (
        "), a linear head on the pretrained network can" in content(GAIN, is_probe=False).sentence
    )


@pytest.mark.parametrize(
    ("measured", "told"),
    [(0.905, "90.5 % came out."), (0.95, "That is more than"), (0.7, "That is less than")],
)
def test_the_method_is_put_to_the_test(measured: float, told: str) -> None:
    check = content(GAIN, measured=measured).check.replace("\u00a0", " ")
    assert "would have promised 90.0 % (89.0 to 91.0 %) of all 800 photos" in check
    assert told in check
    assert ("with care" in check) == (measured != 0.905)


def test_the_class_that_gains_most_comes_first() -> None:
    found = content(GAIN, cat=curve(GAIN), dog=curve(around(0.05)), eel=curve(GAIN))
    assert [row.name for row in found.classes] == ["dog", "cat", "eel"]
    assert found.classes[0].num_photos == 800
    assert found.classes[0].measured.value == 0.9
    assert found.classes[0].expected.value == pytest.approx(0.95)


def test_the_chart_has_what_was_measured_what_is_expected_and_its_interval() -> None:
    svg = content(GAIN).chart.svg
    assert svg.count("<circle") == 4
    assert "800 photos: measured 90.0" in svg
    bands = re.findall(r'class="band test" d="([^"]+)"', svg)
    assert len(bands) == 1
    assert bands[0].count("L") == 2 * 6 - 1
    assert "measured from 80.0" in svg
    assert ">200<" in svg
