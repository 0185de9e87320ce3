"""The card in the bundle of a run: true to its files, free to be edited, and no way around them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import BundleError
from fieldmark.evaluation.learning_curve_document import read_learning_curve
from fieldmark.models.bundle import load_bundle

TrainTiny = Callable[..., Any]
WritePhotos = Callable[..., Path]


@pytest.fixture
def bundle(finished_quick: Any, tmp_path: Path) -> Path:
    """A copy of the bundle of a finished run."""
    return Path(shutil.copytree(finished_quick.bundle, tmp_path / "model"))


def test_the_card_names_the_files_of_its_bundle(bundle: Path) -> None:
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    for name in ("model.safetensors", "model.json"):
        digest = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        assert f"| {name} (SHA-256) | {digest} |" in card
    assert "cherry, leaf, sky" in card


def test_the_card_may_be_edited_or_removed_and_the_manifest_does_not_list_it(bundle: Path) -> None:
    listed = json.loads((bundle / "MANIFEST.json").read_text("utf-8"))["sha256"]
    assert "MODEL_CARD.md" not in listed
    assert {"model.safetensors", "model.json", "golden.safetensors", "metrics.json"} <= set(listed)
    card = bundle / "MODEL_CARD.md"
    card.write_text(card.read_text("utf-8") + "\nAnswerable: the garden club.\n", "utf-8")
    assert load_bundle(bundle).classes == ("cherry", "leaf", "sky")
    card.unlink()
    assert load_bundle(bundle).classes == ("cherry", "leaf", "sky")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.json", "golden.safetensors", "metrics.json"]
)
def test_what_computes_is_refused_once_it_is_altered(bundle: Path, name: str) -> None:
    path = bundle / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        load_bundle(bundle)


def test_a_manifest_that_lists_the_card_in_place_of_the_weights_is_refused(bundle: Path) -> None:
    path = bundle / "MANIFEST.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["sha256"]["MODEL_CARD.md"] = manifest["sha256"].pop("model.safetensors")
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match="must list the sums"):
        load_bundle(bundle)


def test_a_small_folder_has_no_learning_curve(finished_quick: Any) -> None:
    assert read_learning_curve(finished_quick.path) is None


def test_a_run_measures_its_learning_curve(
    train_tiny: TrainTiny, write_photos: WritePhotos, tmp_path: Path
) -> None:
    photos = write_photos(tmp_path / "photos", count=30)
    run = train_tiny(tmp_path / "run", photos=photos)
    curve = read_learning_curve(run.path)
    assert curve is not None
    sides = run.record["splits"]
    assert curve.overall.points[-1].num_photos == sides["train"] + sides["validation"]
    assert curve.overall.num_test == sides["test"]
    # The run is such a head itself, so both name the same photos right.
    assert curve.overall.points[-1].accuracy.value == run.evaluation.accuracy.value
    assert "learning curve" in [stage["name"] for stage in run.record["stages"]]
    assert "Would more photos help?" in run.report.read_text("utf-8")
    assert "Would more photos help?" in (run.bundle / "MODEL_CARD.md").read_text("utf-8")
