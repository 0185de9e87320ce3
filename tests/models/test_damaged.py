"""What a classifier says of damaged photos: the same whatever else is asked, each photo as read."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import DataError
from fieldmark.data.degrade import KINDS, at_working_size, degrade, generator_of
from fieldmark.models import damaged
from fieldmark.models.classifier import Classifier
from fieldmark.models.damaged import damaged_logits
from fieldmark.models.inference import Predictor
from fieldmark.run import Run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier(finished_quick: Run) -> Classifier:
    return finished_quick.classifier


def files(photos: Path, *names: str) -> list[tuple[Path, str]]:
    paths = [photos / name for name in names]
    return [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def logits(
    classifier: Classifier, asked: list[tuple[Path, str]], *, num_kinds: int = 2, seed: int = 0
) -> NDArray[np.float32]:
    done: list[int] = []
    found = damaged_logits(
        classifier, asked, kinds=KINDS[:num_kinds], seed=seed, device=CPU, on_batch=done.append
    )
    logits_NVC = np.stack(list(found))
    assert sum(done) == len(asked) * (1 + 5 * num_kinds)
    return logits_NVC


def test_versions_are_undamaged_and_then_kind_after_kind(
    classifier: Classifier, photos: Path
) -> None:
    (one,) = files(photos, "sky/00.png")
    (logits_VC,) = logits(classifier, [one])
    preprocess = classifier.preprocess
    whole = preprocess.decode(one[0].read_bytes()).pixels_HW3
    side = preprocess.size_px
    whole = at_working_size(whole, preprocess)
    blurred = degrade(
        whole,
        "blur",
        strength=4,
        side_px=side,
        generator=generator_of(one[1], kind="blur", seed=0),
    )
    by_hand = np.stack([preprocess.to_pixels(photo) for photo in (whole, blurred)])
    expected = Predictor(classifier, device=CPU).logits(by_hand)
    assert np.allclose(logits_VC[[0, 1 + 5 + 3]], expected, atol=1e-4)
    assert not np.allclose(logits_VC[0], logits_VC[5], atol=1e-2)


def test_a_photo_gets_the_same_whichever_others_are_asked_for(
    classifier: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = files(photos, "sky/00.png", "leaf/01.png", "cherry/02.png")
    whole = logits(classifier, three)
    monkeypatch.setattr(damaged, "CHUNK_BYTES", 1)
    assert (logits(classifier, three) == whole).all()
    assert (logits(classifier, three[1:2], num_kinds=1)[0] == whole[1, :6]).all()


def test_a_photo_that_changed_or_went_meanwhile_is_refused(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    ((path, digest),) = files(photos, "sky/00.png")
    with pytest.raises(DataError, match=r"00\.png was changed a moment ago"):
        logits(classifier, [(path, digest[::-1])])
    with pytest.raises(DataError, match=r"gone\.png could be read a moment ago, and no longer"):
        logits(classifier, [(tmp_path / "gone.png", digest)])
