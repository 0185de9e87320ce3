"""The command line: every verb, its help, its flags and what it prints."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark import __version__
from fieldmark.run import Run

CallMain = Callable[..., Any]

VERDICT = ("set", "abstained", "unfamiliarity", "is_unfamiliar", "error")
"""The last columns of predictions as CSV."""

OF_PHOTOS = [
    "--backbone",
    "--weights",
    "--split-file",
    "--group-by",
    "--labels",
    "--ignore",
    "--out",
    "--set",
]
FLAGS = {
    "explore": OF_PHOTOS,
    "train": [
        "--recipe",
        *OF_PHOTOS[:-2],
        "--folds",
        "--seeds",
        "--out",
        "--resume",
        "--set",
    ],
    "study": [
        "--vary",
        "--preset",
        "--seeds",
        "--runs",
        "--search",
        "--halving",
        "--recipe",
        "--backbone",
        "--weights",
        "--split-file",
        "--group-by",
        "--labels",
        "--engine",
        "--address",
        "--storage",
        "--final",
        "--out",
        "--resume",
        "--set",
    ],
    "evaluate": ["--out"],
    "compare": ["--out"],
    "predict": [
        "--top-k",
        "--format",
        "--output",
        "--resume",
        "--sort-into",
        "--link",
        "--null",
    ],
    "explain": ["--true-class", "--out"],
    "degrade": ["--kinds", "--max-photos", "--seed"],
    "export": [
        "--to",
        "--precision",
        "--input",
        "--max-loss",
        "--photos",
        "--sign",
        "--with-thumbnails",
        "--ort",
        "--out",
    ],
    "verify": ["--key"],
    "serve": [
        "--host",
        "--port",
        "--token-file",
        "--allow-host",
        "--allow-origin",
        "--max-batch",
        "--max-wait-ms",
        "--max-waiting",
        "--max-body-mib",
        "--show-training-photos",
    ],
    "summary": ["--recipe", "--backbone", "--size", "--classes", "--set"],
    "demo": ["--out"],
    "data": ["--list"],
}
ARGUMENTS = {
    "explore": ["PHOTOS"],
    "train": ["PHOTOS"],
    "study": ["PHOTOS"],
    "evaluate": ["RUN", "PHOTOS"],
    "compare": ["RUN"],
    "predict": ["RUN", "PATH"],
    "explain": ["RUN", "PATH"],
    "degrade": ["RUN", "PHOTOS"],
    "export": ["RUN"],
    "verify": ["RUN"],
    "serve": ["RUN|FILE"],
    "summary": [],
    "demo": [],
    "data": ["NAME", "DIR"],
}


# Help


def test_the_version_is_told(call_main: CallMain) -> None:
    assert call_main("--version").out == f"fieldmark {__version__}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_verb_in_whole_sentences(
    call_main: CallMain, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = call_main(flag)
    assert outcome.code == 0
    verbs = outcome.out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in verbs] == list(FLAGS)
    assert all(line.endswith(".") and not line.endswith("...") for line in verbs)


@pytest.mark.parametrize("verb", list(FLAGS))
def test_the_help_of_a_verb_lists_its_arguments_and_flags(
    call_main: CallMain, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = call_main(verb, "--help")
    assert outcome.code == 0
    options = outcome.out.partition("Options:\n")[2]
    listed = [line.split()[0] for line in options.splitlines() if line.startswith("  -")]
    assert listed == [*FLAGS[verb], "-h,"]
    arguments = outcome.out.partition("Arguments:\n")[2].partition("Options:")[0]
    assert [
        line.split()[0].strip("[]") for line in arguments.splitlines() if line[2:3].strip()
    ] == ARGUMENTS[verb]
    assert max(map(len, outcome.out.splitlines())) <= 80


# Verbs


def test_train_ends_with_the_accuracy_and_the_next_step(
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call_main("train", photos, "--weights", weights, "--set", "train.precision=float32")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("Accuracy    100.00 %")
    assert lines[-1] == "Try it      fieldmark predict runs/run-001 PHOTO"
    stages = [line.partition(":")[0].capitalize() for line in outcome.err.splitlines()]
    assert stages == [
        "Photos",
        "Copies",
        "Features",
        "Audit",
        "Training",
        "What it looks at",
        "Report",
    ]
    record = json.loads(Path("runs/run-001/run.json").read_text("utf-8"))
    assert record["command"].startswith(f"fieldmark train {photos} --weights {weights}")
    # What the last line says, tried.
    tried = call_main("predict", "runs/run-001", photos / "sky" / "00.png")
    assert "sky" in tried.out


def test_train_hands_every_flag_on(call_main: CallMain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def train(photos: Path, **flags: Any) -> None:
        asked.update(flags, photos=photos)
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.workflow.train", train)
    flags = ["--recipe", "finetune", "--backbone", "resnet18", "--weights", "none"]
    more = ["--split-file", "s.csv", "--out", "o", "--set", "a.b=1", "--set", "c.d=2 3"]
    more += ["--folds", "3", "--seeds", "4"]
    audit = ["--group-by", "g", "--labels", "l.csv", "--ignore", "FM203", "--ignore", "FM204"]
    assert call_main("train", "my photos", *flags, *more, *audit, "--resume").code == 130
    asked.pop("progress")
    assert asked == {
        "photos": Path("my photos"),
        "recipe": "finetune",
        "backbone": "resnet18",
        "weights": "none",
        "split_file": Path("s.csv"),
        "group_by": "g",
        "labels": Path("l.csv"),
        "ignore": ["FM203", "FM204"],
        "folds": 3,
        "seeds": 4,
        "out": Path("o"),
        "overrides": ["a.b=1", "c.d=2 3"],
        "resume": True,
        "command": "fieldmark train 'my photos' --recipe finetune --backbone resnet18 "
        "--weights none --split-file s.csv --out o --set a.b=1 --set 'c.d=2 3' "
        "--folds 3 --seeds 4 --group-by g --labels l.csv --ignore FM203 --ignore FM204 --resume",
    }


def test_explore_hands_every_flag_on(call_main: CallMain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def explore(photos: Path, **flags: Any) -> None:
        asked.update(flags, photos=photos)
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.workflow.explore", explore)
    flags = ["--backbone", "resnet18", "--weights", "none", "--split-file", "s.csv", "--out", "o"]
    more = ["--group-by", "g", "--labels", "l.csv", "--ignore", "FM203", "--set", "a.b=1"]
    assert call_main("explore", "my photos", *flags, *more).code == 130
    asked.pop("progress")
    assert asked == {
        "photos": Path("my photos"),
        "backbone": "resnet18",
        "weights": "none",
        "split_file": Path("s.csv"),
        "group_by": "g",
        "labels": Path("l.csv"),
        "ignore": ["FM203"],
        "out": Path("o"),
        "overrides": ["a.b=1"],
        "command": "fieldmark explore 'my photos' --backbone resnet18 --weights none "
        "--split-file s.csv --out o --group-by g --labels l.csv --ignore FM203 --set a.b=1",
    }


@pytest.mark.parametrize("verb", ["explore", "train"])
def test_without_flags_the_audit_is_whole(
    verb: str, call_main: CallMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def keep(_: Path, **flags: Any) -> None:
        asked.update(flags)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"fieldmark.workflow.{verb}", keep)
    assert call_main(verb, "photos").code == 130
    for name in ("split_file", "group_by", "labels", "out", "weights", "backbone"):
        assert asked[name] is None
    assert (asked["ignore"], asked["overrides"]) == ([], [])
    # Which recipe a run takes that names none, is not for the command line to say.
    assert asked.get("recipe") is None
    assert not asked.get("resume")


def test_explore_shows_the_classes_the_findings_and_the_page(
    call_main: CallMain, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call_main("explore", photos, "--weights", "none", "--ignore", "FM601")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "36 photos of 3 classes"
    assert sum(line.split()[:2] == ["warning", "FM402"] for line in lines) == 1
    assert lines[-1] == "Page        runs/explore-001/explore.html"
    stages = [line.partition(":")[0] for line in outcome.err.splitlines()]
    assert stages == ["Photos", "Copies", "Audit", "Page"]
    page = Path("runs/explore-001/explore.html").read_text("utf-8")
    assert f"fieldmark explore {photos} --weights none --ignore FM601" in page


def test_a_photo_under_two_labels_is_told_until_it_is_ignored(
    call_main: CallMain, photos: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    shutil.copy(root / "sky" / "00.png", root / "leaf" / "copy.png")
    muted = [part for code in ("FM501", "FM502", "FM601") for part in ("--ignore", code)]
    ignored = [*muted, "--ignore", "FM302"]

    def call(verb: str, flags: list[str], number: int) -> Any:
        asked = ["--weights", weights if verb == "train" else "none"]
        out = tmp_path / f"{verb}-{number}"
        outcome = call_main(verb, root, *asked, "--out", out, *flags)
        assert outcome.code == 0
        return outcome

    explored = call("explore", muted, 1).out
    assert "ERROR    FM302  1 photo lies under two labels" in explored
    assert f"Labels      {tmp_path / 'explore-1' / 'labels.csv'} lists 2 to look at" in explored
    trained = call("train", muted, 1).out.splitlines()
    assert [line for line in trained if "FM302" in line] == [
        "Found       ERROR FM302 1 photo lies under two labels or more, byte for byte the same."
    ]
    assert "Muted: FM302" in call("explore", ignored, 2).out
    assert "FM302" not in call("train", ignored, 2).out


@pytest.mark.parametrize("verb", ["explore", "train"])
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--ignore", "FM32"], "no check 'FM32' to ignore. Did you mean 'FM302'?"),
        (["--group-by", "("], "not a valid regular expression"),
        (["--group-by", "gone.csv:patient"], "no table of groups gone.csv"),
        (["--labels", "gone.csv"], "no labels file gone.csv"),
    ],
)
def test_a_flag_of_the_audit_that_is_wrong_exits_with_2_before_a_photo_is_read(
    verb: str,
    flags: list[str],
    told: str,
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call_main(verb, photos, "--weights", weights, *flags)
    assert (outcome.code, outcome.out) == (2, "")
    assert told in outcome.err
    assert "Photos:" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_an_archive_with_its_photos_twice_exits_with_2_and_the_folder_to_give(
    call_main: CallMain, photos: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    shutil.copytree(photos, root / "natural_images")
    shutil.copytree(photos, root / "data" / "natural_images")
    outcome = call_main("train", root, "--weights", weights, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert outcome.err.rstrip().endswith(f"Give {root / 'natural_images'} instead.")


def test_evaluate_shows_the_numbers_of_the_run(call_main: CallMain, finished_quick: Run) -> None:
    outcome = call_main("evaluate", finished_quick.path)
    assert outcome.code == 0
    assert outcome.out.startswith("6 photos, 3 classes\n")
    assert outcome.err == ""


def test_evaluate_on_other_photos_writes_where_it_is_told(
    call_main: CallMain, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    outcome = call_main("evaluate", finished_quick.path, photos, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert outcome.out.startswith("36 photos, 3 classes\n")
    assert outcome.err.splitlines()[-1] == f"Predictions and numbers written to {tmp_path / 'out'}"
    assert (tmp_path / "out" / "evaluation.json").is_file()


def test_compare_hands_its_runs_and_its_folder_on(
    call_main: CallMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def compare(runs: list[Path], **flags: Any) -> None:
        asked.update(flags, runs=runs)
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.workflow.compare", compare)
    assert call_main("compare", "a", "b", "c", "--out", "o").code == 130
    asked.pop("progress")
    assert asked == {
        "runs": [Path("a"), Path("b"), Path("c")],
        "out": Path("o"),
        "command": "fieldmark compare a b c --out o",
    }


def test_study_hands_what_is_asked_on(call_main: CallMain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def study(photos: Path, **flags: Any) -> None:
        asked.update(flags, photos=photos)
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.workflow.study", study)
    flags = ["--vary", "optim.lr=1,2", "--vary", "optim.name=adam,sgd", "--seeds", "2"]
    flags += ["--no-final", "--runs", "3", "--out", "o", "--set", "train.epochs=4"]
    flags += ["--group-by", "dog_[0-9]+", "--labels", "labels.csv"]
    assert call_main("study", "photos", *flags).code == 130
    given = {key: value for key, value in asked.items() if value is not None}
    del given["progress"]
    assert given == {
        "photos": Path("photos"),
        "vary": ["optim.lr=1,2", "optim.name=adam,sgd"],
        "seeds": 2,
        "runs": 3,
        "engine": "local",
        "final": False,
        "out": Path("o"),
        "resume": False,
        "overrides": ["train.epochs=4"],
        "group_by": "dog_[0-9]+",
        "labels": Path("labels.csv"),
        "command": shlex.join(["fieldmark", "study", "photos", *flags]),
    }


def test_predict_writes_a_table_by_default(
    call_main: CallMain, finished_quick: Run, photos: Path
) -> None:
    outcome = call_main("predict", finished_quick.path, photos / "sky")
    assert outcome.code == 0
    assert "Photo" in outcome.out.splitlines()[0]
    assert len(outcome.out.splitlines()) == 2 + 12
    assert outcome.err == ""


def test_predict_writes_csv_with_as_many_classes_as_asked(
    call_main: CallMain, finished_quick: Run, photos: Path
) -> None:
    outcome = call_main("predict", finished_quick.path, photos, "--format", "csv", "--top-k", "2")
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert list(rows[0]) == ["path", "class_1", "confidence_1", "class_2", "confidence_2", *VERDICT]
    assert [row["path"] for row in rows] == [str(path) for path in sorted(photos.rglob("*.png"))]
    assert {row["class_1"] for row in rows} == {"cherry", "leaf", "sky"}


def test_predict_writes_json_lines_and_lists_what_it_left_out(
    call_main: CallMain, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "sky.png").write_bytes((photos / "sky" / "00.png").read_bytes())
    outcome = call_main("predict", finished_quick.path, tmp_path, "--format", "jsonl")
    assert outcome.code == 0
    empty, sky = (json.loads(line) for line in outcome.out.splitlines())
    assert (empty["error"], empty["predicted"]) == ("empty file", None)
    assert (sky["error"], sky["predicted"]) == (None, "sky")
    assert outcome.err == f"left out: {tmp_path / 'notes.txt'}: not an image (.txt)\n"


def test_predict_writes_into_a_file_and_says_so(
    call_main: CallMain, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    place = tmp_path / "new" / "out.csv"
    outcome = call_main(
        "predict",
        finished_quick.bundle,
        photos / "sky" / "00.png",
        "--format",
        "csv",
        "--output",
        place,
    )
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"1 prediction written to {place}\n"
    assert len(place.read_text("utf-8").splitlines()) == 2


def test_predict_names_a_file_whose_name_is_not_utf_8(
    call_main: CallMain, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        with open(odd, "wb") as stream:  # noqa: PTH123 - a name in bytes
            stream.write((photos / "sky" / "00.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    outcome = call_main("predict", finished_quick.path, os.fsdecode(odd), "--format", "jsonl")
    assert outcome.code == 0
    assert json.loads(outcome.out)["predicted"] == "sky"


def test_summary_shows_the_layers_and_the_parameters(call_main: CallMain) -> None:
    outcome = call_main("summary", "--size", "64", "--classes", "5")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "resnet50 at 64x64 px, 5 classes"
    # Of the 4,087,136,256 at 224 px, (64 / 224)² remain.
    assert " ".join(lines[-6].split()) == "Backbone 23,508,032 53,120 23,561,152 333.6 million"


def test_summary_of_the_reference_ends_as_keras_counts_it(call_main: CallMain) -> None:
    outcome = call_main("summary", "--recipe", "reference")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "keras_resnet50 at 50x50 px, 8 classes"
    assert lines[-2:] == [
        "As Keras counts: backbone 23,587,712, head 65,544, in all 23,653,256,",
        "of which trainable 23,600,136 and not trainable 53,120 (running statistics)",
    ]


def test_summary_at_another_size_tells_what_a_photo_costs(call_main: CallMain) -> None:
    outcome = call_main("summary", "--backbone", "resnet101", "--size", "224")
    assert outcome.code == 0
    (both,) = (line for line in outcome.out.splitlines() if line.startswith(" Both "))
    assert both.endswith(" 7.80 billion")


def test_demo_hands_its_folder_on(call_main: CallMain, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def demo(**flags: Any) -> None:
        asked.update(flags)
        raise KeyboardInterrupt

    monkeypatch.setattr("fieldmark.workflow.demo", demo)
    assert call_main("demo", "--out", "here").code == 130
    assert (asked["out"], asked["command"]) == (Path("here"), "fieldmark demo --out here")


# Output


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_piped_output_has_no_escape_codes_in_any_encoding(
    finished_quick: Run, encoding: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fieldmark", "evaluate", str(finished_quick.path)],
        capture_output=True,
        check=True,
        timeout=120,
        env={**os.environ, "FORCE_COLOR": "1", "PYTHONIOENCODING": encoding},
    )
    assert b"Accuracy" in done.stdout
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stdout.isascii() == (encoding == "ascii")
