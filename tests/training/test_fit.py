"""The loop learns, repeats itself to the bit, and looks at nothing but its own photos."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss, precision_score, recall_score
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import DataError
from fieldmark.data.augment import AugmentConfig
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training import fit as fit_module
from fieldmark.training.course import Pace, Unwatched
from fieldmark.training.fit import Fitted
from fieldmark.training.scoring import scores_of
from fieldmark.training.seeding import ORDER, generator_for
from fieldmark.training.steps import Stepper
from fieldmark.training.tally import SCORES, Epoch, scores_of_logits

CPU = torch.device("cpu")
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[Pixels, Labels]]
FitTiny = Callable[..., Fitted]
PACES = {
    "float32": Pace(),
    "bfloat16": Pace(precision="bfloat16"),
    "lowered": Pace(lowered=True),
    "channels first": Pace(channels_last=False),
}


def without_times(history: Sequence[Epoch]) -> list[dict[str, float]]:
    timed = ("seconds", "images_per_second", "data_wait_s")
    return [
        {name: value for name, value in asdict(epoch).items() if name not in timed}
        for epoch in history
    ]


def same_weights(one: Classifier, other: Classifier) -> bool:
    theirs = other.network.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.network.state_dict().items())


@pytest.mark.parametrize("pace", PACES.values(), ids=PACES)
def test_a_learnable_task_is_learned(
    pace: Pace, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier = make_classifier(precision=pace.precision)
    fitted = fit_tiny(classifier, make_photos(33), epochs=6, pace=pace, lr=3e-2)
    history = fitted.history
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    assert history[0].train_loss == pytest.approx(math.log(3), abs=0.3)
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].train_accuracy == 1
    assert history[-1].val_accuracy == 1
    assert history[-1].val_loss < 0.7
    assert not classifier.network.training
    assert {value.dtype for value in classifier.network.parameters()} == {torch.float32}
    assert (fitted.kept_epoch, fitted.stopped_early, fitted.batch_norm) == (6, None, "batch")
    kinds = {type(module).__name__ for module in classifier.network.modules()}
    assert "LoweredConv2d" not in kinds


@pytest.mark.parametrize("pace", PACES.values(), ids=PACES)
def test_the_same_seed_gives_the_same_history_and_weights_to_the_last_bit(
    pace: Pace, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    """Whatever was drawn before, and with dropout, which draws from the global generator."""
    histories, classifiers = [], []
    for draws in (0, 5):
        torch.rand(draws)
        classifiers.append(make_classifier(drop_rate=0.5, drop_path_rate=0.2))
        augmentation = AugmentConfig(policy="standard", mixup=0.2)
        asked: dict[str, Any] = {"augmentation": augmentation, "pace": pace, "seed": 3}
        fitted = fit_tiny(classifiers[-1], make_photos(33), **asked)
        histories.append(without_times(fitted.history))
    assert histories[0] == histories[1]
    assert same_weights(*classifiers)


@pytest.mark.parametrize("wishes", [{"drop_rate": 0.5}, {}])
def test_another_seed_gives_another_course(
    wishes: dict[str, float],
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
) -> None:
    classifiers = [make_classifier(**wishes), make_classifier(**wishes)]
    for seed, classifier in enumerate(classifiers):
        fit_tiny(classifier, make_photos(33), epochs=1, seed=seed)
    assert not same_weights(*classifiers)


def test_dropout_depends_on_the_seed(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    """With all photos in one batch and no augmentation, nothing else is left to be drawn."""
    pixels, labels = make_photos(33)
    pixels[:24] = pixels[0]
    photos = pixels, np.zeros_like(labels)
    losses = []
    for seed in (0, 0, 1):
        asked: dict[str, Any] = {"epochs": 1, "batch_size": 24, "seed": seed}
        fitted = fit_tiny(make_classifier(drop_rate=0.5), photos, **asked)
        losses.append(fitted.history[0].train_loss)
    assert losses[0] == losses[1] != losses[2]


def test_the_global_random_state_is_left_alone(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier = make_classifier(drop_rate=0.5)
    before = torch.get_rng_state()
    fit_tiny(classifier, make_photos(33), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_number_of_threads_is_left_alone(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    before = torch.get_num_threads()
    fit_tiny(make_classifier(), make_photos(33), epochs=1)
    assert torch.get_num_threads() == before


def test_photos_of_other_splits_are_never_looked_at(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    pixels, labels = make_photos(60)
    spoiled = pixels.copy()
    spoiled[33:] = np.random.default_rng(9).integers(0, 256, spoiled[33:].shape, dtype=np.uint8)
    impossible = labels.copy()
    impossible[33:] = 10**9
    one, other = make_classifier(), make_classifier()
    first, second = fit_tiny(one, (pixels, labels)), fit_tiny(other, (spoiled, impossible))
    assert without_times(first.history) == without_times(second.history)
    assert same_weights(one, other)


def test_validation_photos_are_judged_and_not_learned_from(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    pixels, labels = make_photos(33)
    wrong = labels.copy()
    wrong[24:] = (wrong[24:] + 1) % 3
    one, other = make_classifier(), make_classifier()
    first, second = fit_tiny(one, (pixels, labels)), fit_tiny(other, (pixels, wrong))
    assert same_weights(one, other)
    assert [e.train_loss for e in first.history] == [e.train_loss for e in second.history]
    assert [e.val_loss for e in first.history] != [e.val_loss for e in second.history]


@pytest.mark.parametrize("ema", [None, 0.5])
def test_validation_figures_are_those_of_scikit_learn(
    ema: float | None, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    """Of the weights that are kept, which with an average are the averaged ones."""
    pixels, labels = make_photos(40, noise=200.0)
    classifier, sizes = make_classifier(), {"num_train": 16, "num_validation": 24}
    last = fit_tiny(classifier, (pixels, labels), ema=ema, **sizes).history[-1]
    truth = labels[16:]
    logits_NC = Predictor(classifier, device=CPU).logits(pixels[16:])
    guessed = logits_NC.argmax(1)
    assert 0 < accuracy_score(truth, guessed) < 1
    assert last.val_accuracy == pytest.approx(accuracy_score(truth, guessed))
    assert last.val_loss == pytest.approx(log_loss(truth, softmax(logits_NC), labels=[0, 1, 2]))
    macro = {"average": "macro", "zero_division": 0.0}
    assert last.val_precision == pytest.approx(precision_score(truth, guessed, **macro))
    assert last.val_recall == pytest.approx(recall_score(truth, guessed, **macro))
    assert last.val_top_k == 1  # of three classes, the true one is always among five


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_an_epoch_is_what_a_plain_loop_does(
    smoothing: float, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    pixels, labels = make_photos(33)
    ours, plain = make_classifier(), make_classifier()
    ours.network.eval()  # as a loaded one is; it must learn in training mode all the same
    asked: dict[str, Any] = {"epochs": 1, "label_smoothing": smoothing, "seed": 5}
    (epoch,) = fit_tiny(ours, (pixels, labels), **asked).history

    network = plain.network.train()
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 0.02},
            {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
    )
    order = torch.randperm(24, generator=generator_for(5, ORDER, 1))
    losses, num_right = [], 0
    # Three steps: one of warm-up, less than half of all, then the cosine at 0 and 1/2.
    for chosen, rate in zip(order.reshape(3, 8), (3e-3, 3e-3, 3e-3 / 2), strict=True):
        images_NCHW = torch.from_numpy(pixels[chosen.numpy()]).permute(0, 3, 1, 2).float()
        logits_NC = network((images_NCHW / 255 - 0.5) / 0.25)
        truth = torch.from_numpy(labels[chosen.numpy()])
        losses.append(float(cross_entropy(logits_NC, truth).detach()))
        num_right += int((logits_NC.argmax(1) == truth).sum())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = cross_entropy(logits_NC, truth, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert epoch.train_loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert epoch.train_accuracy == num_right / 24
    assert epoch.lr == pytest.approx(3e-3 / 2)
    # Adam divides by the size of the gradient, so where that is next to nothing rounding errors
    # count in full; but all in all both went the same way.
    apart, along = 0.0, 0.0
    for name, value in network.named_parameters():
        apart += float((ours.network.get_parameter(name) - value).detach().square().sum())
        along += float((start[name] - value).detach().square().sum())
    assert math.sqrt(apart) < 0.05 * math.sqrt(along)


def test_label_smoothing_changes_what_is_learned_and_not_what_is_reported(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    sharp, smooth = make_classifier(), make_classifier()
    first, second = (
        fit_tiny(each, make_photos(33), epochs=1, batch_size=24, label_smoothing=smoothing)
        for each, smoothing in ((sharp, 0.0), (smooth, 0.5))
    )
    # In the first and only step both start from the same weights.
    assert first.history[0].train_loss == second.history[0].train_loss
    assert not same_weights(sharp, smooth)


def test_augmentation_is_applied_to_training_photos_alone(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    plain, changed = (
        fit_tiny(
            make_classifier(),
            make_photos(33, noise=80.0),
            lr=1e-9,  # nothing is learned, so the figures are those of the start
            epochs=1,
            batch_size=24,
            augmentation=augmentation,
        ).history[0]
        for augmentation in (
            AugmentConfig(policy="none"),
            AugmentConfig(policy="standard", colour=1.0),
        )
    )
    assert plain.train_loss != changed.train_loss
    assert plain.val_loss == pytest.approx(changed.val_loss, rel=0.05)


# What is told


class Listening(Unwatched):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.epochs: list[tuple[list[Epoch], int]] = []
        self.values: dict[int, Mapping[str, float]] = {}

    def batch(self, num_photos: int) -> None:
        self.done.append(num_photos)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.values[step] = values

    def epoch(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        self.epochs.append((list(history), num_epochs))


def test_every_photo_is_seen_once_an_epoch_and_told(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    watch = Listening()
    asked: dict[str, Any] = {"num_train": 21, "epochs": 2, "state": {"watch": watch}}
    history = list(fit_tiny(make_classifier(), make_photos(30), **asked).history)
    assert watch.done == [7, 7, 7] * 2
    assert watch.epochs == [(history[:1], 2), (history, 2)]
    for epoch in history:
        assert epoch.seconds > epoch.data_wait_s >= 0
        assert epoch.images_per_second == pytest.approx(21 / epoch.seconds)


def test_figures_are_told_while_an_epoch_goes_on(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit_module, "SCALARS_EVERY_S", 0.0)
    watch = Listening()
    history = fit_tiny(make_classifier(), make_photos(33), state={"watch": watch}).history
    assert list(watch.values) == [1, 2, 3, 4, 5, 6]
    for step, epoch in ((3, history[0]), (6, history[1])):
        told = watch.values[step]
        assert set(told) == {"lr", "train_loss", "train_accuracy", "images_per_second"}
        assert told["train_loss"] == epoch.train_loss
        assert told["train_accuracy"] == epoch.train_accuracy
        assert told["lr"] == epoch.lr
        assert told["images_per_second"] > 0


def test_figures_are_told_no_more_than_once_a_second(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    watch = Listening()
    fit_tiny(make_classifier(), make_photos(33), epochs=1, state={"watch": watch})
    assert len(watch.values) < 3


# Few photos


def test_an_odd_photo_does_not_stop_batch_normalisation(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    """The last stage of the network is a single pixel, of which one photo has no spread."""
    sizes = {"num_train": 5, "num_validation": 3, "batch_size": 2}
    history = fit_tiny(make_classifier(), make_photos(10), **sizes).history
    assert len(history) == 2
    assert math.isfinite(history[-1].train_loss)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_photos_cannot_be_trained_on(
    count: int, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    with pytest.raises(DataError, match=rf"train split has {count} photos.*at least 2.*Add"):
        fit_tiny(make_classifier(), make_photos(9), num_train=count, num_validation=3)


def test_without_validation_photos_their_figures_are_not_a_number(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    sizes = {"num_train": 8, "num_validation": 0, "epochs": 1}
    (epoch,) = fit_tiny(make_classifier(), make_photos(8), **sizes).history
    for name, value in asdict(epoch).items():
        assert math.isnan(value) == name.startswith(("val_", "test_")), name


# Test photos that are watched


@pytest.mark.parametrize("ema", [None, 0.5])
@pytest.mark.parametrize("num_validation", [0, 8])
def test_watched_test_photos_are_scored_by_the_weights_that_validation_is_scored_by(
    num_validation: int,
    ema: float | None,
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
) -> None:
    pixels, labels = make_photos(40, noise=200.0)
    sizes = {"num_train": 16, "num_validation": num_validation, "num_test": 16}
    classifier, of_test = make_classifier(), slice(16 + num_validation, 32 + num_validation)
    last = fit_tiny(classifier, (pixels, labels), ema=ema, **sizes).history[-1]
    logits_NC = Predictor(classifier, device=CPU).logits(pixels[of_test])
    expected = scores_of_logits(logits_NC, labels[of_test], num_classes=3)
    found = {name: getattr(last, f"test_{name}") for name in SCORES}
    assert found == expected
    assert 0 < found["accuracy"] < 1
    assert found["thresholded_recall"] < found["accuracy"]
    assert math.isnan(last.val_loss) == (num_validation == 0)


@pytest.mark.parametrize("wish", [{}, {"keep": "best"}, {"patience": 1, "epochs": 4}])
def test_watching_test_photos_changes_nothing_whatever_their_labels(
    wish: dict[str, Any],
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
) -> None:
    pixels, labels = make_photos(42)
    wrong = labels.copy()
    wrong[33:] = (wrong[33:] + 1) % 3
    watched = [(0, labels), (9, labels), (9, wrong)]
    classifiers = [make_classifier(drop_rate=0.5) for _ in watched]
    runs = [
        fit_tiny(classifier, (pixels, of), num_test=num_test, lr=3e-2, **wish)
        for classifier, (num_test, of) in zip(classifiers, watched, strict=True)
    ]
    assert all(same_weights(classifiers[0], other) for other in classifiers[1:])
    assert len({(run.kept_epoch, run.stopped_early) for run in runs}) == 1
    without_test = [
        [
            {name: value for name, value in row.items() if not name.startswith("test_")}
            for row in without_times(run.history)
        ]
        for run in runs
    ]
    assert without_test[0] == without_test[1] == without_test[2]
    assert runs[1].history[-1].test_loss < runs[2].history[-1].test_loss


def test_scoring_is_not_time_of_training(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that moves by 1 s a step and by 100 s when photos are scored."""
    now = [time.monotonic()]
    step, score = Stepper.step, scores_of

    def slow_step(stepper: Stepper, *args: Any, **named: Any) -> Any:
        now[0] += 1
        return step(stepper, *args, **named)

    def slow_score(*args: Any, **named: Any) -> Any:
        now[0] += 100
        return score(*args, **named)

    clock = SimpleNamespace(perf_counter=lambda: now[0], monotonic=lambda: now[0])
    monkeypatch.setattr(fit_module, "time", clock)
    monkeypatch.setattr(fit_module, "SCALARS_EVERY_S", 0.5)
    monkeypatch.setattr(fit_module, "scores_of", slow_score)
    monkeypatch.setattr(Stepper, "step", slow_step)
    watch = Listening()
    asked: dict[str, Any] = {"num_test": 6, "state": {"watch": watch}}
    history = fit_tiny(make_classifier(), make_photos(39), **asked).history
    assert [epoch.seconds for epoch in history] == pytest.approx([3, 3])
    assert [epoch.images_per_second for epoch in history] == pytest.approx([8, 8])
    # The first figure is over the time since the run was prepared, by the true clock.
    speeds = [watch.values[step]["images_per_second"] for step in range(2, 7)]
    assert speeds == pytest.approx([8] * 5, rel=0.5)
