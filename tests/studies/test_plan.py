"""The plan of a study: settings, seeds, trials, and how it is told."""

from dataclasses import replace

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.studies.plan import PATIENCE, Asked, plan_study

LR, NAME = "optim.lr=1e-4,1e-3,1e-2", "optim.name=adam,sgd"


def test_a_design_has_each_setting_with_each_seed_once() -> None:
    plan = plan_study(Asked(vary=(LR, NAME), seeds=3))
    trials = plan.trials()
    assert plan.num_trials == len(trials) == 18
    assert [trial.number for trial in trials] == list(range(18))
    met = {
        (trial.settings["optim.lr"], trial.settings["optim.name"], trial.seed) for trial in trials
    }
    assert len(met) == 18
    assert {trial.seed for trial in trials} == {0, 1, 2}
    # A study that is stopped has all settings alike.
    assert {trial.seed for trial in trials[:6]} == {0}
    assert plan.planned == {"head": 18}


def test_three_seeds_are_the_default_and_begin_at_the_seed_of_the_recipe() -> None:
    assert plan_study(Asked(vary=(LR,), overrides=("train.seed=5",))).seeds == (5, 6, 7)


def test_the_plan_says_how_many_trials_of_which_kind_and_why() -> None:
    told = plan_study(Asked(vary=(LR, NAME))).told()
    assert told[0] == (
        "6 settings (3 x 2), 3 seeds each: 18 trials of a head on features computed once."
    )
    assert "recipe is quick" in told[1]
    assert "Test photos are left alone" in told[-1]


def test_strategies_side_by_side_are_trials_of_two_kinds() -> None:
    vary = ("train.strategy=head,all", LR)
    plan = plan_study(Asked(vary=vary, seeds=2))
    assert plan.planned == {"head": 6, "network": 6}
    assert (
        "6 trials of a head on features computed once, 6 trials of the network trained"
        in (plan.told()[0])
    )


def test_a_part_of_the_combinations_is_told_as_one() -> None:
    plan = plan_study(Asked(vary=(LR, NAME, "train.batch_size=16,32,64"), runs=9))
    assert (plan.design, len(plan.settings), plan.num_possible) == ("fraction", 9, 18)
    assert "9 settings (3 x 2 x 3 of 18 possible" in plan.told()[0]
    assert plan_study(Asked(vary=(LR, NAME), runs=6)).design == "full"


def test_networks_stop_early_where_the_recipe_was_chosen_here() -> None:
    vary = ("augment.policy=none,flip",)
    chosen = plan_study(Asked(vary=vary))
    assert chosen.basis.recipe.train.patience == PATIENCE
    assert "ends early" in chosen.basis.reason
    assert plan_study(Asked(vary=vary, recipe="finetune")).basis.recipe.train.patience is None
    assert plan_study(Asked(vary=(LR,))).basis.recipe.train.patience is None
    varied = plan_study(Asked(vary=(*vary, "train.patience=2,4")))
    assert varied.basis.recipe.train.patience is None


def test_a_strategy_without_chance_is_replicated_by_drawing_photos() -> None:
    plan = plan_study(Asked(vary=("probe.l2=0.1,0.01",)))
    assert plan.replicates == "bootstrap"
    assert any("with replacement" in line for line in plan.told())
    assert plan_study(Asked(vary=("probe.l2=0.1,0.01",), seeds=1)).replicates == "seed"


def test_photos_are_not_drawn_again_for_some_of_the_settings_alone() -> None:
    assert plan_study(Asked(vary=("train.strategy=head,probe",))).replicates == "seed"


def test_halving_is_off_for_designs_and_on_for_searches() -> None:
    assert not plan_study(Asked(vary=(LR,))).halving
    halved = plan_study(Asked(vary=(LR,), halving=True))
    assert any("favour what starts fast" in line for line in halved.told())
    assert plan_study(Asked(vary=("optim.lr=1e-5..1e-2:log",), search=20)).halving


def test_a_search_has_as_many_settings_as_it_is_told() -> None:
    plan = plan_study(Asked(vary=("optim.lr=1e-5..1e-2:log", NAME), search=20))
    assert (plan.design, plan.num_settings, plan.seeds) == ("search", 20, (0,))
    assert (plan.num_possible, plan.num_trials) == (None, 20)


def test_a_preset_says_what_is_varied_and_can_be_changed() -> None:
    plan = plan_study(Asked(preset="reference", overrides=("train.epochs=4",)))
    assert plan.preset == "reference"
    assert plan.basis.recipe.train.epochs == 4
    assert plan.basis.recipe.name == "reference"
    assert plan.planned == {"network": 24}
    assert plan.basis.recipe.train.patience is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(), "Nothing is varied"),
        (Asked(vary=(LR,), seeds=0), "--seeds is 0"),
        (Asked(preset="reference", seeds=0), "--seeds is 0"),
        (Asked(vary=(LR,), search=1), "--search is 1"),
        (Asked(vary=(LR,), runs=4, search=5), "Leave out one of them"),
        (Asked(vary=(LR,), preset="reference"), "Leave out --vary"),
        (Asked(preset="referenc"), "Did you mean 'reference'"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(asked: Asked, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        plan_study(asked)


def test_flags_change_the_recipe() -> None:
    asked = Asked(vary=(LR,), weights="some/folder", group_by="[0-9]+", backbone="resnet18")
    recipe = plan_study(asked).basis.recipe
    assert (recipe.model.weights, recipe.model.backbone) == ("some/folder", "resnet18")
    assert recipe.split.group_by == "[0-9]+"
    assert plan_study(replace(asked, overrides=("optim.lr=0.5",))).basis.recipe.optim.lr == 0.5
