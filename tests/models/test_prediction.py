"""Every file gets an answer or a reason, in its place."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import DataError
from fieldmark.base.executor import SerialExecutor, ThreadExecutor
from fieldmark.data.images import decode
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.metrics import softmax
from fieldmark.models import prediction as module
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.models.prediction import Prediction, predict_files

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]


@pytest.fixture
def write_photos(
    tmp_path: Path, make_pixels: Callable[..., NDArray[np.uint8]]
) -> Callable[[int], list[Path]]:
    def write(count: int) -> list[Path]:
        files = []
        for number, pixels in enumerate(make_pixels(count, size_px=40)):
            # Names in another order than the files are asked for.
            files.append(tmp_path / f"{(7 * number) % 100:02d}-{number}.png")
            Image.fromarray(pixels).save(files[-1])
        return files

    return write


def predict(
    classifier: Classifier, files: Sequence[Path], *, top_k: int = 5, threads: bool = False
) -> list[Prediction]:
    executor = ThreadExecutor(2) if threads else SerialExecutor()
    return list(predict_files(classifier, files, top_k=top_k, device=CPU, executor=executor))


def test_predictions_are_the_softmax_of_the_classifiers_logits(
    make_classifier: MakeClassifier, write_photos: Callable[[int], list[Path]]
) -> None:
    classifier, files = make_classifier(), write_photos(4)
    pixels = np.stack(
        [classifier.preprocess.to_pixels(decode(file.read_bytes()).pixels_HW3) for file in files]
    )
    expected_NC = softmax(Predictor(classifier, device=CPU).logits(pixels))
    predictions = predict(classifier, files)
    assert [prediction.path for prediction in predictions] == [str(file) for file in files]
    for prediction, row in zip(predictions, expected_NC, strict=True):
        assert prediction.ranking == tuple(
            sorted(
                zip(classifier.classes, row.tolist(), strict=True),
                key=lambda pair: pair[1],
                reverse=True,
            )
        )
        assert prediction.label == classifier.classes[row.argmax()]
        assert prediction.confidence == row.max()
        assert prediction.error is None
        assert sum(share for _, share in prediction.ranking) == pytest.approx(1, abs=1e-12)


def test_probabilities_are_calibrated_and_answers_as_before(
    make_classifier: MakeClassifier, write_photos: Callable[[int], list[Path]]
) -> None:
    classifier, files = make_classifier(), write_photos(3)
    calm = replace(classifier, decision=DecisionRule(temperature=4.0))
    for plain, scaled in zip(predict(classifier, files), predict(calm, files), strict=True):
        powers = {name: share**0.25 for name, share in plain.ranking}
        expected = {name: power / sum(powers.values()) for name, power in powers.items()}
        assert dict(scaled.ranking) == pytest.approx(expected, rel=1e-9)
        assert [name for name, _ in scaled.ranking] == [name for name, _ in plain.ranking]


def test_without_a_rule_nothing_is_said_of_doubt(
    make_classifier: MakeClassifier, write_photos: Callable[[int], list[Path]]
) -> None:
    (answer,) = predict(make_classifier(), write_photos(1))
    assert (answer.candidates, answer.is_withheld, answer.doubt) == (None, None, ())


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize(
    ("bounds", "num_in_set", "is_withheld", "num_in_doubt"),
    [
        ({"set_threshold": 1.0}, 1, None, 0),
        ({"set_threshold": 0.0}, 3, None, 3),
        ({"abstain_below": 1.0}, None, True, 2),
        ({"abstain_below": 0.0}, None, False, 0),
        ({"abstain_below": 1.0, "set_threshold": 1.0}, 1, True, 2),
        ({"abstain_below": 1.0, "set_threshold": 0.0}, 3, True, 3),
        ({"abstain_below": 0.0, "set_threshold": 0.0}, 3, False, 3),
    ],
)
def test_an_answer_below_the_threshold_or_of_several_classes_is_in_doubt(
    bounds: dict[str, Any],
    num_in_set: int | None,
    is_withheld: bool | None,
    num_in_doubt: int,
    top_k: int,
    make_classifier: MakeClassifier,
    write_photos: Callable[[int], list[Path]],
) -> None:
    classifier, files = make_classifier(), write_photos(1)
    (whole,) = predict(classifier, files)
    names = tuple(name for name, _ in whole.ranking)
    ruled = replace(classifier, decision=DecisionRule(**bounds))
    (answer,) = predict(ruled, files, top_k=top_k)
    assert answer.candidates == (None if num_in_set is None else names[:num_in_set])
    assert answer.is_withheld is is_withheld
    assert answer.doubt == names[:num_in_doubt]
    assert answer.ranking == whole.ranking[:top_k]


def test_a_file_that_cannot_be_read_gets_its_reason_in_its_place(
    make_classifier: MakeClassifier, write_photos: Callable[[int], list[Path]], tmp_path: Path
) -> None:
    classifier, good = make_classifier(), write_photos(2)
    empty, text, cut, folder = (tmp_path / name for name in ("empty", "text", "cut", "folder"))
    empty.touch()
    text.write_text("no photo")
    cut.write_bytes(good[0].read_bytes()[:-300])
    folder.mkdir()
    files = [empty, good[0], text, cut, tmp_path / "missing.jpg", good[1], folder]
    predictions = predict(classifier, files)
    assert [prediction.path for prediction in predictions] == [str(file) for file in files]
    alone = [prediction for file in good for prediction in predict(classifier, [file])]
    assert [predictions[1], predictions[5]] == alone
    for position, reason in {
        0: "empty",
        2: "not",
        3: "truncated",
        4: "No such file",
        6: "cannot be read",
    }.items():
        prediction = predictions[position]
        assert prediction.error is not None
        assert reason in prediction.error
        assert prediction.ranking == ()
        assert prediction.label is None
        assert prediction.confidence is None


def test_many_files_come_in_order_whatever_the_chunks(
    make_classifier: MakeClassifier,
    write_photos: Callable[[int], list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier, files = make_classifier(), write_photos(7)
    (tmp_path / "bad").write_text("no photo")
    files[2:2] = [tmp_path / "bad"]
    files += [tmp_path / "bad"] * 4
    together = predict(classifier, files)
    monkeypatch.setattr(module, "CHUNK", 3)
    assert predict(classifier, files, threads=True) == together
    assert [prediction.path for prediction in together] == [str(file) for file in files]


def test_the_first_answers_come_before_the_last_files_are_read(
    make_classifier: MakeClassifier,
    write_photos: Callable[[int], list[Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    files = write_photos(4)
    stream = predict_files(make_classifier(), files, top_k=1, device=CPU, executor=SerialExecutor())
    assert next(stream).error is None
    for file in files:
        file.unlink()
    assert [prediction.error is None for prediction in stream] == [True, False, False]


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (3, 3), (99, 3)])
def test_no_more_classes_are_named_than_asked_for_or_than_there_are(
    top_k: int,
    expected: int,
    make_classifier: MakeClassifier,
    write_photos: Callable[[int], list[Path]],
) -> None:
    (prediction,) = predict(make_classifier(), write_photos(1), top_k=top_k)
    assert len(prediction.ranking) == expected
    shares = [share for _, share in prediction.ranking]
    assert shares == sorted(shares, reverse=True)


def test_equal_probabilities_are_ranked_in_the_order_of_the_classes(
    make_classifier: MakeClassifier, write_photos: Callable[[int], list[Path]]
) -> None:
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.head.weight.zero_()
        classifier.network.head.bias.zero_()
    (prediction,) = predict(classifier, write_photos(1))
    assert [name for name, _ in prediction.ranking] == ["cat", "dog", "owl"]


def test_the_orientation_in_the_metadata_is_followed_as_the_classifier_was_trained(
    make_classifier: MakeClassifier, tmp_path: Path
) -> None:
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:10] = (250, 120, 30)
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its side
    turned, plain, upright = (tmp_path / f"{name}.png" for name in ("turned", "plain", "upright"))
    Image.fromarray(stripes).save(turned, exif=exif)
    Image.fromarray(stripes).save(plain)
    Image.fromarray(stripes).transpose(Image.Transpose.ROTATE_270).save(upright)
    files = [turned, plain, upright]
    by_exif = make_classifier()
    stored = replace(by_exif, preprocess=replace(by_exif.preprocess, orientation="stored"))
    followed, as_plain, as_upright = (each.ranking for each in predict(by_exif, files))
    assert followed == as_upright != as_plain
    ignored, as_plain, as_upright = (each.ranking for each in predict(stored, files))
    assert ignored == as_plain != as_upright


def test_no_files_have_no_predictions(make_classifier: MakeClassifier) -> None:
    assert predict(make_classifier(), []) == []


@pytest.mark.parametrize("top_k", [0, -1])
def test_fewer_than_one_class_is_refused_by_its_flag(
    top_k: int, make_classifier: MakeClassifier
) -> None:
    with pytest.raises(DataError, match=f"--top-k is {top_k}"):
        predict(make_classifier(), [], top_k=top_k)
