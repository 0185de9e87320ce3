"""The exported graph gives the classifier's probabilities, whatever network and head."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.familiar_space import FamiliarSpace
from fieldmark.evaluation.metrics import softmax
from fieldmark.evaluation.unfamiliar import DISTANCE, ENERGY, UnfamiliarRule
from fieldmark.models.classifier import Classifier
from fieldmark.models.export import describe, export_fixed, taking_images
from fieldmark.models.exported_form import METADATA_KEY, ExportedForm
from fieldmark.models.familiarity import scores_of
from fieldmark.models.inference import Predictor

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]
MakePixels = Callable[..., NDArray[np.uint8]]
DECISION = DecisionRule(temperature=2.5)


def session_of(model: onnx.ModelProto) -> Any:
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def probabilities(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    logits = Predictor(classifier, device=CPU).logits(pixels).astype(np.float64)
    return softmax(logits / classifier.temperature)


@pytest.mark.parametrize(
    "wishes",
    [
        {"stages": 3, "power": 0.5},
        {"views": 8},
        {"head": "cosine"},
        {"head": "flatten", "views": 2},
        {"name": "mobilenetv2_035", "args": {"pad_type": "same"}},
    ],
    ids=str,
)
def test_pixels_become_the_classifiers_probabilities(
    wishes: dict[str, Any], make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = replace(make_classifier(**wishes), decision=DECISION)
    session = session_of(export_fixed(classifier))
    for num_photos in (1, 5):
        pixels = make_pixels(num_photos, seed=num_photos)
        found_NC, logits_NC = session.run(None, {"pixels": pixels})
        expected_NC = probabilities(classifier, pixels)
        np.testing.assert_allclose(found_NC, expected_NC, atol=1e-5)
        np.testing.assert_allclose(
            logits_NC, Predictor(classifier, device=CPU).logits(pixels), atol=1e-4
        )
        assert expected_NC.std() > 0.05


def test_photos_of_any_size_become_the_same_as_their_pixels_do(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    preprocess = Preprocess(size_px=32, resize="pad", prescale_px=20, interpolation="bicubic")
    classifier = replace(make_classifier(preprocess=preprocess), decision=DECISION)
    fixed = export_fixed(classifier)
    before = fixed.SerializeToString()
    session = session_of(taking_images(fixed, classifier))
    assert fixed.SerializeToString() == before
    assert [one.name for one in session.get_inputs()] == ["images"]
    for size in ((32, 32), (90, 41), (7, 200)):
        images = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
        found_NC, _ = session.run(None, {"images": images})
        pixels = np.stack([preprocess.to_pixels(image) for image in images])
        np.testing.assert_allclose(found_NC, probabilities(classifier, pixels), atol=1e-5)
        none = np.zeros((0, 1, 1, 3), dtype=np.uint8)
        for given in (none, images):
            together, _ = session.run(None, {"images": given, "pixels": pixels})
            np.testing.assert_allclose(
                together, np.concatenate([found_NC[: len(given)], found_NC]), atol=1e-6
            )


@pytest.mark.parametrize("score", [DISTANCE, ENERGY])
def test_the_score_for_unfamiliar_photos_goes_with_the_file(
    score: str, make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier, generator = make_classifier(), np.random.default_rng(5)
    pixels, predictor = make_pixels(6), Predictor(make_classifier(), device=CPU)
    features_NF = predictor.features(pixels)
    num = features_NF.shape[1]
    space = FamiliarSpace(
        centre_F=np.mean(features_NF, axis=0, dtype=np.float32),
        spread_F=np.asarray(generator.uniform(0.5, 2, num), np.float32),
        directions_FK=np.linalg.qr(generator.normal(size=(num, 4)))[0].astype(np.float32),
        whitening_KK=generator.normal(size=(4, 4)).astype(np.float32),
        means_CK=generator.normal(size=(3, 4)).astype(np.float32),
    )
    rule = UnfamiliarRule(score=score, score_reason="", rate=0.01, reason="")
    classifier = replace(classifier, decision=DecisionRule(unfamiliar=rule), familiar=space)
    logits_NC = predictor.logits_of_features(features_NF)
    expected_N = scores_of(classifier, features_NF=features_NF, logits_NC=logits_NC)
    assert expected_N is not None
    session = session_of(taking_images(export_fixed(classifier), classifier))
    *_, found_N = session.run(None, {"images": pixels})
    np.testing.assert_allclose(found_N, expected_N, atol=1e-4)
    assert np.ptp(found_N) > 0.05


def test_the_file_says_what_it_is_and_nothing_of_the_machine(
    make_classifier: MakeClassifier,
) -> None:
    classifier = make_classifier(classes=("café", "犬", 'a,b "c"'))
    model = export_fixed(classifier)
    form = form_of(classifier)
    describe(model, form)
    describe(model, form)
    session = session_of(model)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(classifier.classes)
    assert ExportedForm.from_json(metadata[METADATA_KEY], where="x") == form
    assert session.get_modelmeta().producer_name == "fieldmark"
    content = model.SerializeToString()
    for telling in (str(Path.home()), str(Path.cwd()), "site-packages", ".py"):
        assert telling.encode() not in content


def form_of(classifier: Classifier) -> ExportedForm:
    return ExportedForm(
        classes=classifier.classes,
        preprocess=classifier.preprocess,
        decision=classifier.decision,
        backbone="resnet18",
        precision="fp32",
        takes="fixed",
        data_digest="d" * 64,
        weights_sha256="w" * 64,
        parity={},
    )
