"""A run becomes a file only once it is shown to do what the run does."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark import onnx_writing
from fieldmark.base.errors import BundleError, DataError, ExportError, RecipeError, RunError
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.parity import APART, TOLERANCE, Parity
from fieldmark.exported import load_exported

CallMain = Callable[..., Any]


@pytest.fixture(scope="module")
def run(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own, to write into."""
    place = tmp_path_factory.mktemp("exporting") / "run"
    shutil.copytree(finished_quick.path, place)
    return place


def test_a_run_becomes_a_file_that_names_its_test_photos_alike(
    run: Path, photos: Path, call_main: CallMain
) -> None:
    outcome = call_main("export", run)
    assert outcome.code == 0, outcome.err
    record = json.loads((run / "model.parity.json").read_text("utf-8"))
    parity = record["parity"]
    assert parity["photos"] == "test photos"
    assert parity["num_agreeing"] == parity["num_photos"] == record_of_test(run)
    assert parity["max_difference"] <= TOLERANCE
    assert parity["accuracy_lost"]["value"] == 0
    assert parity["to_run"]["precision"] == "float32"
    assert parity["to_run"]["num_agreeing"] == parity["num_photos"]
    assert parity["to_run"]["max_difference"] <= TOLERANCE
    assert parity["to_run"]["num_apart"] == 0
    assert "The run     predicts in float32: " in outcome.out
    assert f"{parity['num_photos']:,} of {parity['num_photos']:,} test photos" in outcome.out
    assert str(run / "model.onnx") in outcome.out
    exported = load_exported(run / "model.onnx")
    assert exported.form.parity == parity
    bundle = fieldmark.load(run).classifier
    assert exported.classes == bundle.classes
    assert exported.form.preprocess == bundle.preprocess
    assert exported.form.decision == bundle.decision
    files = sorted(photos.glob("*/0*.png"))
    predictions, _ = fieldmark.predict(run / "model.onnx", [photos])
    expected, _ = fieldmark.predict(run, [photos])
    assert len(predictions) == len(expected) > len(files) / 2
    for one, other in zip(predictions, expected, strict=True):
        assert one.path == other.path
        assert dict(one.ranking) == pytest.approx(dict(other.ranking), abs=1e-5)
        assert one.is_unfamiliar == other.is_unfamiliar
    assert exported.predict(files[:1])[0] == predictions[0]


def test_how_far_a_file_is_from_a_run_in_bfloat16_is_measured_and_told(
    photos: Path, weights: Path, tmp_path: Path, call_main: CallMain
) -> None:
    run = tmp_path / "run"
    fieldmark.train(photos, weights=str(weights), overrides=["model.precision=bfloat16"], out=run)
    outcome = call_main("export", run)
    assert outcome.code == 0, outcome.err
    parity = json.loads((run / "model.parity.json").read_text("utf-8"))["parity"]
    said = parity["to_run"]
    assert said["precision"] == "bfloat16"
    assert f"The run     predicts in bfloat16: {said['num_agreeing']}" in outcome.out
    # To the run in float32 it is closer than to what `predict RUN` says, and that is the measure.
    assert 10 * parity["max_difference"] < said["max_difference"]
    paths = fieldmark.load(run).predictions.of_split("test").paths
    by_run, by_file = (
        fieldmark.predict(one, [photos / path for path in paths], top_k=9)[0]
        for one in (run, run / "model.onnx")
    )
    gaps = [
        max(abs(share - dict(other.ranking)[name]) for name, share in one.ranking)
        for one, other in zip(by_run, by_file, strict=True)
    ]
    assert max(gaps) == pytest.approx(said["max_difference"], rel=1e-3)
    assert sum(gap > APART for gap in gaps) == said["num_apart"]


def test_a_run_that_lacks_its_predictions_is_exported_without_that_measure(
    run: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "run"
    shutil.copytree(run, bare, ignore=shutil.ignore_patterns("predictions.csv", "*.onnx"))
    export = fieldmark.export(bare)
    assert export.parity is not None
    assert export.parity.is_exact
    assert export.parity.to_run is None


def record_of_test(run: Path) -> int:
    return int(json.loads((run / "run.json").read_text("utf-8"))["splits"]["test"])


def test_eight_bits_are_fitted_to_training_photos_and_what_they_cost_is_told(
    run: Path, call_main: CallMain, tmp_path: Path
) -> None:
    out = tmp_path / "small.onnx"
    outcome = call_main("export", run, "--precision", "int8", "--input", "fixed", "--out", out)
    assert outcome.code == 0, outcome.err
    exported = load_exported(out)
    assert (exported.form.precision, exported.form.takes) == ("int8", "fixed")
    assert exported.form.parity["accuracy_lost"]["value"] <= 0.01
    assert "points lost (95 % interval" in outcome.out
    images = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    pixels = np.stack([exported.form.preprocess.to_pixels(image) for image in images])
    np.testing.assert_array_equal(
        exported.of_images(images).probabilities_NC, exported.of_pixels(pixels).probabilities_NC
    )


def test_a_bundle_alone_is_checked_on_its_golden_photos(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "model", tmp_path / "alone")
    export = fieldmark.export(tmp_path / "alone", out=tmp_path / "alone.onnx")
    assert export.parity is not None
    assert export.parity.photos == "golden photos"
    assert export.parity.is_exact
    with pytest.raises(ExportError, match="fitted to training photos"):
        fieldmark.export(tmp_path / "alone", precision="int8", out=tmp_path / "b.onnx")


def test_a_bundle_in_one_file_is_the_same_classifier(
    run: Path, photos: Path, tmp_path: Path, call_main: CallMain
) -> None:
    out = tmp_path / "taken.fieldmark"
    assert call_main("export", run, "--to", "bundle", "--out", out).code == 0
    file = str(min(photos.glob("*/*.png")))
    assert fieldmark.load(out).predict([file]) == fieldmark.load(run).predict([file])
    outcome = call_main("predict", out, file, "--format", "csv")
    assert outcome.code == 0, outcome.err


PARITY = Parity(
    photos="test photos",
    num_photos=100,
    num_agreeing=100,
    max_difference=0.0,
    worst_photo="cat/1.jpg",
    accuracy=0.9,
    accuracy_lost=Estimate(value=0.012, low=0.0, high=0.03),
)


def pretend(monkeypatch: pytest.MonkeyPatch, parity: Parity) -> None:
    def prepare(*_: object, **__: object) -> Any:
        return onnx_writing.Prepared(model=None, form=None, parity=parity)  # type: ignore[arg-type]

    monkeypatch.setattr(onnx_writing, "prepare", prepare)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_agreeing": 99}, "99 of 100 photos the same"),
        ({"max_difference": 1.1 * TOLERANCE}, "up to 0.00011 \\(on cat/1.jpg\\)"),
    ],
)
def test_a_file_that_does_something_else_is_not_written(
    changes: dict[str, Any],
    told: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, replace(PARITY, **changes))
    with pytest.raises(ExportError, match=told):
        fieldmark.export(run, out=tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_eight_bits_that_cost_more_than_allowed_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, PARITY)
    asked: dict[str, Any] = {"precision": "int8", "out": tmp_path / "a.onnx"}
    with pytest.raises(ExportError, match=r"1\.20 % .* where --max-loss allows 1 %"):
        fieldmark.export(run, **asked)
    with pytest.raises(AttributeError):  # it went on to write, and there is nothing to write
        fieldmark.export(run, max_loss=0.02, **asked)


def test_changed_and_missing_photos_are_refused_by_name(
    run: Path, photos: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(photos, moved)
    rows = (run / "splits.csv").read_text("utf-8").splitlines()
    path = next(row.split(",")[0] for row in rows if ",test," in row)
    (moved / path).write_bytes((moved / path).read_bytes() + b"x")
    with pytest.raises(DataError, match=f"{path} in .* has changed since the run"):
        fieldmark.export(run, photos=moved, out=tmp_path / "a.onnx")
    (moved / path).unlink()
    with pytest.raises(DataError, match=f"{path} of this run cannot be read"):
        fieldmark.export(run, photos=moved, out=tmp_path / "a.onnx")
    with pytest.raises(DataError, match=r"are not in .*--photos"):
        fieldmark.export(run, photos=tmp_path / "nowhere", out=tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"to": "onx"}, "--to is 'onx'. Did you mean 'onnx'"),
        ({"precision": "fp16"}, "--precision is 'fp16'"),
        ({"takes": "all"}, "--input is 'all'"),
        ({"max_loss": 1.5}, "--max-loss is 1.5"),
        ({"out": "a.txt"}, "must end in .onnx"),
        ({"to": "bundle", "out": "a.zip"}, "must end in .fieldmark"),
        ({"sign": "key.pem", "out": "a.onnx"}, "--sign is for bundles"),
        ({"with_thumbnails": True}, "--with-thumbnails is for bundles, and --to is 'onnx'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    asked: dict[str, Any], told: str, run: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        fieldmark.export(run, **asked)
    assert told in str(caught.value)


def test_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("mine")
    with pytest.raises(ExportError, match="is there already"):
        fieldmark.export(run, out=tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "mine"


def test_nothing_is_written_among_the_photos(run: Path, photos: Path) -> None:
    with pytest.raises(RunError, match="inside the folder of photos"):
        fieldmark.export(run, out=photos / "a.onnx")


def test_what_is_missing_is_said_with_how_to_install_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ExportError, match=r"onnx and onnxscript .*fieldmark\[export\]"):
        fieldmark.export(run, out=tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "b.onnx").write_bytes(b"")
    with pytest.raises(ExportError, match=r"fieldmark\[export\]"):
        load_exported(tmp_path / "b.onnx")


def test_an_exported_file_is_no_run(run: Path, call_main: CallMain) -> None:
    (run / "other.onnx").write_bytes(b"")
    for verb in ("evaluate", "export"):
        outcome = call_main(verb, run / "other.onnx")
        assert outcome.code == 2
        assert "can predict and nothing else" in outcome.err


def test_a_bundle_is_verified_from_the_command_line(
    run: Path, tmp_path: Path, call_main: CallMain
) -> None:
    outcome = call_main("verify", run)
    assert outcome.code == 0, outcome.err
    assert "each as the manifest says" in outcome.out
    assert "golden photos, logits within" in outcome.out
    assert "by nobody" in outcome.out
    shutil.copytree(run / "model", tmp_path / "model")
    (tmp_path / "model" / "metrics.json").write_text("{}")
    with pytest.raises(BundleError, match="damaged or altered"):
        fieldmark.verify(tmp_path / "model")
