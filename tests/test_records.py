"""The tables of a run: in the promised columns and order, and in agreement with each other."""

import csv
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import RunRecord
from fieldmark.evaluation.predictions import read_predictions
from fieldmark.models.inference import Predictor
from fieldmark.planning import plan
from fieldmark.recipe import load_recipe, override
from fieldmark.records import (
    LAYERS_HEADER,
    PROBE_HEADER,
    describe_training,
    write_history,
    write_resolved,
)
from fieldmark.run import Run
from fieldmark.training.course import Choice, Pace, Settled
from fieldmark.training.fit import Fitted
from fieldmark.training.strategies import Outcome
from fieldmark.training.tally import HISTORY_HEADER, Epoch

ROW = Epoch(**dict.fromkeys(HISTORY_HEADER, 1))


def folder_of(run: Run) -> RunFolder:
    assert run.path is not None
    return RunFolder(run.path)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def header(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()[0].split(",")


@pytest.mark.parametrize("recipe", ["quick", "finetune"])
def test_every_table_begins_with_the_promised_columns(
    recipe: str, request: pytest.FixtureRequest
) -> None:
    folder = folder_of(request.getfixturevalue(f"finished_{recipe}"))
    assert header(folder.history_csv) == list(HISTORY_HEADER)
    assert header(folder.layers_csv) == list(LAYERS_HEADER)
    assert header(folder.splits_csv) == ["path", "label", "split", "group"]
    columns = ["path", "label", "width", "height", "bytes", "sha256", "status", "reason"]
    assert header(folder.catalog_csv) == columns
    logits = ["logit:cherry", "logit:leaf", "logit:sky"]
    columns = ["path", "split", "label", "predicted", "confidence", "unfamiliarity", *logits]
    assert header(folder.predictions_csv) == columns
    if recipe == "quick":
        assert header(folder.probe_csv) == list(PROBE_HEADER)


def test_predictions_stand_in_the_order_of_splits_and_paths(finished_quick: Run) -> None:
    rows = table(folder_of(finished_quick).predictions_csv)
    places = [(["train", "validation", "test"].index(row["split"]), row["path"]) for row in rows]
    assert places == sorted(places)


def test_the_chosen_strength_is_the_one_that_ran(finished_quick: Run) -> None:
    folder = folder_of(finished_quick)
    (chosen,) = (row for row in table(folder.probe_csv) if row["chosen"] == "1")
    resolved: dict[str, Any] = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert resolved["probe"]["l2"] == float(chosen["l2"])


def test_the_last_epoch_is_that_of_the_saved_weights(finished_finetune: Run) -> None:
    folder = folder_of(finished_finetune)
    last = table(folder.history_csv)[-1]
    validation = read_predictions(folder.predictions_csv).of_split("validation")
    right = float(np.mean(validation.predicted_N == validation.labels_N))
    assert float(last["val_accuracy"]) == pytest.approx(right)


def test_what_was_not_measured_is_an_empty_cell(tmp_path: Path) -> None:
    rows = [replace(ROW, val_loss=math.nan, test_loss=0.25), replace(ROW, epoch=2)]
    write_history(tmp_path / "history.csv", rows)
    first, second = table(tmp_path / "history.csv")
    assert (first["val_loss"], first["test_loss"], first["epoch"]) == ("", "0.25", "1")
    assert second["val_loss"] == "1"


# What was settled, and why


CHOICES = (
    Choice(what="precision", chosen="bfloat16", reason="twice as fast"),
    Choice(what="learning rate", chosen="0.002", reason="the loss fell"),
    Choice(what="epochs", chosen="3", reason="three fit"),
)


def outcome(*choices: Choice, **changes: Any) -> Outcome:
    settled = Settled(pace=Pace(precision="bfloat16"), lr=0.002, num_epochs=3, choices=choices)
    fitted = Fitted(
        history=[ROW], settled=settled, kept_epoch=1, stopped_early=None, batch_norm="frozen"
    )
    return Outcome(logits_MC=np.zeros((1, 2), np.float32), fitted=replace(fitted, **changes))


def resolved(asked: Sequence[str], weights: Path, tmp_path: Path, found: Outcome) -> dict[str, Any]:
    recipe = override(load_recipe("finetune"), [f"model.weights={weights}", *asked])
    write_resolved(plan(recipe), found, RunFolder(tmp_path))
    content: dict[str, Any] = tomllib.loads((tmp_path / "resolved.toml").read_text("utf-8"))
    return content


def test_what_was_measured_stands_in_the_resolved_recipe_with_its_reason(
    weights: Path, tmp_path: Path
) -> None:
    asked = ["optim.lr=auto", "train.precision=auto", "train.time_budget_s=60", "train.epochs=9"]
    content = resolved(asked, weights, tmp_path, outcome(*CHOICES))
    assert content["train"]["precision"] == "bfloat16"
    assert content["train"]["batch_norm"] == "frozen"
    assert content["train"]["epochs"] == 3
    assert "time_budget_s" not in content["train"]
    assert content["optim"]["lr"] == 0.002
    reasons = content["reasons"]
    assert reasons["train.precision"] == "twice as fast"
    assert reasons["optim.lr"] == "the loss fell"
    assert reasons["train.epochs"] == "three fit"
    assert reasons["train.batch_norm"] == "the weights are pretrained"
    assert content["probe"]["l2"] == "auto"


def test_the_resolved_recipe_is_one_that_can_be_trained_with(weights: Path, tmp_path: Path) -> None:
    asked = ["optim.lr=auto", "train.precision=auto", "train.time_budget_s=60"]
    resolved(asked, weights, tmp_path, outcome(*CHOICES))
    again = load_recipe(str(tmp_path / "resolved.toml"))
    assert (again.optim.lr, again.train.epochs, again.train.precision) == (0.002, 3, "bfloat16")
    assert (again.train.batch_norm, again.train.time_budget_s) == ("frozen", None)


def test_what_was_asked_for_needs_no_reason(weights: Path, tmp_path: Path) -> None:
    asked = ["optim.lr=0.002", "train.precision=bfloat16", "train.batch_norm=frozen"]
    content = resolved(asked, weights, tmp_path, outcome(CHOICES[0]))
    given = {"train.precision", "optim.lr", "train.batch_norm", "train.epochs"}
    assert not given & content["reasons"].keys()
    assert content["train"]["epochs"] == 10


def test_a_training_without_a_fitted_head_has_no_probe_section(
    weights: Path, tmp_path: Path
) -> None:
    asked = ["train.strategy=all"]
    assert "probe" not in resolved(asked, weights, tmp_path, outcome(CHOICES[0]))


@pytest.mark.parametrize("views", [1, 4])
def test_of_augmentation_a_probe_keeps_its_views_alone(
    views: int, weights: Path, tmp_path: Path
) -> None:
    recipe = override(
        load_recipe("quick"), [f"model.weights={weights}", f"augment.test_views={views}"]
    )
    probe = Outcome(logits_MC=np.zeros((1, 2), np.float32))
    write_resolved(plan(recipe), probe, RunFolder(tmp_path))
    content = tomllib.loads((tmp_path / "resolved.toml").read_text("utf-8"))
    assert content.get("augment") == ({"test_views": 4} if views > 1 else None)
    assert content["train"] == {"strategy": "probe", "seed": 0}
    assert "optim" not in content


def test_the_record_tells_what_was_chosen_and_which_epoch_is_kept(tmp_path: Path) -> None:
    record = RunRecord(folder=RunFolder(tmp_path), command="", photos=tmp_path)
    found = replace(outcome(*CHOICES, stopped_early="no lower loss"), test_s=1.2345)
    describe_training(record, found, batch_size=8)
    assert record.values["training"] == {
        "kept_epoch": 1,
        "num_epochs_planned": 3,
        "stopped_early": "no lower loss",
        "choices": [asdict(choice) for choice in CHOICES],
        "lr": 0.002,
        "batch_size": 8,
        "test_seconds": 1.23,
    }
    json.dumps(record.values)


def test_of_a_probe_the_record_tells_nothing_of_the_kind(tmp_path: Path) -> None:
    record = RunRecord(folder=RunFolder(tmp_path), command="", photos=tmp_path)
    describe_training(record, Outcome(logits_MC=np.zeros((1, 2), np.float32)), batch_size=8)
    assert record.values == {}


# Bundle, layers and device


@pytest.mark.parametrize("recipe", ["quick", "finetune"])
def test_the_bundle_gives_the_saved_logits_of_the_test_photos(
    recipe: str, request: pytest.FixtureRequest, photos: Path
) -> None:
    run: Run = request.getfixturevalue(f"finished_{recipe}")
    classifier, saved = run.classifier, run.predictions.of_split("test")
    preprocess = classifier.preprocess
    pixels = [
        preprocess.to_pixels(preprocess.decode((photos / path).read_bytes()).pixels_HW3)
        for path in saved.paths
    ]
    predictor = Predictor(classifier, device=torch.device("cpu"))
    assert np.array_equal(predictor.logits(np.stack(pixels)), saved.logits_NC)


def test_the_layers_sum_up_to_the_weights_in_the_bundle(finished_quick: Run) -> None:
    rows = table(folder_of(finished_quick).layers_csv)
    saved = finished_quick.classifier.network.parameters()
    assert sum(int(row["parameters"]) for row in rows) == sum(weight.numel() for weight in saved)
    by_name = {row["name"]: row for row in rows}
    head = finished_quick.classifier.network.head
    assert int(by_name["head"]["parameters"]) == 3 * (head.in_features + 1)
    assert by_name["head"]["output_shape"] == "3"
    assert int(by_name["head"]["multiply_adds"]) == 3 * head.in_features
    kept = finished_quick.classifier.network.named_buffers()
    statistics = sum(int(row["statistics"]) for row in rows)
    assert statistics == sum(value.numel() for name, value in kept if "running" in name) > 0


def test_the_device_is_described(finished_quick: Run) -> None:
    device = json.loads(folder_of(finished_quick).run_json.read_text("utf-8"))["device"]
    assert device["type"] in ("cpu", "cuda")
    assert device["name"]
    assert device["threads"] >= 1
    assert device["cores"] >= 1
    assert device["precision"] == "float32"
