"""The sentences of a study say what the numbers say, the better value last."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest

from fieldmark.evaluation.intervals import Estimate
from fieldmark.studies.amounts import factor_words, number
from fieldmark.studies.effects import effects_of
from fieldmark.studies.estimates import Contrast, Effects
from fieldmark.studies.names import settings_text, title_of, value_text
from fieldmark.studies.space import Factor
from fieldmark.studies.trials import Trial, TrialResult
from fieldmark.studies.wording import (
    chance_words,
    change_of,
    depending,
    effect_sentence,
    headline,
    importance_sentence,
    interaction_sentence,
    notes,
)

LR = Factor(key="optim.lr", values=(1e-4, 1e-3))
NAME = Factor(key="optim.name", values=("sgd", "adam"))


def trial(
    settings: dict[str, Any], accuracy: float, *, seed: int = 0, num_validation: int = 10**9
) -> Trial:
    result = TrialResult(
        num_validation=num_validation,
        val_loss=1 - accuracy,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=0.99,
        curve=(),
        seconds=1.0,
    )
    return Trial(
        number=0, settings=settings, seed=seed, kind="head", status="finished", result=result
    )


def of_values(key: str, groups: Mapping[Any, Sequence[float]], **options: Any) -> Effects:
    trials = [
        trial({key: value}, accuracy, seed=seed)
        for value, group in groups.items()
        for seed, accuracy in enumerate(group)
    ]
    effects = effects_of(trials, [Factor(key=key, values=tuple(groups))], **options)
    assert effects is not None
    return effects


def crossed(means: Sequence[Sequence[float]], *, away: float = 0.001) -> Effects:
    """Return the effects of learning rate (rows) and optimizer (columns)."""
    trials = [
        trial({"optim.lr": lr, "optim.name": name}, means[i][j] + sign * away, seed=seed)
        for i, lr in enumerate(LR.values)
        for j, name in enumerate(NAME.values)
        for seed, sign in enumerate((-1, 1))
    ]
    effects = effects_of(trials, [LR, NAME])
    assert effects is not None
    return effects


def said(effects: Effects, **options: Any) -> str:
    return effect_sentence(effects.main[0], effects.outcome, chance="3 seeds", **options)


def test_a_shown_difference_in_numbers_goes_from_the_worse_value_to_the_better() -> None:
    groups = {1e-3: [0.900, 0.902, 0.904], 1e-4: [0.921, 0.923, 0.925]}
    assert said(of_values("optim.lr", groups)) == (
        "Lowering the learning rate from 1e-3 to 1e-4 raised accuracy by 2.1 points (1.6 to 2.6)."
    )
    loss = said(of_values("optim.lr", groups, outcome="val_loss"))
    assert loss.startswith(
        "Lowering the learning rate from 1e-3 to 1e-4 lowered the loss by 0.021 (0.016 to"
    )


def test_a_shown_difference_between_names_says_what_was_taken() -> None:
    groups = {"none": [0.92, 0.93], "flip-rotate": [0.87, 0.88]}
    assert said(of_values("augment.policy", groups)).startswith(
        "Taking none instead of flip-rotate for augmentation raised accuracy by 5.0 points ("
    )


def test_a_switch_is_turned_on_or_off() -> None:
    assert change_of("train.tensorboard", old=False, new=True) == "Turning train.tensorboard on"


def test_what_seeds_cannot_show_is_said_so_with_its_interval() -> None:
    groups = {"none": [0.90, 0.92, 0.91], "flip": [0.92, 0.91, 0.90]}
    assert said(of_values("augment.policy", groups)) == (
        "Augmentation made no difference to accuracy that 3 seeds can show: "
        "0.0 points (−2.3 to +2.3) from none to flip."
    )


def test_of_three_values_the_best_is_named_and_those_that_cannot_be_told_from_it() -> None:
    groups = {1e-4: [0.90, 0.901], 3e-4: [0.921, 0.922], 1e-3: [0.92, 0.921]}
    sentence = said(of_values("optim.lr", groups))
    assert sentence.startswith(
        "For the learning rate, 3e-4 did best: accuracy 2.1 points (1.9 to 2.3) higher than with "
        "1e-4; it cannot be told from 1e-3."
    )


def test_three_values_without_a_difference_are_listed() -> None:
    groups = {"a": [0.90, 0.92], "b": [0.91, 0.93], "c": [0.92, 0.90]}
    assert said(of_values("model.head", groups)) == (
        "The head made no difference to accuracy that 3 seeds can show (a, b, c)."
    )


def test_without_repeats_a_difference_is_told_with_its_doubt() -> None:
    effects = of_values("optim.lr", {1e-3: [0.90], 1e-4: [0.92]})
    chance = chance_words(effects, num_seeds=1, is_paired=False)
    sentence = effect_sentence(effects.main[0], "val_accuracy", chance=chance)
    assert sentence == (
        "Lowering the learning rate from 1e-3 to 1e-4 raised accuracy by 2.0 points; whether that "
        "is chance one trial a setting cannot say."
    )
    assert "cannot say" in headline(effects, num_seeds=1, is_paired=False)


def test_what_depends_on_another_field_is_told_at_each_of_its_values() -> None:
    effects = crossed([[0.80, 0.92], [0.86, 0.90]])
    (interaction,) = effects.interactions
    sentence = interaction_sentence(interaction, "val_accuracy")
    assert sentence.startswith(
        "It depends: raising the learning rate from 1e-4 to 1e-3 raised accuracy by 6.0 points ("
    )
    assert "with the optimizer sgd, but lowered accuracy by 2.0 points (" in sentence
    assert depending(effects) == {"optim.lr", "optim.name"}
    assert said(effects, depends=True).startswith("On average, raising the learning rate")


def test_a_dependence_in_one_direction_says_the_verb_once() -> None:
    (interaction,) = crossed([[0.80, 0.90], [0.86, 0.91]]).interactions
    sentence = interaction_sentence(interaction, "val_accuracy")
    assert sentence.count("raised accuracy") == 1
    assert "and by 1.0 points (" in sentence


def test_fields_that_do_not_mind_each_other_say_nothing() -> None:
    effects = crossed([[0.80, 0.82], [0.86, 0.88]])
    assert interaction_sentence(effects.interactions[0], "val_accuracy") == ""
    assert depending(effects) == frozenset()


def test_the_headline_is_the_largest_effect_that_is_shown() -> None:
    effects = crossed([[0.80, 0.82], [0.86, 0.88]])
    told = headline(effects, num_seeds=2, is_paired=False)
    assert told.startswith("Raising the learning rate from 1e-4 to 1e-3 raised accuracy by 6.0")
    nothing = crossed([[0.80, 0.80], [0.80, 0.80]], away=0.01)
    assert headline(nothing, num_seeds=2, is_paired=False) == (
        "Nothing that was varied made a difference that 2 seeds can show."
    )


def test_the_headline_of_one_field_without_an_effect_says_that_it_made_none() -> None:
    effects = of_values("optim.lr", {1e-3: [0.90, 0.92], 1e-4: [0.91, 0.91]})
    told = headline(effects, num_seeds=2, is_paired=False)
    assert told.startswith("The learning rate made no difference to accuracy that 2 seeds can show")


def half_of_eight(*, num_seeds: int) -> Effects:
    """Effects of three fields in four of their eight combinations; only two of them do anything,
    and that together: each main effect is an interaction of the others (resolution III)."""
    factors = [LR, NAME, Factor(key="train.ema", values=(0.0, 0.99))]
    trials = []
    for one, two in product(range(2), repeat=2):
        places = (one, two, (one + two) % 2)
        setting = {each.key: each.values[at] for each, at in zip(factors, places, strict=True)}
        together = 0.05 if one == two else -0.05
        trials += [
            trial(setting, 0.8 + together + 0.001 * seed, seed=seed) for seed in range(num_seeds)
        ]
    found = effects_of(trials, factors)
    assert found is not None
    return found


def test_what_fields_may_do_together_is_not_told_of_a_single_one() -> None:
    effects = half_of_eight(num_seeds=3)
    ema = effects.main_of("train.ema")
    assert ema is not None
    assert ema.p_value is not None
    assert ema.p_value < 0.05
    assert ema.aliases == (("optim.lr", "optim.name"),)
    told = effect_sentence(ema, "val_accuracy", chance="3 seeds")
    assert told.endswith(
        ", unless that is how the learning rate and the optimizer act together: these settings "
        "cannot tell."
    )
    assert headline(effects, num_seeds=3, is_paired=False).startswith(
        "Settings differ, but these cannot tell which field makes the difference"
    )


def test_all_combinations_leave_nothing_to_be_mixed_in() -> None:
    effects = crossed([[0.80, 0.90], [0.86, 0.91]])
    assert [main.aliases for main in effects.main] == [(), ()]
    assert [one.aliases for one in effects.interactions] == [()]


def test_what_has_to_be_known_is_noted() -> None:
    effects = of_values("optim.lr", {1e-3: [0.90, 0.91], 1e-4: [0.92, 0.93]})
    assert notes(effects) == ()
    trials = [
        trial({"optim.lr": lr, "optim.name": name}, 0.9 + 0.01 * place + 0.001 * seed, seed=seed)
        for place, (lr, name) in enumerate(zip(LR.values, NAME.values, strict=True))
        for seed in range(2)
    ]
    confounded = effects_of(trials, [LR, NAME])
    assert confounded is not None
    assert notes(confounded) == (
        "The effect of the optimizer is not estimated: these trials cannot tell it from others.",
        (
            "How the learning rate and the optimizer act together is not estimated: these trials "
            "cannot tell it from other effects."
        ),
    )


def test_differences_below_a_single_photo_are_noted() -> None:
    trials = [
        trial({"optim.lr": value}, accuracy, seed=seed, num_validation=100)
        for value, group in ((1e-3, (0.90, 0.91)), (1e-4, (0.91, 0.91)))
        for seed, accuracy in enumerate(group)
    ]
    effects = effects_of(trials, [LR])
    assert effects is not None
    assert notes(effects) == (
        (
            "Every one of these differences is below what one of the 100 validation photos counts, "
            "1 points: other photos may turn them round."
        ),
    )


def test_draws_of_training_photos_are_called_that() -> None:
    effects = of_values("probe.l2", {0.1: [0.90, 0.91], 1.0: [0.92, 0.93]}, is_paired=True)
    told = chance_words(effects, num_seeds=2, is_paired=True)
    assert told == "2 draws of the training photos"


@pytest.mark.parametrize(
    ("value", "outcome", "expected"),
    [
        (0.0214, "val_accuracy", "2.1"),
        (-0.0004, "val_accuracy", "−0.04"),
        (0.0, "val_accuracy", "0.0"),
        (0.1214, "val_loss", "0.121"),
        (0.00042, "val_loss", "0.0004"),
        (0.05, "gap", "5.0"),
        (437.25, "val_loss", "437.2"),
    ],
)
def test_figures_keep_a_digit_that_is_not_zero(value: float, outcome: Any, expected: str) -> None:
    assert number(value, outcome) == expected


def test_a_change_of_a_logarithm_is_told_in_percent() -> None:
    interval = Estimate(value=math.log(0.5), low=math.log(0.4), high=math.log(0.6))
    halved = Contrast(value=interval.value, interval=interval, p_value=0.001)
    assert factor_words(halved) == "−50 % (−60 to −40)"
    assert factor_words(halved.reversed) == "+100 % (+67 to +150)"
    assert factor_words(Contrast(value=0.0, interval=None, p_value=None)) == "0 %"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e-3, "1e-3"),
        (3e-4, "3e-4"),
        (1.5e-5, "1.5e-5"),
        (0.05, "0.05"),
        (0.0, "0"),
        (20, "20"),
        (True, "on"),
        (False, "off"),
        ("sgd", "sgd"),
        ((0.5, 1.0), "[0.5, 1]"),
    ],
)
def test_values_are_written_as_people_write_them(value: object, expected: str) -> None:
    assert value_text(value) == expected


def test_fields_without_a_name_are_called_by_their_key() -> None:
    assert title_of("optim.lr") == "Learning rate"
    assert title_of("augment.colour") == "augment.colour"
    assert settings_text({"optim.lr": 1e-3, "optim.name": "sgd"}) == "optim.lr 1e-3, optim.name sgd"


def test_a_search_without_an_importance_says_so() -> None:
    assert "cannot be told" in importance_sentence(None)
