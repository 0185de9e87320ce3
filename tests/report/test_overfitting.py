"""What counts as overfitting, on curves made by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.diagnosis import Diagnosis
from fieldmark.report.entries import Epoch
from fieldmark.report.overfitting import (
    GAP_ERRORS,
    MIN_GAP,
    RISE,
    diagnose,
    zigzag,
)

NAN = math.nan


def course(
    *,
    train: Sequence[float],
    held_out: Sequence[float],
    train_loss: Sequence[float] | None = None,
    loss: Sequence[float] | None = None,
    prefix: str = "val",
) -> list[Epoch]:
    """Return epochs of these accuracies; a loss not given is what the accuracy lacks of 1."""
    train_loss = train_loss or [1 - share for share in train]
    loss = loss or [1 - share for share in held_out]
    return [
        Epoch(
            epoch=i + 1,
            lr=1e-3,
            train_loss=train_loss[i],
            train_accuracy=train[i],
            **{f"{prefix}_loss": loss[i], f"{prefix}_accuracy": held_out[i]},
        )
        for i in range(len(train))
    ]


def kinds(diagnosis: Diagnosis) -> set[str]:
    return {sign.kind for sign in diagnosis.signs}


def test_two_curves_that_rise_side_by_side_and_rest_show_nothing() -> None:
    shares = [0.5, 0.7, 0.8, 0.85, 0.87, 0.88, 0.88, 0.88]
    diagnosis = diagnose(course(train=[s + 0.01 for s in shares], held_out=shares))
    assert diagnosis.signs == ()
    assert not diagnosis.overfits
    assert diagnosis.held_out == "validation"
    assert diagnosis.levels is not None
    assert diagnosis.levels.gap == pytest.approx(0.01)


def test_a_gap_at_the_end_is_overfitting_with_its_size() -> None:
    diagnosis = diagnose(
        course(
            train=[0.5, 0.7, 0.9, 0.95, 0.98, 0.99, 1.0, 1.0],
            held_out=[0.5, 0.65, 0.8, 0.85, 0.86, 0.87, 0.87, 0.87],
        )
    )
    assert diagnosis.overfits
    gap = diagnosis.sign("gap")
    assert gap is not None
    # The end is the median of the last two epochs: 1.0 and 0.87.
    assert gap.value == pytest.approx(0.13)
    assert gap.threshold == MIN_GAP


def test_a_gap_that_widens_grows_by_the_slope_of_its_second_half() -> None:
    train = [0.5, 0.6, 0.7, 0.8, 0.84, 0.88, 0.92, 0.96]
    diagnosis = diagnose(course(train=train, held_out=[0.5, 0.6, 0.7, *[0.8] * 5]))
    growing = diagnosis.sign("growing")
    assert growing is not None
    assert growing.value == pytest.approx(3 * 0.04)  # from 0.04 to 0.16 over epochs 5 to 8
    assert diagnosis.overfits


def test_a_gap_that_has_come_to_rest_does_not_grow() -> None:
    diagnosis = diagnose(course(train=[0.5, 0.9, *[0.97] * 6], held_out=[0.4, 0.7, *[0.85] * 6]))
    assert "gap" in kinds(diagnosis)
    assert "growing" not in kinds(diagnosis)


def test_a_loss_that_rises_while_the_training_loss_falls_is_overfitting() -> None:
    diagnosis = diagnose(
        course(
            train=[0.8, 0.9, 0.94, 0.96],
            held_out=[0.8, 0.9, 0.93, 0.93],
            train_loss=[1.0, 0.5, 0.3, 0.2],
            loss=[1.0, 0.5, 0.6, 0.8],
        )
    )
    rising = diagnosis.sign("rising")
    assert rising is not None
    assert rising.value == pytest.approx(1.6)
    assert rising.threshold == RISE
    assert diagnosis.overfits
    assert diagnosis.levels is not None
    assert (diagnosis.levels.best_epoch, diagnosis.levels.best_loss) == (2, 0.5)


def test_a_rise_of_both_losses_is_unsteady_and_not_overfitting() -> None:
    diagnosis = diagnose(
        course(
            train=[0.8, 0.91, 0.86],
            held_out=[0.8, 0.9, 0.85],
            train_loss=[1.0, 0.4, 0.8],
            loss=[1.0, 0.5, 0.9],
        )
    )
    assert kinds(diagnosis) == {"unsteady"}
    assert not diagnosis.overfits


def test_a_lowest_loss_within_the_last_epochs_has_not_risen_yet() -> None:
    losses = [1.0, 0.8, 0.6, 0.5, 0.45, 0.42, 0.4, 0.39, 0.38, 0.38, 0.3, 0.36]
    shares = [1 - loss for loss in losses]
    diagnosis = diagnose(course(train=shares, held_out=shares, loss=losses))
    assert not kinds(diagnosis) & {"rising", "unsteady"}


def test_a_curve_that_swings_is_jagged() -> None:
    swings = [0.6, 0.8, 0.75, 0.85, 0.8, 0.88, 0.83, 0.89]
    diagnosis = diagnose(course(train=[s + 0.01 for s in sorted(swings)], held_out=swings))
    jagged = diagnosis.sign("jagged")
    assert jagged is not None
    assert jagged.value == pytest.approx(0.3 / 6)  # six turns, of each the smaller step: 0.05
    assert not diagnosis.overfits


def test_both_losses_falling_at_the_end_are_still_falling() -> None:
    diagnosis = diagnose(course(train=[0.5, 0.6, 0.7], held_out=[0.5, 0.6, 0.68]))
    falling = diagnosis.sign("falling")
    assert falling is not None
    assert falling.value == pytest.approx(1 - math.sqrt(0.32 / 0.5))
    assert not diagnosis.overfits


def test_a_training_loss_that_rises_does_not_ask_for_more_epochs() -> None:
    epochs = course(train=[0.5, 0.6, 0.6], held_out=[0.5, 0.6, 0.68], train_loss=[0.5, 0.4, 0.52])
    assert "falling" not in kinds(diagnose(epochs))


def test_a_photo_that_is_harder_in_training_is_never_overfitting() -> None:
    """Photos altered at random are named right less often, whatever the loss does."""
    diagnosis = diagnose(
        course(
            train=[0.4, 0.6, 0.7, 0.75],
            held_out=[0.6, 0.8, 0.82, 0.81],
            train_loss=[1.6, 1.0, 0.8, 0.7],
            loss=[1.0, 0.5, 0.6, 0.8],
        )
    )
    assert "rising" in kinds(diagnosis)
    assert not diagnosis.overfits


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 3), st.floats(0.01, 3)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 1),
)
def test_nothing_is_overfitting_while_held_out_photos_do_as_well(
    rows: list[tuple[float, float, float, float]], lead: float
) -> None:
    diagnosis = diagnose(
        course(
            train=[min(train, held_out) for train, held_out, *_ in rows],
            held_out=[min(1.0, max(train, held_out) + lead) for train, held_out, *_ in rows],
            train_loss=[row[2] for row in rows],
            loss=[row[3] for row in rows],
        )
    )
    assert not diagnosis.overfits


def test_few_held_out_photos_excuse_a_wider_gap() -> None:
    epochs = course(train=[0.5, 0.7, 0.9, 0.9], held_out=[0.5, 0.7, 0.8, 0.8])
    assert diagnose(epochs, num_photos={"validation": 1000}).overfits
    few = diagnose(epochs, num_photos={"validation": 40, "test": 10_000})
    assert not few.overfits
    assert GAP_ERRORS * math.sqrt(0.8 * 0.2 / 40) > 0.1


def test_luck_with_the_held_out_photos_is_not_called_jagged() -> None:
    generator = np.random.default_rng(5)
    for num in (30, 100, 500):
        shares = (generator.binomial(num, 0.9, size=40) / num).tolist()
        epochs = course(train=[0.9] * 40, held_out=shares, loss=[0.3] * 40)
        assert "jagged" not in kinds(diagnose(epochs, num_photos={"validation": num}))


def test_a_single_epoch_shows_nothing() -> None:
    diagnosis = diagnose(course(train=[1.0], held_out=[0.5]))
    assert (diagnosis.levels, diagnosis.signs, diagnosis.overfits) == (None, (), False)
    assert diagnosis.num_epochs == 1
    assert diagnose([]).held_out == ""


def test_epochs_that_are_not_numbers_are_left_out() -> None:
    epochs = course(train=[0.5, NAN, 0.9, 1.0], held_out=[0.5, NAN, 0.8, 0.8])
    diagnosis = diagnose(epochs)
    assert diagnosis.num_epochs == 3
    assert diagnosis.overfits
    blown = course(train=[NAN] * 3, held_out=[NAN] * 3)
    assert diagnose(blown) == diagnose([])


def test_without_accuracies_the_losses_decide() -> None:
    losses: dict[str, Any] = {"train_loss": [1.0, 0.5, 0.3, 0.2], "loss": [1.0, 0.5, 0.6, 0.8]}
    assert diagnose(course(train=[NAN] * 4, held_out=[NAN] * 4, **losses)).overfits
    swapped: dict[str, Any] = {"train_loss": [2.0, 1.5, 1.3, 1.2], "loss": [1.0, 0.5, 0.6, 0.8]}
    assert not diagnose(course(train=[NAN] * 4, held_out=[NAN] * 4, **swapped)).overfits


def test_test_photos_stand_in_where_there_are_no_validation_photos() -> None:
    shares: dict[str, Any] = {"train": [0.5, 0.8, 0.99, 1.0], "held_out": [0.5, 0.7, 0.8, 0.8]}
    diagnosis = diagnose(course(**shares, prefix="test"))
    assert (diagnosis.held_out, diagnosis.overfits) == ("test", True)
    assert diagnose(course(**shares)).held_out == "validation"


def test_a_zigzag_is_the_smaller_step_of_each_turn() -> None:
    assert zigzag(np.array([0.0, 1.0, 0.0, 1.0])) == 1.0
    assert zigzag(np.array([0.0, 1.0, 0.8, 0.9])) == pytest.approx((0.2 + 0.1) / 2)
    assert zigzag(np.array([0.1, 0.2, 0.4, 0.4, 0.9])) == 0.0
    assert zigzag(np.array([0.1, 0.2])) == 0.0


@given(st.lists(st.floats(0, 1), min_size=3, max_size=20))
def test_a_curve_that_only_rises_or_falls_has_no_zigzag(values: list[float]) -> None:
    rising = np.array(sorted(values))
    assert zigzag(rising) == zigzag(rising[::-1]) == 0.0


def test_a_training_loss_far_above_guessing_has_failed_whatever_else_is_seen() -> None:
    epochs = course(
        train=[0.1, 0.1, 0.1, 0.1],
        held_out=[0.1, 0.1, 0.1, 0.08],
        train_loss=[1e24, 1e9, 900.0, 161.0],
        loss=[3.5e24, 1e12, 1e10, 6.8e7],
    )
    diagnosis = diagnose(epochs, num_classes=8)
    diverged = diagnosis.sign("diverged")
    assert diverged is not None
    assert diverged.value == 161.0
    assert diverged.threshold == pytest.approx(2 * math.log(8))
    assert diagnosis.failed
    assert not diagnosis.overfits
    assert not diagnose(epochs).failed  # how many classes there are is not known


def test_a_network_that_does_well_on_held_out_photos_has_not_diverged() -> None:
    """A training loss is a mean over the epoch, of altered photos, in which much may happen."""
    epochs = course(train=[0.3, 0.4], held_out=[0.8, 0.9], train_loss=[9.0, 5.0], loss=[0.6, 0.3])
    assert not diagnose(epochs, num_classes=8).failed


@pytest.mark.parametrize(("num", "failed"), [(40, True), (4000, False)])
def test_accuracies_that_luck_could_explain_have_failed(num: int, failed: bool) -> None:
    # By Wilson, 0.15 of 40 is at least 0.071 and of 4,000 at least 0.139; guessing gets 0.125.
    epochs = course(train=[0.12, 0.15], held_out=[0.13, 0.15], loss=[2.1, 2.08])
    diagnosis = diagnose(epochs, num_photos={"train": num, "validation": num}, num_classes=8)
    assert (diagnosis.sign("chance") is not None) is failed


def test_held_out_photos_named_right_speak_against_a_failure() -> None:
    """Mixed labels can hold the accuracy on training photos down to that of guessing."""
    epochs = course(train=[0.1, 0.1], held_out=[0.5, 0.7], loss=[1.5, 1.0])
    assert not diagnose(epochs, num_classes=8).failed


def risen(*, last_train_loss: float = 0.9, train: float = 0.24, num_epochs: int = 5) -> list[Epoch]:
    """Return epochs whose held-out loss rises from the first on; 20 % are named right."""
    return course(
        train=[train] * num_epochs,
        held_out=[0.20] * num_epochs,
        train_loss=[3.0, *[last_train_loss] * (num_epochs - 1)],
        loss=[2.0, *[2.4] * (num_epochs - 1)],
    )


def test_a_rise_is_overfitting_only_with_a_lead_that_is_no_chance() -> None:
    many, few = {"validation": 4000}, {"validation": 64}
    assert diagnose(risen(), num_photos=many).overfits
    # Two standard errors of a fifth of 64 photos are 10 points; the gap is 4.
    assert diagnose(risen(), num_photos=few).sign("rising") is not None
    assert not diagnose(risen(), num_photos=few).overfits


def test_a_rise_is_no_overfitting_while_the_training_loss_is_above_it() -> None:
    assert not diagnose(risen(last_train_loss=2.9), num_photos={"validation": 4000}).overfits


def test_a_rise_over_few_epochs_or_of_guesses_is_no_overfitting() -> None:
    many = {"train": 4000, "validation": 4000}
    assert not diagnose(risen(num_epochs=3), num_photos=many).overfits
    assert diagnose(risen(), num_photos=many, num_classes=8).overfits
    assert not diagnose(risen(), num_photos=many, num_classes=4).overfits
