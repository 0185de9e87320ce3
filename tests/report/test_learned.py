"""What a network has learned, against what guessing gets."""

import math

import pytest

from fieldmark.report.learned import blind_loss, has_diverged, is_above_chance


def test_guessing_has_the_loss_of_equal_probabilities() -> None:
    assert blind_loss(8) == pytest.approx(-math.log(1 / 8))


@pytest.mark.parametrize(
    ("train_loss", "held_out_loss", "diverged"),
    [(1.41, 9.0, True), (1.36, 9.0, False), (1.41, 0.68, False), (1.41, 0.70, True)],
)
def test_a_loss_diverges_at_twice_that_of_guessing(
    train_loss: float, held_out_loss: float, *, diverged: bool
) -> None:
    # Of two classes guessing gets 0.693, twice of which is 1.386.
    assert has_diverged(train_loss, held_out_loss, num_classes=2) is diverged


def test_a_share_is_above_chance_where_its_interval_is() -> None:
    # Wilson's lower end of 60 of 100 is 0.502, of 59 of 100 it is 0.492.
    assert is_above_chance(0.60, num=100, num_classes=2)
    assert not is_above_chance(0.59, num=100, num_classes=2)


def test_without_a_number_of_photos_the_share_itself_decides() -> None:
    assert is_above_chance(0.51, num=None, num_classes=2)
    assert not is_above_chance(0.50, num=0, num_classes=2)
    assert not is_above_chance(math.nan, num=100, num_classes=2)
