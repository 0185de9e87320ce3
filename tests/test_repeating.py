"""Folds and seeds: what is asked, refused, stopped and gone on with, and what it comes to."""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark import collect
from fieldmark.base.errors import DataError, RecipeError, RunError, SplitError
from fieldmark.base.lock import hold
from fieldmark.base.stopping import Stopped
from fieldmark.data.splits import read_splits
from fieldmark.evaluation.predictions import read_predictions
from fieldmark.repeated_runs import Repeats, read

CallMain = Callable[..., Any]
TrainTiny = Callable[..., Any]


class Gathers:
    """Counts how often a folder is read."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.num = 0
        self._gather = collect.gather
        patch.setattr("fieldmark.photo_source.gather", self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.num += 1
        return self._gather(*given, **named)


class Interrupts:
    """Stops training at the calls named, from 1 on, as Ctrl-C does."""

    def __init__(self, patch: pytest.MonkeyPatch, *at: int) -> None:
        from fieldmark import pipeline

        self.num, self.at = 0, at
        self._train = pipeline.train
        patch.setattr(pipeline, "train", self)

    def __call__(self, *given: Any, **named: Any) -> None:
        self.num += 1
        if self.num in self.at:
            raise KeyboardInterrupt
        self._train(*given, **named)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Any:
    """Three folds of the tiny photos, and how often these were read; read only."""
    with pytest.MonkeyPatch.context() as patch:
        gathers = Gathers(patch)
        repeats = train_tiny(tmp_path_factory.mktemp("repeats") / "folds", folds=3)
    return repeats, gathers.num


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Any:
    """Two seeds of a trained network; read only."""
    out = tmp_path_factory.mktemp("repeats") / "seeds"
    few = ("train.epochs=2", "train.seed=5")
    return train_tiny(out, recipe="finetune", seeds=2, overrides=few)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def content_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "repeats.json").read_text("utf-8"))
    return content


# What comes of it


def test_each_fold_is_a_full_run_and_each_photo_is_tested_once(folds: Any, photos: Path) -> None:
    repeats, _ = folds
    assert isinstance(repeats, Repeats)
    assert repeats.names == ("fold-1", "fold-2", "fold-3")
    tested: Counter[str] = Counter()
    for run in repeats.runs:
        assert run.path is not None
        assert run.report.is_file()
        assert run.predict([next(photos.rglob("*.png"))])[0].label
        tested.update(read_splits(run.path / "splits.csv").paths("test"))
    assert set(tested.values()) == {1}
    assert len(tested) == repeats.result.num_photos == 36


def test_the_photos_are_read_once(folds: Any) -> None:
    assert folds[1] == 1


def test_the_numbers_are_those_of_the_runs(folds: Any) -> None:
    repeats, _ = folds
    accuracies = [run.evaluation.accuracy.value for run in repeats.runs]
    assert repeats.accuracy.mean == pytest.approx(np.mean(accuracies))
    assert repeats.accuracy.sd == pytest.approx(np.std(accuracies, ddof=1))
    pooled = read_predictions(repeats.path / "predictions.csv")
    assert pooled.num_images == 36
    assert repeats.overall.value == (pooled.predicted_N == pooled.labels_N).mean()


def test_a_fold_can_be_trained_again_by_its_recipe(
    folds: Any, photos: Path, tmp_path: Path
) -> None:
    (_, second, _) = folds[0].runs
    again = fieldmark.train(photos, recipe=str(second.path / "recipe.toml"), out=tmp_path / "run")
    assert again.path is not None
    for name in ("splits.csv", "predictions.csv"):
        assert (again.path / name).read_bytes() == (second.path / name).read_bytes()


def test_the_folder_holds_the_runs_and_what_they_come_to(folds: Any, seeds: Any) -> None:
    of_all = {"repeats.json", "repeats.csv", "recipe.toml", "report.html"}
    of_folds = {path.name for path in folds[0].path.iterdir()}
    assert of_folds == of_all | {"predictions.csv", *folds[0].names}
    assert {path.name for path in seeds.path.iterdir()} == of_all | {"seed-5", "seed-6"}


def test_the_record_tells_how_they_were_made(folds: Any, photos: Path) -> None:
    content = content_of(folds[0].path)
    assert content["schema_version"] == 1
    assert (content["kind"], content["numbers"]) == ("folds", [1, 2, 3])
    assert (content["status"], content["recipe"]) == ("finished", "quick")
    assert content["photos"] == str(photos)
    assert "folds=3" in content["command"]
    assert read(folds[0].path) == folds[0]


def test_seeds_share_the_split_and_differ_in_their_training(seeds: Any) -> None:
    first, second = seeds.runs
    assert (first.path / "splits.csv").read_bytes() == (second.path / "splits.csv").read_bytes()
    assert [run.record["seeds"]["train"] for run in (first, second)] == [5, 6]
    assert first.predictions.logits_NC.tolist() != second.predictions.logits_NC.tolist()
    assert seeds.result.num_photos == first.evaluation.num_images


def test_the_table_lists_the_photos_named_wrong(seeds: Any) -> None:
    rows = rows_of(seeds.table)
    wrong: Counter[str] = Counter()
    for run in seeds.runs:
        test = run.predictions.of_split("test")
        named_wrong = test.predicted_N != test.labels_N
        wrong.update(
            path for path, is_wrong in zip(test.paths, named_wrong, strict=True) if is_wrong
        )
    assert {row["path"]: int(row["num_wrong"]) for row in rows} == dict(wrong)
    assert all(len(row["sha256"]) == 64 and row["num_tested"] == "2" for row in rows)


def test_seeds_of_a_probe_are_told_to_make_no_difference(
    train_tiny: TrainTiny, tmp_path: Path, recorder: Any
) -> None:
    repeats = train_tiny(tmp_path / "run", seeds=2, progress=recorder)
    assert "one solution" in recorder.notes[0]
    assert repeats.result.are_alike
    assert repeats.accuracy.sd == 0


def test_a_split_of_ones_own_goes_with_seeds(
    train_tiny: TrainTiny, finished_quick: Any, tmp_path: Path
) -> None:
    file = finished_quick.path / "splits.csv"
    repeats = train_tiny(tmp_path / "run", seeds=2, split_file=file)
    for run in repeats.runs:
        assert read_splits(run.path / "splits.csv").sides() == read_splits(file).sides()


# Refused


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"folds": 3, "seeds": 3}, RecipeError, "--folds 3 and --seeds 3 together"),
        ({"folds": 1}, RecipeError, "--folds is 1: give from 2 to 50"),
        ({"seeds": 51}, RecipeError, "--seeds is 51: give from 2 to 50"),
        ({"folds": 40}, SplitError, "40 folds need as many groups"),
        ({"folds": 2, "overrides": ["split.folds=3", "split.fold=1"]}, RecipeError, "fold 1 of 3"),
        ({"folds": 2, "recipe": "nope"}, RecipeError, "no recipe 'nope'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    train_tiny: TrainTiny, tmp_path: Path, asked: dict[str, Any], error: Any, told: str
) -> None:
    with pytest.raises(error, match=told):
        train_tiny(tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


def test_folds_of_a_split_already_made_are_refused_before_photos_are_read(
    train_tiny: TrainTiny, finished_quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathers = Gathers(monkeypatch)
    with pytest.raises(SplitError, match=r"--folds divides the photos itself"):
        train_tiny(tmp_path / "run", folds=3, split_file=finished_quick.path / "splits.csv")
    assert gathers.num == 0


def test_a_folder_with_something_in_it_is_refused(
    train_tiny: TrainTiny, folds: Any, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="already holds something"):
        train_tiny(folds[0].path, folds=3)


def test_the_folder_is_no_run_and_its_message_names_one(folds: Any) -> None:
    with pytest.raises(RunError, match=r"It holds runs, though: give one of them.*fold-3"):
        fieldmark.load(folds[0].path)


# Stopped and gone on with


def test_finished_folds_stay_when_the_rest_is_stopped_and_are_not_trained_again(
    train_tiny: TrainTiny,
    photos: Path,
    folds: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recorder: Any,
    snapshot: Any,
) -> None:
    out = tmp_path / "run"
    trained = Interrupts(monkeypatch, 2)
    with pytest.raises(Stopped) as stop:
        train_tiny(out, folds=3, progress=recorder)
    assert str(stop.value).endswith(f"Go on with: fieldmark train {photos} --out {out} --resume")
    assert "1 of 3 folds has finished" in recorder.notes[-1]
    content = content_of(out)
    assert content["status"] == "interrupted"
    assert content["error"] == "interrupted from the keyboard"
    before = snapshot(out / "fold-1")
    with pytest.raises(RunError, match="did not finish"):
        train_tiny(out, folds=3)
    repeats: Any = fieldmark.train(photos, out=out, resume=True)
    assert trained.num == 4
    assert snapshot(out / "fold-1") == before
    assert repeats.result == folds[0].result
    assert len(content_of(out)["resumed"]) == 1
    assert (out / "predictions.csv").read_bytes() == (
        folds[0].path / "predictions.csv"
    ).read_bytes()


def test_without_a_name_the_last_that_was_stopped_is_gone_on_with(
    photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Interrupts(monkeypatch, 1, 2)
    asked: dict[str, Any] = {"weights": str(weights), "overrides": ["train.precision=float32"]}
    with pytest.raises(Stopped, match=r"--out runs/run-001 --resume"):
        fieldmark.train(photos, folds=2, **asked)
    with pytest.raises(Stopped, match=r"--out runs/run-002 --resume"):
        fieldmark.train(photos, **asked)
    single = fieldmark.train(photos, resume=True)
    assert single.path == Path("runs/run-002")
    repeats = fieldmark.train(photos, folds=2, resume=True)
    assert repeats.path == Path("runs/run-001")


def test_finished_repeats_are_left_as_they_are(
    photos: Path, folds: Any, recorder: Any, snapshot: Any
) -> None:
    before = snapshot(folds[0].path)
    again = fieldmark.train(photos, out=folds[0].path, resume=True, progress=recorder)
    assert again == folds[0]
    assert snapshot(folds[0].path) == before
    assert "nothing to go on with" in recorder.notes[0]


@pytest.fixture
def stopped(
    train_tiny: TrainTiny, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A copy of the photos, and two folds of it of which one is missing."""
    copy = shutil.copytree(photos, tmp_path / "photos")
    with monkeypatch.context() as patch:
        Interrupts(patch, 2)
        with pytest.raises(Stopped):
            train_tiny(tmp_path / "run", photos=copy, folds=2)
    return copy, tmp_path / "run"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"folds": 3}, r"begun with --folds 2, not --folds 3"),
        ({"seeds": 2}, r"begun with --folds 2, not --seeds 2"),
        ({"overrides": ["split.seed=4"]}, r"split\.seed: before 0, now 4"),
        ({"recipe": "finetune"}, r"train\.strategy: before probe, now head-then-all"),
    ],
)
def test_what_is_asked_otherwise_is_refused(
    stopped: tuple[Path, Path], asked: dict[str, Any], told: str
) -> None:
    photos, out = stopped
    with pytest.raises(RunError, match=told):
        fieldmark.train(photos, out=out, resume=True, **asked)
    assert not (out / "report.html").exists()


def test_other_photos_are_refused_for_folds_not_yet_begun(stopped: tuple[Path, Path]) -> None:
    photos, out = stopped
    shutil.rmtree(out / "fold-2", ignore_errors=True)
    gone = next(photos.rglob("*.png"))
    gone.unlink()
    with pytest.raises(RunError, match=r"1 removed"):
        fieldmark.train(photos, out=out, resume=True)


def test_two_processes_cannot_go_on_at_once(stopped: tuple[Path, Path]) -> None:
    photos, out = stopped
    with hold(out / "lock"), pytest.raises(RunError, match="in use by"):
        fieldmark.train(photos, out=out, resume=True)


def test_no_folds_to_go_on_with_are_told(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="There are no folds of these photos under runs"):
        fieldmark.train(photos, folds=3, resume=True)
    with pytest.raises(DataError):
        fieldmark.train(tmp_path / "gone", folds=3)


# In the terminal


def test_the_command_ends_with_each_run_the_spread_and_where_things_are(
    call_main: CallMain, photos: Path, weights: Path, tmp_path: Path
) -> None:
    options: Sequence[object] = ("--weights", weights, "--set", "train.precision=float32")
    outcome = call_main("train", photos, *options, "--folds", 2, "--out", tmp_path / "run")
    assert outcome.code == 0
    assert "Fold 2 of 2: fold-2" in outcome.err
    for told in ("fold-1", "fold-2", "Lowest to highest", "Over all photos", "are named right"):
        assert told in outcome.out
    assert f"Report      {tmp_path / 'run'}" in outcome.out
    assert (tmp_path / "run/report.html").is_file()
