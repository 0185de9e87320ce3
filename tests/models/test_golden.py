"""Golden photos show whether a network still does what it did."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from fieldmark.base.errors import BundleError
from fieldmark.models.bundle import load_bundle, load_golden, save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.golden import (
    TOLERANCE,
    check_golden,
    choose_golden,
    drawn_pixels,
    golden_of,
    replay,
)
from fieldmark.models.inference import Predictor

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]
MakePixels = Callable[..., NDArray[np.uint8]]


def test_every_class_has_one_before_any_has_two() -> None:
    labels = [2, 2, 2, 0, 0, 1]
    assert choose_golden(labels, 4) == [3, 5, 0, 4]
    assert sorted(choose_golden(labels, 99)) == list(range(6))
    assert choose_golden([]) == []


def test_drawn_pictures_are_coloured_and_always_the_same() -> None:
    pixels = drawn_pixels(33)
    assert pixels.shape == (8, 33, 33, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, drawn_pixels(33))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


@pytest.mark.parametrize("wishes", [{}, {"views": 8}, {"head": "cosine"}, {"head": "flatten"}])
def test_logits_are_those_that_it_predicts_with(
    wishes: dict[str, object], make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier(**wishes)
    golden = golden_of(classifier, make_pixels(4))
    expected = Predictor(classifier, device=CPU).logits(make_pixels(4))
    np.testing.assert_allclose(golden.logits_GC, expected, atol=1e-4 * float(np.ptp(expected)))


def test_a_network_that_trains_is_left_in_training(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    quiet = golden_of(classifier, make_pixels(3)).logits_GC
    classifier.network.train()
    np.testing.assert_array_equal(golden_of(classifier, make_pixels(3)).logits_GC, quiet)
    assert classifier.network.training


def test_drift_is_told_and_refused_beyond_the_tolerance(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    classifier.network.eval()
    golden = golden_of(classifier, make_pixels(4))
    assert replay(classifier, golden, where="x", num=4) == 0
    spread = float(np.ptp(golden.logits_GC))
    for share, is_refused in ((0.9 * TOLERANCE, False), (1.1 * TOLERANCE, True)):
        shifted = replace(golden, logits_GC=golden.logits_GC + np.float32(share * spread))
        if is_refused:
            with pytest.raises(BundleError, match=r"bundle-x .* stray by 0\.0011 of their range"):
                replay(classifier, shifted, where="bundle-x")
        else:
            found = replay(classifier, shifted, where="x", num=4)
            assert found == pytest.approx(share, rel=0.01)


def test_another_activation_is_found_out(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    classifier.network.eval()
    golden = golden_of(classifier, make_pixels(4))
    for module in classifier.network.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.GELU())
    with pytest.raises(BundleError, match="stray by"):
        replay(classifier, golden, where="x")


def test_a_network_that_cannot_be_run_is_refused(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    golden = golden_of(classifier, make_pixels(1))
    classifier.network.extractor = torch.nn.Identity()  # type: ignore[assignment]
    with pytest.raises(BundleError, match="cannot be run"):
        replay(classifier, golden, where="x")


@pytest.mark.parametrize("field", ["pixels_GSS3", "logits_GC"])
def test_golden_photos_that_fit_no_classifier_are_refused(
    field: str, make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    golden = golden_of(make_classifier(), make_pixels(2))
    check_golden(golden, size_px=32, num_classes=3, where="x")
    values = getattr(golden, field)
    for wrong in (values[:, :2], values[:0], values.astype(np.float64), values[:1]):
        broken = replace(golden, **{field: wrong})
        with pytest.raises(BundleError, match="does not fit the model"):
            check_golden(broken, size_px=32, num_classes=3, where="x")
    infinite = replace(golden, logits_GC=np.full_like(golden.logits_GC, np.inf))
    with pytest.raises(BundleError, match="does not fit the model"):
        check_golden(infinite, size_px=32, num_classes=3, where="x")


def test_a_bundle_keeps_the_pixels_that_it_is_given(
    make_classifier: MakeClassifier, make_pixels: MakePixels, tmp_path: Path
) -> None:
    save_bundle(make_classifier(), tmp_path, data_digest="", golden_GSS3=make_pixels(3))
    kept = load_file(tmp_path / "golden.safetensors")
    np.testing.assert_array_equal(kept["pixels"], make_pixels(3))
    golden = load_golden(tmp_path)
    assert golden is not None
    assert golden.logits_GC.shape == (3, 3)
    assert replay(load_bundle(tmp_path), golden, where="x", num=3) < 1e-5
