"""The section says what the score comes to, shows the strangest photos, and says what flatters."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import LeftOutClass, Separation, UnfamiliarRule
from fieldmark.report.answers import answers_of
from fieldmark.report.unfamiliar import MAX_SHOWN, UnfamiliarContent, histogram, unfamiliar_content

NUM_PHOTOS = 100
RULE = UnfamiliarRule(
    score="distance",
    score_reason="Made up.",
    rate=0.05,
    threshold=0.965,
    reason="Found on 300 validation photos.",
    left_out=(
        LeftOutClass(
            name="a",
            num_images=9,
            distance=Separation(auroc=1.0, caught=1.0),
            energy=Separation(auroc=0.5, caught=0.0),
        ),
        LeftOutClass(
            name="b",
            num_images=8,
            distance=Separation(auroc=0.9, caught=0.5),
            energy=Separation(auroc=0.7, caught=0.75),
        ),
    ),
)


def predictions_of(*, scored: bool = True) -> Predictions:
    labels_N = np.arange(NUM_PHOTOS) % 2
    logits_NC = 4 * np.eye(2, dtype=np.float32)[labels_N]
    return Predictions(
        paths=tuple(f"{place:02}.jpg" for place in range(NUM_PHOTOS)),
        splits=np.full(NUM_PHOTOS, "test"),
        labels_N=labels_N,
        classes=("a", "b"),
        logits_NC=logits_NC,
        unfamiliarity_N=np.arange(NUM_PHOTOS) / NUM_PHOTOS if scored else None,
    )


def content_of(
    rule: UnfamiliarRule | None,
    *,
    scored: bool = True,
    is_frozen: bool = True,
    groups: dict[str, str] | None = None,
) -> UnfamiliarContent | None:
    predictions = predictions_of(scored=scored)
    evaluation = evaluate(predictions, decision=DecisionRule(unfamiliar=rule), num_resamples=5)
    answers = answers_of(predictions, digests={}, groups=groups or {})
    return unfamiliar_content(evaluation, predictions, answers, is_frozen=is_frozen)


def told(rule: UnfamiliarRule = RULE, **given: bool) -> UnfamiliarContent:
    content = content_of(rule, **given)  # type: ignore[arg-type]
    assert content is not None
    return content


def test_the_sentence_tells_both_shares() -> None:
    sentence = told().sentence.replace("\u00a0", " ")
    assert sentence.startswith("3.0 % (1.0 to 8.5 %) of the test photos")
    assert "are called unlike anything it was trained on; 5.0 % may be" in sentence
    assert sentence.endswith("75.0 % are called so, on average.")


def test_the_most_unfamiliar_photos_come_first_with_their_verdict() -> None:
    strangest = told().strangest
    assert [one.answer.photo.path for one in strangest[:4]] == [
        "99.jpg",
        "98.jpg",
        "97.jpg",
        "96.jpg",
    ]
    assert [one.is_called for one in strangest[:4]] == [True, True, True, False]
    assert len(strangest) == MAX_SHOWN


def test_of_copies_only_one_is_shown() -> None:
    content = content_of(RULE, groups={"99.jpg": "pair", "98.jpg": "pair"})
    assert content is not None
    assert [one.answer.photo.path for one in content.strangest[:2]] == ["99.jpg", "97.jpg"]


def test_the_class_that_is_hardest_to_recognise_comes_first() -> None:
    assert [one.name for one in told().left_out] == ["b", "a"]
    assert [one.name for one in told(replace(RULE, score="energy")).left_out] == ["a", "b"]


def test_a_network_that_was_trained_on_the_classes_is_said_to_flatter() -> None:
    assert "flatter" in told(is_frozen=False).caveat
    assert told().caveat == ""
    assert told(replace(RULE, left_out=()), is_frozen=False).caveat == ""


def test_without_a_threshold_the_reason_is_told() -> None:
    content = told(replace(RULE, threshold=None, reason="There are 9 of 19 photos."))
    assert content.sentence == (
        "No photo is called unlike anything it was trained on: there are 9 of 19 photos."
    )
    assert not content.is_told
    assert not any(one.is_called for one in content.strangest)


def test_without_scores_or_without_a_rule_there_is_less_to_show() -> None:
    content = told(scored=False)
    assert (content.chart, content.strangest) == (None, ())
    assert content_of(None) is None


@pytest.mark.parametrize("threshold", [None, 0.5, 7.0])
def test_the_histogram_counts_every_photo(threshold: float | None) -> None:
    scores_N = np.array([0.0, 0.0, 0.0, 1.0])
    chart = histogram(scores_N, rule=replace(RULE, threshold=threshold))
    ET.fromstring(chart.svg)
    assert ("threshold" in chart.svg) == (threshold is not None)
    spoken = ET.fromstring(chart.svg).get("aria-label")
    assert spoken is not None
    assert "from 3" in spoken


def test_photos_that_all_score_alike_can_be_drawn() -> None:
    chart = histogram(np.full(5, 0.25), rule=replace(RULE, threshold=None))
    ET.fromstring(chart.svg)
