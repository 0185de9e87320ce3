"""A bundle keeps what its score for unfamiliar photos goes by, and refuses one that is damaged."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load, save

from fieldmark.base.errors import BundleError
from fieldmark.base.executor import SerialExecutor
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.familiar_space import FamiliarSpace, fit_reduction, fit_space
from fieldmark.evaluation.unfamiliar import UnfamiliarRule, energy
from fieldmark.models.bundle import load_bundle, save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.familiarity import scores_of
from fieldmark.models.inference import Predictor
from fieldmark.models.prediction import predict_files

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]
MakePixels = Callable[..., NDArray[np.uint8]]


def space_of(num_features: int, *, num_classes: int = 3) -> FamiliarSpace:
    labels_N = np.arange(60) % num_classes
    generator = np.random.default_rng(0)
    features_NF = generator.normal(size=(60, num_features)).astype(np.float32)
    features_NF[:, :3] += np.eye(3)[labels_N % 3]
    reduction = fit_reduction(features_NF, generator=generator)
    photos_NP = reduction.components(features_NF).photos_NP
    space = fit_space(photos_NP, labels_N, num_features=num_features, most=8)
    return space.on_features(reduction)


def with_rule(classifier: Classifier, *, score: str, threshold: float | None = 0.0) -> Classifier:
    rule = UnfamiliarRule(
        score=score, score_reason="Made up.", rate=0.01, threshold=threshold, reason="Found."
    )
    space = space_of(classifier.network.head.in_features) if score == "distance" else None
    return replace(classifier, decision=DecisionRule(unfamiliar=rule), familiar=space)


@pytest.fixture
def bundle(tmp_path: Path, make_classifier: MakeClassifier) -> Path:
    save_bundle(
        with_rule(make_classifier(), score="distance"), tmp_path / "model", data_digest="d" * 64
    )
    return tmp_path / "model"


def resign(folder: Path, *, without: str | None = None) -> None:
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    names = [name for name in manifest["sha256"] if name != without]
    manifest["sha256"] = {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")


@pytest.mark.parametrize("score", ["distance", "energy"])
def test_a_bundle_scores_photos_as_the_classifier_did(
    score: str, make_classifier: MakeClassifier, make_pixels: MakePixels, tmp_path: Path
) -> None:
    classifier = with_rule(make_classifier(), score=score)
    save_bundle(classifier, tmp_path / "model", data_digest="")
    loaded = load_bundle(tmp_path / "model")
    assert loaded.decision == classifier.decision
    assert (tmp_path / "model/familiar.safetensors").is_file() == (score == "distance")
    predictor = Predictor(loaded, device=CPU)
    features_NF = predictor.features(make_pixels(5))
    logits_NC = predictor.logits_of_features(features_NF)
    found, expected = (
        scores_of(each, features_NF=features_NF, logits_NC=logits_NC)
        for each in (loaded, classifier)
    )
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    if score == "energy":
        np.testing.assert_array_equal(found, energy(logits_NC))


def test_a_classifier_without_a_rule_gives_no_score(make_classifier: MakeClassifier) -> None:
    rows = np.zeros((2, 16), np.float32)
    assert scores_of(make_classifier(), features_NF=rows, logits_NC=rows[:, :3]) is None


def test_predictions_have_the_score_and_the_verdict(
    make_classifier: MakeClassifier, make_pixels: MakePixels, tmp_path: Path
) -> None:
    files = [tmp_path / f"{place}.png" for place in range(3)]
    for file, pixels in zip(files, make_pixels(3), strict=True):
        Image.fromarray(pixels).save(file)
    files.append(tmp_path / "none.png")
    files[-1].write_bytes(b"")

    def verdicts(threshold: float | None) -> list[tuple[float | None, bool | None]]:
        classifier = with_rule(make_classifier(), score="distance", threshold=threshold)
        asked = {"top_k": 2, "device": CPU, "executor": SerialExecutor()}
        answers = predict_files(classifier, files, **asked)  # type: ignore[arg-type]
        return [(answer.unfamiliarity, answer.is_unfamiliar) for answer in answers]

    scores = [score for score, _ in verdicts(None)]
    assert scores[-1] is None
    middle = sorted(score for score in scores if score is not None)[1]
    assert [said for _, said in verdicts(None)] == [None] * 4
    assert verdicts(middle) == [
        *((score, score > middle) for score in scores if score is not None),
        (None, None),
    ]


def test_a_missing_space_is_refused(bundle: Path) -> None:
    resign(bundle, without="familiar.safetensors")
    with pytest.raises(BundleError, match=r"familiar.safetensors is missing"):
        load_bundle(bundle)


def test_an_altered_space_is_refused(bundle: Path) -> None:
    path = bundle / "familiar.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        load_bundle(bundle)


@pytest.mark.parametrize("fault", ["no tensors", "a tensor too few", "shapes", "features"])
def test_a_space_that_does_not_fit_is_refused(bundle: Path, fault: str) -> None:
    path = bundle / "familiar.safetensors"
    tensors = load(path.read_bytes())
    if fault == "a tensor too few":
        del tensors["means_CK"]
    if fault == "shapes":
        tensors["means_CK"] = tensors["means_CK"][:, :-1].copy()
    if fault == "features":
        other = space_of(9)
        tensors = {name: np.ascontiguousarray(getattr(other, name)) for name in tensors}
    path.write_bytes(b"{}" if fault == "no tensors" else save(tensors))
    resign(bundle)
    with pytest.raises(BundleError, match=r"familiar\.safetensors"):
        load_bundle(bundle)
