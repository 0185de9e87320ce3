"""What is said of the curves."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from fieldmark.report.entries import Epoch
from fieldmark.report.overfitting import diagnose
from fieldmark.report.verdict import Verdict, pronounce


def told(
    train: Sequence[float],
    held_out: Sequence[float],
    *,
    train_loss: Sequence[float] | None = None,
    loss: Sequence[float] | None = None,
    kept_epoch: int | None = None,
    prefix: str = "val",
    is_frozen: bool = False,
    num_classes: int | None = None,
) -> Verdict:
    epochs = [
        Epoch(
            epoch=i + 1,
            lr=1e-3,
            train_loss=train_loss[i] if train_loss else 1 - share,
            train_accuracy=share,
            **{
                f"{prefix}_loss": loss[i] if loss else 1 - held_out[i],
                f"{prefix}_accuracy": held_out[i],
            },
        )
        for i, share in enumerate(train)
    ]
    return pronounce(
        diagnose(epochs, num_classes=num_classes),
        kept_epoch=kept_epoch,
        last_epoch=len(epochs),
        is_frozen=is_frozen,
    )


BY_HEART: dict[str, Any] = {"train_loss": [1.0, 0.5, 0.3, 0.2], "loss": [1.0, 0.5, 0.6, 0.8]}


def test_overfitting_is_named_with_its_numbers_and_what_may_help() -> None:
    verdict = told([0.7, 0.9, 0.96, 1.0], [0.7, 0.88, 0.88, 0.88], **BY_HEART, kept_epoch=4)
    assert verdict.headline == "Overfitting"
    assert verdict.is_warning
    assert verdict.text.replace("\u00a0", " ") == (
        "After epoch 2 it learned by heart: the validation loss rose from 0.5000 to 0.8000 while "
        "the training loss still fell. At the end 100 % of the training photos are named right and "
        "88.0 % of the validation photos, a gap of 12.0 points that grew by 4.0 points in the "
        "second half of the epochs. What may help: stronger augmentation ('augment.policy'), more "
        "weight decay ('optim.weight_decay'), or stopping early ('train.patience')."
    )


def test_where_no_photo_can_be_altered_no_augmentation_is_advised() -> None:
    curves: tuple[Any, ...] = ([0.7, 0.9, 0.96, 1.0], [0.7, 0.88, 0.88, 0.88])
    by_heart = told(*curves, **BY_HEART, is_frozen=True)
    falling = told(*curves, loss=[1.0, 0.8, 0.6, 0.4], is_frozen=True)
    for verdict in (by_heart, falling):
        assert "augment" not in verdict.text
        assert "more weight decay ('optim.weight_decay')" in verdict.text


def test_stopping_early_is_not_advised_to_a_run_that_kept_an_earlier_epoch() -> None:
    verdict = told([0.7, 0.9, 0.96, 1.0], [0.7, 0.88, 0.88, 0.88], **BY_HEART, kept_epoch=2)
    assert "The weights of epoch 2 are used, so what came after it did no harm." in verdict.text
    assert "train.patience" not in verdict.text


def test_stopping_early_takes_validation_photos() -> None:
    verdict = told([0.7, 0.9, 0.96, 1.0], [0.7, 0.88, 0.88, 0.88], **BY_HEART, prefix="test")
    assert "the test loss rose" in verdict.text
    assert "stopping early ('train.patience', which takes validation photos)" in verdict.text


def test_a_jagged_curve_asks_for_a_lower_learning_rate() -> None:
    swings = [0.6, 0.8, 0.75, 0.85, 0.8, 0.88, 0.83, 0.89]
    verdict = told(sorted(swings), swings)
    assert verdict.headline == "No overfitting, but learning was unsteady"
    assert verdict.is_warning
    assert "it went up and down by 5.0 points from one epoch to the next" in verdict.text
    assert "A lower learning rate ('optim.lr')" in verdict.text
    assert "augmentation" not in verdict.text


def test_a_jagged_curve_below_a_gap_asks_for_both() -> None:
    swings = [0.6, 0.8, 0.75, 0.85, 0.8, 0.85, 0.8, 0.85]
    verdict = told([0.7, 0.8, 0.9, 0.95, 1.0, 1.0, 1.0, 1.0], swings)
    assert verdict.headline == "Overfitting"
    assert "A lower learning rate" in verdict.text
    assert "stronger augmentation" in verdict.text


def test_losses_that_still_fall_ask_for_more_epochs() -> None:
    verdict = told([0.5, 0.6, 0.7], [0.5, 0.6, 0.68])
    assert verdict.headline == "No sign of overfitting, and still learning"
    assert not verdict.is_warning
    assert "more of them ('train.epochs') may help" in verdict.text


def test_a_gap_that_comes_with_progress_asks_for_more_epochs_first() -> None:
    verdict = told([0.5, 0.75, 0.85], [0.5, 0.6, 0.7])
    assert verdict.headline == "Overfitting"
    assert "more epochs ('train.epochs') may help; stronger augmentation" in verdict.text


def test_no_sign_is_said_plainly_with_the_numbers() -> None:
    shares = [0.5, 0.8, 0.9, *[0.91] * 5]
    verdict = told([share + 0.01 for share in shares], shares)
    assert verdict.headline == "No sign of overfitting"
    assert verdict.text.replace("\u00a0", " ") == (
        "At the end 92.0 % of the training photos are named right and 91.0 % of the validation "
        "photos, and the validation loss is at its lowest, 0.0900. The losses have come to rest: "
        "more epochs would change little."
    )


def test_a_loss_that_never_moved_is_not_said_to_rest() -> None:
    verdict = told([0.5] * 4, [0.5] * 4, loss=[0.5, 0.49, 0.48, 0.485])
    assert "The validation loss hardly changed over the epochs." in verdict.text
    assert "0.4850; its lowest was 0.4800, after epoch 3" in verdict.text


def test_a_rise_of_both_losses_is_unsteady() -> None:
    verdict = told(
        [0.8, 0.91, 0.86], [0.8, 0.9, 0.85], train_loss=[1.0, 0.4, 0.8], loss=[1.0, 0.5, 0.9]
    )
    assert verdict.headline == "No overfitting, but learning was unsteady"
    assert "rose from 0.5000 to 0.9000, and the training loss rose with it" in verdict.text
    assert "by heart" not in verdict.text


@pytest.mark.parametrize(("kept", "advice"), [(2, False), (4, True)])
def test_a_loss_that_rises_over_harder_training_photos_is_not_called_overfitting(
    kept: int, advice: bool
) -> None:
    verdict = told([0.4, 0.6, 0.7, 0.75], [0.6, 0.8, 0.82, 0.81], **BY_HEART, kept_epoch=kept)
    assert verdict.headline == "No overfitting, but the loss rose again"
    assert "by heart" not in verdict.text
    assert ("train.keep" in verdict.text) is advice


def test_where_nothing_can_be_known_nothing_is_claimed() -> None:
    one = told([1.0], [0.5])
    assert (one.headline, one.is_warning) == ("", False)
    assert one.text.startswith("One epoch is too few")
    nan = [math.nan] * 3
    assert told([0.5, 0.6, 0.7], nan, loss=nan).text.startswith("No held-out photos were scored")
    late = [math.nan, math.nan, 0.5]
    assert "too few epochs" in told([0.5, 0.6, 0.7], late, loss=late).text


def test_without_accuracies_the_losses_are_told() -> None:
    nan = [math.nan] * 4
    assert "the loss is 0.2000 on training photos and 0.8000 on validation photos" in (
        told(nan, nan, **BY_HEART).text
    )


def test_a_run_that_diverged_is_told_with_guessing_beside_it_and_what_may_help() -> None:
    verdict = told(
        [0.1] * 4,
        [0.1, 0.1, 0.1, 0.08],
        train_loss=[1e24, 1e9, 900.0, 161.0],
        loss=[3.5e24, 1e12, 1e10, 68355437.0],
        num_classes=8,
    )
    assert verdict.headline == "It failed to learn"
    assert verdict.is_warning
    assert verdict.text.replace("\u00a0", " ") == (
        "At the end the loss is 161.0000 on training photos and 6.8e+07 on validation photos, "
        "where guessing among 8 classes gets 2.0794. 10.0 % of the training photos are named right "
        "and 8.0 % of the validation photos; guessing gets 12.5 %. What may help: a learning rate "
        "('optim.lr') of a tenth, or a longer warm-up ('optim.warmup_epochs')."
    )


@pytest.mark.parametrize("num", [3, 5])
def test_a_start_that_is_slow_or_short_is_told_to_train_longer(num: int) -> None:
    losses = [2.2 - 0.04 * i for i in range(num)]
    verdict = told([0.12] * num, [0.12] * num, train_loss=losses, loss=losses, num_classes=8)
    assert verdict.headline == "It failed to learn"
    assert verdict.text.endswith(", and more epochs ('train.epochs').")


def test_a_run_that_only_guesses_at_rest_is_not_told_to_train_longer() -> None:
    verdict = told([0.12] * 4, [0.12] * 4, train_loss=[2.08] * 4, loss=[2.08] * 4, num_classes=8)
    assert verdict.headline == "It failed to learn"
    assert "train.epochs" not in verdict.text
