"""The tables of a run: in the promised columns and order, and in agreement with each other."""

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.predictions import read_predictions
from fieldmark.models.inference import Predictor
from fieldmark.records import HISTORY_HEADER, LAYERS_HEADER, PROBE_HEADER
from fieldmark.run import Run


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
    columns = ["path", "split", "label", "predicted", "confidence", *logits]
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


@pytest.mark.parametrize("recipe", ["quick", "finetune"])
def test_the_bundle_gives_the_saved_logits_of_the_test_photos(
    recipe: str, request: pytest.FixtureRequest, photos: Path
) -> None:
    run: Run = request.getfixturevalue(f"finished_{recipe}")
    classifier, saved = run.classifier, run.predictions.of_split("test")
    preprocess = classifier.preprocess
    pixels = [
        preprocess.to_pixels(preprocess.decode((photos / path).read_bytes()).image)
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


def test_the_device_is_described(finished_quick: Run) -> None:
    device = json.loads(folder_of(finished_quick).run_json.read_text("utf-8"))["device"]
    assert device["type"] in ("cpu", "cuda")
    assert device["name"]
    assert device["threads"] >= 1
    assert device["cores"] >= 1
    assert device["precision"] == "float32"
