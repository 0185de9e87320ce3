"""Photos that are only looked at have the scores of the network as it predicts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training import scoring
from fieldmark.training.batches import Photos
from fieldmark.training.scoring import predict_all, scores_of
from fieldmark.training.steps import DivergedError
from fieldmark.training.tally import SCORES, scores_of_logits

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]
OfRows = Callable[..., Photos]


def test_each_split_has_the_scores_of_its_own_photos(
    make_classifier: MakeClassifier, make_photos: MakePhotos, of_rows: OfRows
) -> None:
    classifier, photos = make_classifier(), make_photos(20, noise=200.0)
    splits = {"val": of_rows(photos, [3, 1, 8]), "test": of_rows(photos, range(9, 20))}
    found = scores_of(classifier, splits, device=CPU, last_step=0)
    for name, rows in (("val", [3, 1, 8]), ("test", list(range(9, 20)))):
        logits_NC = Predictor(classifier, device=CPU).logits(photos[0][rows])
        assert found[name] == scores_of_logits(logits_NC, photos[1][rows], num_classes=3)
    assert found["val"] != found["test"]


def test_where_there_is_nothing_to_look_at_nothing_is_made_ready(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    of_rows: OfRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "Predictor", pytest.fail)
    splits = {"val": of_rows(make_photos(3), []), "test": None}
    found = scores_of(make_classifier(), splits, device=CPU, last_step=0)
    assert list(found) == ["val", "test"]
    for scores in found.values():
        assert tuple(scores) == SCORES
        assert all(map(math.isnan, scores.values()))


@pytest.mark.parametrize("split", ["val", "test"])
def test_logits_that_are_lost_are_told_with_the_step(
    split: str, make_classifier: MakeClassifier, make_photos: MakePhotos, of_rows: OfRows
) -> None:
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.head.bias.fill_(math.inf)
    splits = {"val": None, "test": None, split: of_rows(make_photos(3), range(3))}
    with pytest.raises(DivergedError) as lost:
        scores_of(classifier, splits, device=CPU, last_step=6)
    assert (lost.value.index, len(lost.value.members_N)) == (6, 0)
    assert math.isnan(lost.value.loss)


@pytest.mark.parametrize("first", [[], [4, 0], list(range(13))])
def test_all_photos_have_their_own_logits_whichever_come_first(
    first: list[int], make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    classifier, (pixels, _) = make_classifier(), make_photos(13)
    done: list[int] = []
    asked: dict[str, Any] = {"device": CPU, "on_batch": done.append}
    first_N = np.array(first, dtype=np.int64)
    predicted = predict_all(classifier, pixels, first_N=first_N, **asked)
    predictor = Predictor(classifier, device=CPU)
    expected = predictor.logits(pixels)
    np.testing.assert_array_equal(predicted.logits_MC, expected, strict=True)
    assert predicted.features_MF is not None
    np.testing.assert_array_equal(predicted.features_MF, predictor.features(pixels), strict=True)
    assert predicted.seconds >= 0
    assert sum(done) == 13
    assert not first or done[0] == min(len(first), 8)
