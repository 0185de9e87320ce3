"""The loop learns, repeats itself to the bit, and looks at nothing but its own photos."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss, precision_score, recall_score
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import DataError, RecipeError
from fieldmark.data.augment import AugmentConfig
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.fit import Epoch, Photos, TrainConfig, fit, num_steps
from fieldmark.training.optim import OptimConfig

CPU = torch.device("cpu")
AS_IS = AugmentConfig(policy="none")
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[Pixels, Labels]]


def of_rows(pixels: Pixels, labels: Labels, rows: Sequence[int]) -> Photos:
    rows_N = np.array(rows, dtype=np.int64)
    return Photos(pixels_MHWC=pixels, rows_N=rows_N, labels_N=labels[rows_N])


def train(
    classifier: Classifier,
    photos: tuple[Pixels, Labels],
    *,
    num_train: int = 24,
    num_validation: int = 9,
    lr: float = 3e-3,
    augmentation: AugmentConfig = AS_IS,
    autocast: torch.dtype | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    **config: Any,
) -> Sequence[Epoch]:
    """Train on the first photos and validate on the next; what follows is the test split."""
    end = num_train + num_validation
    return fit(
        classifier,
        train=of_rows(*photos, range(num_train)),
        validation=of_rows(*photos, range(num_train, end)),
        config=TrainConfig(**{"epochs": 2, "batch_size": 8, "label_smoothing": 0.0, **config}),
        optim=OptimConfig(lr=lr, warmup_epochs=0.5, head_lr_factor=1.0),
        augmentation=augmentation,
        device=CPU,
        autocast=autocast,
        on_batch=on_batch,
        on_epoch=on_epoch,
    )


def without_times(history: Sequence[Epoch]) -> list[dict[str, float]]:
    timed = ("seconds", "images_per_second")
    return [
        {name: value for name, value in asdict(epoch).items() if name not in timed}
        for epoch in history
    ]


def same_weights(one: Classifier, other: Classifier) -> bool:
    theirs = other.network.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.network.state_dict().items())


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_a_learnable_task_is_learned(
    autocast: torch.dtype | None, make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    precision = "float32" if autocast is None else "bfloat16"
    classifier = make_classifier(precision=precision)
    history = train(classifier, make_photos(33), epochs=6, autocast=autocast, lr=3e-2)
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5, 6]
    assert history[0].train_loss == pytest.approx(math.log(3), abs=0.3)
    assert history[-1].train_loss < 0.5 * history[0].train_loss
    assert history[-1].train_accuracy == 1
    assert history[-1].val_accuracy == 1
    assert history[-1].val_loss < 0.7
    assert not classifier.network.training
    assert {value.dtype for value in classifier.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_the_same_seed_gives_the_same_history_and_weights_to_the_last_bit(
    autocast: torch.dtype | None, make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    """Whatever was drawn before, and with dropout, which draws from the global generator."""
    histories, classifiers = [], []
    for draws in (0, 5):
        torch.rand(draws)
        classifiers.append(make_classifier(drop_rate=0.5, drop_path_rate=0.2))
        histories.append(
            train(
                classifiers[-1],
                make_photos(33),
                augmentation=AugmentConfig(policy="standard"),
                autocast=autocast,
                seed=3,
            )
        )
    assert without_times(histories[0]) == without_times(histories[1])
    assert same_weights(*classifiers)


@pytest.mark.parametrize("wishes", [{"drop_rate": 0.5}, {}])
def test_another_seed_gives_another_course(
    wishes: dict[str, float], make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    classifiers = [make_classifier(**wishes), make_classifier(**wishes)]
    for seed, classifier in enumerate(classifiers):
        train(classifier, make_photos(33), epochs=1, seed=seed)
    assert not same_weights(*classifiers)


def test_dropout_depends_on_the_seed(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    """With all photos in one batch and no augmentation, nothing else is left to be drawn."""
    pixels, labels = make_photos(33)
    pixels[:24] = pixels[0]
    losses = [
        train(
            make_classifier(drop_rate=0.5),
            (pixels, np.zeros_like(labels)),
            epochs=1,
            batch_size=24,
            seed=seed,
        )[0].train_loss
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_the_global_random_state_is_left_alone(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    classifier = make_classifier(drop_rate=0.5)
    before = torch.get_rng_state()
    train(classifier, make_photos(33), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_photos_of_other_splits_are_never_looked_at(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    pixels, labels = make_photos(60)
    spoiled = pixels.copy()
    spoiled[33:] = np.random.default_rng(9).integers(0, 256, spoiled[33:].shape, dtype=np.uint8)
    impossible = labels.copy()
    impossible[33:] = 10**9
    one, other = make_classifier(), make_classifier()
    first, second = train(one, (pixels, labels)), train(other, (spoiled, impossible))
    assert without_times(first) == without_times(second)
    assert same_weights(one, other)


def test_validation_photos_are_judged_and_not_learned_from(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    pixels, labels = make_photos(33)
    wrong = labels.copy()
    wrong[24:] = (wrong[24:] + 1) % 3
    one, other = make_classifier(), make_classifier()
    first, second = train(one, (pixels, labels)), train(other, (pixels, wrong))
    assert same_weights(one, other)
    assert [e.train_loss for e in first] == [e.train_loss for e in second]
    assert [e.val_loss for e in first] != [e.val_loss for e in second]


def test_validation_figures_are_those_of_scikit_learn(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    pixels, labels = make_photos(40, noise=200.0)
    classifier = make_classifier()
    last = train(classifier, (pixels, labels), num_train=16, num_validation=24)[-1]
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
    smoothing: float, make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    pixels, labels = make_photos(33)
    ours, plain = make_classifier(), make_classifier()
    ours.network.eval()  # as a loaded one is; it must learn in training mode all the same
    (epoch,) = train(ours, (pixels, labels), epochs=1, label_smoothing=smoothing, seed=5)

    network = plain.network.train()
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 0.02},
            {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
    )
    order = torch.randperm(24, generator=torch.Generator().manual_seed(5))
    losses = []
    # Three steps: one of warm-up, less than half of all, then the cosine at 0 and 1/2.
    for chosen, rate in zip(order.reshape(3, 8), (3e-3, 3e-3, 3e-3 / 2), strict=True):
        images_NCHW = torch.from_numpy(pixels[chosen.numpy()]).permute(0, 3, 1, 2).float()
        logits_NC = network((images_NCHW / 255 - 0.5) / 0.25)
        truth = torch.from_numpy(labels[chosen.numpy()])
        losses.append(float(cross_entropy(logits_NC, truth).detach()))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = cross_entropy(logits_NC, truth, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert epoch.train_loss == pytest.approx(np.mean(losses), rel=1e-4)
    # Adam divides by the size of the gradient, so where that is next to nothing rounding errors
    # count in full; but all in all both went the same way.
    apart, along = 0.0, 0.0
    for name, value in network.named_parameters():
        apart += float((ours.network.get_parameter(name) - value).detach().square().sum())
        along += float((start[name] - value).detach().square().sum())
    assert math.sqrt(apart) < 0.05 * math.sqrt(along)


def test_label_smoothing_changes_what_is_learned_and_not_what_is_reported(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    sharp, smooth = make_classifier(), make_classifier()
    histories = [
        train(each, make_photos(33), epochs=1, batch_size=24, label_smoothing=smoothing)
        for each, smoothing in ((sharp, 0.0), (smooth, 0.5))
    ]
    # In the first and only step both start from the same weights.
    assert histories[0][0].train_loss == histories[1][0].train_loss
    assert not same_weights(sharp, smooth)


def test_augmentation_is_applied_to_training_photos_alone(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    plain, changed = (
        train(
            make_classifier(),
            make_photos(33, noise=80.0),
            lr=1e-9,  # nothing is learned, so the figures are those of the start
            epochs=1,
            batch_size=24,
            augmentation=augmentation,
        )[0]
        for augmentation in (AS_IS, AugmentConfig(policy="standard", colour=1.0))
    )
    assert plain.train_loss != changed.train_loss
    assert plain.val_loss == pytest.approx(changed.val_loss, rel=0.05)


def test_every_photo_is_seen_once_an_epoch_and_told(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    done: list[int] = []
    epochs: list[Epoch] = []
    history = train(
        make_classifier(),
        make_photos(30),
        num_train=21,
        epochs=2,
        on_batch=done.append,
        on_epoch=epochs.append,
    )
    assert done == [7, 7, 7] * 2
    assert epochs == list(history)
    for epoch in history:
        assert epoch.seconds > 0
        assert epoch.images_per_second == pytest.approx(21 / epoch.seconds)


@given(num_photos=st.integers(1, 2000), batch_size=st.integers(2, 300))
def test_batches_are_shared_out_evenly_and_never_of_one(num_photos: int, batch_size: int) -> None:
    steps = num_steps(num_photos, batch_size=batch_size)
    sizes = [len(part) for part in np.array_split(np.arange(num_photos), steps)]
    assert sum(sizes) == num_photos
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2 or num_photos == 1
    # Only batches of two, of an odd number of photos, cannot be kept to.
    assert max(sizes) <= batch_size or (batch_size == 2 and num_photos % 2 == 1)
    assert steps <= -(-num_photos // batch_size)


def test_an_odd_photo_does_not_stop_batch_normalisation(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    """The last stage of the network is a single pixel, of which one photo has no spread."""
    history = train(make_classifier(), make_photos(10), num_train=5, num_validation=3, batch_size=2)
    assert len(history) == 2
    assert math.isfinite(history[-1].train_loss)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_photos_cannot_be_trained_on(
    count: int, make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    with pytest.raises(DataError, match=rf"train split has {count} photos.*at least 2.*Add"):
        train(make_classifier(), make_photos(9), num_train=count, num_validation=3)


def test_without_validation_photos_their_figures_are_not_a_number(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    (epoch,) = train(make_classifier(), make_photos(8), num_train=8, num_validation=0, epochs=1)
    for name, value in asdict(epoch).items():
        assert math.isnan(value) == name.startswith("val_"), name


def test_a_diverged_loss_names_the_learning_rate(
    make_classifier: MakeClassifier, make_photos: MakePhotos
) -> None:
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.head.weight.fill_(3e38)
    with pytest.raises(RecipeError, match=r"diverged in epoch 1: .*--set optim\.lr=0\.0005"):
        train(classifier, make_photos(33), lr=0.005)


def test_divergence_in_the_very_last_step_is_noticed(
    make_classifier: MakeClassifier, make_photos: MakePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = torch.optim.AdamW.step

    def spoil(optimizer: torch.optim.AdamW, *args: Any) -> None:
        step(optimizer, *args)
        with torch.no_grad():
            optimizer.param_groups[0]["params"][0].fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(RecipeError, match=r"diverged in epoch 1: the loss is nan\. Lower"):
        train(make_classifier(), make_photos(33), batch_size=24, epochs=1)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"strategy": "last-stages"}, "train.strategy is 'last-stages'"),
        ({"epochs": 0}, "train.epochs is 0"),
        ({"epochs": 10_001}, "train.epochs is 10001"),
        ({"batch_size": 1}, "train.batch_size is 1"),
        ({"batch_size": 65_537}, "train.batch_size is 65537"),
        ({"label_smoothing": -0.1}, "train.label_smoothing is -0.1"),
        ({"label_smoothing": 1.0}, "train.label_smoothing is 1.0"),
        ({"label_smoothing": math.nan}, "train.label_smoothing is nan"),
        ({"precision": "float16"}, "train.precision is 'float16'"),
        ({"seed": -1}, "train.seed is -1"),
        ({"seed": 2**63}, "train.seed is 9223372036854775808"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=f"{key}; allowed: "):
        TrainConfig(**values)
