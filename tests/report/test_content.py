"""From the run folder to typed content."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import RunFolder
from fieldmark.report.content import (
    MAX_MISTAKES,
    list_settings,
    read_content,
)

MakeRun = Callable[..., Path]


def test_settings_carry_the_reason_of_derived_values() -> None:
    resolved = {
        "schema_version": 1,
        "data": {"size_px": 224, "resize": "squash"},
        "train": {"epochs": 3},
        "reasons": {"data.size_px": "as pretrained"},
    }
    rows = [(s.section, s.key, s.value, s.reason) for s in list_settings(resolved)]
    assert rows == [
        ("data", "size_px", 224, "as pretrained"),
        ("data", "resize", "squash", None),
        ("train", "epochs", 3, None),
    ]


def test_the_content_agrees_with_the_files(make_run: MakeRun) -> None:
    run = make_run(skill=1.0, excluded=[("cat/x.txt", "not an image")], repaired=2)
    content = read_content(run)
    evaluation = json.loads(RunFolder(run).evaluation_json.read_text())
    assert content.title == "run-photos"
    assert content.accuracy.value == evaluation["accuracy"]["value"]
    assert content.num_test == evaluation["num_images"] == 12
    assert content.num_mistakes == round(12 * (1 - content.accuracy.value))
    assert len(content.mistakes) == min(content.num_mistakes, MAX_MISTAKES)
    assert (content.photos.num_met, content.photos.num_used) == (61, 60)
    assert [(n.path, n.reason) for n in content.photos.excluded] == [("cat/x.txt", "not an image")]
    assert len(content.photos.repaired) == 2
    assert [(c.name, c.train, c.validation, c.test, c.total) for c in content.photos.counts] == [
        (name, 12, 4, 4, 20) for name in ("cat", "dog", "fox")
    ]
    assert {name: len(photos) for name, photos in content.photos.samples.items()} == {
        "cat": 6,
        "dog": 6,
        "fox": 6,
    }


def test_mix_ups_know_how_many_photos_the_class_has(make_run: MakeRun) -> None:
    content = read_content(make_run(skill=0.5))
    assert content.mix_ups
    assert {pair.support for pair in content.mix_ups} == {4}
    assert sum(pair.times for pair in content.mix_ups) == content.num_mistakes


def test_quick_has_strengths_and_finetune_has_epochs(make_run: MakeRun) -> None:
    quick, finetune = (read_content(make_run(s, strategy=s)) for s in ("probe", "all"))
    assert (len(quick.learning.strengths), len(quick.learning.epochs)) == (6, 0)
    assert [s.chosen for s in quick.learning.strengths].count(True) == 1
    assert (len(finetune.learning.strengths), len(finetune.learning.epochs)) == (0, 6)


@pytest.mark.parametrize(
    ("column", "learned"),
    [("True", 4), ("False", 0), ("1", 4), ("0", 0), ("3", 3), ("4", 4)],
)
def test_trainable_may_be_yes_no_or_a_number(make_run: MakeRun, column: str, learned: int) -> None:
    run = make_run()
    header = "name,type,output_shape,parameters,trainable\n"
    RunFolder(run).layers_csv.write_text(f"{header}fc,Linear,2,4,{column}\n")
    assert read_content(run).blocks[0].trainable_parameters == learned


@pytest.mark.parametrize(("orientation", "turn"), [("exif", True), ("stored", False)])
def test_thumbnails_learn_how_the_run_read_orientation(
    make_run: MakeRun, orientation: str, turn: bool
) -> None:
    run = make_run()
    resolved = RunFolder(run).resolved_toml
    text = resolved.read_text().replace("[data]\n", f'[data]\norientation = "{orientation}"\n')
    resolved.write_text(text)
    assert read_content(run).turn_upright is turn


def test_near_copies_are_counted_by_their_group(make_run: MakeRun) -> None:
    run = make_run()
    splits = RunFolder(run).splits_csv
    lines = splits.read_text().splitlines()
    grouped = [line + "pair" for line in lines[1:3]] + [lines[3] + "alone"]
    splits.write_text("\n".join([lines[0], *grouped, *lines[4:]]) + "\n")
    assert read_content(run).photos.num_grouped == 2


def test_many_classes_get_fewer_samples_each(make_run: MakeRun) -> None:
    content = read_content(make_run(classes=[f"c{i:02d}" for i in range(60)], per_class=5))
    assert {len(photos) for photos in content.photos.samples.values()} == {2}


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "evaluation.json",
        "predictions.csv",
        "catalog.csv",
        "splits.csv",
        "resolved.toml",
    ],
)
def test_a_run_folder_without_a_file_is_refused_by_its_name(make_run: MakeRun, name: str) -> None:
    run = make_run()
    (run / name).unlink()
    with pytest.raises(RunError, match=name):
        read_content(run)


@pytest.mark.parametrize("name", ["history.csv", "probe.csv", "layers.csv"])
def test_tables_that_not_every_run_writes_may_be_missing(make_run: MakeRun, name: str) -> None:
    run = make_run()
    (run / name).unlink()
    content = read_content(run)
    rows = {
        "history.csv": content.learning.epochs,
        "probe.csv": content.learning.strengths,
        "layers.csv": content.layers,
    }
    assert rows[name] == ()


def test_a_run_of_a_newer_fieldmark_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    record = RunFolder(run).run_json
    record.write_text(record.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(RunError, match="schema version 2"):
        read_content(run)


def test_a_record_with_little_in_it_is_enough(make_run: MakeRun) -> None:
    run = make_run()
    RunFolder(run).run_json.write_text('{"schema_version": 1, "status": "running"}')
    content = read_content(run)
    assert content.title == "run"
    assert content.run.seconds is None
    assert content.run.stages == ()
