"""A bundle in one file is the same bundle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fieldmark.base.errors import BundleError
from fieldmark.models.bundle import load_bundle, save_bundle, zip_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.run import load

CPU = torch.device("cpu")


@pytest.fixture
def bundle(tmp_path: Path, make_classifier: Callable[..., Classifier]) -> Path:
    save_bundle(make_classifier(), tmp_path / "model", data_digest="d" * 64)
    return tmp_path / "model"


def test_the_file_predicts_as_the_folder_does(
    bundle: Path, tmp_path: Path, make_pixels: Callable[..., np.ndarray]
) -> None:
    zip_bundle(bundle, tmp_path / "one.fieldmark")
    unpacked, packed = load_bundle(bundle), load(tmp_path / "one.fieldmark").classifier
    np.testing.assert_array_equal(
        Predictor(packed, device=CPU).logits(make_pixels(5)),
        Predictor(unpacked, device=CPU).logits(make_pixels(5)),
    )


def test_the_same_bundle_gives_the_same_file(bundle: Path, tmp_path: Path) -> None:
    (bundle / "MODEL_CARD.md").write_text("A card.")
    for name in ("one", "two"):
        zip_bundle(bundle, tmp_path / f"{name}.fieldmark")
    first, second = ((tmp_path / f"{name}.fieldmark").read_bytes() for name in ("one", "two"))
    assert first == second
    assert b"A card." in first


def test_a_damaged_bundle_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.json").write_text("{}")
    with pytest.raises(BundleError, match="damaged or altered"):
        zip_bundle(bundle, tmp_path / "one.fieldmark")
    assert not (tmp_path / "one.fieldmark").exists()


def test_a_file_is_not_packed_again(bundle: Path, tmp_path: Path) -> None:
    zip_bundle(bundle, tmp_path / "one.fieldmark")
    with pytest.raises(BundleError, match="in one file already"):
        zip_bundle(tmp_path / "one.fieldmark", tmp_path / "two.fieldmark")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.fieldmark").write_text("not a bundle")
    with pytest.raises(BundleError, match="no zip archive"):
        load_bundle(tmp_path / "one.fieldmark")
