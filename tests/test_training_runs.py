"""Whole runs that train the network: what they leave, and going on after being stopped."""

import csv
import json
import math
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark import terminal
from fieldmark.base.errors import RecipeError
from fieldmark.base.journal import read_journal
from fieldmark.base.run_folder import RunFolder
from fieldmark.run import Run
from fieldmark.watching import Watching

Train = Callable[..., Run]
EVERY_STEP = ("train.checkpoint_every_s=1e-9", "train.epochs=3")


def folder_of(run: Run) -> RunFolder:
    assert run.path is not None
    return RunFolder(run.path)


def record_of(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.run_json.read_text("utf-8"))
    return content


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def without_times(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    timed = ("seconds", "images_per_second", "data_wait_s")
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def test_a_finished_training_leaves_its_course_and_no_checkpoints(finished_finetune: Run) -> None:
    folder = folder_of(finished_finetune)
    assert not folder.checkpoints_dir.exists()
    assert len(table(folder.history_csv)) == 10
    assert folder.augmentation_png.read_bytes().startswith(b"\x89PNG")
    page = folder.live_html.read_text("utf-8")
    assert 'http-equiv="refresh"' not in page
    assert "report.html" in page
    names = [event["event"] for event in read_journal(folder.events_jsonl)]
    assert names[0] == "start"
    assert names[-1] == "end"
    assert names.count("epoch") == 10
    assert names.count("checkpoint") >= 2


def test_what_was_chosen_stands_in_the_record_and_in_the_resolved_recipe(
    finished_finetune: Run,
) -> None:
    folder = folder_of(finished_finetune)
    told = record_of(folder)["training"]
    resolved = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert told["kept_epoch"] == told["num_epochs_planned"] == 10
    assert told["stopped_early"] is None
    assert [choice["what"] for choice in told["choices"]][:3] == [
        *("precision", "memory format", "convolutions")
    ]
    assert all(choice["reason"] for choice in told["choices"])
    assert resolved["train"]["precision"] == "float32"
    assert resolved["train"]["batch_norm"] == "frozen"
    assert resolved["optim"]["lr"] == told["lr"] == 3e-3


def test_a_probe_leaves_no_course_of_a_network(finished_quick: Run) -> None:
    folder = folder_of(finished_quick)
    assert table(folder.history_csv) == []
    for path in (folder.augmentation_png, folder.live_html, folder.checkpoints_dir):
        assert not path.exists()
    assert "training" not in record_of(folder)


@pytest.fixture(scope="module")
def whole(train_tiny: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    return train_tiny(out, recipe="finetune", overrides=EVERY_STEP)


@pytest.mark.parametrize("at", [1, 4, 9])
def test_a_run_that_was_stopped_and_goes_on_is_the_run_that_was_not(
    at: int, whole: Run, train_tiny: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the photos to the report, by a signal as from Ctrl-C at one of its nine steps."""
    plain, calls = Watching.batch, []

    def batch(watch: Watching, num_photos: int) -> None:
        plain(watch, num_photos)
        calls.append(num_photos)
        if len(calls) == at:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watching, "batch", batch)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "run", recipe="finetune", overrides=EVERY_STEP)
    folder = RunFolder(tmp_path / "run")
    assert record_of(folder)["status"] == "interrupted"
    assert len(list(folder.checkpoints_dir.iterdir())) == 2
    del calls[:]
    monkeypatch.setattr(Watching, "batch", plain)
    run = train_tiny(tmp_path / "run", recipe="finetune", overrides=EVERY_STEP, resume=True)
    assert without_times(table(folder.history_csv)) == without_times(
        table(folder_of(whole).history_csv)
    )
    expected = folder_of(whole)
    for name in ("predictions_csv", "evaluation_json", "resolved_toml", "splits_csv"):
        assert getattr(folder, name).read_bytes() == getattr(expected, name).read_bytes(), name
    weights = [each.classifier.network.state_dict() for each in (run, whole)]
    assert all(np.array_equal(value, weights[1][name]) for name, value in weights[0].items())
    assert record_of(folder)["status"] == "finished"
    assert not folder.checkpoints_dir.exists()


# Without validation photos

REFERENCE = (
    *("model.backbone=resnet18", "train.epochs=3", "train.batch_size=8"),
    *("train.precision=float32", "train.checkpoint_every_s=1e-9"),
)


@pytest.fixture(scope="module")
def reference(train_tiny: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the recipe reference with a tiny network: no validation photos, test watched."""
    out = tmp_path_factory.mktemp("reference") / "run"
    return train_tiny(out, recipe="reference", overrides=REFERENCE)


def test_a_run_without_validation_photos_has_curves_of_training_and_test(reference: Run) -> None:
    folder = folder_of(reference)
    assert {row["split"] for row in table(folder.splits_csv)} == {"train", "test"}
    assert record_of(folder)["splits"]["validation"] == 0
    rows = table(folder.history_csv)
    assert len(rows) == 3
    for row in rows:
        measured = {name.partition("_")[0] for name, cell in row.items() if "_" in name and cell}
        assert measured >= {"train", "test"}
        assert "val" not in measured
    events = [event for event in read_journal(folder.events_jsonl) if event["event"] == "epoch"]
    assert [event["val_loss"] for event in events] == [None] * 3
    assert [str(event["test_loss"]) for event in events] == [row["test_loss"] for row in rows]
    assert reference.report.is_file()
    assert folder.live_html.is_file()


def test_the_last_scores_on_test_photos_are_those_of_the_evaluation(reference: Run) -> None:
    evaluation = reference.evaluation
    last = table(folder_of(reference).history_csv)[-1]
    expected = {
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "precision": evaluation.precision.macro,
        "recall": evaluation.recall.macro,
        "top_k": evaluation.top_k[5],
        "thresholded_precision": evaluation.thresholded_precision,
        "thresholded_recall": evaluation.thresholded_recall,
    }
    for name, estimate in expected.items():
        assert float(last[f"test_{name}"]) == pytest.approx(estimate.value), name


def test_a_run_without_validation_photos_can_be_trained_again_and_evaluated(
    reference: Run, train_tiny: Train, photos: Path, tmp_path: Path
) -> None:
    folder = folder_of(reference)
    resolved = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert (resolved["split"]["validation"], resolved["train"]["watch_test"]) == (0, True)
    again = train_tiny(tmp_path / "again", recipe=str(folder.resolved_toml))
    assert again.evaluation == reference.evaluation
    assert fieldmark.evaluate(reference, photos).num_images == 36


def test_the_record_says_how_long_the_test_photos_took(reference: Run) -> None:
    told = record_of(folder_of(reference))["training"]
    assert told["batch_size"] == 8
    assert 0 <= told["test_seconds"] < 60
    last = terminal.finished_run(reference).splitlines()[-1]
    num_batches = math.ceil(reference.evaluation.num_images / 8)
    seconds = round(told["test_seconds"])
    assert last.startswith(f"{num_batches}/{num_batches} - {seconds}s - loss: ")


def test_a_run_without_validation_photos_goes_on_as_if_it_had_not_been_stopped(
    reference: Run, train_tiny: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = Watching.batch, []

    def batch(watch: Watching, num_photos: int) -> None:
        plain(watch, num_photos)
        calls.append(num_photos)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Watching, "batch", batch)
    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "run", recipe="reference", overrides=REFERENCE)
    run = train_tiny(tmp_path / "run", resume=True)
    folder, expected = folder_of(run), folder_of(reference)
    histories = [without_times(table(each.history_csv)) for each in (folder, expected)]
    assert histories[0] == histories[1]
    for name in ("predictions_csv", "evaluation_json", "splits_csv"):
        assert getattr(folder, name).read_bytes() == getattr(expected, name).read_bytes(), name


def test_a_probe_of_a_given_strength_needs_no_validation_photos(
    train_tiny: Train, tmp_path: Path
) -> None:
    run = train_tiny(tmp_path / "run", overrides=["split.validation=0", "probe.l2=0.03"])
    (row,) = table(folder_of(run).probe_csv)
    assert (row["l2"], row["val_loss"], row["val_accuracy"], row["chosen"]) == ("0.03", "", "", "1")
    assert run.evaluation.accuracy.value > 0.8
    assert run.report.is_file()


# A head that is trained on features

HEAD = ("train.strategy=head", "train.epochs=12", "train.batch_size=8", "optim.lr=1e-2")


@pytest.fixture(scope="module")
def trained_head(train_tiny: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose backbone was left as it came, and whose head was trained by steps."""
    out = tmp_path_factory.mktemp("head") / "run"
    return train_tiny(out, overrides=[*HEAD, "train.watch_test=true"])


def test_a_trained_head_leaves_a_course_without_a_network_or_checkpoints(trained_head: Run) -> None:
    folder = folder_of(trained_head)
    rows = table(folder.history_csv)
    assert [row["epoch"] for row in rows] == [str(number) for number in range(1, 13)]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert all(row["test_loss"] for row in rows)
    assert trained_head.evaluation.accuracy.value > 0.9
    names = [event["event"] for event in read_journal(folder.events_jsonl)]
    assert (names.count("epoch"), names.count("checkpoint")) == (12, 0)
    assert folder.live_html.is_file()
    for path in (folder.probe_csv, folder.augmentation_png, folder.checkpoints_dir):
        assert not path.exists()


def test_the_last_row_of_a_trained_head_is_of_the_logits_that_are_saved(trained_head: Run) -> None:
    folder = folder_of(trained_head)
    last = table(folder.history_csv)[-1]
    for split, prefix in (("validation", "val"), ("test", "test")):
        rows = [row for row in table(folder.predictions_csv) if row["split"] == split]
        right = sum(row["predicted"] == row["label"] for row in rows)
        assert float(last[f"{prefix}_accuracy"]) == right / len(rows)


def test_of_a_trained_head_only_what_it_read_is_resolved(
    trained_head: Run, train_tiny: Train, tmp_path: Path
) -> None:
    folder = folder_of(trained_head)
    resolved = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert not {"probe", "augment"} & resolved.keys()
    assert not {"head_lr_factor", "layer_decay"} & resolved["optim"].keys()
    assert not {"last_stages", "batch_norm", "precision", "compile"} & resolved["train"].keys()
    assert resolved["optim"]["lr"] == 1e-2
    assert record_of(folder)["strategy"] == "head"
    assert record_of(folder)["training"]["kept_epoch"] == 12
    again = train_tiny(tmp_path / "again", recipe=str(folder.resolved_toml))
    for name in ("predictions_csv", "evaluation_json"):
        there, here = getattr(folder_of(again), name), getattr(folder, name)
        assert there.read_bytes() == here.read_bytes(), name


def test_the_report_of_a_trained_head_speaks_of_the_head_alone(trained_head: Run) -> None:
    page = trained_head.report.read_text("utf-8")
    assert "the head alone" in page
    assert "begins with random weights close to zero" in page
    assert "Learning rate" in page
    assert "was trained further" not in page


def test_a_trained_head_that_was_stopped_is_trained_anew(
    trained_head: Run, train_tiny: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = Watching.batch, []

    def batch(watch: Watching, num_photos: int) -> None:
        plain(watch, num_photos)
        calls.append(num_photos)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watching, "batch", batch)
    asked = {"out": tmp_path / "run", "overrides": [*HEAD, "train.watch_test=true"]}
    with pytest.raises(KeyboardInterrupt):
        train_tiny(**asked)
    folder = RunFolder(tmp_path / "run")
    assert len(table(folder.history_csv)) == 4
    monkeypatch.setattr(Watching, "batch", plain)
    train_tiny(**asked, resume=True)
    expected = folder_of(trained_head)
    assert without_times(table(folder.history_csv)) == without_times(table(expected.history_csv))
    assert folder.predictions_csv.read_bytes() == expected.predictions_csv.read_bytes()


# What a recipe leaves open


def test_a_learning_rate_to_be_found_leaves_its_curve(train_tiny: Train, tmp_path: Path) -> None:
    asked = ["optim.lr=auto", "train.epochs=1"]
    folder = folder_of(train_tiny(tmp_path / "run", recipe="finetune", overrides=asked))
    rows = table(folder.lr_range_csv)
    assert list(rows[0]) == ["lr", "loss", "smoothed"]
    assert len(rows) > 5
    told = record_of(folder)["training"]
    (choice,) = (each for each in told["choices"] if each["what"] == "learning rate")
    assert float(choice["chosen"]) == pytest.approx(told["lr"], rel=0.05)
    resolved = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert resolved["optim"]["lr"] == told["lr"]
    assert resolved["reasons"]["optim.lr"] == choice["reason"]


def test_a_time_budget_is_kept_to_with_one_epoch_at_least(
    train_tiny: Train, tmp_path: Path, recorder: Any
) -> None:
    asked = ["train.time_budget_s=1e-3", "train.epochs=9"]
    run = train_tiny(tmp_path / "run", recipe="finetune", overrides=asked, progress=recorder)
    folder = folder_of(run)
    assert any("budget leaves, one is run: 0 of 0 s are left after" in n for n in recorder.notes)
    assert len(table(folder.history_csv)) == 1
    resolved = tomllib.loads(folder.resolved_toml.read_text("utf-8"))
    assert resolved["train"]["epochs"] == 1
    assert "more than the time budget leaves" in resolved["reasons"]["train.epochs"]


def test_a_training_that_diverges_fails_the_run_with_the_files_of_the_batch(
    train_tiny: Train, tmp_path: Path
) -> None:
    asked = ["optim.name=sgd", "optim.lr=9.9", "optim.head_lr_factor=1000", "optim.warmup_epochs=0"]
    with pytest.raises(RecipeError, match=r"diverged .*(cherry|leaf|sky)/\d\d\.png"):
        train_tiny(tmp_path / "run", recipe="finetune", overrides=asked)
    folder = RunFolder(tmp_path / "run")
    assert record_of(folder)["status"] == "failed"
    assert read_journal(folder.events_jsonl)[-1]["outcome"] == "RecipeError"


@pytest.mark.parametrize(
    "asked",
    [
        ["train.strategy=last-stages", "train.last_stages=2", "model.head=cosine"],
        ["train.strategy=all", "model.head=flatten", "train.ema=0.9", "augment.test_views=2"],
        ["augment.policy=trivial", "augment.mixup=0.2", "train.class_weights=balanced"],
        ["train.strategy=head", "model.head=flatten", "optim.lr=auto", "train.ema=0.9"],
        ["train.strategy=head", "model.feature_power=0.5", "augment.test_views=2"],
    ],
)
def test_what_was_trained_is_what_the_bundle_predicts_with(
    asked: list[str], train_tiny: Train, photos: Path, tmp_path: Path
) -> None:
    run = train_tiny(tmp_path / "run", recipe="finetune", overrides=[*asked, "train.epochs=2"])
    rows = table(folder_of(run).predictions_csv)
    again = run.predict([photos / row["path"] for row in rows])
    for row, prediction in zip(rows, again, strict=True):
        assert prediction.label == row["predicted"]
        assert prediction.confidence == pytest.approx(float(row["confidence"]), abs=1e-6)
