"""What the terminal shows: tables, CSV and JSON lines that keep every name to the letter."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark import terminal
from fieldmark.evaluation.evaluation import Evaluation, evaluate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.layer_summary import Summary
from fieldmark.models.layers import Layer
from fieldmark.models.prediction import Prediction
from fieldmark.run import Run

ODD_NAMES = ("[bold]x", "a, b", 'say "hi"', ":car:", "Größe 東京", "[/]", "semi;colon")


def prediction(path: str, *names: str) -> Prediction:
    shares = [0.5**place for place in range(1, len(names) + 1)]
    return Prediction(path=path, ranking=tuple(zip(names, shares, strict=True)))


def unreadable(path: str) -> Prediction:
    return Prediction(path=path, ranking=(), error="empty file")


def shown(*rows: Prediction, output_format: str) -> str:
    return terminal.predictions(rows, output_format=output_format)


def evaluation_of(classes: Sequence[str], *, num_wrong: int = 0) -> Evaluation:
    """Return the evaluation of four photos a class, the first `num_wrong` taken for the next."""
    labels_N = np.repeat(np.arange(len(classes)), 4)
    predicted_N = labels_N.copy()
    predicted_N[:num_wrong] += 1
    logits_NC = 5 * np.eye(len(classes), dtype=np.float32)[predicted_N]
    predictions = Predictions(
        paths=tuple(f"{index}.png" for index in range(len(labels_N))),
        splits=np.array(["test"] * len(labels_N)),
        labels_N=labels_N,
        classes=tuple(classes),
        logits_NC=logits_NC,
    )
    return evaluate(predictions, num_resamples=20)


# Predictions


@pytest.mark.parametrize("name", ODD_NAMES)
def test_csv_keeps_every_name_to_the_letter(name: str) -> None:
    text = shown(prediction(f"{name}/1.png", name, "other"), output_format="csv")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["path"] == f"{name}/1.png"
    assert (row["class_1"], row["class_2"]) == (name, "other")
    assert (float(row["confidence_1"]), row["error"]) == (0.5, "")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_json_lines_keep_every_name_to_the_letter(name: str) -> None:
    (line,) = shown(prediction(f"{name}/1.png", name), output_format="jsonl").splitlines()
    assert json.loads(line) == {
        "path": f"{name}/1.png",
        "predicted": name,
        "confidence": 0.5,
        "top": [{"class": name, "confidence": 0.5}],
        "set": None,
        "abstained": None,
        "unfamiliarity": None,
        "is_unfamiliar": None,
        "error": None,
    }


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_table_keeps_every_name_to_the_letter(name: str) -> None:
    text = shown(prediction(f"{name}/1.png", name), output_format="table")
    assert f" {name}/1.png " in text
    assert f" {name} 50.0 %" in text


def test_a_photo_that_cannot_be_read_has_a_row_with_the_reason() -> None:
    rows = (unreadable("a.jpg"), prediction("b.jpg", "cat", "dog"))
    read = list(csv.DictReader(io.StringIO(shown(*rows, output_format="csv"))))
    assert [row["error"] for row in read] == ["empty file", ""]
    assert [row["class_2"] for row in read] == ["", "dog"]
    lines = [json.loads(line) for line in shown(*rows, output_format="jsonl").splitlines()]
    assert lines[0] == {
        "path": "a.jpg",
        "predicted": None,
        "confidence": None,
        "top": [],
        "set": None,
        "abstained": None,
        "unfamiliarity": None,
        "is_unfamiliar": None,
        "error": "empty file",
    }
    table = shown(*rows, output_format="table").splitlines()
    assert any("a.jpg" in line and "empty file" in line for line in table)


def test_a_table_has_a_column_for_each_place() -> None:
    table = shown(prediction("a.jpg", "cat", "dog", "fox"), output_format="table")
    assert table.splitlines()[0].split() == ["Photo", "1.", "2.", "3."]
    assert "fox 12.5 %" in table


def doubtful(*names: str, withheld: bool | None = None) -> Prediction:
    made = prediction("a.jpg", *names[:2])
    return replace(made, candidates=names, is_withheld=withheld, doubt=names)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("cat", "dog"), "not sure: cat or dog"),
        (("cat", "dog", "fox"), "not sure: cat, dog or fox"),
        (("cat", "dog", "fox", "owl"), "not sure: cat, dog, fox or 1 other"),
        (("cat", "dog", "fox", "owl", "elk"), "not sure: cat, dog, fox or 2 others"),
    ],
)
def test_a_doubt_is_told_in_words(names: tuple[str, ...], words: str) -> None:
    sure = replace(prediction("b.jpg", "owl"), candidates=("owl",), is_withheld=False)
    rows = (sure, doubtful(*names), unreadable("c.jpg"))
    lines = shown(*rows, output_format="table").splitlines()
    assert lines[0].split() == ["Photo", "1.", "2.", "Doubt"]
    assert [line.endswith(words) for line in lines[2:]] == [False, True, False]


def test_csv_has_the_set_and_whether_the_answer_was_withheld() -> None:
    rows = (doubtful("cat", "dog", withheld=True), doubtful("cat", withheld=False))
    text = shown(*rows, prediction("c.jpg", "fox"), output_format="csv")
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["set"] for row in read] == ["cat|dog", "cat", ""]
    assert [row["abstained"] for row in read] == ["true", "false", ""]


def test_json_lines_have_the_set_and_whether_the_answer_was_withheld() -> None:
    line = json.loads(shown(doubtful("cat", "dog", withheld=True), output_format="jsonl"))
    assert (line["set"], line["abstained"]) == (["cat", "dog"], True)


def test_a_piped_table_is_never_folded_and_has_no_escape_codes() -> None:
    name = "long/" * 60 + "1.jpg"
    table = shown(prediction(name, "cat"), output_format="table")
    assert name in table
    assert "\x1b" not in table
    assert not any(line.endswith(" ") for line in table.splitlines())


def test_a_path_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in shown(prediction("\x1b[31m.jpg", "cat"), output_format="table")


@pytest.mark.parametrize("output_format", ["csv", "jsonl"])
def test_the_score_for_unfamiliar_photos_is_in_every_format(output_format: str) -> None:
    known = replace(prediction("1.png", "cat"), unfamiliarity=-0.25, is_unfamiliar=False)
    strange = replace(prediction("2.png", "cat"), unfamiliarity=0.5, is_unfamiliar=True)
    text = shown(known, strange, output_format=output_format)
    if output_format == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        told = [(row["unfamiliarity"], row["is_unfamiliar"]) for row in rows]
        assert told == [("-0.25", "false"), ("0.5", "true")]
    else:
        values = [json.loads(line) for line in text.splitlines()]
        told = [(value["unfamiliarity"], value["is_unfamiliar"]) for value in values]
        assert told == [(-0.25, False), (0.5, True)]


def test_the_table_says_of_an_unfamiliar_photo_that_it_is_one() -> None:
    strange = replace(prediction("2.png", "cat", "dog"), is_unfamiliar=True, doubt=("cat", "dog"))
    text = shown(prediction("1.png", "cat", "dog"), strange, output_format="table")
    assert "unlike anything it was trained on" in text
    assert "not sure" not in text


# Numbers


def test_an_evaluation_shows_every_number_with_its_interval() -> None:
    text = terminal.evaluation(evaluation_of(["cat", "dog", "fox"], num_wrong=3))
    lines = {line.strip().split("   ")[0]: line for line in text.splitlines()}
    # 9 of 12 right; Wilson's interval at 95 % is 46.77 to 91.11 %.
    assert "75.00 %" in lines["Accuracy"]
    assert "46.77 to 91.11" in lines["Accuracy"]
    for name in ("Top-2", "Precision, macro", "Recall, micro", "F1, macro", "Recall over 0.5"):
        assert "%" in lines[name]
    assert text.startswith("12 photos, 3 classes\n")
    # 1 of 4 cats is recognised.
    assert "25.0" in lines["cat"]
    assert "Confused    cat taken for dog, 3 times" in text


def test_a_confusion_that_happened_once_says_so() -> None:
    text = terminal.evaluation(evaluation_of(["cat", "dog"], num_wrong=1))
    assert "cat taken for dog, once" in text


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_evaluation_keeps_every_class_name_to_the_letter(name: str) -> None:
    assert f" {name} " in terminal.evaluation(evaluation_of([name, "other"]))


def test_a_finished_run_says_how_good_it_is_and_what_to_do_next(finished_quick: Run) -> None:
    lines = terminal.finished_run(finished_quick).splitlines()
    told = {line.split()[0]: line for line in lines}
    assert "on 6 test photos (95 % interval in brackets)" in told["Accuracy"]
    assert told["Report"].endswith(str(finished_quick.report))
    assert told["Model"].endswith(str(finished_quick.bundle))
    assert told["Try"] == f"Try it      fieldmark predict {finished_quick.path} PHOTO"


def test_the_command_to_try_can_be_pasted_whatever_the_folder_is_called(
    finished_quick: Run,
) -> None:
    spaced = Run(Path("my runs/run 1"), Path("my runs/run 1/model"))
    # Its numbers are those of the finished run; only the paths are its own.
    text = terminal.finished_run(_Renamed(finished_quick, spaced))  # type: ignore[arg-type]
    assert "fieldmark predict 'my runs/run 1' PHOTO" in text


class _Renamed:
    """A run's evaluation under the paths of another."""

    def __init__(self, run: Run, place: Run) -> None:
        self.evaluation, self.audit, self.record = run.evaluation, run.audit, run.record
        self.path, self.bundle, self.report = place.path, place.bundle, place.report


def layer(name: str, kind: str, shape: str, *numbers: int) -> Layer:
    parameters, trainable, statistics, multiply_adds = numbers
    return Layer(
        name=name,
        kind=kind,
        output_shape=shape,
        num_parameters=parameters,
        num_trainable=trainable,
        num_statistics=statistics,
        num_multiply_adds=multiply_adds,
    )


def summary_of(*layers: Layer) -> list[str]:
    table = Summary(backbone="tiny", size_px=32, num_classes=3, layers=layers)
    return [line.strip() for line in terminal.layers(table).splitlines()]


def test_a_summary_has_a_row_for_each_layer_and_sums_of_backbone_and_head() -> None:
    lines = summary_of(
        layer("backbone.conv", "Conv2d", "8x4x4", 9, 9, 0, 1_500_000),
        layer("backbone.bn", "BatchNorm2d", "8x4x4", 16, 16, 16, 0),
        layer("head", "Linear", "3", 1203, 1203, 0, 1200),
    )
    assert lines[0] == "tiny at 32x32 px, 3 classes"
    rows = [line.split() for line in lines]
    assert ["conv", "Conv2d", "8x4x4", "9", "0", "1.5", "M"] in rows
    assert ["bn", "BatchNorm2d", "8x4x4", "16", "16", "0"] in rows
    assert ["Backbone", "25", "16", "41", "1.5", "million"] in rows
    assert ["Head", "1,203", "0", "1,203", "1,200"] in rows
    assert ["Both", "1,228", "16", "1,244", "1.5", "million"] in rows
    assert lines[-2:] == [
        "As Keras counts: backbone 41, head 1,203, in all 1,244,",
        "of which trainable 1,228 and not trainable 16 (running statistics)",
    ]


def test_a_summary_tells_frozen_weights_from_running_statistics() -> None:
    backbone = layer("backbone.conv", "Conv2d", "8x4x4", 2000, 0, 16, 0)
    lines = summary_of(backbone, layer("head", "Linear", "3", 12, 12, 0, 9))
    assert lines[-1] == (
        "of which trainable 12 and not trainable 2,016 (16 running statistics, "
        "2,000 frozen weights)"
    )


# The reference


@pytest.mark.parametrize(
    ("record", "begins"),
    [
        ({"training": {"batch_size": 8, "test_seconds": 4.6}}, "2/2 - 5s - loss: "),
        ({"training": {"batch_size": 12, "test_seconds": 0.2}}, "1/1 - 0s - loss: "),
        ({"training": {"batch_size": 11, "test_seconds": None}}, "2/2 - 3s - loss: "),
        ({}, "1/1 - 3s - loss: "),
    ],
)
def test_the_reference_ends_in_the_manner_of_keras(
    record: dict[str, Any], begins: str, finished_quick: Run
) -> None:
    run = _Renamed(finished_quick, finished_quick)
    run.evaluation = evaluation_of(["cat", "dog", "fox"], num_wrong=3)
    stages = [{"name": "evaluation", "seconds": 2.7}]
    run.record = {"recipe": "reference", "stages": stages, **record}
    *_, before, last = terminal.finished_run(run).splitlines()  # type: ignore[arg-type]
    assert before.startswith("Try it")
    assert last.startswith(begins)
    # The logit of the class named is 5 and that of the others 0, so that all answers are sure.
    right, wrong = np.log(1 + 2 * np.exp(-5)), 5 + np.log(1 + 2 * np.exp(-5))
    loss = (9 * right + 3 * wrong) / 12
    assert last.partition("s - ")[2] == (
        f"loss: {loss:.4f} - accuracy: 0.7500 - precision: 0.7500 - recall: 0.7500 - top_k: 1.0000"
    )


def test_other_recipes_end_without_the_line_of_keras(finished_quick: Run) -> None:
    assert "loss:" not in terminal.finished_run(finished_quick)
