"""Numbers and results in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.evaluation.intervals import Estimate
from fieldmark.report import wording

SHARES = st.floats(0, 1)


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.995652, "99.6 %"), (0.5, "50.0 %"), (1e-9, "0.1 %")],
)
def test_percent_keeps_a_no_break_space_and_one_decimal(share: float, text: str) -> None:
    assert wording.percent(share) == text.replace(" ", "\u00a0")


@given(SHARES, st.integers(0, 3))
def test_percent_says_100_or_0_only_of_all_or_none(share: float, decimals: int) -> None:
    text = wording.percent(share, decimals=decimals)
    shown = float(text.removesuffix("\u00a0%"))
    assert (shown == 100) == (share == 1)
    assert (shown == 0) == (share == 0)
    assert abs(shown - 100 * share) <= 10.0**-decimals


def test_interval_names_both_ends() -> None:
    assert wording.interval(estimate(0.9932, 0.9957, 0.998)) == "99.3 to 99.8\u00a0%"


@pytest.mark.parametrize(
    ("value", "words"), [(1.0, "no errors seen"), (0.0, "none right"), (0.5, "no spread seen")]
)
def test_an_interval_of_no_width_is_not_printed_as_certainty(value: float, words: str) -> None:
    assert wording.interval(estimate(value, value, value)) == words


def test_a_narrow_interval_is_told_per_thousand() -> None:
    assert wording.expectation(estimate(0.9932, 0.9957, 0.9979)) == (
        "Of 1,000 new photos like these, expect about 996 to be named right (993 to 998)."
    )


def test_a_wide_interval_is_told_per_hundred() -> None:
    assert wording.expectation(estimate(0.831, 0.87, 0.902)) == (
        "Of 100 new photos like these, expect about 87 to be named right (83 to 91)."
    )


def test_no_errors_seen_promises_only_the_lower_end() -> None:
    assert wording.expectation(estimate(0.924, 1.0, 1.0)) == (
        "Of 100 new photos like these, expect at least 92 to be named right."
    )


def test_none_right_promises_at_most_the_upper_end() -> None:
    assert wording.expectation(estimate(0.0, 0.0, 0.076)) == (
        "Of 100 new photos like these, expect at most 8 to be named right."
    )


@given(st.tuples(SHARES, SHARES, SHARES).map(sorted))
def test_the_sentence_never_claims_more_than_the_interval(ends: list[float]) -> None:
    low, value, high = ends
    text = wording.expectation(estimate(low, value, high))
    base = 1000 if "1,000" in text else 100
    if "(" not in text:
        assert value in (0.0, 1.0)
        return
    first, last = text.rpartition("(")[2].removesuffix(").").split(" to ")
    assert int(first) <= base * low + 1e-6
    assert int(last) >= base * high - 1e-6
    about = int(text.partition("about ")[2].split(" ")[0])
    assert 0 < about < base


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (45.2, "45 s"),
        (59.6, "1 min 0 s"),
        (123.4, "2 min 3 s"),
        (3599.7, "1 h 0 min"),
        (4020.0, "1 h 7 min"),
    ],
)
def test_duration_uses_the_unit_that_fits(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        ("2026-11-22T12:05:09+00:00", "22 November 2026, 12:05 UTC"),
        ("2026-01-02T03:04:05", "2 January 2026, 03:04"),
        ("yesterday", "yesterday"),
        (None, ""),
    ],
)
def test_moment_reads_iso_times_and_passes_others_on(stamp: str | None, text: str) -> None:
    assert wording.moment(stamp) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (
            {"type": "cpu", "name": "cpu", "threads": 1, "precision": "float32"},
            "CPU, 1 thread, float32",
        ),
        (
            {"type": "cuda", "name": "NVIDIA H200", "threads": 8, "precision": "bfloat16"},
            "NVIDIA H200, bfloat16",
        ),
        ({"type": "mps"}, "MPS"),
        ({}, ""),
    ],
)
def test_device_tells_what_matters_for_speed(facts: dict[str, object], text: str) -> None:
    assert wording.device(facts) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (0.0001, "0.0001"),
        ([0.8, 1.0], "0.8, 1"),
        ([], "none"),
        ({}, "none"),
        ({"depth": 3}, "depth = 3"),
        ({"layers": [1, 2], "act": "relu"}, "layers = [1, 2], act = relu"),
        ([[0.1, 0.2], [0.3]], "[0.1, 0.2], [0.3]"),
        ("", "none"),
        ("adamw", "adamw"),
        (0, "0"),
    ],
)
def test_settings_are_written_for_people(value: object, text: str) -> None:
    assert wording.setting(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.25691, "0.2569"), (0.00599, "0.0060"), (0.0000312, "3.1e-05")],
)
def test_a_tiny_loss_is_not_shown_as_zeros(value: float, text: str) -> None:
    assert wording.loss(value) == text


def test_the_loss_is_compared_with_blind_guessing() -> None:
    assert f"{math.log(8):.2f}" in wording.explanation("loss", num_classes=8)


def test_mix_up_counts_in_words() -> None:
    text = wording.mix_up(true="cat", predicted="dog", times=1, support=1)
    assert text == "cat taken for dog: 1 of 1 photo"


@pytest.mark.parametrize(
    ("low", "value", "high", "text"),
    [
        (-0.001, 0.006, 0.013, "+0.6 points (\u22120.1 to +1.3)"),
        (-0.02, -0.01, 0.0001, "\u22121.0 points (\u22122.0 to 0.0)"),
    ],
)
def test_a_difference_is_told_in_points_with_signs(
    low: float, value: float, high: float, text: str
) -> None:
    assert wording.points(estimate(low, value, high)) == text


def test_a_flattering_split_is_told_as_a_broken_promise() -> None:
    higher, lower = estimate(0.99, 0.996, 0.999), estimate(0.98, 0.989, 0.995)
    assert wording.promise(naive=higher, clean=lower) == (
        "A split that ignores copies would have promised 99.6\u00a0%; kept apart it is 98.9\u00a0%."
    )
    assert "did not flatter" in wording.promise(naive=lower, clean=higher)
    assert "did not flatter" in wording.promise(naive=lower, clean=lower)


@pytest.mark.parametrize(
    ("errors", "warnings", "remarks", "text"),
    [
        (0, 0, 0, "Nothing was found by 20 checks; 2 were not run."),
        (0, 0, 1, "1 remark. Nothing stands in the way of training."),
        (0, 2, 1, "2 warnings and 1 remark. Nothing forbids training;"),
        (1, 2, 3, "1 error, 2 warnings and 3 remarks. Until the errors are dealt with,"),
    ],
)
def test_a_verdict_counts_and_weighs(errors: int, warnings: int, remarks: int, text: str) -> None:
    severities = {"error": errors, "warning": warnings, "info": remarks}
    assert wording.verdict(severities, num_run=20, num_not_run=2).startswith(text)


def test_a_verdict_does_not_speak_of_checks_left_out_where_none_were() -> None:
    assert wording.verdict({}, num_run=22, num_not_run=0) == "Nothing was found by 22 checks."


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("It needs features, and there are none.", "it needs features, and there are none"),
        ("A class has one photo.", "a class has one photo"),
        ("EXIF is missing", "EXIF is missing"),
        ("", ""),
    ],
)
def test_a_sentence_becomes_a_clause(sentence: str, text: str) -> None:
    assert wording.clause(sentence) == text


@pytest.mark.parametrize("severities", [{}, {"warning": 1}, {"error": 2, "info": 1}])
def test_photos_that_training_would_refuse_are_never_said_to_be_fit(
    severities: dict[str, int],
) -> None:
    told = wording.verdict(severities, num_run=19, num_not_run=3, is_trainable=False)
    assert told.endswith("Training would refuse these photos as they are.")
    assert "Nothing forbids" not in told


def test_a_huge_loss_is_told_in_two_digits() -> None:
    assert wording.loss(68355437.0) == "6.8e+07"
    assert wording.loss(9999.0) == "9999.0000"
