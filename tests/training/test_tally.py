"""What an epoch comes to is what scikit-learn says of the same answers, gathered batch by batch."""

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, precision_score, recall_score

from fieldmark.evaluation.metrics import softmax, thresholded_counts
from fieldmark.training.tally import (
    HISTORY_HEADER,
    SCORES,
    Epoch,
    Tally,
    scores_of_logits,
)

CPU = torch.device("cpu")
ROW = Epoch(
    epoch=3,
    lr=1e-3,
    train_loss=0.1 + 0.2,
    train_accuracy=2 / 3,
    train_precision=0.5,
    train_recall=0.25,
    train_top_k=1.0,
    train_thresholded_precision=0.75,
    train_thresholded_recall=1 / 3,
    val_loss=math.nan,
    val_accuracy=math.nan,
    val_precision=math.nan,
    val_recall=math.nan,
    val_top_k=math.nan,
    seconds=1.5,
    images_per_second=20.0,
    data_wait_s=0.01,
)


def answers(num: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits_NC = torch.randn(num, classes, generator=generator)
    return logits_NC, torch.randint(classes, (num,), generator=generator)


def tallied(logits_NC: torch.Tensor, labels_N: torch.Tensor, *, size: int, room: int = 0) -> Tally:
    tally = Tally(len(labels_N) + room, device=CPU)
    for start in range(0, len(labels_N), size):
        tally.add(logits_NC[start : start + size], labels_N[start : start + size])
    return tally


@settings(max_examples=40, deadline=None)
@given(
    num=st.integers(1, 60),
    classes=st.integers(2, 9),
    size=st.integers(1, 60),
    seed=st.integers(0, 99),
)
def test_the_figures_are_those_of_scikit_learn(
    num: int, classes: int, size: int, seed: int
) -> None:
    logits_NC, labels_N = answers(num, classes, seed)
    found = tallied(logits_NC, labels_N, size=size, room=3).scores(num_classes=classes)
    truth, guessed = labels_N.numpy(), logits_NC.argmax(1).numpy()
    macro = {"average": "macro", "zero_division": 0.0}
    shares = softmax(logits_NC.numpy())
    assert tuple(found) == SCORES
    expected_loss = log_loss(truth, shares, labels=list(range(classes)))
    assert found["loss"] == pytest.approx(expected_loss, rel=1e-4)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, guessed))
    assert found["recall"] == pytest.approx(recall_score(truth, guessed, **macro))
    of_five = np.argsort(-logits_NC.numpy(), axis=1)[:, :5]
    assert found["top_k"] == pytest.approx((of_five == truth[:, None]).any(1).mean())
    assert found["precision"] == pytest.approx(precision_score(truth, guessed, **macro))
    right, positive = thresholded_counts(shares, truth)
    assert found["thresholded_precision"] == pytest.approx(right / positive if positive else 0)
    assert found["thresholded_recall"] == pytest.approx(right / num)


def test_only_probabilities_over_a_half_are_counted() -> None:
    """Of three classes: sure and right, sure and wrong, exactly a half, and three thirds."""
    shares_NC = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.5, 0.0], [1 / 3] * 3])
    logits_NC, labels_N = (shares_NC + 1e-30).log(), torch.tensor([0, 2, 0, 0])
    found = tallied(logits_NC, labels_N, size=4).scores(num_classes=3)
    assert (found["thresholded_precision"], found["thresholded_recall"]) == (1 / 2, 1 / 4)
    assert found["accuracy"] == 3 / 4
    unsure = tallied(logits_NC[2:], labels_N[2:], size=2).scores(num_classes=3)
    assert (unsure["thresholded_precision"], unsure["thresholded_recall"]) == (0, 0)


@settings(max_examples=20, deadline=None)
@given(num=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 99), tied=st.booleans())
def test_in_passing_and_at_once_give_the_same(
    num: int, size: int, seed: int, *, tied: bool
) -> None:
    """Also of equal logits, which rounding to bfloat16 leaves."""
    logits_NC, labels_N = answers(num, 7, seed)
    logits_NC = logits_NC.round() if tied else logits_NC
    passing = tallied(logits_NC, labels_N, size=size).scores(num_classes=7)
    at_once = scores_of_logits(logits_NC.numpy(), labels_N.numpy(), num_classes=7)
    assert passing == pytest.approx(at_once, rel=1e-5)


def test_a_split_without_photos_has_no_figures() -> None:
    empty = scores_of_logits(np.empty((0, 3), np.float32), np.empty(0, np.int64), num_classes=3)
    assert tuple(empty) == SCORES
    assert all(map(math.isnan, empty.values()))
    assert all(map(math.isnan, Tally(4, device=CPU).scores(num_classes=3).values()))


@pytest.mark.parametrize("seen", [0, 5, 8])
def test_a_tally_goes_on_from_where_another_stood(seen: int) -> None:
    logits_NC, labels_N = answers(8, 4, 1)
    whole = tallied(logits_NC, labels_N, size=3)
    before = tallied(logits_NC[:seen], labels_N[:seen], size=3, room=8 - seen)
    kept = {name: value.clone() for name, value in before.tensors().items()}
    after = Tally(8, device=CPU)
    after.load(kept, num_seen=before.num_seen)
    if seen < 8:
        after.add(logits_NC[seen:], labels_N[seen:])
    assert after.num_seen == 8
    assert after.scores(num_classes=4) == whole.scores(num_classes=4)
    # What was loaded from is not written to.
    assert all(torch.equal(kept[name], value) for name, value in before.tensors().items())


def test_what_a_tally_of_an_older_version_did_not_note_is_unknown() -> None:
    logits_NC, labels_N = answers(8, 4, 1)
    before = tallied(logits_NC[:3], labels_N[:3], size=3, room=5).tensors()
    del before["sure"]
    after = Tally(8, device=CPU)
    after.load(before, num_seen=3)
    after.add(logits_NC[3:], labels_N[3:])
    found, whole = (
        tally.scores(num_classes=4) for tally in (after, tallied(logits_NC, labels_N, size=8))
    )
    unknown = {name for name in SCORES if math.isnan(found[name])}
    assert unknown == {"thresholded_precision", "thresholded_recall"}
    assert all(found[name] == whole[name] for name in SCORES if name not in unknown)


def test_a_row_of_an_older_version_lacks_what_that_did_not_measure() -> None:
    older = {
        name: value
        for name, value in replace(ROW, val_accuracy=0.5).to_json().items()
        if "thresholded" not in name and not name.startswith("test_")
    }
    row = Epoch.from_json(older)
    assert (row.train_loss, row.val_accuracy) == (ROW.train_loss, 0.5)
    assert math.isnan(row.train_thresholded_recall)
    assert math.isnan(row.test_accuracy)


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ({"val_accuracy": 0.5, "test_accuracy": 0.932}, "validation accuracy 50.00%"),
        ({"test_accuracy": 0.932}, "test accuracy 93.20%"),
        ({}, "accuracy 66.67% on the photos learned from"),
    ],
)
def test_an_epoch_is_told_by_the_photos_that_say_most(scores: dict[str, float], told: str) -> None:
    changes: dict[str, Any] = scores
    assert replace(ROW, **changes).told == told


def test_a_row_survives_json_to_the_last_bit_though_json_has_no_nan() -> None:
    text = json.dumps(ROW.to_json(), allow_nan=False)
    again = Epoch.from_json(json.loads(text))
    assert str(again) == str(ROW)
    values = asdict(again)
    assert {name for name, value in values.items() if math.isnan(value)} == {
        f"{split}_{name}" for name in SCORES for split in ("val", "test")
    }
    assert again.train_loss == ROW.train_loss
    figures: dict[str, Any] = {
        f"{split}_{name}": 0.5 for name in SCORES for split in ("val", "test")
    }
    full = replace(ROW, **figures)
    assert Epoch.from_json(full.to_json()) == full


def test_the_table_has_a_column_for_each_figure() -> None:
    scores = ("loss", "accuracy", "precision", "recall", "top_k")
    thresholded = ("thresholded_precision", "thresholded_recall")
    assert (
        *("epoch", "lr"),
        *(f"train_{name}" for name in (*scores, *thresholded)),
        *(f"val_{name}" for name in (*scores, *thresholded)),
        *(f"test_{name}" for name in (*scores, *thresholded)),
        *("seconds", "images_per_second", "data_wait_s"),
    ) == HISTORY_HEADER
