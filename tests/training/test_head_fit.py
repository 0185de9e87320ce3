"""A head trained by steps on features, held against the same written with torch's own parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import DataError, RecipeError
from fieldmark.training.balance import class_weights
from fieldmark.training.config import TrainConfig
from fieldmark.training.head_fit import HeadFit, HeadPhotos, head_photos, one_thread, train_head
from fieldmark.training.head_steps import new_stepper
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import Labelled
from fieldmark.training.tally import Epoch

NUM_CLASSES = 3
MEANS = np.random.default_rng(0).normal(0, 1, (NUM_CLASSES, 12))


def labelled(num: int, *, seed: int, noise: float = 1.5, labels: Any = None) -> Labelled:
    """Return noisy features around the mean of each class, on quite unlike scales."""
    generator = np.random.default_rng(seed)
    labels_N = np.arange(num) % NUM_CLASSES if labels is None else np.asarray(labels)
    features_NF = MEANS[labels_N] + generator.normal(0, noise, (num, 12))
    scaled_NF = (features_NF * np.geomspace(0.01, 100, 12) + 5).astype(np.float32)
    return Labelled(features_NF=scaled_NF, labels_N=labels_N.astype(np.int64))


TRAIN, VALIDATION = labelled(60, seed=1), labelled(30, seed=2)
NONE = labelled(0, seed=0)


@pytest.fixture
def photos() -> HeadPhotos:
    return head_photos(TRAIN, VALIDATION)


def fit(photos: HeadPhotos, *, optim: dict[str, Any] | None = None, **train: Any) -> HeadFit:
    rate = {"lr": 1e-2, "warmup_epochs": 0.0, **(optim or {})}
    return train_head(
        photos,
        train=TrainConfig(**{"epochs": 4, "batch_size": 8, **train}),
        optim=OptimConfig(**rate),
        num_classes=NUM_CLASSES,
    )


def by_hand(photos: HeadPhotos, train: TrainConfig, optimizer: type, **settings: Any) -> Any:
    """Train with autograd, torch's own loss and its own cosine schedule."""
    stepper = new_stepper(
        photos.train, train=train, optim=OptimConfig(lr=1e-2), lr=1e-2, num_classes=NUM_CLASSES
    )
    head, weight_C = stepper.head, None
    if train.class_weights == "balanced":
        counts = class_weights(photos.train.labels_N.numpy(), num_classes=NUM_CLASSES)
        weight_C = torch.from_numpy(counts)
    moved = optimizer(
        [{"params": [head.weight]}, {"params": [head.bias], "weight_decay": 0.0}],
        lr=1e-2,
        **settings,
    )
    batches = [batch for epoch in range(1, train.epochs + 1) for batch in stepper.members(epoch)]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(moved, len(batches))
    for members_B in batches:
        moved.zero_grad()
        loss = cross_entropy(
            head(photos.train.features_NF[members_B]),
            photos.train.labels_N[members_B],
            weight=weight_C,
            label_smoothing=train.label_smoothing,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        moved.step()
        schedule.step()
    return head


@pytest.mark.parametrize(
    ("optim", "optimizer", "settings"),
    [
        ({"name": "adamw"}, torch.optim.AdamW, {"weight_decay": 0.02}),
        ({"name": "adam", "weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
        (
            {"name": "sgd", "weight_decay": 0.0},
            torch.optim.SGD,
            {"momentum": 0.9, "nesterov": True},
        ),
        (
            {"name": "rmsprop", "weight_decay": 0.0},
            torch.optim.RMSprop,
            {"momentum": 0.9},
        ),
    ],
)
@pytest.mark.parametrize(
    "config", [{"label_smoothing": 0.2}, {"class_weights": "balanced", "label_smoothing": 0.0}]
)
def test_a_head_is_what_torch_makes_of_the_same_batches(
    optim: dict[str, Any], optimizer: type, settings: dict[str, Any], config: dict[str, Any]
) -> None:
    unequal = labelled(60, seed=1, labels=[0] * 30 + [1] * 20 + [2] * 10)
    photos = head_photos(unequal, VALIDATION)
    fitted = fit(photos, optim=optim, **config)
    train = TrainConfig(epochs=4, batch_size=8, **config)
    expected = by_hand(photos, train, optimizer, **settings)
    with torch.no_grad():
        logits_NC = expected(photos.validation.features_NF).numpy()
    np.testing.assert_allclose(
        fitted.head.logits(VALIDATION.features_NF), logits_NC, rtol=1e-3, atol=1e-3
    )


def test_smoothing_and_weights_together_are_torchs_loss_for_shares_of_classes() -> None:
    """As the training loop of a network has it: divided by the weights of the photos' classes."""
    unequal = labelled(20, seed=3, labels=[0] * 12 + [1] * 6 + [2] * 2)
    photos = head_photos(unequal, NONE)
    train = TrainConfig(batch_size=20, class_weights="balanced", label_smoothing=0.3)
    stepper = new_stepper(
        photos.train, train=train, optim=OptimConfig(), lr=1e-3, num_classes=NUM_CLASSES
    )
    (members_B,) = stepper.members(1)
    labels_B = photos.train.labels_N[members_B]
    head = torch.nn.Linear(12, NUM_CLASSES)
    head.load_state_dict(stepper.head.state_dict())
    total = cross_entropy(
        head(photos.train.features_NF[members_B]),
        torch.nn.functional.one_hot(labels_B, NUM_CLASSES).float(),
        weight=stepper.weight_C,
        label_smoothing=0.3,
        reduction="sum",
    )
    (total / stepper.weight_C[labels_B].sum()).backward()  # type: ignore[no-untyped-call]
    stepper.try_step(members_B, lr=1e-3)
    assert head.weight.grad is not None
    assert stepper.head.weight.grad is not None
    torch.testing.assert_close(stepper.head.weight.grad, head.weight.grad, rtol=1e-4, atol=1e-6)


def test_the_head_is_for_features_as_they_are(photos: HeadPhotos) -> None:
    fitted = fit(photos)
    answers_N = fitted.head.logits(VALIDATION.features_NF).argmax(axis=1)
    assert (answers_N == VALIDATION.labels_N).mean() == fitted.history[-1].val_accuracy
    assert fitted.history[-1].val_accuracy > 0.6


def test_the_same_seed_gives_the_same_head_with_any_number_of_threads(photos: HeadPhotos) -> None:
    before = torch.get_num_threads()
    try:
        heads = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            heads.append(fit(photos).head)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(heads[0].weight_CF, heads[1].weight_CF)
    assert not np.array_equal(heads[0].weight_CF, fit(photos, seed=1).head.weight_CF)


def test_the_number_of_threads_is_as_before_after_an_error() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with one_thread():
            raise ValueError(torch.get_num_threads())

    with pytest.raises(ValueError, match=r"^1$"):
        fail()
    assert torch.get_num_threads() == before


def test_splits_prepared_once_serve_many_heads(photos: HeadPhotos) -> None:
    first, _, again = fit(photos), fit(photos, optim={"name": "sgd"}), fit(photos)
    assert np.array_equal(first.head.weight_CF, again.head.weight_CF)


def test_every_epoch_has_its_row_and_is_told_of(photos: HeadPhotos) -> None:
    told: list[int] = []
    fitted = train_head(
        photos,
        train=TrainConfig(epochs=3, batch_size=8),
        optim=OptimConfig(lr=1e-2),
        num_classes=NUM_CLASSES,
        on_epoch=lambda history: told.append(len(history)),
    )
    assert told == [1, 2, 3]
    assert [row.epoch for row in fitted.history] == [1, 2, 3]
    assert fitted.kept_epoch == 3
    assert fitted.stopped_early is None
    assert fitted.history[0].lr > fitted.history[-1].lr
    assert all(0 < row.train_loss < 2 and 0 < row.val_loss < 2 for row in fitted.history)
    assert all(np.isnan(row.test_loss) for row in fitted.history)


def test_whoever_is_told_can_end_it(photos: HeadPhotos) -> None:
    def tell(history: Sequence[Epoch]) -> None:
        raise StopIteration(len(history))

    with pytest.raises(StopIteration, match="1"):
        train_head(
            photos,
            train=TrainConfig(epochs=3),
            optim=OptimConfig(),
            num_classes=NUM_CLASSES,
            on_epoch=tell,
        )


def test_the_best_epoch_is_kept_where_there_is_patience() -> None:
    noisy = head_photos(labelled(12, seed=5, noise=4.0), labelled(30, seed=6, noise=4.0))
    fitted = fit(noisy, optim={"lr": 0.3}, epochs=40, patience=3, label_smoothing=0.0)
    losses = [row.val_loss for row in fitted.history]
    assert fitted.kept_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == fitted.kept_epoch + 3
    assert fitted.stopped_early == (
        f"no lower validation loss in 3 epochs after epoch {fitted.kept_epoch}, so training "
        f"stopped after {len(losses)} of 40"
    )
    held = labelled(30, seed=6, noise=4.0)
    logits_NC = fitted.head.logits(held.features_NF)
    loss = float(cross_entropy(torch.from_numpy(logits_NC), torch.from_numpy(held.labels_N)))
    assert loss == pytest.approx(min(losses), rel=1e-4)
    assert len(fit(noisy, optim={"lr": 0.3}, epochs=40, label_smoothing=0.0).history) == 40


def test_averaged_weights_are_those_that_are_scored_and_kept(photos: HeadPhotos) -> None:
    plain, averaged = fit(photos), fit(photos, ema=0.9)
    assert not np.array_equal(plain.head.weight_CF, averaged.head.weight_CF)
    # What is learned from the batches is the same: only what is used of it differs.
    assert [row.train_loss for row in plain.history] == [row.train_loss for row in averaged.history]
    assert averaged.history[0].val_loss > plain.history[0].val_loss
    logits_NC = torch.from_numpy(averaged.head.logits(VALIDATION.features_NF))
    loss = float(cross_entropy(logits_NC, torch.from_numpy(VALIDATION.labels_N)))
    assert loss == pytest.approx(averaged.history[-1].val_loss, rel=1e-4)


def test_test_photos_are_scored_where_asked_for_and_change_nothing() -> None:
    watched = fit(head_photos(TRAIN, VALIDATION, test=labelled(9, seed=4)))
    plain = fit(head_photos(TRAIN, VALIDATION))
    assert np.array_equal(watched.head.weight_CF, plain.head.weight_CF)
    assert all(0 <= row.test_accuracy <= 1 for row in watched.history)


def test_without_validation_photos_their_scores_are_left_open() -> None:
    fitted = fit(head_photos(TRAIN, NONE), patience=1)
    assert all(np.isnan(row.val_loss) for row in fitted.history)
    assert (len(fitted.history), fitted.kept_epoch) == (4, 4)


def test_a_feature_that_never_varies_does_no_harm() -> None:
    flat = replace(TRAIN, features_NF=np.hstack([TRAIN.features_NF, np.ones((60, 1), np.float32)]))
    fitted = fit(head_photos(flat, flat))
    assert np.isfinite(fitted.head.weight_CF).all()


def test_a_rate_is_found_where_none_is_given(photos: HeadPhotos) -> None:
    fitted = fit(photos, optim={"lr": "auto"})
    assert fitted.range_test is not None
    assert fitted.lr == fitted.range_test.proposed
    assert fit(photos).range_test is None
    # The head of the test is thrown away: the training begins as it would have.
    again = fit(photos, optim={"lr": fitted.lr})
    assert np.array_equal(fitted.head.weight_CF, again.head.weight_CF)


def test_a_clipped_step_is_as_long_as_the_rate_allows(photos: HeadPhotos) -> None:
    optim = OptimConfig(
        name="sgd", momentum=0.0, weight_decay=0.0, schedule="constant", clip_norm=0.01
    )
    train = TrainConfig(batch_size=60)
    stepper = new_stepper(photos.train, train=train, optim=optim, lr=2.0, num_classes=NUM_CLASSES)
    before = torch.nn.utils.parameters_to_vector(stepper.head.parameters()).clone()
    stepper.step(stepper.members(1)[0], step=1)
    after = torch.nn.utils.parameters_to_vector(stepper.head.parameters())
    assert (after - before).detach().norm().item() == pytest.approx(2.0 * 0.01, rel=1e-3)


def test_a_loss_that_is_lost_is_refused_with_the_way_out() -> None:
    broken: NDArray[np.float32] = TRAIN.features_NF.copy()
    broken[7, 3] = np.inf
    with pytest.warns(RuntimeWarning, match="invalid value"):
        photos = head_photos(replace(TRAIN, features_NF=broken), VALIDATION)
    with pytest.raises(RecipeError, match=r"diverged in epoch 1: .*optim\.lr=0\.001"):
        fit(photos)


def test_a_single_photo_is_refused() -> None:
    with pytest.raises(DataError, match="has 1 photos; training a head takes at least 2"):
        head_photos(labelled(1, seed=0), VALIDATION)
