"""A bundle gives the same logits anywhere, and any damage to it is refused."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import BundleError
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.models.bundle import load_bundle, load_golden, save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

CPU = torch.device("cpu")
CLASSES = ("café", "犬", 'a,b "c"', "\udcff")
FILES = ("model.safetensors", "model.json", "golden.safetensors", "MANIFEST.json")
MakeClassifier = Callable[..., Classifier]
MakePixels = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def bundle(tmp_path: Path, make_classifier: MakeClassifier) -> Path:
    folder = tmp_path / "run" / "model"
    save_bundle(make_classifier(), folder, data_digest="d" * 64)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    return str(caught.value)


def rewrite(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file of the bundle, and its sum in the manifest with it."""
    content = json.loads((folder / name).read_text("utf-8"))
    change(content)
    (folder / name).write_text(json.dumps(content), "utf-8")
    resign(folder)


def age(folder: Path, schema: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Make a bundle look like one of an older schema, before golden photos."""
    rewrite(folder, "model.json", change)
    rewrite(folder, "model.json", lambda content: content.update(schema_version=schema))
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    manifest["schema_version"] = schema
    manifest["sha256"].pop("golden.safetensors")
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")


def resign(folder: Path) -> None:
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    manifest["sha256"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in manifest["sha256"]
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"stages": 3, "power": 0.5, "classes": CLASSES},
        {"precision": "bfloat16"},
        {"name": "mobilenetv2_035", "args": {"pad_type": "same"}},
        {"head": "flatten", "views": 2},
        {"head": "cosine", "views": 8, "stages": 2},
    ],
)
def test_a_bundle_moved_elsewhere_gives_the_same_logits_to_the_last_bit(
    wishes: dict[str, Any],
    make_classifier: MakeClassifier,
    make_pixels: MakePixels,
    tmp_path: Path,
) -> None:
    preprocess = Preprocess(size_px=32, resize="pad", orientation="stored", mean=(0.1, 0.2, 0.3))
    classifier = make_classifier(preprocess=preprocess, **wishes)
    save_bundle(classifier, tmp_path / "run" / "model", data_digest="d" * 64)
    shutil.move(tmp_path / "run", tmp_path / "über all")
    loaded = load_bundle(tmp_path / "über all" / "model")
    assert loaded.architecture == classifier.architecture
    assert loaded.preprocess == classifier.preprocess
    assert loaded.classes == classifier.classes
    assert not loaded.network.training
    expected_NC, found_NC = (
        Predictor(each, device=CPU).logits(make_pixels(10)) for each in (classifier, loaded)
    )
    np.testing.assert_array_equal(found_NC, expected_NC, strict=True)
    assert expected_NC.std() > 0


def test_a_network_in_training_mode_is_kept_with_its_statistics(
    make_classifier: MakeClassifier, make_pixels: MakePixels, tmp_path: Path
) -> None:
    classifier = make_classifier()
    classifier.network.train()
    images_NCHW = torch.from_numpy(make_pixels(4)).permute(0, 3, 1, 2)
    classifier.network(classifier.preprocess.normalise(images_NCHW))
    save_bundle(classifier, tmp_path, data_digest="")
    assert classifier.network.training
    saved, loaded = classifier.network.state_dict(), load_bundle(tmp_path).network.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert int(loaded["extractor.backbone.bn1.num_batches_tracked"]) == 1


def test_the_files_are_those_of_the_format(bundle: Path) -> None:
    assert {file.name for file in bundle.iterdir()} == set(FILES)
    content = json.loads((bundle / "model.json").read_text("utf-8"))
    assert content["schema_version"] == 4
    assert content["temperature"] == 1.0
    assert content["classes"] == ["cat", "dog", "owl"]
    assert content["data_digest"] == "d" * 64
    assert content["architecture"]["head"] == {"kind": "linear", "num_features": 16}
    assert content["architecture"]["views"] == 1
    manifest = json.loads((bundle / "MANIFEST.json").read_text("utf-8"))
    assert manifest["schema_version"] == 4
    for name in FILES[:3]:
        assert manifest["sha256"][name] == hashlib.sha256((bundle / name).read_bytes()).hexdigest()


def test_a_bundle_is_written_the_same_every_time(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        save_bundle(make_classifier(), tmp_path / name, data_digest="x")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nothing_is_pickled(
    make_classifier: MakeClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read or written")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    save_bundle(make_classifier(), tmp_path, data_digest="")
    assert load_bundle(tmp_path).classes == ("cat", "dog", "owl")


@pytest.mark.parametrize("name", FILES[:3])
def test_every_changed_byte_is_refused(name: str, bundle: Path) -> None:
    path = bundle / name
    content = path.read_bytes()
    step = max(1, len(content) // 100)
    for position in (*range(0, len(content), step), len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        message = refusal(bundle)
        assert str(path) in message
        assert "damaged or altered" in message
    path.write_bytes(content)
    load_bundle(bundle)


@pytest.mark.parametrize("name", FILES[:3])
@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b" "])
def test_a_file_cut_or_grown_is_refused(
    name: str, change: Callable[[bytes], bytes], bundle: Path
) -> None:
    (bundle / name).write_bytes(change((bundle / name).read_bytes()))
    assert "damaged or altered" in refusal(bundle)


def test_a_changed_sum_in_the_manifest_is_refused(bundle: Path) -> None:
    path = bundle / "MANIFEST.json"
    manifest = json.loads(path.read_text("utf-8"))
    for name, digest in manifest["sha256"].items():
        changed = {**manifest["sha256"], name: digest[:-1] + ("0" if digest[-1] != "0" else "1")}
        path.write_text(json.dumps({**manifest, "sha256": changed}), "utf-8")
        assert str(bundle / name) in refusal(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(name: str, bundle: Path) -> None:
    (bundle / name).unlink()
    assert name in refusal(bundle)


def test_a_folder_that_is_no_bundle_is_refused_with_what_to_give(tmp_path: Path) -> None:
    assert "Give a run folder that finished" in refusal(tmp_path)
    assert "Give a run folder that finished" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"schema_version": "1"}',
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "sha256": []}',
        b'{"schema_version": 1, "sha256": {}}',
        b'{"schema_version": 1, "sha256": {"model.json": "", "model.safetensors": "", "x": ""}}',
        b'{"schema_version": 1, "sha256": {"../model.json": "", "model.safetensors": ""}}',
    ],
)
def test_a_malformed_manifest_is_refused(manifest: bytes, bundle: Path) -> None:
    (bundle / "MANIFEST.json").write_bytes(manifest)
    assert str(bundle / "MANIFEST.json") in refusal(bundle)


@pytest.mark.parametrize("name", ["model.json", "MANIFEST.json"])
def test_a_newer_schema_is_refused_with_the_remedy(name: str, bundle: Path) -> None:
    rewrite(bundle, name, lambda content: content.update(schema_version=5))
    message = refusal(bundle)
    assert f"{bundle / name} has schema version 5" in message
    assert "Install a newer Fieldmark" in message


RULE = DecisionRule(
    temperature=1.7,
    temperature_reason="Fitted.",
    target_accuracy=0.99,
    abstain_below=0.8123456789012345,
    abstain_reason="Found.",
    coverage=0.95,
    set_threshold=0.1 + 0.2,
    set_reason="Found, too.",
)


def test_the_rule_by_which_it_decides_goes_with_the_bundle(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    classifier = replace(make_classifier(), decision=RULE)
    save_bundle(classifier, tmp_path, data_digest="")
    assert json.loads((tmp_path / "model.json").read_text("utf-8"))["temperature"] == 1.7
    loaded = load_bundle(tmp_path)
    assert loaded.decision == RULE
    assert loaded.temperature == 1.7


def test_a_bundle_of_schema_2_decides_by_a_plain_softmax(bundle: Path) -> None:
    age(bundle, 2, lambda content: content.pop("decision"))
    assert load_bundle(bundle).decision == DecisionRule()


def test_a_bundle_of_schema_3_loads_without_golden_photos(bundle: Path) -> None:
    age(bundle, 3, dict.copy)
    (bundle / "golden.safetensors").unlink()
    assert load_bundle(bundle).classes == ("cat", "dog", "owl")
    assert load_golden(bundle) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.update(temperature=0.0), "temperature must be over 0"),
        (lambda content: content.update(temperature="1"), "expected float"),
        (lambda content: content.pop("temperature"), "malformed: KeyError"),
        (lambda content: content["decision"].pop("coverage"), "there is no coverage"),
        (lambda content: content["decision"].update(set_threshold=3.0), "between 0 and 1, met 3.0"),
        (lambda content: content.update(decision=[]), "malformed"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    change: Callable[[dict[str, Any]], object], reason: str, bundle: Path
) -> None:
    rewrite(bundle, "model.json", change)
    assert reason in refusal(bundle)


def test_a_bundle_of_schema_1_has_one_view_and_the_same_logits(
    bundle: Path, make_pixels: MakePixels
) -> None:
    """Version 1 had no views, and its heads were linear."""
    expected_NC = Predictor(load_bundle(bundle), device=CPU).logits(make_pixels(3))
    age(bundle, 1, lambda content: content["architecture"].pop("views"))
    old = load_bundle(bundle)
    assert (old.architecture.head, old.architecture.views) == ("linear", 1)
    np.testing.assert_array_equal(Predictor(old, device=CPU).logits(make_pixels(3)), expected_NC)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.pop("architecture"), "malformed: KeyError"),
        (lambda content: content.pop("classes"), "malformed: KeyError"),
        (lambda content: content.update(classes=3), "malformed: TypeError"),
        (lambda content: content["architecture"].update(precision="load"), "precision is 'load'"),
        (lambda content: content["architecture"].update(views=3), "views is 3"),
        (lambda content: content["architecture"].update(views="2"), "views is '2'"),
        (lambda content: content["architecture"].update(views=[]), "malformed"),
        (lambda content: content["architecture"].pop("head"), "malformed: KeyError"),
        (lambda content: content["architecture"]["head"].update(kind="mlp"), "head.kind is 'mlp'"),
        (lambda content: content["architecture"]["head"].update(kind="cosine"), "does not fit"),
        (lambda content: content["architecture"].update(backbone="resnet81"), "no backbone"),
        (lambda content: content["architecture"].update(stages=None, backbone=None), "malformed"),
        (
            lambda content: content["architecture"].update(
                backbone_args={"checkpoint_path": "evil.pth"}
            ),
            "checkpoint_path is not allowed",
        ),
        (lambda content: content["architecture"]["head"].update(num_features=17), "does not fit"),
        (lambda content: content["classes"].append("fourth"), "does not fit"),
        (lambda content: content["preprocess"].pop("mean"), "preprocessing"),
        (lambda content: content["preprocess"].update(size_px=-1), "preprocessing is not valid"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_even_where_the_sums_agree(
    change: Callable[[dict[str, Any]], object], reason: str, bundle: Path
) -> None:
    rewrite(bundle, "model.json", change)
    assert reason in refusal(bundle)


def test_weights_that_are_no_safetensors_are_refused_even_where_the_sums_agree(
    bundle: Path,
) -> None:
    (bundle / "model.safetensors").write_bytes(pickle.dumps({"head.weight": 1}))
    resign(bundle)
    assert "does not fit" in refusal(bundle)


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "model.json":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refuse)
    assert "Permission denied" in refusal(bundle)


def test_loading_leaves_the_global_random_state_alone(bundle: Path) -> None:
    before = torch.get_rng_state()
    load_bundle(bundle)
    assert torch.equal(torch.get_rng_state(), before)
