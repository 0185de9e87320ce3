"""A run begun, stopped and gone on with; what it does in between is played by a stand-in."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import DataError, RunError, WeightsError
from fieldmark.base.lock import hold, holder
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.stopping import Stopped
from fieldmark.resuming import ChangedPhotosError

CHECKPOINT = "step-00000012-0123456789abcdef.safetensors"

Train = Callable[..., Any]


class Pipeline:
    """Stands in for `pipeline.train`: keeps what it is called with, and ends as it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.ends: list[BaseException | None] = []
        self.saves = False

    def train(self, root: Path, **named: Any) -> None:
        """Finish, or raise what is next in `ends`; before that save a checkpoint if it `saves`."""
        folder: RunFolder = named["record"].folder
        self.calls.append({"root": root, **named})
        self.seen.append(record_of(folder.path))
        assert holder(folder.lock) is not None
        assert folder.recipe_toml.exists()
        if self.saves:
            folder.checkpoints_dir.mkdir(exist_ok=True)
            (folder.checkpoints_dir / CHECKPOINT).write_text("")
        if self.ends and (end := self.ends.pop(0)):
            raise end
        folder.report_html.write_text("")

    @property
    def last(self) -> dict[str, Any]:
        return self.calls[-1]


def record_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    return content


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pipeline:
    """The stand-in, with the current folder an empty one."""
    stand_in = Pipeline()
    monkeypatch.setattr("fieldmark.starting.pipeline.train", stand_in.train)
    monkeypatch.chdir(tmp_path)
    return stand_in


def stopped(train: Train, **asked: Any) -> str:
    """Return the last word of a run that is stopped."""
    with pytest.raises(Stopped) as stop:
        train(**asked)
    return str(stop.value)


# New


def test_a_new_run_knows_what_it_needs_to_go_on_before_it_does_anything(
    train: Train, pipeline: Pipeline, photos: Path, weights: Path
) -> None:
    labels = Path("labels.csv")
    labels.write_text("path,action\n")
    run = train(labels=labels, recipe="finetune", overrides=["train.epochs=3"])
    assert run.path == Path("runs/run-001")
    assert pipeline.last["resumed"] is False
    (seen,) = pipeline.seen
    assert seen["photos"] == str(photos)
    assert seen["recipe"] == "finetune"
    assert seen["labels"] == str(labels.resolve())
    assert seen["split_file"] is None
    assert set(seen["sha256"]) == {"labels", "weights"}
    assert pipeline.last["plan"].recipe.train.epochs == 3
    assert pipeline.last["plan"].recipe.model.weights == str(weights.resolve())
    assert not Path("runs/run-001/lock").exists()


def test_each_new_run_gets_the_next_folder(train: Train, pipeline: Pipeline) -> None:
    paths = [train().path for _ in range(3)]
    assert paths == [Path(f"runs/run-00{number}") for number in (1, 2, 3)]
    assert len(pipeline.calls) == 3


def test_a_new_run_does_not_touch_an_unfinished_one_but_says_how_to_go_on(
    train: Train, pipeline: Pipeline, photos: Path
) -> None:
    pipeline.ends = [Stopped("stopped")]
    stopped(train, out="run")
    with pytest.raises(RunError) as refused:
        train(out="run")
    command = f"fieldmark train {photos} --out run --resume"
    assert str(refused.value).endswith(f"or go on with it: {command}")
    assert record_of(Path("run"))["status"] == "interrupted"


def test_a_new_run_in_the_folder_of_one_that_still_trains_is_told_by_which_process(
    train: Train, pipeline: Pipeline
) -> None:
    pipeline.ends = [Stopped("stopped")]
    stopped(train, out="run")
    with hold(Path("run/lock")), pytest.raises(RunError) as refused:
        train(out="run")
    assert f"run is in use by process {os.getpid()} " in str(refused.value)
    assert "--resume" not in str(refused.value)


def test_a_new_run_does_not_touch_a_finished_one(train: Train, pipeline: Pipeline) -> None:
    train(out="run")
    with pytest.raises(RunError, match=r"already holds something") as refused:
        train(out="run")
    assert "--resume" not in str(refused.value)
    assert len(pipeline.calls) == 1


def test_of_two_new_runs_in_one_folder_the_second_is_refused(
    train: Train, pipeline: Pipeline
) -> None:
    Path("run").mkdir()
    with (
        hold(Path("run/lock")),
        pytest.raises(RunError, match=f"run is in use by process {os.getpid()}"),
    ):
        train(out="run")
    assert pipeline.calls == []


# Stopped


def test_the_last_word_has_the_command_that_goes_on(
    train: Train, pipeline: Pipeline, photos: Path
) -> None:
    pipeline.ends, pipeline.saves = [Stopped("stopped by SIGTERM in epoch 3 of 20")], True
    assert stopped(train, out="my run") == (
        "stopped by SIGTERM in epoch 3 of 20; the state of training is saved. "
        f"Go on with: fieldmark train {photos} --out 'my run' --resume"
    )
    content = record_of(Path("my run"))
    assert content["status"] == "interrupted"
    assert content["error"] == "stopped by SIGTERM in epoch 3 of 20"


def test_a_state_that_is_older_is_told_with_its_age(train: Train, pipeline: Pipeline) -> None:
    pipeline.ends, pipeline.saves = [KeyboardInterrupt(), KeyboardInterrupt()], True
    stopped(train, out="run")
    saved = Path("run/checkpoints") / CHECKPOINT
    pipeline.saves = False
    os.utime(saved, (time.time() - 60, time.time() - 60))
    told = stopped(train, out="run", resume=True)
    assert told.startswith("interrupted from the keyboard; the state of training of 1 min 0")


def test_before_training_there_is_nothing_saved_and_still_a_way_on(
    train: Train, pipeline: Pipeline
) -> None:
    pipeline.ends = [KeyboardInterrupt()]
    told = stopped(train)
    assert "there was no state of training to save yet. Go on with: fieldmark train" in told
    assert told.endswith("--out runs/run-001 --resume")


@pytest.mark.parametrize("saves", [True, False])
def test_a_failure_tells_how_to_go_on_where_there_is_something_to_go_on_from(
    train: Train, pipeline: Pipeline, recorder: Any, saves: bool
) -> None:
    pipeline.ends, pipeline.saves = [RunError("The disk is full.")], saves
    with pytest.raises(RunError, match="disk is full"):
        train(out="run", progress=recorder)
    (note,) = recorder.notes
    assert note.startswith("The run did not finish; what there is of it is in run.")
    assert note.endswith("--out run --resume") is saves


@pytest.mark.parametrize("out", ["run", None])
def test_photos_refused_leave_nothing_and_the_same_command_works_once_they_are_put_right(
    train: Train,
    photos: Path,
    write_photos: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recorder: Any,
    out: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_photos(tmp_path / "new", count=6)
    aside = {name: shutil.move(root / name, tmp_path / name) for name in ("cherry", "sky")}
    with pytest.raises(DataError, match="only one class, 'leaf'"):
        train(photos=root, out=out, progress=recorder)
    assert not any(path.is_dir() for path in tmp_path.glob("run*/*"))
    assert not (tmp_path / "run").exists()
    assert recorder.notes == [
        f"To see each file with what was made of it: fieldmark explore {root}"
    ]
    for name, place in aside.items():
        shutil.move(place, root / name)
    run = train(photos=root, out=out)
    assert run.path == (Path(out) if out else Path("runs/run-001"))
    assert run.record["status"] == "finished"


def test_a_run_that_goes_on_keeps_its_folder_where_its_labels_file_is_refused(
    train: Train, pipeline: Pipeline
) -> None:
    pipeline.ends = [KeyboardInterrupt(), DataError("The labels file does not fit.")]
    stopped(train, out="run")
    with pytest.raises(DataError, match="does not fit"):
        train(out="run", resume=True)
    assert record_of(Path("run"))["status"] == "failed"


# Gone on with


def test_what_is_not_said_again_is_as_it_was(
    train: Train, pipeline: Pipeline, photos: Path, recorder: Any
) -> None:
    Path("labels.csv").write_text("path,action\n")
    pipeline.ends, pipeline.saves = [KeyboardInterrupt()], True
    stopped(train, recipe="finetune", overrides=["train.epochs=3"], labels="labels.csv")
    run = train(resume=True, progress=recorder)
    assert run.path == Path("runs/run-001")
    before, now = pipeline.calls
    assert now["resumed"] is True
    assert (now["root"], now["plan"].recipe) == (photos, before["plan"].recipe)
    assert now["given"].labels == Path("labels.csv").resolve()
    assert recorder.notes == [
        "Going on with runs/run-001, which was stopped (interrupted from the keyboard)."
    ]
    content = record_of(Path("runs/run-001"))
    assert (content["status"], content["recipe"]) == ("finished", "finetune")
    assert content["command"].startswith("fieldmark.train(")
    assert len(content["resumed"]) == 1
    assert not Path("runs/run-001/lock").exists()


def test_a_run_can_be_gone_on_with_again_and_again(train: Train, pipeline: Pipeline) -> None:
    pipeline.ends, pipeline.saves = [KeyboardInterrupt()] * 3, True
    stopped(train)
    stopped(train, resume=True)
    stopped(train, resume=True)
    train(resume=True)
    assert len(record_of(Path("runs/run-001"))["resumed"]) == 3


def test_a_killed_run_is_gone_on_with_and_its_leftovers_are_cleared(
    train: Train, pipeline: Pipeline, recorder: Any
) -> None:
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run")
    # As kill -9 leaves it: never said to have stopped, a lock, half a file.
    content = record_of(Path("run")) | {"status": "running", "error": None, "ended": None}
    Path("run/run.json").write_text(json.dumps(content))
    Path("run/lock").write_text('{"pid": 1, "host": "elsewhere", "started": ""}')
    Path("run/.fieldmark-0f.tmp").write_text("half")
    train(out="run", resume=True, progress=recorder)
    (note,) = recorder.notes
    assert "without a word" in note
    assert "begins anew" in note
    assert sorted(path.name for path in Path("run").iterdir()) == [
        "recipe.toml",
        "report.html",
        "run.json",
    ]


@pytest.mark.parametrize("left", [["lock"], ["lock", "run.json"], [".fieldmark-0f.tmp"]])
def test_a_run_killed_before_all_was_recorded_begins_anew_and_says_so(
    train: Train, pipeline: Pipeline, weights: Path, recorder: Any, left: list[str]
) -> None:
    Path("run").mkdir()
    for name in left:
        content = {"schema_version": 1, "status": "running", "photos": "/photos"}
        Path("run", name).write_text(json.dumps(content))
    train(out="run", resume=True, weights=str(weights), recipe="finetune", progress=recorder)
    (note,) = recorder.notes
    assert "before anything was recorded" in note
    assert "by the recipe finetune" in note
    assert pipeline.last["resumed"] is False
    assert record_of(Path("run"))["status"] == "finished"


def test_a_run_that_another_process_trains_is_refused(train: Train, pipeline: Pipeline) -> None:
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run")
    before = Path("run/run.json").read_bytes()
    with (
        hold(Path("run/lock")),
        pytest.raises(RunError, match=f"run is in use by process {os.getpid()}"),
    ):
        train(out="run", resume=True)
    assert Path("run/run.json").read_bytes() == before
    assert len(pipeline.calls) == 1


def test_what_is_asked_otherwise_is_refused_and_the_run_left_as_it_was(
    train: Train, pipeline: Pipeline, snapshot: Any
) -> None:
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run", recipe="finetune", overrides=["train.epochs=3"])
    before = snapshot(Path("run"))
    with pytest.raises(RunError, match=r"train\.epochs: before 3, now 4"):
        train(out="run", resume=True, overrides=["train.epochs=4"])
    assert snapshot(Path("run")) == before
    train(out="run", resume=True, overrides=["train.epochs=3"])


def test_other_photos_are_refused_and_the_run_left_as_it_was(
    train: Train, pipeline: Pipeline, photos: Path, tmp_path: Path, recorder: Any
) -> None:
    pipeline.ends = [KeyboardInterrupt(), ChangedPhotosError("The photos are others.")]
    pipeline.saves = True
    stopped(train, out="run")
    before = Path("run/run.json").read_bytes()
    shutil.copytree(photos, tmp_path / "other")
    with pytest.raises(RunError, match="others"):
        train(photos=tmp_path / "other", out="run", resume=True, progress=recorder)
    assert json.loads(Path("run/run.json").read_bytes()) == json.loads(before)
    assert not any("did not finish" in note for note in recorder.notes)


def test_a_run_can_be_gone_on_with_from_another_folder(
    train: Train,
    pipeline: Pipeline,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(weights, "weights")
    Path("groups.csv").write_text("path,patient\n")
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run", weights="weights", group_by="groups.csv:patient")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train(photos=os.path.relpath(photos), out="../run", resume=True)
    before, now = pipeline.calls
    assert now["plan"].recipe == before["plan"].recipe


def test_a_run_whose_weights_moved_goes_on_with_them_where_they_are_now(
    train: Train, pipeline: Pipeline, weights: Path, recorder: Any
) -> None:
    shutil.copytree(weights, "weights")
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run", weights="weights")
    shutil.move("weights", "moved")
    with pytest.raises(WeightsError, match="no weights at"):
        train(out="run", resume=True)
    train(out="run", resume=True, weights="moved", progress=recorder)
    assert pipeline.last["plan"].recipe.model.weights == str(Path("moved").resolve())


def test_other_weights_are_refused(train: Train, pipeline: Pipeline, weights: Path) -> None:
    shutil.copytree(weights, "weights")
    pipeline.ends = [KeyboardInterrupt()]
    stopped(train, out="run", weights="weights")
    from safetensors.torch import load_file, save_file

    tensors = load_file("weights/model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, "weights/model.safetensors")
    with pytest.raises(RunError, match=r"model\.weights: .*weights is not what it was"):
        train(out="run", resume=True)


def test_other_circumstances_are_noted_and_kept_in_the_record(
    train: Train, pipeline: Pipeline, recorder: Any
) -> None:
    pipeline.ends, pipeline.saves = [KeyboardInterrupt()], True
    stopped(train, out="run")
    content = record_of(Path("run"))
    content["versions"]["torch"] = "1.0"
    Path("run/run.json").write_text(json.dumps(content))
    train(out="run", resume=True, progress=recorder)
    (warning,) = record_of(Path("run"))["warnings"]
    assert "torch 1.0" in warning
    assert recorder.notes[-1] == warning


def test_nothing_to_go_on_with_is_told_and_nothing_is_made(
    train: Train, pipeline: Pipeline, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="no run of the photos"):
        train(resume=True)
    with pytest.raises(RunError, match="no run at gone"):
        train(resume=True, out="gone")
    with pytest.raises(DataError, match="does not exist"):
        train(photos="gone", resume=True)
    assert list(tmp_path.iterdir()) == []
    assert pipeline.calls == []
