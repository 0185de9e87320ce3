"""The recipe that a study starts from, and the fields that no trial would notice."""

from dataclasses import replace

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.recipe import load_recipe
from fieldmark.studies.basis import Basis, choose_basis, kind_of, reading_key
from fieldmark.studies.space import Factor, Range, parse_vary


def basis(*vary: str, recipe: str | None = None, overrides: tuple[str, ...] = ()) -> Basis:
    varied = [parse_vary(text) for text in vary]
    return choose_basis(varied, recipe=recipe, overrides=overrides, backbone=None)


@pytest.mark.parametrize(
    ("vary", "strategy", "name"),
    [
        ("optim.lr=1e-4,1e-3", "head", "quick"),
        ("train.label_smoothing=0,0.1", "head", "quick"),
        ("probe.l2=0.1,0.01", "probe", "quick"),
        ("augment.policy=none,flip", "head-then-all", "finetune"),
        ("model.stages=0,1", "head-then-all", "finetune"),
        ("optim.layer_decay=0.8,1", "head-then-all", "finetune"),
    ],
)
def test_what_touches_the_head_alone_is_studied_on_features(
    vary: str, strategy: str, name: str
) -> None:
    found = basis(vary)
    assert (found.recipe.train.strategy, found.recipe.name) == (strategy, name)
    assert name in found.reason


def test_one_field_beyond_the_head_takes_all_of_them_there() -> None:
    found = basis("optim.lr=1e-4,1e-3", "augment.policy=none,flip")
    assert found.recipe.name == "finetune"
    assert "augment.policy goes beyond the head" in found.reason


def test_fields_of_two_kinds_of_heads_meet_where_the_network_is_trained() -> None:
    found = basis("probe.l2=0.1,0.2", "optim.lr=1e-3,1e-4")
    assert found.recipe.name == "finetune"
    assert "reads both probe.l2 and the others" in found.reason


def test_a_recipe_that_is_named_is_the_one() -> None:
    found = basis("model.stages=0,1", recipe="quick")
    assert found.recipe.train.strategy == "probe"
    assert "asked for" in found.reason


def test_trials_have_validation_photos_even_where_the_recipe_has_none() -> None:
    found = basis("optim.lr=1e-4,1e-3", recipe="reference")
    assert found.recipe.split.validation == 0.1
    assert found.recipe.split.test == load_recipe("reference").split.test
    assert not found.recipe.train.watch_test
    assert "no photos apart" in found.reason


@pytest.mark.parametrize(
    ("vary", "recipe", "told"),
    [
        (("optim.lr=1e-4,1e-3",), "quick", "no effect with train.strategy 'probe'"),
        (("probe.l2=0.1,0.2", "optim.lr=1,2"), "quick", "optim.lr has no effect"),
        (("split.test=0.1,0.2",), None, "share one split"),
        (("train.seed=1,2",), None, "give --seeds N"),
        (("optim.lr=1,2", "optim.lr=3,4"), None, "varied twice"),
        (("optim.rate=1,2",), None, "there is no 'optim.rate'"),
        (("optim.lr=1,-2",), None, "optim.lr"),
        (("optim.step_factor=0.1,0.2",), None, "read with optim.schedule step only"),
        (("train.epochs=5,5.5",), None, "train.epochs is 5.5"),
        (("optim.epsilon=none,1e-8", "optim.name=sgd,rmsprop"), None, None),
        (("train.strategy=probe,head", "probe.l2=0.1,0.2"), None, None),
        (("train.last_stages=1,2",), "finetune", "train.last_stages has no effect"),
    ],
)
def test_a_field_that_no_trial_would_notice_is_refused(
    vary: tuple[str, ...], recipe: str | None, told: str | None
) -> None:
    if told is None:
        basis(*vary, recipe=recipe, overrides=("model.feature_power=1",))
        return
    with pytest.raises(RecipeError, match=told):
        basis(*vary, recipe=recipe)


def test_two_spellings_of_one_value_are_refused() -> None:
    same = Factor(key="optim.lr", values=(1, 1.0))
    with pytest.raises(RecipeError, match="1 and 1 are the same"):
        choose_basis([same], recipe=None, overrides=(), backbone=None)


def test_both_ends_of_a_range_are_checked() -> None:
    span = Range(key="train.label_smoothing", low=0.0, high=1.5, is_log=False, is_whole=False)
    with pytest.raises(RecipeError, match="label_smoothing"):
        choose_basis([span], recipe=None, overrides=(), backbone=None)


def test_settings_and_seed_are_laid_over_the_recipe() -> None:
    found = basis("optim.lr=1e-4,1e-3", "optim.name=adam,sgd")
    recipe = found.with_settings({"optim.lr": 1e-3, "optim.name": "sgd"}, seed=4)
    assert (recipe.optim.lr, recipe.optim.name, recipe.train.seed) == (1e-3, "sgd", 4)
    assert found.kind({"train.strategy": "all", "optim.lr": 0.1}) == "network"


def test_what_a_trial_reads_depends_on_data_and_model_alone() -> None:
    recipe = load_recipe("quick")
    other = replace(recipe, optim=replace(recipe.optim, lr=0.5))
    wider = replace(recipe, data=replace(recipe.data, size_px=64))
    assert reading_key(recipe) == reading_key(other) != reading_key(wider)
    assert kind_of(recipe) == "head"
