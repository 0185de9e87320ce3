"""The strategies that train the network: where each begins, what it moves, how it goes on."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.allocation import UNTOUCHED
from fieldmark.base.errors import RecipeError
from fieldmark.base.progress import SilentProgress
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.heads import imprint
from fieldmark.models.inference import Predictor
from fieldmark.training import strategies
from fieldmark.training.batches import Pictures
from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.config import TrainConfig
from fieldmark.training.course import Choice, Pace, Settled, Unwatched
from fieldmark.training.fit import Fitted
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import Labelled, ProbeConfig, fit_probe
from fieldmark.training.settling import Findings
from fieldmark.training.strategies import (
    Configs,
    Outcome,
    batch_norm_mode,
    plan_course,
    train_network,
)

CPU = torch.device("cpu")
SPLITS: Mapping[str, NDArray[np.int64]] = {
    "train": np.arange(15),
    "validation": np.arange(15, 24),
    "test": np.arange(24, 33),
}
CHOICES = (Choice(what="precision", chosen="float32", reason="asked for"),)
MEMORY = Choice(what="memory", chosen="as the system has it", reason=UNTOUCHED.reason)
STAND_STILL = 1e-9
MakeClassifier = Callable[..., Classifier]


class Listening(SilentProgress, Unwatched):
    """Keeps what it is told, as progress and as watch."""

    def __init__(self, *, crash_at: int = 0) -> None:
        self.stages: list[str] = []
        self.totals: list[int | None] = []
        self.done: list[int] = []
        self.summaries: list[str] = []
        self.notes: list[str] = []
        self.pictures: list[Any] = []
        self.num_batches = 0
        self._crash_at = crash_at

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

    def batch(self, num_photos: int) -> None:
        self.num_batches += 1
        if self.num_batches == self._crash_at:
            raise KeyboardInterrupt
        self.advance(num_photos)

    def shown(self, before_NHWC: NDArray[np.uint8], after_NHWC: NDArray[np.uint8]) -> None:
        self.pictures.append((before_NHWC, after_NHWC))


@pytest.fixture(autouse=True)
def _given_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure nothing."""
    monkeypatch.setattr("fieldmark.training.settling.choose_pace", lambda *_: (Pace(), CHOICES))


@pytest.fixture
def pictures(make_photos: Callable[..., Any]) -> Pictures:
    pixels_MHWC, labels_M = make_photos(33, noise=120.0)
    return Pictures(pixels_MHWC=pixels_MHWC, labels_M=labels_M, rows=SPLITS)


def configs(*, lr: float | str = 1e-2, **config: Any) -> Configs:
    asked = {"strategy": "head-then-all", "epochs": 2, "batch_size": 5, "precision": "float32"}
    return Configs(
        train=TrainConfig(**{**asked, **config}),
        optim=OptimConfig(lr=lr),
        augment=AugmentConfig(policy="flip"),
        probe=ProbeConfig(),
    )


def train(
    classifier: Classifier,
    pictures: Pictures,
    *,
    pretrained: bool = True,
    listening: Listening | None = None,
    checkpoints: Checkpoints | None = None,
    **asked: Any,
) -> Outcome:
    features_MF = features_of(classifier, pictures) if pretrained else None
    listening = listening or Listening()
    return train_network(
        classifier,
        pictures,
        features_MF,
        configs=configs(**asked),
        device=CPU,
        progress=listening,
        checkpoints=checkpoints,
        watch=listening,
    )


def features_of(classifier: Classifier, pictures: Pictures) -> NDArray[np.float32]:
    return Predictor(classifier, device=CPU).features(pictures.pixels_MHWC)


def fitted_of(outcome: Outcome) -> Fitted:
    assert outcome.fitted is not None
    return outcome.fitted


def weights_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.network.state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


# Where each begins


@pytest.mark.parametrize("strategy", ["head-then-all", "last-stages"])
@pytest.mark.parametrize("head", ["linear", "flatten"])
def test_training_begins_with_the_head_that_was_fitted_to_the_backbone_as_it_came(
    head: str, strategy: str, make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier(head=head)
    features_MF = features_of(classifier, pictures)
    splits = [
        Labelled(features_NF=features_MF[rows], labels_N=pictures.labels_M[rows])
        for rows in (SPLITS["train"], SPLITS["validation"])
    ]
    probe = fit_probe(*splits, config=ProbeConfig(), num_classes=3, on_trial=lambda _: None).chosen
    listening = Listening()
    train(classifier, pictures, strategy=strategy, lr=STAND_STILL, listening=listening)
    weight_CF = classifier.network.head.weight.detach().numpy()
    np.testing.assert_allclose(weight_CF, probe.head.weight_CF, atol=1e-6)
    np.testing.assert_allclose(
        classifier.network.head.bias.detach().numpy(), probe.head.bias_C, atol=1e-6
    )
    assert listening.stages == ["Head", "Preparation", "Training", "Prediction"]
    assert listening.summaries[0].startswith("9 strengths tried, l2 ")


def test_a_cosine_head_begins_with_the_means_of_its_classes(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier, expected = make_classifier(head="cosine"), make_classifier(head="cosine")
    rows_N = SPLITS["train"]
    imprint(
        expected.network.head,
        features_of(expected, pictures)[rows_N],
        pictures.labels_M[rows_N],
    )
    listening = Listening()
    train(classifier, pictures, lr=STAND_STILL, listening=listening)
    torch.testing.assert_close(
        classifier.network.head.weight, expected.network.head.weight, atol=1e-6, rtol=0
    )
    assert listening.stages == ["Preparation", "Training", "Prediction"]


@pytest.mark.parametrize(
    ("strategy", "pretrained"), [("all", True), ("all", False), ("head-then-all", False)]
)
def test_otherwise_training_begins_with_the_head_as_it_is(
    strategy: str, make_classifier: MakeClassifier, pictures: Pictures, *, pretrained: bool
) -> None:
    classifier = make_classifier()
    before = classifier.network.head.weight.detach().clone()
    asked: dict[str, Any] = {"strategy": strategy, "pretrained": pretrained, "lr": STAND_STILL}
    train(classifier, pictures, **asked)
    torch.testing.assert_close(classifier.network.head.weight.detach(), before, atol=1e-6, rtol=0)


# What each moves


def test_head_then_all_moves_every_weight_and_keeps_the_statistics(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier()
    before = weights_of(classifier)
    outcome = train(classifier, pictures)
    names = moved(before, weights_of(classifier))
    assert names >= {name for name, _ in classifier.network.named_parameters()}
    assert not {name for name in names if "running" in name}
    assert fitted_of(outcome).batch_norm == "frozen"
    assert outcome.probe is None
    assert outcome.logits_MC.dtype == np.float32
    logits_MC = Predictor(classifier, device=CPU).logits(pictures.pixels_MHWC)
    np.testing.assert_array_equal(outcome.logits_MC, logits_MC, strict=True)


@pytest.mark.parametrize(("last_stages", "stages"), [(1, {"layer4"}), (2, {"layer3", "layer4"})])
def test_last_stages_moves_the_head_and_so_many_stages(
    last_stages: int, stages: set[str], make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    classifier = make_classifier()
    before = weights_of(classifier)
    train(classifier, pictures, strategy="last-stages", last_stages=last_stages)
    names = moved(before, weights_of(classifier))
    assert {name.split(".")[2] for name in names if name.startswith("extractor")} == stages
    assert {"head.weight", "head.bias"} <= names


def test_more_stages_than_there_are_are_refused(make_classifier: MakeClassifier) -> None:
    asked = configs(strategy="last-stages", last_stages=6)
    with pytest.raises(RecipeError, match=r"train\.last_stages is 6; this backbone has 5"):
        plan_course(make_classifier(), asked, pretrained=True, device=CPU)


def test_the_course_has_the_groups_of_the_backbone_and_what_is_frozen(
    make_classifier: MakeClassifier,
) -> None:
    classifier = make_classifier()
    asked = configs(strategy="last-stages", batch_norm="batch")
    course = plan_course(classifier, asked, pretrained=True, device=CPU)
    names = [group.name for group in course.groups]
    assert names[1:] == ["layer1", "layer2", "layer3", "layer4"]
    backbone = classifier.network.extractor.get_submodule("backbone")
    assert backbone.get_submodule("layer3") in course.frozen
    assert backbone.get_submodule("layer4") not in course.frozen
    assert (course.config, course.optim) == (asked.train, asked.optim)
    assert (course.augmentation, course.batch_norm) == (asked.augment, "batch")


@pytest.mark.parametrize(
    ("asked", "pretrained", "expected"),
    [
        ("auto", True, "frozen"),
        ("auto", False, "batch"),
        ("frozen", False, "frozen"),
        ("batch", True, "batch"),
    ],
)
def test_statistics_are_kept_where_they_came_with_the_weights(
    asked: str, expected: str, *, pretrained: bool
) -> None:
    assert batch_norm_mode(TrainConfig(batch_norm=asked), pretrained=pretrained) == expected


# What is told


def test_some_photos_are_shown_before_and_after(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    listening = Listening()
    train(make_classifier(), pictures, listening=listening, batch_size=15)
    ((before_NHWC, after_NHWC),) = listening.pictures
    assert before_NHWC.shape == after_NHWC.shape == (strategies.NUM_SHOWN, 32, 32, 3)
    mirrored = [
        np.array_equal(before, after[:, ::-1])
        for before, after in zip(before_NHWC, after_NHWC, strict=True)
    ]
    assert 0 < sum(mirrored) < strategies.NUM_SHOWN


def test_the_summary_names_the_epoch_that_is_kept(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    listening = Listening()
    spoiled = pictures.labels_M.copy()
    spoiled[15:24] = (spoiled[15:24] + 1) % 3
    wrong = Pictures(pixels_MHWC=pictures.pixels_MHWC, labels_M=spoiled, rows=SPLITS)
    asked: dict[str, Any] = {"strategy": "all", "batch_norm": "frozen", "lr": 0.1, "epochs": 4}
    fitted = fitted_of(train(make_classifier(), wrong, listening=listening, keep="best", **asked))
    kept = fitted.history[fitted.kept_epoch - 1]
    assert fitted.kept_epoch < 4
    assert listening.summaries[1] == (
        f"4 epochs, train loss {fitted.history[-1].train_loss:.3f}, epoch {kept.epoch} kept, "
        f"validation accuracy {kept.val_accuracy:.2%}"
    )


def test_what_was_settled_decides_and_is_passed_on(
    make_classifier: MakeClassifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = (*CHOICES, Choice(what="epochs", chosen="1", reason="no time"))
    given = Settled(pace=Pace(lowered=True), lr=1e-3, num_epochs=1, choices=choices)
    monkeypatch.setattr(strategies, "settle", lambda *_, **__: Findings(settled=given))
    listening = Listening()
    fitted = fitted_of(train(make_classifier(), pictures, listening=listening, epochs=9))
    assert fitted.settled == given
    assert len(fitted.history) == 1
    assert listening.totals[2] == 15
    assert listening.summaries[1] == "2 choices"
    assert "epochs: 1 (no time)" in listening.notes


def test_a_rate_to_be_found_comes_with_its_range_test(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    outcome = train(make_classifier(), pictures, lr="auto", epochs=1)
    assert outcome.range_test is not None
    assert fitted_of(outcome).settled.lr == outcome.range_test.proposed


# What is looked at


def test_test_photos_are_watched_where_the_recipe_says_so_and_change_nothing(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    unwatched, watched = make_classifier(), make_classifier()
    expected = train(unwatched, pictures)
    found = train(watched, pictures, watch_test=True)
    assert not moved(weights_of(unwatched), weights_of(watched))
    np.testing.assert_array_equal(found.logits_MC, expected.logits_MC)
    assert all(math.isnan(row.test_loss) for row in fitted_of(expected).history)
    answers_N = found.logits_MC[SPLITS["test"]].argmax(1)
    right = float((answers_N == pictures.labels_M[SPLITS["test"]]).mean())
    assert fitted_of(found).history[-1].test_accuracy == pytest.approx(right)


@pytest.mark.parametrize(
    ("watch_test", "told"), [(True, "test accuracy "), (False, "on the photos learned from")]
)
def test_without_validation_photos_the_summary_tells_the_best_there_is(
    told: str, make_classifier: MakeClassifier, pictures: Pictures, *, watch_test: bool
) -> None:
    listening, none = Listening(), np.empty(0, dtype=np.int64)
    rest = replace(pictures, rows={**SPLITS, "validation": none})
    asked: dict[str, Any] = {"strategy": "all", "watch_test": watch_test}
    outcome = train(make_classifier(), rest, listening=listening, **asked)
    assert told in listening.summaries[1]
    assert math.isnan(fitted_of(outcome).history[-1].val_loss)


def test_the_photos_of_all_splits_and_of_none_are_predicted_and_those_of_test_timed(
    make_classifier: MakeClassifier, pictures: Pictures
) -> None:
    listening, classifier = Listening(), make_classifier()
    fewer = replace(pictures, rows={**SPLITS, "test": np.array([31, 25])})
    outcome = train(classifier, fewer, listening=listening)
    logits_MC = Predictor(classifier, device=CPU).logits(pictures.pixels_MHWC)
    np.testing.assert_array_equal(outcome.logits_MC, logits_MC)
    assert outcome.test_s is not None
    assert outcome.test_s > 0
    assert listening.totals[-1] == listening.done[-1] == 33


# Going on


@pytest.mark.parametrize(
    ("crash_at", "strategy", "note"),
    [
        (1, "head-then-all", "Training goes on in epoch 1, from its beginning."),
        (2, "head-then-all", "Training goes on in epoch 1, after 1 step of it."),
        (3, "last-stages", "Training goes on in epoch 1, after 2 steps of it."),
        (4, "all", "Training goes on in epoch 2, from its beginning."),
        (6, "head-then-all", "Training goes on in epoch 2, after 2 steps of it."),
    ],
)
def test_a_training_that_was_stopped_goes_on_and_gives_the_same(
    crash_at: int,
    strategy: str,
    note: str,
    make_classifier: MakeClassifier,
    pictures: Pictures,
    tmp_path: Path,
) -> None:
    asked: dict[str, Any] = {"strategy": strategy, "checkpoint_every_s": 1e-9, "ema": 0.9}
    whole = make_classifier()
    expected = train(whole, pictures, **asked)
    crashing = Listening(crash_at=crash_at)
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(make_classifier(), pictures, listening=crashing, checkpoints=checkpoints, **asked)
    classifier, listening = make_classifier(), Listening()
    found = train(classifier, pictures, listening=listening, checkpoints=checkpoints, **asked)
    assert not moved(weights_of(whole), weights_of(classifier))
    np.testing.assert_array_equal(found.logits_MC, expected.logits_MC)
    # Neither the head nor the pace is found anew, and the bar begins where it stood.
    assert listening.notes == [note]
    assert listening.stages == ["Training", "Prediction"]
    assert listening.totals[0] == listening.done[0] == 30
    assert listening.num_batches == 6 - (crash_at - 1)
    assert listening.pictures == []


def test_a_training_that_only_lacked_the_rest_is_not_trained_again(
    make_classifier: MakeClassifier, pictures: Pictures, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    first = make_classifier()
    expected = train(first, pictures, checkpoints=checkpoints)
    again, listening = make_classifier(), Listening()
    found = train(again, pictures, checkpoints=checkpoints, listening=listening)
    assert not moved(weights_of(first), weights_of(again))
    np.testing.assert_array_equal(found.logits_MC, expected.logits_MC)
    histories = [[row.to_json() for row in fitted_of(run).history] for run in (found, expected)]
    assert histories[0] == histories[1]
    assert listening.num_batches == 0
    assert listening.notes == ["Training was finished; it goes on with what comes after it."]


def test_what_was_settled_at_first_holds_for_the_rest(
    make_classifier: MakeClassifier,
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine that has become slower does not change the plan."""
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(make_classifier(), pictures, listening=Listening(crash_at=2), checkpoints=checkpoints)
    monkeypatch.setattr(strategies, "settle", pytest.fail)
    fitted = fitted_of(train(make_classifier(), pictures, checkpoints=checkpoints))
    assert fitted.settled == Settled(pace=Pace(), lr=1e-2, num_epochs=2, choices=(*CHOICES, MEMORY))
