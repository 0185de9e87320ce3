"""The section on confidence says what the evaluation says, and says what was not fitted."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.evaluation import Evaluation, evaluate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.confidence import (
    CAPTIONS,
    ConfidenceContent,
    confidence_content,
    coverage_chart,
    reliability_chart,
)
from fieldmark.report.content import read_content
from fieldmark.report.render import write_report

RULE = DecisionRule(
    temperature=2.0,
    temperature_reason="Made up.",
    target_accuracy=0.9,
    abstain_below=0.6,
    abstain_reason="Found.",
    coverage=0.9,
    set_threshold=0.2,
    set_reason="Found, too.",
)


def evaluation_by(rule: DecisionRule | None = None) -> Evaluation:
    generator = np.random.default_rng(0)
    labels_N = generator.integers(3, size=200)
    logits_NC = generator.normal(scale=2, size=(200, 3))
    logits_NC[np.arange(200), labels_N] += 3
    predictions = Predictions(
        paths=tuple(f"{place}.jpg" for place in range(200)),
        splits=np.full(200, "test"),
        labels_N=labels_N,
        classes=("a", "b", "c"),
        logits_NC=logits_NC.astype(np.float32),
    )
    return evaluate(predictions, decision=rule, num_resamples=20)


def rows_of(content: ConfidenceContent) -> dict[str, str]:
    return {row.name: row.value for row in content.rows}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def test_each_chart_says_in_one_sentence_how_to_read_it() -> None:
    assert all(len(re.findall(r"[.!?](?:\s|$)", caption)) == 1 for caption in CAPTIONS.values())


def test_before_and_after_are_drawn_where_there_is_a_temperature() -> None:
    assert {"ideal", "before", "as shown"} <= set(texts(reliability_chart(evaluation_by(RULE)).svg))
    plain = texts(reliability_chart(evaluation_by()).svg)
    assert "as shown" in plain
    assert "before" not in plain


def test_the_threshold_is_marked_at_the_share_it_answers() -> None:
    evaluation = evaluation_by(RULE)
    assert evaluation.abstention.answered is not None
    svg = coverage_chart(evaluation).svg
    assert "threshold" in texts(svg)
    assert f"threshold: {100 * evaluation.abstention.answered.value:.1f}" in svg
    assert "threshold" not in texts(coverage_chart(evaluation_by()).svg)


def test_the_table_has_every_number_with_its_interval() -> None:
    evaluation = evaluation_by(RULE)
    rows = rows_of(confidence_content(evaluation))
    assert rows["Temperature"] == "2"
    assert rows["Least confidence to answer"] == "60.0\u00a0%"
    assert rows["Coverage asked for"] == "90.0\u00a0%"
    sets = evaluation.conformal
    assert sets.seen is not None
    assert rows["Coverage seen"] == (
        f"{100 * sets.seen.value:.1f}\u00a0% "
        f"({100 * sets.seen.low:.1f} to {100 * sets.seen.high:.1f}\u00a0%)"
    )
    assert rows["Classes in a set"] == f"{sets.mean_size:.2f}"
    assert {"Calibration error", "Before it was calibrated", "Answered"} <= rows.keys()


def test_what_was_not_fitted_is_told_with_the_reason() -> None:
    content = confidence_content(evaluation_by(DecisionRule(set_reason="No photos.")))
    rows = rows_of(content)
    assert (rows["Temperature"], rows["Least confidence to answer"]) == ("1", "none")
    assert rows["Sets of classes"] == "none"
    assert any(row.meaning == "No photos." for row in content.rows)
    assert "before it was calibrated" not in content.sentence


def test_the_sentence_has_the_error_in_points() -> None:
    evaluation = evaluation_by(RULE)
    calibration = evaluation.calibration
    assert confidence_content(evaluation).sentence == (
        f"Confidence and accuracy are {100 * calibration.ece_after.value:.1f} points apart on "
        f"average; before it was calibrated it was {100 * calibration.ece_before.value:.1f}."
    )


def test_an_evaluation_of_before_there_was_a_curve_can_be_shown() -> None:
    evaluation = evaluation_by()
    old = replace(evaluation, abstention=replace(evaluation.abstention, curve=()))
    assert [chart.title for chart in confidence_content(old).charts] == ["Accuracy by confidence"]


def test_the_page_has_the_section(quick_run: Path) -> None:
    page = write_report(quick_run).read_text("utf-8")
    assert 'id="confidence"' in page
    assert confidence_content(evaluation_by()).rows[0].name in page
    assert read_content(quick_run).confidence.sentence in page
