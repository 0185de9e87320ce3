"""A study from the photos to the page: begun, stopped, gone on with, and refused."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import fieldmark
from fieldmark.base.errors import DataError, RecipeError, RunError
from fieldmark.base.lock import hold
from fieldmark.base.stopping import Stopped
from fieldmark.data.split_table import read_splits
from fieldmark.studies.record import StudyFolder, read_record, write_record
from fieldmark.studies.store import SqliteTrials, read_trials
from fieldmark.studies.trials import Trial, TrialEnd
from fieldmark.studying import loop, trials
from fieldmark.studying.folders import resume_command
from fieldmark.studying.study import load_study
from fieldmark.studying.trials import run_trial
from fieldmark.training.head_fit import train_head

SPLIT = ("split.validation=0.25", "train.precision=float32", "train.epochs=3")
VARY = ("optim.lr=1e-3,1e-2", "optim.name=adam,sgd")

Study = Callable[..., Any]


@pytest.fixture(scope="module")
def study(photos: Path, weights: Path) -> Study:
    """`fieldmark.study` on the tiny photos with the tiny weights."""

    def call(out: Path, **asked: Any) -> Any:
        if not asked.get("resume"):
            overrides = (*SPLIT, *asked.pop("overrides", ()))
            given = {"weights": str(weights), "vary": VARY, "seeds": 2, "overrides": overrides}
            asked = given | asked
        return fieldmark.study(asked.pop("photos", photos), out=out, **asked)

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Any:
    """A finished study of four settings with two seeds each; read only."""
    return study(tmp_path_factory.mktemp("studies") / "finished")


class _Stops:
    """Stands in for `run_trial`: the given trials end by Ctrl-C, or by an error."""

    def __init__(self, *, at: int | None = None, fails: tuple[int, ...] = ()) -> None:
        self.at, self.fails = at, fails
        self.begun: list[int] = []

    def __call__(self, trial: Trial, **named: Any) -> TrialEnd:
        self.begun.append(trial.number)
        if trial.number == self.at:
            raise KeyboardInterrupt
        if trial.number in self.fails:
            return TrialEnd(status="failed", error="out of memory: so large")
        return run_trial(trial, **named)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Stops]:
    def put(**named: Any) -> _Stops:
        one = _Stops(**named)
        monkeypatch.setattr(loop, "run_trial", one)
        return one

    return put


def test_a_study_leaves_everything_in_its_folder(finished: Any) -> None:
    names = {path.name for path in finished.path.iterdir()}
    assert names == {
        "best",
        "best.toml",
        "catalog.csv",
        "curves.csv",
        "effects.json",
        "recipe.toml",
        "splits.csv",
        "study.html",
        "study.json",
        "trials.csv",
        "trials.sqlite",
    }
    record = finished.record
    assert (record.status, record.final, record.planned) == ("finished", "best", {"head": 8})
    assert record.seconds > 0
    assert [trial.status for trial in finished.trials] == ["finished"] * 8
    with (finished.path / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["optim.name"] for row in rows} == {"adam", "sgd"}


def test_the_best_recipe_is_trained_on_the_same_split_and_tested_once(finished: Any) -> None:
    run = finished.run
    assert run is not None
    of_study = read_splits(finished.path / "splits.csv")
    assert read_splits(run.path / "splits.csv").sides() == of_study.sides()
    recipe = fieldmark.load(run.path)
    assert recipe.evaluation.num_images == finished.record.split_counts["test"]
    best = finished.record.best
    text = finished.best_toml.read_text()
    assert f'name = "{best.settings["optim.name"]}"' in text
    assert 'strategy = "head"' in text


def test_trials_are_judged_by_validation_photos_alone(finished: Any) -> None:
    counts = finished.record.split_counts
    assert all(trial.result.num_validation == counts["validation"] for trial in finished.trials)
    assert counts["test"] > 0


def test_the_same_study_comes_to_the_same(finished: Any, tmp_path: Path, study: Study) -> None:
    again = study(tmp_path / "again", final=False)
    assert not (again.path / "best").exists()
    assert again.run is None
    without_time = [
        [replace(trial, result=replace(trial.result, seconds=0)) for trial in one.trials]
        for one in (finished, again)
    ]
    assert without_time[0] == without_time[1]


def test_a_study_that_has_finished_is_left_as_it_is(
    finished: Any, study: Study, snapshot: Any, recorder: Any
) -> None:
    before = snapshot(finished.path)
    study(finished.path, resume=True, progress=recorder)
    study(finished.path)
    after = snapshot(finished.path)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed <= {"trials.sqlite"}  # opened for reading, it may be touched
    assert any("has finished" in note for note in recorder.notes)


def test_ctrl_c_leaves_a_readable_study_that_goes_on(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops], photos: Path, recorder: Any
) -> None:
    out = tmp_path / "stopped"
    stand_in(at=3)
    with pytest.raises(Stopped, match="3 of 8 trials done and kept") as stop:
        study(out)
    assert resume_command(photos, StudyFolder(out)) in str(stop.value)
    left = load_study(out)
    assert left.record.status == "interrupted"
    statuses = [trial.status for trial in left.trials]
    assert statuses == ["finished"] * 3 + ["waiting"] * 5
    assert left.page.is_file()
    assert (out / "trials.csv").is_file()
    following = stand_in()
    done = study(out, resume=True, progress=recorder)
    assert following.begun == [3, 4, 5, 6, 7]
    assert "Done before: 3 of 8 trials." in recorder.notes
    assert [trial.attempts for trial in done.trials] == [1] * 8
    assert done.record.status == "finished"


def test_the_same_command_again_goes_on_too(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops]
) -> None:
    stand_in(at=6)
    with pytest.raises(Stopped):
        study(tmp_path / "s", final=False)
    following = stand_in()
    study(tmp_path / "s", final=False)
    assert following.begun == [6, 7]


def test_a_failing_trial_is_recorded_and_the_study_goes_on(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops], recorder: Any
) -> None:
    stand_in(fails=(0, 5))
    done = study(tmp_path / "s", final=False, progress=recorder)
    failed = [trial for trial in done.trials if trial.status == "failed"]
    assert [trial.number for trial in failed] == [0, 5]
    assert failed[0].error == "out of memory: so large"
    assert any(note.startswith("Trial 0 (optim.lr 0.001") for note in recorder.notes)
    assert done.record.best is not None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB",
        ),
    ],
)
def test_a_study_goes_on_past_a_trial_that_ran_out_of_memory(
    error: Exception, told: str, tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fails_once(*given: Any, **named: Any) -> Any:
        begun.append(given)
        if len(begun) == 3:
            raise error
        return train_head(*given, **named)

    monkeypatch.setattr(trials, "train_head", fails_once)
    done = study(tmp_path / "s", final=False)
    assert len(begun) == 8
    statuses = [trial.status for trial in done.trials]
    assert statuses == ["finished"] * 2 + ["failed"] + ["finished"] * 5
    assert (done.trials[2].error, done.trials[2].result) == (told, None)
    assert done.record.status == "finished"
    with (done.path / "trials.csv").open(newline="") as stream:
        assert [row["error"] for row in csv.DictReader(stream) if row["error"]] == [told]


def test_a_study_of_which_no_trial_finished_says_why(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops]
) -> None:
    stand_in(fails=tuple(range(8)))
    with pytest.raises(RunError, match=r"No trial finished.*out of memory: so large"):
        study(tmp_path / "s")
    assert load_study(tmp_path / "s").record.status == "failed"
    assert (tmp_path / "s" / "study.html").is_file()


def test_another_study_in_the_same_folder_is_refused_with_what_differs(
    finished: Any, study: Study
) -> None:
    with pytest.raises(RunError) as refusal:
        study(finished.path, vary=("optim.lr=1e-3,1e-1",), overrides=("train.batch_size=4",))
    lines = str(refusal.value).splitlines()
    assert "  values of optim.lr: it was [0.001, 0.01], and is [0.001, 0.1] now" in lines
    assert any(line.startswith("  values of optim.name: it was") for line in lines)
    assert "  train.batch_size: it was 32, and is 4 now" in lines


def test_other_photos_are_refused(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops], write_photos: Any
) -> None:
    stand_in(at=1)
    with pytest.raises(Stopped):
        study(tmp_path / "s")
    others = write_photos(tmp_path / "others", seed=5)
    with pytest.raises(RunError, match="not those that the study began with"):
        study(tmp_path / "s", resume=True, photos=others)


def split_of(study: Path, file: Path, *, swap: bool) -> Path:
    """Write the split of a study as a split file, its test and validation swapped or not."""
    swapped = {"test": "validation", "validation": "test"} if swap else {}
    sides = read_splits(study / "splits.csv").sides()
    rows = [f"{path},{swapped.get(side, side)}" for path, side in sides.items()]
    file.write_text("\n".join(["path,split", *rows]) + "\n")
    return file


def test_another_or_edited_split_file_is_refused(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops], finished: Any
) -> None:
    given = split_of(finished.path, tmp_path / "split.csv", swap=False)
    other = split_of(finished.path, tmp_path / "other.csv", swap=True)
    stand_in(at=1)
    with pytest.raises(Stopped):
        study(tmp_path / "s", split_file=given)
    refusal = "split file, labels or groups of .* are not those that the study began with"
    with pytest.raises(RunError, match=refusal):
        study(tmp_path / "s", resume=True, split_file=other)
    same = given.read_text()
    given.write_text(other.read_text())
    with pytest.raises(RunError, match=refusal):
        study(tmp_path / "s", resume=True)
    given.unlink()
    with pytest.raises(RunError, match=refusal):
        study(tmp_path / "s", resume=True)
    given.write_text(same)
    stand_in()
    assert study(tmp_path / "s", resume=True, final=False).record.status == "finished"


def test_a_split_file_given_only_when_going_on_is_refused(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops], finished: Any
) -> None:
    stand_in(at=1)
    with pytest.raises(Stopped):
        study(tmp_path / "s")
    other = split_of(finished.path, tmp_path / "other.csv", swap=True)
    with pytest.raises(RunError, match="not those that the study began with"):
        study(tmp_path / "s", resume=True, split_file=other)


def test_no_final_is_remembered_when_going_on(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops]
) -> None:
    stand_in(at=1)
    with pytest.raises(Stopped):
        study(tmp_path / "s", final=False)
    assert "final=False" in read_record(StudyFolder(tmp_path / "s")).command
    with pytest.raises(Stopped):
        study(tmp_path / "s", resume=True)
    stand_in()
    done = study(tmp_path / "s", resume=True)
    assert (done.record.status, done.record.final, done.run) == ("finished", None, None)
    assert not (tmp_path / "s" / "best").exists()


def test_flags_beside_resume_are_refused_with_what_to_leave_out(
    tmp_path: Path, study: Study
) -> None:
    with pytest.raises(RecipeError, match="give --out and --resume alone"):
        study(tmp_path / "s", resume=True, seeds=5)


def test_a_study_begun_anew_in_the_folder_of_another_sees_its_own_photos(
    tmp_path: Path, study: Study, write_photos: Any
) -> None:
    asked: dict[str, Any] = {"vary": ("optim.lr=1e-3,1e-2",), "seeds": 1, "final": False}
    study(tmp_path / "s", **asked)
    shutil.rmtree(tmp_path / "s")
    others = write_photos(tmp_path / "others", seed=5)
    again = study(tmp_path / "s", photos=others, **asked)
    fresh = study(tmp_path / "fresh", photos=others, **asked)
    losses = [[trial.result.val_loss for trial in one.trials] for one in (again, fresh)]
    assert losses[0] == losses[1]


def test_a_study_in_use_is_not_begun_a_second_time(finished: Any, study: Study) -> None:
    with hold(StudyFolder(finished.path).lock), pytest.raises(RunError, match="is in use"):
        study(finished.path, resume=True)


def test_what_is_wrong_is_told_before_anything_is_made(
    tmp_path: Path, study: Study, photos: Path
) -> None:
    for asked, error in (
        ({"vary": ()}, RecipeError),
        ({"vary": ("optim.rate=1,2",)}, RecipeError),
        ({"engine": "spark"}, RecipeError),
        ({"address": "here:1"}, RecipeError),
        ({"storage": "sqlite:///x"}, RecipeError),
        ({"weights": "nowhere"}, fieldmark.FieldmarkError),
        ({"photos": tmp_path / "nothing"}, DataError),
        ({"resume": True}, RunError),
    ):
        with pytest.raises(error):
            study(tmp_path / "new", **asked)
        assert not (tmp_path / "new").exists()
    with pytest.raises(RunError, match="inside the folder of photos"):
        study(photos / "study")


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path, study: Study) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds something"):
        study(tmp_path)


def test_a_study_stopped_while_it_reads_the_photos_knows_what_it_is(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fieldmark.studying.photos.gather", stop)
        with pytest.raises(Stopped, match="no trial had begun"):
            study(tmp_path / "s")
    done = study(tmp_path / "s", resume=True, final=False)
    assert (done.record.status, len(done.trials)) == ("finished", 8)


def test_nothing_is_left_of_a_study_whose_photos_cannot_be_used(
    tmp_path: Path, study: Study, write_photos: Any
) -> None:
    photos = write_photos(tmp_path / "photos", colours={"only": (10, 20, 30)})
    with pytest.raises(DataError):
        study(tmp_path / "s", photos=photos)
    assert not (tmp_path / "s").exists()


def test_a_study_is_found_by_its_photos(
    tmp_path: Path,
    study: Study,
    stand_in: Callable[..., _Stops],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    stand_in(at=0)
    with pytest.raises(Stopped):
        study(None)
    stand_in()
    done = study(None, resume=True, final=False)
    assert done.path == Path("runs/study-001")
    with pytest.raises(RunError, match="has not finished"):
        study(None, resume=True)


def test_a_trial_left_running_by_a_process_that_is_gone_is_run_again(
    tmp_path: Path, study: Study, stand_in: Callable[..., _Stops]
) -> None:
    out = tmp_path / "s"
    stand_in(at=2)
    with pytest.raises(Stopped):
        study(out)
    gone = SqliteTrials(StudyFolder(out).trials_sqlite)
    assert gone.claim() is not None
    gone.close()
    following = stand_in()
    done = study(out, resume=True, final=False)
    assert following.begun == [2, 3, 4, 5, 6, 7]
    assert [trial.attempts for trial in done.trials] == [1, 1, 2, 1, 1, 1, 1, 1]


def test_a_final_run_that_was_stopped_is_gone_on_with(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch, photos: Path
) -> None:
    out = tmp_path / "s"

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fieldmark.stages.learn", stop)
        with pytest.raises(Stopped, match="8 of 8 trials done") as error:
            study(out)
    assert str(error.value).count("Go on with") == 1
    assert resume_command(photos, StudyFolder(out)) in str(error.value)
    assert load_study(out).record.status == "interrupted"
    done = study(out, resume=True)
    assert done.run is not None
    assert done.record.status == "finished"


def test_probes_are_studied_on_drawn_photos(tmp_path: Path, study: Study) -> None:
    done = study(tmp_path / "s", vary=("probe.l2=0.1,0.001",), final=False)
    assert done.record.replicates == "bootstrap"
    assert done.analysis.is_paired
    losses = [trial.result.val_loss for trial in done.trials if trial.settings["probe.l2"] == 0.1]
    assert len(set(losses)) == 2


def test_networks_are_studied_too(tmp_path: Path, study: Study) -> None:
    done = study(
        tmp_path / "s",
        vary=("augment.policy=none,flip",),
        seeds=1,
        overrides=("train.batch_size=8", "train.epochs=2"),
        final=False,
    )
    assert done.record.planned == {"network": 2}
    assert all(trial.status == "finished" for trial in done.trials)
    assert [len(trial.result.curve) for trial in done.trials] == [2, 2]


def test_a_search_looks_for_the_best(tmp_path: Path, study: Study) -> None:
    pytest.importorskip("optuna")
    done = study(
        tmp_path / "s", vary=("optim.lr=1e-4..1e-1:log",), search=5, seeds=None, final=False
    )
    assert done.record.design == "search"
    assert sum(trial.status in ("finished", "pruned") for trial in done.trials) == 5
    assert done.record.best is not None
    assert done.page.is_file()


def test_passwords_of_a_storage_are_not_written_down(tmp_path: Path, study: Study) -> None:
    pytest.importorskip("optuna")
    url = "postgresql://me:secret@nowhere.invalid/studies"
    with pytest.raises(fieldmark.FieldmarkError) as error:
        study(tmp_path / "s", vary=("optim.lr=1e-4..1e-1:log",), search=3, storage=url)
    assert "secret" not in str(error.value)
    written = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert written
    assert all(b"secret" not in path.read_bytes() for path in written)


def test_the_study_of_a_newer_fieldmark_is_refused(finished: Any, tmp_path: Path) -> None:
    content = json.loads((finished.path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(RunError, match="Install a newer Fieldmark"):
        load_study(tmp_path)


def test_the_command_line_ends_with_what_was_found(
    tmp_path: Path, photos: Path, weights: Path, call_main: Any
) -> None:
    sets = [part for one in SPLIT for part in ("--set", one)]
    vary = [part for one in VARY for part in ("--vary", one)]
    out = tmp_path / "s"
    done = call_main(
        "study", photos, *vary, *sets, "--seeds", 2, "--weights", weights, "--out", out
    )
    assert done.code == 0, done.err
    assert "8 trials, judged by 12 validation photos" in done.out
    assert "Best        optim.lr=" in done.out
    assert f"Page        {out}/study.html" in done.out
    assert "looked at once" in done.out
    assert "8 trials of a head on features computed once" in done.err
    refused = call_main("study", photos, "--vary", "optim.lr=1")
    assert refused.code == 2


def test_an_older_sitting_counts_into_the_seconds(finished: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    write_record(folder, replace(finished.record, status="interrupted", seconds=100.0))
    assert read_record(folder).seconds == 100.0
    assert read_trials(folder.trials_sqlite) == []
