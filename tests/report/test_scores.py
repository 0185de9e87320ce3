"""The tables of scores."""

from dataclasses import replace

import numpy as np
import pytest

from fieldmark.evaluation.evaluation import Averages, Evaluation, evaluate
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.scores import class_scores, scores


def evaluation(num_classes: int, *, skill: float = 2.0) -> Evaluation:
    generator = np.random.default_rng(11)
    labels_N = np.arange(10 * num_classes) % num_classes
    logits_NC = generator.normal(size=(len(labels_N), num_classes))
    logits_NC[np.arange(len(labels_N)), labels_N] += skill
    return evaluate(
        Predictions(
            paths=tuple(f"{i}.jpg" for i in range(len(labels_N))),
            splits=np.full(len(labels_N), "test"),
            labels_N=labels_N,
            classes=tuple(f"class {i}" for i in range(num_classes)),
            logits_NC=logits_NC.astype(np.float32),
        ),
        num_resamples=50,
    )


@pytest.mark.parametrize(
    ("num_classes", "top"),
    [(2, []), (3, ["Top-2"]), (5, ["Top-2", "Top-3"]), (8, ["Top-2", "Top-3", "Top-5"])],
)
def test_top_k_is_shown_only_where_it_says_something(num_classes: int, top: list[str]) -> None:
    titles = [score.title for score in scores(evaluation(num_classes))]
    assert [title.split()[0] for title in titles if title.startswith("Top")] == top


def test_equal_micro_averages_share_a_row() -> None:
    titles = [score.title for score in scores(evaluation(3))]
    assert [title for title in titles if "micro" in title] == ["Precision, recall and F1 (micro)"]
    assert [title for title in titles if "macro" in title] == [
        "Precision (macro)",
        "Recall (macro)",
        "F1 (macro)",
    ]


def test_unequal_micro_averages_keep_their_rows() -> None:
    whole = evaluation(3)
    other = Averages(macro=whole.recall.macro, micro=Estimate(value=0.5, low=0.4, high=0.6))
    titles = [score.title for score in scores(replace(whole, recall=other))]
    assert sum("(micro)" in title for title in titles) == 3


def test_each_row_carries_the_number_that_it_names() -> None:
    whole = evaluation(8)
    rows = {score.title: score for score in scores(whole)}
    assert rows["Accuracy"].estimate == whole.accuracy
    assert rows["Top-3 accuracy"].estimate == whole.top_k[3]
    assert rows["Precision (macro)"].estimate == whole.precision.macro
    assert rows["Recall (macro)"].estimate == whole.recall.macro
    assert rows["F1 (macro)"].estimate == whole.f1.macro
    assert rows["Precision above 50 %"].estimate == whole.thresholded_precision
    assert rows["Recall above 50 %"].estimate == whole.thresholded_recall
    assert rows["Loss"].estimate == whole.loss


def test_only_the_loss_is_no_share_and_every_row_is_explained() -> None:
    rows = scores(evaluation(8))
    assert [score.title for score in rows if not score.is_share] == ["Loss"]
    assert all(score.meaning.endswith(".") and "{" not in score.meaning for score in rows)


def test_classes_stand_hardest_first() -> None:
    whole = evaluation(4, skill=1.0)
    rows = class_scores(whole)
    assert sorted(row.name for row in rows) == sorted(whole.classes)
    assert [row.f1.value for row in rows] == sorted(row.f1.value for row in rows)
    for row in rows:
        measures = whole.per_class[row.name]
        assert (row.precision, row.recall, row.support) == (
            measures.precision,
            measures.recall,
            measures.support,
        )
