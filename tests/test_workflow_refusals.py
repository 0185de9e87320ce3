"""What stops a training early, and that it is told before anything is made."""

import json
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.base.errors import DataError, RecipeError, SplitError, WeightsError


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"photos": "gone"}, DataError, "gone does not exist"),
        ({"photos": "a.zip"}, DataError, "is a file"),
        ({"recipe": "quik"}, RecipeError, "Did you mean 'quick'"),
        ({"overrides": ["train.epoch=1"]}, RecipeError, "Did you mean 'epochs'"),
        ({"weights": "gone"}, WeightsError, "no weights at gone"),
        ({"weights": "none"}, RecipeError, "--recipe finetune"),
        ({"backbone": "resnet5"}, RecipeError, "no backbone 'resnet5'"),
        ({"split_file": "gone.csv"}, SplitError, r"no split file gone\.csv"),
        ({"labels": "gone.csv"}, DataError, r"no labels file gone\.csv"),
        ({"group_by": "("}, SplitError, "not a valid regular expression"),
        ({"ignore": ["FM32"]}, RecipeError, "Did you mean 'FM302'"),
        ({"overrides": ["model.feature_power=0.5"], "recipe": "finetune"}, RecipeError, "power"),
        ({"overrides": ["split.validation=0"]}, RecipeError, "probe.l2 is 'auto'"),
    ],
)
def test_what_is_wrong_with_the_command_is_told_before_anything_is_made(
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"PK")
    asked: dict[str, Any] = {"photos": photos, "weights": str(weights), **changes}
    if "backbone" in changes:
        asked["weights"] = "none"
        asked["recipe"] = "finetune"
    with pytest.raises(error, match=message):
        fieldmark.train(asked.pop("photos"), **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_offline_without_weights_the_ways_out_are_told_within_seconds(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
    with pytest.raises(WeightsError) as refused:
        fieldmark.train(photos)
    message = str(refused.value)
    assert "resnet50" in message
    assert "could not be fetched" in message
    assert "--weights PATH" in message
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_shape_fail_the_run_with_their_text(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="do not fit the backbone"):
        fieldmark.train(
            photos,
            weights=str(weights / "model.safetensors"),
            backbone="resnet18",
            out=tmp_path / "run",
        )
    content = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert content["status"] == "failed"
    assert "do not fit the backbone" in content["error"]
