"""Whole journeys: what a run leaves behind, what it never touches, and what can be done with it."""

import csv
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.base.errors import DataError, RunError
from fieldmark.run import Run

ALWAYS = {
    "run.json",
    "attention.json",
    "recipe.toml",
    "resolved.toml",
    "catalog.csv",
    "comparisons.json",
    "findings.json",
    "labels.csv",
    "splits.csv",
    "history.csv",
    "events.jsonl",
    "layers.csv",
    "predictions.csv",
    "evaluation.json",
    "report.html",
    "model",
    "model/model.safetensors",
    "model/model.json",
    "model/golden.safetensors",
    "model/metrics.json",
    "model/MANIFEST.json",
    "model/MODEL_CARD.md",
}
RECIPES = ("quick", "finetune")
Train = Callable[..., Run]
Snapshot = Callable[[Path], dict[str, object]]


@pytest.fixture(params=RECIPES)
def finished(request: pytest.FixtureRequest) -> Run:
    """The finished run of each recipe in turn."""
    run: Run = request.getfixturevalue(f"finished_{request.param}")
    return run


def folder_of(run: Run) -> Path:
    assert run.path is not None
    return run.path


def record_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return content


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def results(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "evaluation.json").read_bytes(), (folder / "predictions.csv").read_bytes()


# What a run leaves behind


def test_a_run_folder_holds_these_files_and_no_others(finished: Run, snapshot: Snapshot) -> None:
    of_recipe = {"quick": {"probe.csv"}, "finetune": {"training.html", "augmentation.png"}}
    recipe = record_of(folder_of(finished))["recipe"]
    assert set(snapshot(folder_of(finished))) == ALWAYS | of_recipe[recipe]


def test_colourful_classes_are_learned(finished: Run) -> None:
    assert finished.evaluation.accuracy.value >= 0.9


def test_the_record_tells_what_was_done(finished: Run, photos: Path) -> None:
    content = record_of(folder_of(finished))
    assert content["status"] == "finished"
    assert content["error"] is None
    assert content["photos"] == str(photos)
    assert content["command"].startswith(f"fieldmark.train({str(photos)!r}, ")
    assert content["images"] == {"met": 36, "used": 36, "repaired": 0, "excluded": 0}
    assert sum(content["splits"].values()) == 36
    assert content["splits"]["test"] == 6
    assert content["seeds"] == {"split": 0, "train": 0}
    assert content["strategy"] == {"quick": "probe", "finetune": "head-then-all"}[content["recipe"]]
    assert content["device"]["precision"] == "float32"
    assert len(content["data_digest"]) == 64
    assert content["split_file"] is None
    assert content["labels"] is None
    stages = [stage["name"] for stage in content["stages"]]
    assert stages[0] == "catalog"
    assert stages[-1] == "report"


def test_a_training_by_epochs_has_a_row_for_each_and_a_probe_one_for_each_strength(
    finished_quick: Run, finished_finetune: Run
) -> None:
    quick, finetune = folder_of(finished_quick), folder_of(finished_finetune)
    assert [int(row["epoch"]) for row in table(finetune / "history.csv")] == list(range(1, 11))
    assert table(quick / "history.csv") == []
    assert [row["chosen"] for row in table(quick / "probe.csv")].count("1") == 1


def test_every_photo_has_its_row_in_catalog_splits_and_predictions(
    finished: Run, photos: Path
) -> None:
    folder = folder_of(finished)
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    for name in ("catalog.csv", "splits.csv", "predictions.csv"):
        assert sorted(row["path"] for row in table(folder / name)) == paths


def test_splits_and_predictions_agree(finished: Run) -> None:
    folder = folder_of(finished)
    split = {row["path"]: (row["split"], row["label"]) for row in table(folder / "splits.csv")}
    told = {row["path"]: (row["split"], row["label"]) for row in table(folder / "predictions.csv")}
    assert told == split


def test_what_ran_is_written_with_every_value_and_the_reasons(finished: Run) -> None:
    content = tomllib.loads((folder_of(finished) / "resolved.toml").read_text("utf-8"))
    assert content["data"] == {
        "size_px": 32,
        "resize": "squash",
        "interpolation": "bicubic",
        "antialias": True,
        "orientation": "exif",
    }
    assert content["model"]["backbone"] == "resnet18"
    assert Path(content["model"]["weights"]).is_absolute()
    assert "data.size_px" in content["reasons"]
    if content["train"]["strategy"] == "probe":
        assert isinstance(content["probe"]["l2"], float)
        assert "probe.l2" in content["reasons"]
        assert not {"optim", "augment"} & set(content)
    else:
        assert content["augment"]["crop_scale"] == [0.5, 1.0]
        assert content["reasons"]["augment.crop_scale"] == "the policy standard"
        assert content["probe"]["l2"] == "auto"  # of the head that it begins with


def test_every_reason_is_that_of_a_value_in_the_file(finished: Run) -> None:
    content = tomllib.loads((folder_of(finished) / "resolved.toml").read_text("utf-8"))
    for key in content["reasons"]:
        section, _, name = key.partition(".")
        assert name in content[section]


def test_the_bundle_names_the_classes_in_order(finished: Run) -> None:
    content = json.loads((finished.bundle / "model.json").read_text("utf-8"))
    assert content["classes"] == ["cherry", "leaf", "sky"]


# The same again


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_gives_the_same_bytes_with_the_cache_and_without(
    recipe: str,
    request: pytest.FixtureRequest,
    train_tiny: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = results(folder_of(request.getfixturevalue(f"finished_{recipe}")))
    assert results(folder_of(train_tiny(tmp_path / "again", recipe=recipe))) == first
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "empty"))
    assert results(folder_of(train_tiny(tmp_path / "anew", recipe=recipe))) == first


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_ran_can_be_run_again_as_a_recipe(
    recipe: str, request: pytest.FixtureRequest, photos: Path, tmp_path: Path
) -> None:
    first = folder_of(request.getfixturevalue(f"finished_{recipe}"))
    again = fieldmark.train(photos, recipe=str(first / "resolved.toml"), out=tmp_path / "again")
    assert results(folder_of(again))[0] == results(first)[0]
    of_test = [
        [row for row in table(run / "predictions.csv") if row["split"] == "test"]
        for run in (first, folder_of(again))
    ]
    assert of_test[0] == of_test[1]


def test_another_seed_divides_the_photos_otherwise(
    finished_quick: Run, train_tiny: Train, tmp_path: Path
) -> None:
    other = folder_of(train_tiny(tmp_path / "other", overrides=["split.seed=1"]))
    first = folder_of(finished_quick)
    assert table(other / "splits.csv") != table(first / "splits.csv")
    assert (other / "catalog.csv").read_bytes() == (first / "catalog.csv").read_bytes()


# What is never touched


def test_the_folder_of_photos_is_left_as_it_was(
    write_photos: Callable[..., Path],
    snapshot: Snapshot,
    train_tiny: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = write_photos(tmp_path / "photos", count=4)
    (root / "sky" / "Thumbs.db").write_bytes(b"\x00")
    (root / "sky" / "empty.jpg").write_bytes(b"")
    before = snapshot(root)
    monkeypatch.chdir(tmp_path)
    run = train_tiny(None, photos="photos")
    assert run.path == Path("runs/run-001")
    fieldmark.evaluate(run, "photos", out="evaluated")
    fieldmark.predict(run, ["photos"])
    assert train_tiny(None, photos="photos").path == Path("runs/run-002")
    assert snapshot(root) == before


def test_an_output_within_the_photos_is_refused(
    photos: Path, snapshot: Snapshot, train_tiny: Train
) -> None:
    before = snapshot(photos)
    with pytest.raises(RunError, match="inside the folder of photos"):
        train_tiny(photos / "run")
    assert snapshot(photos) == before


def test_standing_in_the_photos_asks_for_another_output(
    photos: Path, weights: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(photos)
    monkeypatch.chdir(photos)
    with pytest.raises(RunError, match="another --out"):
        fieldmark.train(".", weights=str(weights))
    assert snapshot(photos) == before


def test_an_output_that_holds_something_is_refused_and_kept(
    finished_quick: Run, snapshot: Snapshot, train_tiny: Train
) -> None:
    before = snapshot(folder_of(finished_quick))
    with pytest.raises(RunError, match="already holds something"):
        train_tiny(folder_of(finished_quick))
    assert snapshot(folder_of(finished_quick)) == before


# Weights that the user brings


def test_a_weights_file_works_where_the_backbone_is_named(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    args = "model.backbone_args={layers=[1,1,1,1], channels=[8,8,16,16]}"
    run = fieldmark.train(
        photos,
        weights=str(weights / "model.safetensors"),
        backbone="resnet18",
        overrides=[args, "data.size_px=32", "train.precision=float32"],
        out=tmp_path / "run",
    )
    assert run.evaluation.accuracy.value >= 0.9


# Other verbs


def test_the_numbers_of_a_run_are_those_of_its_saved_evaluation(finished: Run) -> None:
    saved = json.loads((folder_of(finished) / "evaluation.json").read_text("utf-8"))
    assert json.loads(json.dumps(fieldmark.evaluate(folder_of(finished)).to_json())) == saved


def test_a_run_is_evaluated_on_other_photos(
    finished_quick: Run,
    write_photos: Callable[..., Path],
    tmp_path: Path,
) -> None:
    root = write_photos(tmp_path / "new", count=5, seed=9)
    (root / "sky" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    evaluation = fieldmark.evaluate(finished_quick, root, out=tmp_path / "out")
    assert evaluation.num_images == 15
    assert evaluation.accuracy.value >= 0.9
    names = {"catalog.csv", "predictions.csv", "evaluation.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    saved = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert saved == json.loads(json.dumps(evaluation.to_json()))
    assert len(table(tmp_path / "out" / "predictions.csv")) == 15
    broken = [row for row in table(tmp_path / "out" / "catalog.csv") if "broken" in row["path"]]
    assert [row["status"] for row in broken] == ["excluded"]


def test_an_evaluation_never_writes_where_it_must_not(
    finished_quick: Run, photos: Path, snapshot: Snapshot, tmp_path: Path
) -> None:
    before = snapshot(photos)
    with pytest.raises(RunError, match="inside the folder of photos"):
        fieldmark.evaluate(finished_quick, photos, out=photos / "out")
    assert snapshot(photos) == before
    with pytest.raises(RunError, match="already holds something"):
        fieldmark.evaluate(finished_quick, photos, out=folder_of(finished_quick))
    with pytest.raises(RunError, match="goes with another folder"):
        fieldmark.evaluate(finished_quick, out=tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        fieldmark.evaluate(finished_quick, tmp_path / "gone", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_summary_counts_the_parameters_of_resnet50() -> None:
    # 23,508,032 without its classifier: torchvision's 25,557,032 less 1000 x 2048 + 1000.
    summary = fieldmark.summary(size_px=32, num_classes=7)
    assert (summary.backbone, summary.size_px) == ("resnet50", 32)
    head = [layer for layer in summary.layers if layer.name == "head"]
    assert [layer.num_parameters for layer in head] == [2048 * 7 + 7]
    total = sum(layer.num_parameters for layer in summary.layers)
    assert total - head[0].num_parameters == 23_508_032
    assert summary.totals["backbone"].num_parameters == 23_508_032
    assert summary.totals["head"].num_parameters == 2048 * 7 + 7
    assert summary.totals["both"].num_trainable == total


@pytest.mark.parametrize(
    ("asked", "num_classes"),
    [
        ({"recipe": "finetune"}, 10),
        ({"recipe": "reference"}, 8),
        ({"recipe": "reference", "num_classes": 3}, 3),
    ],
)
def test_summary_has_the_classes_of_the_study_for_its_recipe_alone(
    asked: dict[str, Any], num_classes: int
) -> None:
    tiny = ["model.backbone_args={layers=[1,1,1,1], channels=[8,8,8,8]}", "model.head=linear"]
    summary = fieldmark.summary(backbone="resnet18", size_px=32, overrides=tiny, **asked)
    assert summary.num_classes == num_classes
    assert summary.layers[-1].output_shape == str(num_classes)


@pytest.mark.parametrize(
    ("strategy", "trained"),
    [
        ("probe", {"head"}),
        ("last-stages", {"head", "layer4"}),
        ("all", {"head", "layer4", "layer3", "layer2", "layer1", "conv1", "bn1"}),
    ],
)
def test_summary_says_which_weights_a_recipe_trains(strategy: str, trained: set[str]) -> None:
    summary = fieldmark.summary(
        backbone="resnet18",
        size_px=32,
        overrides=[
            f"train.strategy={strategy}",
            "model.backbone_args={layers=[1,1,1,1], channels=[8,8,8,8]}",
        ],
    )
    names = [
        layer.name.removeprefix("backbone.") for layer in summary.layers if layer.num_trainable
    ]
    assert {name.partition(".")[0] for name in names} == trained


def test_the_demo_learns_digits_and_can_be_run_again(tmp_path: Path) -> None:
    quick = [
        "train.epochs=3",
        "train.batch_size=32",
        "train.precision=float32",
        "optim.lr=5e-3",
        "optim.warmup_epochs=0.5",
        "model.backbone_args={layers=[1,1,1,1], channels=[16,32,32,64]}",
    ]
    first = fieldmark.demo(out=tmp_path, overrides=quick)
    assert first.path == tmp_path / "run-001"
    assert first.evaluation.num_images == 368
    assert first.evaluation.accuracy.value > 0.9
    second = fieldmark.demo(out=tmp_path, overrides=quick)
    assert second.path == tmp_path / "run-002"
    assert results(tmp_path / "run-002") == results(tmp_path / "run-001")
    assert record_of(tmp_path / "run-002")["status"] == "finished"
