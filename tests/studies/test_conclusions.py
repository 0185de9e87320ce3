"""The reference study's conclusions: each verdict from numbers that call for it."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.recipe import load_recipe, override
from fieldmark.studies.conclusions import Conclusion, conclusions
from fieldmark.studies.curves import epoch_steps
from fieldmark.studies.effects import effects_of
from fieldmark.studies.outcomes import OUTCOMES
from fieldmark.studies.presets import REFERENCE, preset_named
from fieldmark.studies.space import parse_vary, text_of
from fieldmark.studies.trials import EpochPoint, Trial, TrialResult

FACTORS = tuple(map(parse_vary, REFERENCE.vary))
EPOCHS = 8


def flat(_epoch: int) -> float:
    return 0.0


def judged(
    accuracy: Callable[[float, str, str], float],
    *,
    gap: Callable[[str], float] = lambda _: 0.05,
    rise: Callable[[int], float] = flat,
    loss: Callable[[int], float] = flat,
) -> dict[str, Conclusion]:
    """Return the conclusions by their first word, of trials with these responses."""
    generator = np.random.default_rng(0)
    trials: list[Trial] = []
    for lr, policy, name, seed in product(*(factor.values for factor in FACTORS), range(3)):
        reached = accuracy(lr, policy, name) + float(generator.normal(0, 0.004))
        curve = tuple(
            EpochPoint(
                epoch=epoch,
                train_loss=0.5,
                train_accuracy=0.9,
                val_loss=loss(epoch) + float(generator.normal(0, 0.002)),
                val_accuracy=reached + rise(epoch) + float(generator.normal(0, 0.002)),
            )
            for epoch in range(1, EPOCHS + 1)
        )
        result = TrialResult(
            num_validation=10**9,
            val_loss=0.5,
            val_accuracy=reached,
            train_loss=0.3,
            train_accuracy=reached + gap(policy) + float(generator.normal(0, 0.002)),
            curve=curve,
            seconds=1.0,
        )
        settings: Mapping[str, Any] = dict(
            zip((factor.key for factor in FACTORS), (lr, policy, name), strict=True)
        )
        trials.append(
            Trial(
                number=len(trials),
                settings=settings,
                seed=seed,
                kind="network",
                status="finished",
                result=result,
            )
        )
    effects = {outcome: effects_of(trials, FACTORS, outcome=outcome) for outcome in OUTCOMES}
    found = conclusions(
        {outcome: each for outcome, each in effects.items() if each},
        epoch_steps(trials, FACTORS),
    )
    return dict(zip(("rate", "augmentation", "optimizer", "epochs"), found, strict=True))


def test_each_claim_holds_where_the_numbers_say_so() -> None:
    found = judged(
        lambda lr, _, name: 0.8 + 0.04 * (lr == 1e-4) + 0.03 * (name == "adam"),
        gap=lambda policy: 0.10 if policy == "none" else 0.02,
        rise=lambda epoch: 0.02 * min(epoch, 5),
        loss=lambda epoch: 1 - 0.1 * min(epoch, 6) + 0.05 * max(epoch - 6, 0),
    )
    assert {conclusion.verdict for conclusion in found.values()} == {"holds"}
    assert "raised accuracy by 4." in found["rate"].evidence
    assert "lowered the overfitting gap by 8." in found["augmentation"].evidence
    assert "rises again after epoch 6" in found["epochs"].evidence


def test_less_than_a_great_deal_holds_in_part() -> None:
    assert judged(lambda lr, *_: 0.8 + 0.01 * (lr == 1e-4))["rate"].verdict == "holds in part"


def test_the_opposite_does_not_hold_and_nothing_cannot_be_told() -> None:
    found = judged(lambda lr, *_: 0.8 - 0.03 * (lr == 1e-4))
    assert found["rate"].verdict == "does not hold"
    assert {found[name].verdict for name in ("augmentation", "optimizer", "epochs")} == {
        "cannot be told"
    }


def test_what_holds_with_one_optimizer_alone_holds_in_part_and_is_told_for_both() -> None:
    found = judged(lambda lr, _, name: 0.8 + (0.05 if name == "adam" else -0.05) * (lr == 1e-4))
    assert found["rate"].verdict == "holds in part"
    assert "it depends on the optimizer: −" in found["rate"].evidence
    assert "with sgd, +" in found["rate"].evidence


def test_epochs_that_only_help_hold_in_part() -> None:
    found = judged(
        lambda *_: 0.8,
        rise=lambda epoch: 0.02 * epoch,
        loss=lambda epoch: 1 - 0.05 * epoch,
    )
    assert found["epochs"].verdict == "holds in part"
    assert "no overfitting shows within 8 epochs" in found["epochs"].evidence


def test_without_trials_nothing_can_be_told() -> None:
    assert {each.verdict for each in conclusions({}, ())} == {"cannot be told"}


def test_the_preset_is_a_recipe_that_trains_and_leaves_the_test_photos_alone() -> None:
    preset = preset_named("reference")
    recipe = override(load_recipe(preset.recipe), preset.overrides)
    assert recipe.split.validation > 0
    assert not recipe.train.watch_test
    for factor in FACTORS:
        for value in factor.values:
            override(recipe, [f"{factor.key}={text_of(value)}"])


def test_its_augmentation_is_that_of_the_recipe_reference() -> None:
    preset = preset_named("reference")
    recipe = override(load_recipe(preset.recipe), preset.overrides)
    varied = override(recipe, ["augment.policy=any-side-up"]).augment.resolved()
    plain = override(recipe, ["augment.policy=none"]).augment.resolved()
    fields = ("flip_horizontal", "flip_vertical", "rotate_turns")
    reference = load_recipe("reference").augment.resolved()
    assert [getattr(varied, name) for name in fields] == [
        getattr(reference, name) for name in fields
    ]
    assert [getattr(plain, name) for name in fields] == [False, False, 0.0]


def test_an_unknown_preset_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(RecipeError, match=r"no preset 'refernce'\. Did you mean 'reference'\?"):
        preset_named("refernce")
