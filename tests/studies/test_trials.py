"""Trials in and out of JSON."""

import json
import math
from dataclasses import replace

from fieldmark.studies.trials import EpochPoint, Trial, TrialResult, finished

POINT = EpochPoint(
    epoch=1, train_loss=1.5, train_accuracy=0.5, val_loss=math.nan, val_accuracy=0.25
)
RESULT = TrialResult(
    num_validation=40,
    val_loss=0.5,
    val_accuracy=0.75,
    train_loss=math.inf,
    train_accuracy=0.875,
    curve=(replace(POINT, val_loss=0.5),),
    seconds=1.25,
    num_epochs=3,
)
TRIAL = Trial(
    number=7,
    settings={"optim.lr": 1e-3, "augment.crop_scale": (0.5, 1.0)},
    seed=2,
    kind="head",
    status="finished",
    attempts=1,
    result=RESULT,
)


def test_a_trial_is_read_as_it_was_written() -> None:
    trial = replace(TRIAL, result=replace(RESULT, train_loss=0.25))
    assert Trial.from_json(json.loads(json.dumps(trial.to_json(), allow_nan=False))) == trial


def test_what_was_not_measured_is_null_and_comes_back_as_nan() -> None:
    content = json.loads(json.dumps(RESULT.to_json(), allow_nan=False))
    assert content["train_loss"] is None
    assert math.isnan(TrialResult.from_json(content).train_loss)
    with_nan = replace(RESULT, curve=(POINT,)).to_json()
    assert math.isnan(TrialResult.from_json(with_nan).curve[0].val_loss)


def test_only_trials_that_ran_to_their_end_count_as_finished() -> None:
    others = [
        replace(TRIAL, status=status) for status in ("waiting", "running", "failed", "pruned")
    ]
    assert finished([*others, TRIAL, replace(TRIAL, result=None)]) == [TRIAL]
