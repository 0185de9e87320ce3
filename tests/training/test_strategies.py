"""From the pixels of all photos to their logits, with each split kept to its part."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.base.progress import SilentProgress
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.batches import Pictures
from fieldmark.training.config import TrainConfig
from fieldmark.training.course import Choice, Pace
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import ProbeConfig
from fieldmark.training.strategies import (
    Configs,
    Outcome,
    train_network,
    train_probe,
)

CPU = torch.device("cpu")
SPLITS: Mapping[str, NDArray[np.int64]] = {
    "train": np.array([0, 1, 2, 9, 10, 11, 12, 13, 14, 15, 16, 17, 30, 31, 32]),
    "validation": np.array([3, 4, 5, 6, 7, 8]),
    "test": np.arange(18, 30),
}
MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]


class Remembering(SilentProgress):
    """Keeps what the user would have seen."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.totals: list[int | None] = []
        self.done: list[int] = []
        self.summaries: list[str] = []
        self.notes: list[str] = []

    def start(self, stage: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002
        self.stages.append(stage)
        self.totals.append(total)
        self.done.append(0)

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:  # noqa: ARG002
        self.done[-1] += count

    def finish(self, summary: str) -> None:
        self.summaries.append(summary)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def _given_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing."""
    choices = (Choice(what="precision", chosen="float32", reason="asked for"),)
    monkeypatch.setattr("fieldmark.training.settling.choose_pace", lambda *_: (Pace(), choices))


@pytest.fixture
def pictures(make_photos: MakePhotos) -> Pictures:
    pixels_MHWC, labels_M = make_photos(33, noise=250.0)
    return Pictures(pixels_MHWC=pixels_MHWC, labels_M=labels_M, rows=SPLITS)


def with_test_split_spoiled(pictures: Pictures, *, also_pixels: bool) -> Pictures:
    pixels_MHWC, labels_M = pictures.pixels_MHWC.copy(), pictures.labels_M.copy()
    labels_M[SPLITS["test"]] = -(10**9)
    if also_pixels:
        pixels_MHWC[SPLITS["test"]] //= 3
    return Pictures(pixels_MHWC=pixels_MHWC, labels_M=labels_M, rows=SPLITS)


def without_validation(pictures: Pictures) -> Pictures:
    none = np.empty(0, dtype=np.int64)
    learned_N = np.concatenate([SPLITS["train"], SPLITS["validation"]])
    return replace(pictures, rows={**SPLITS, "train": learned_N, "validation": none})


def probe(
    classifier: Classifier,
    pictures: Pictures,
    *,
    progress: SilentProgress | None = None,
    l2: float | str = "auto",
) -> Outcome:
    return train_probe(
        classifier,
        pictures,
        Predictor(classifier, device=CPU).features(pictures.pixels_MHWC),
        config=ProbeConfig(l2=l2),
        device=CPU,
        progress=progress or SilentProgress(),
    )


def finetune(
    classifier: Classifier,
    pictures: Pictures,
    *,
    progress: SilentProgress | None = None,
    **config: Any,
) -> Outcome:
    """Train every weight from random ones."""
    return train_network(
        classifier,
        pictures,
        None,
        configs=Configs(
            train=TrainConfig(**{"epochs": 2, "batch_size": 5, "precision": "float32", **config}),
            optim=OptimConfig(lr=1e-2),
            augment=AugmentConfig(policy="flip"),
            probe=ProbeConfig(),
        ),
        device=CPU,
        progress=progress or SilentProgress(),
    )


def test_validation_logits_come_from_the_head_that_did_not_see_them(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier(stages=3)
    outcome = probe(classifier, pictures)
    assert outcome.probe is not None
    features_MF = Predictor(classifier, device=CPU).features(pictures.pixels_MHWC)
    blind_MC = outcome.probe.chosen.head.logits(features_MF)
    final_MC = outcome.probe.head.logits(features_MF)
    assert abs(blind_MC - final_MC).max() > 0.1
    for split, expected_MC in (("train", final_MC), ("validation", blind_MC), ("test", final_MC)):
        rows_N = SPLITS[split]
        np.testing.assert_allclose(
            outcome.logits_MC[rows_N], expected_MC[rows_N], rtol=1e-4, atol=1e-4
        )
    # So the figures of the table agree with those of the search.
    validation_N = SPLITS["validation"]
    right_N = outcome.logits_MC[validation_N].argmax(1) == pictures.labels_M[validation_N]
    assert right_N.mean() == outcome.probe.chosen.val_accuracy
    assert outcome.logits_MC.dtype == np.float32
    assert outcome.fitted is None
    assert outcome.range_test is None


def test_the_classifier_is_left_with_the_head_refitted_on_both(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier()
    outcome = probe(classifier, pictures)
    assert outcome.probe is not None
    head = classifier.network.head
    np.testing.assert_array_equal(
        head.weight.detach().numpy(), outcome.probe.head.weight_CF.astype(np.float32)
    )
    np.testing.assert_array_equal(
        head.bias.detach().numpy(), outcome.probe.head.bias_C.astype(np.float32)
    )
    logits_MC = Predictor(classifier, device=CPU).logits(pictures.pixels_MHWC)
    seen_N = np.concatenate([SPLITS["train"], SPLITS["test"]])
    np.testing.assert_array_equal(outcome.logits_MC[seen_N], logits_MC[seen_N])


def test_the_probe_leaves_the_backbone_as_it_was(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier()
    before = {n: v.clone() for n, v in classifier.network.extractor.state_dict().items()}
    probe(classifier, pictures)
    now = classifier.network.extractor.state_dict()
    assert all(torch.equal(before[name], now[name]) for name in before)


@pytest.mark.parametrize("also_pixels", [False, True])
def test_the_probe_learns_nothing_from_the_test_split(
    also_pixels: bool, make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    one, other = make_classifier(), make_classifier()
    first = probe(one, pictures)
    second = probe(other, with_test_split_spoiled(pictures, also_pixels=also_pixels))
    assert torch.equal(one.network.head.weight, other.network.head.weight)
    assert first.probe is not None
    assert second.probe is not None
    assert [t.val_loss for t in first.probe.trials] == [t.val_loss for t in second.probe.trials]
    learned_N = np.concatenate([SPLITS["train"], SPLITS["validation"]])
    np.testing.assert_array_equal(first.logits_MC[learned_N], second.logits_MC[learned_N])
    same = np.array_equal(first.logits_MC, second.logits_MC)
    assert same is not also_pixels


def test_two_probes_of_the_same_features_are_the_same_and_say_what_was_tried(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    progresses = [Remembering(), Remembering()]
    first, second = (
        probe(make_classifier(), pictures, progress=progress) for progress in progresses
    )
    np.testing.assert_array_equal(first.logits_MC, second.logits_MC)
    for progress in progresses:
        assert (progress.stages, progress.totals, progress.done) == (["Training"], [None], [9])
        assert progress.summaries[0].startswith("9 strengths tried, l2 ")


def test_a_given_strength_needs_no_validation_photos(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    progress, rest = Remembering(), without_validation(pictures)
    outcome = probe(make_classifier(), rest, progress=progress, l2=0.03)
    assert progress.summaries == ["1 strength tried, l2 0.03 chosen"]
    # What is left out of validation is learned from, as it is by the last head otherwise.
    both = probe(make_classifier(), pictures, l2=0.03)
    test_N = SPLITS["test"]
    np.testing.assert_allclose(outcome.logits_MC[test_N], both.logits_MC[test_N], atol=1e-4)
    with pytest.raises(RecipeError, match=r"no validation photos to choose it by\. Set probe\.l2"):
        probe(make_classifier(), rest)


def test_training_every_weight_gives_the_trained_networks_logits(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier, progress = make_classifier(), Remembering()
    first = classifier.network.get_parameter("extractor.backbone.conv1.weight")
    before = first.detach().clone()
    outcome = finetune(classifier, pictures, progress=progress)
    assert not torch.equal(first, before)
    logits_MC = Predictor(classifier, device=CPU).logits(pictures.pixels_MHWC)
    np.testing.assert_array_equal(outcome.logits_MC, logits_MC, strict=True)
    assert outcome.fitted is not None
    history = outcome.fitted.history
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert outcome.probe is None
    validation_N = SPLITS["validation"]
    right_N = logits_MC[validation_N].argmax(1) == pictures.labels_M[validation_N]
    assert history[-1].val_accuracy == right_N.mean()
    assert progress.stages == ["Preparation", "Training", "Prediction"]
    assert progress.totals == [None, 2 * 15, 33]
    assert progress.summaries[0] == "2 choices"
    assert progress.notes[0] == "precision: float32 (asked for)"
    assert progress.notes[1].startswith("memory: as the system has it (only the command line")
    assert progress.summaries[1].startswith("2 epochs, train loss ")
    assert progress.done[2] == 33


@pytest.mark.parametrize("also_pixels", [False, True])
def test_training_every_weight_learns_nothing_from_the_test_split(
    also_pixels: bool, make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    one, other = make_classifier(), make_classifier()
    first = finetune(one, pictures)
    second = finetune(other, with_test_split_spoiled(pictures, also_pixels=also_pixels))
    theirs = other.network.state_dict()
    assert all(torch.equal(v, theirs[name]) for name, v in one.network.state_dict().items())
    assert first.fitted is not None
    assert second.fitted is not None
    losses = [[e.val_loss for e in each.history] for each in (first.fitted, second.fitted)]
    assert losses[0] == losses[1]
