"""The server's answers are those of `predict`, whatever runs the classifier."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.errors import BundleError, RunError
from fieldmark.data.images import UnreadableImage
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import open_answerer, plain_name


@pytest.fixture(scope="module")
def exported(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    import fieldmark

    out = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    fieldmark.export(finished_quick, out=out)
    return out


def some(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.png"))[::5]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def answered(answerer: Any, files: list[Path]) -> list[Prediction]:
    pixels = [answerer.decode(file.read_bytes()) for file in files]
    return list(answerer.answer(pixels))


def test_a_run_answers_as_predict_does_to_the_bit(finished_quick: Any, photos: Path) -> None:
    files, answerer = some(photos), open_answerer(finished_quick.path)
    classes = len(answerer.classes)
    expected = finished_quick.predict(files, top_k=classes)
    for given, one in zip(answered(answerer, files), expected, strict=True):
        assert given.ranking == one.ranking
        assert (given.doubt, given.candidates) == (one.doubt, one.candidates)
        assert (given.unfamiliarity, given.is_unfamiliar) == (one.unfamiliarity, one.is_unfamiliar)


def test_an_exported_file_answers_as_predict_does(exported: Path, photos: Path) -> None:
    from fieldmark.exported import load_exported

    files, answerer = some(photos), open_answerer(exported)
    expected = load_exported(exported).predict(files, top_k=3)
    for given, one in zip(answered(answerer, files), expected, strict=True):
        assert given.label == one.label
        assert dict(given.ranking) == pytest.approx(dict(one.ranking), abs=1e-4)
    assert (answerer.engine, answerer.name) == ("onnx", "tiny")
    assert not answerer.can_explain
    assert answerer.explain(files[0].read_bytes()) is None
    assert answerer.nearest(answerer.decode(files[0].read_bytes()), most=3) == []


def test_a_run_draws_what_it_looks_at(finished_quick: Any, photos: Path) -> None:
    answerer = open_answerer(finished_quick.path)
    (first, *_) = some(photos)
    drawn = answerer.explain(first.read_bytes(), class_name=answerer.classes[1])
    assert drawn is not None
    picture, photo = opened(drawn), opened(first.read_bytes())
    assert picture.size == photo.size
    assert np.ptp(np.asarray(picture)) > 0
    other = answerer.explain(first.read_bytes(), class_name=answerer.classes[0])
    assert other != drawn
    with pytest.raises(ValueError, match="no class"):
        answerer.explain(first.read_bytes(), class_name="dragon")
    with pytest.raises(UnreadableImage):
        answerer.explain(b"none")


def test_training_photos_are_shown_only_where_that_was_asked_for(
    finished_quick: Any, photos: Path
) -> None:
    (first, *_) = some(photos)
    plain = open_answerer(finished_quick.path)
    pixels = plain.decode(first.read_bytes())
    assert not plain.can_show_nearest
    assert plain.nearest(pixels, most=3) == []
    showing = open_answerer(finished_quick.path, show_training_photos=True)
    near = showing.nearest(pixels, most=3)
    assert len(near) == 3
    assert near[0].similarity >= near[1].similarity >= near[2].similarity
    assert opened(near[0].thumbnail).format == "JPEG"


def test_a_bundle_without_its_run_has_no_training_photos_to_show(
    finished_quick: Any, tmp_path: Path
) -> None:
    shutil.copytree(finished_quick.bundle, tmp_path / "alone")
    with pytest.raises(RunError, match="--show-training-photos"):
        open_answerer(tmp_path / "alone", show_training_photos=True)


def test_it_is_called_as_its_run_is(finished_quick: Any) -> None:
    assert open_answerer(finished_quick.path).name == plain_name(finished_quick.path.name)
    assert open_answerer(finished_quick.bundle).name == plain_name(finished_quick.path.name)
    assert open_answerer(finished_quick.bundle, name="my cats & dogs").name == "my-cats-dogs"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("run-001", "run-001"),
        ("ä/b c", "b-c"),
        ("../..", "model"),
        ("", "model"),
        ("x" * 99, "x" * 60),
    ],
)
def test_names_stand_in_addresses_as_they_are(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        open_answerer(tmp_path / "none")
    (tmp_path / "x.onnx").write_bytes(b"nonsense")
    with pytest.raises(BundleError, match="no ONNX model"):
        open_answerer(tmp_path / "x.onnx")
