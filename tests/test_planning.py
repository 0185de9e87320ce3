"""Planning: every value settled, with a reason, before a photo is read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.models.orientation import Verdict
from fieldmark.planning import assemble, layout, plan, read_as_stored, require_validation
from fieldmark.recipe import Recipe, load_recipe, override


def quick(weights: Path, *settings: str) -> Recipe:
    return override(load_recipe("quick"), [f"model.weights={weights}", *settings])


def test_what_is_left_open_is_settled_with_its_reason(weights: Path) -> None:
    settled = plan(quick(weights))
    assert settled.recipe.data.size_px == 32
    assert settled.recipe.data.resize == "squash"
    assert settled.recipe.data.orientation == "exif"
    assert settled.recipe.model.backbone == "resnet18"
    assert settled.recipe.model.backbone_args["channels"] == [8, 8, 16, 16]
    assert {"data.size_px", "data.resize", "model.backbone"} <= set(settled.reasons)
    assert not settled.reading_given


def test_what_is_asked_for_is_kept_without_a_reason(weights: Path) -> None:
    asked = ["data.size_px=64", "data.resize=pad", "data.orientation=stored"]
    settled = plan(quick(weights, *asked, "augment.colour=0.5"))
    assert settled.preprocess.size_px == 64
    assert settled.preprocess.resize == "pad"
    assert settled.preprocess.orientation == "stored"
    assert settled.reading_given
    assert not {"data.size_px", "data.resize", "augment.colour"} & set(settled.reasons)


def test_preprocessing_is_that_of_the_weights(weights: Path) -> None:
    preprocess = plan(quick(weights)).preprocess
    assert (preprocess.mean, preprocess.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_weights_are_named_by_a_path_that_holds_from_anywhere(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    settled = plan(quick(Path(weights.name)))
    assert settled.recipe.model.weights == str(weights.resolve())


def test_the_policy_of_augmentation_is_written_out() -> None:
    recipe = override(load_recipe("finetune"), ["model.weights=none", "model.backbone=resnet18"])
    settled = plan(recipe)
    assert settled.recipe.model.weights == "none"
    assert settled.recipe.augment == recipe.augment.resolved()
    assert settled.recipe.augment.crop_scale is not None
    assert settled.reasons["augment.colour"] == "the policy standard"
    assert "augment.policy" not in settled.reasons


def test_settling_twice_changes_nothing(weights: Path) -> None:
    once = plan(quick(weights))
    twice = plan(once.recipe)
    assert twice.recipe == once.recipe
    assert twice.preprocess == once.preprocess
    assert twice.reasons == {}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("model.weights=none", r"'head' puts a linear head on frozen.*--weights auto"),
        ("model.head=cosine", r"'head' learns a linear head.*Set model\.head to linear"),
        ("train.time_budget_s=60", r"time_budget_s is 60, .*Set train\.time_budget_s to none"),
    ],
)
def test_what_a_trained_head_cannot_do_with_is_refused(
    asked: str, told: str, weights: Path
) -> None:
    with pytest.raises(RecipeError, match=told):
        plan(quick(weights, "train.strategy=head", "model.stages=0", asked))


def test_a_trained_head_takes_features_to_any_power(weights: Path) -> None:
    assert plan(quick(weights, "train.strategy=head")).recipe.model.feature_power == 0.5


def test_a_probe_on_random_weights_is_refused_with_the_way_out() -> None:
    with pytest.raises(RecipeError, match=r"worth nothing.*--weights auto.*--recipe finetune"):
        plan(override(load_recipe("quick"), ["model.weights=none"]))


@pytest.mark.parametrize(
    ("recipe", "asked", "told"),
    [
        ("quick", [], r"probe\.l2 is 'auto', .*set probe\.l2 to a number such as 0\.03, or set"),
        ("quick", ["train.strategy=head", "train.patience=3"], r"train\.patience is 3"),
        ("quick", ["train.strategy=head", "train.keep=best"], r"train\.keep is 'best'"),
        ("finetune", [], r"probe\.l2 is 'auto'"),
        ("finetune", ["train.strategy=last-stages"], r"probe\.l2 is 'auto'"),
        ("scratch", ["train.patience=3"], r"train\.patience is 3, .*set train\.patience to none"),
        ("scratch", ["train.keep=best"], r"train\.keep is 'best', .*set train\.keep to last"),
        ("reference", ["train.patience=3", "train.keep=last"], r"train\.patience is 3"),
    ],
)
def test_what_goes_by_validation_photos_is_refused_without_any(
    recipe: str, asked: list[str], told: str
) -> None:
    with_them, without = (
        override(load_recipe(recipe), [*asked, f"split.validation={share}"]) for share in (0.1, 0)
    )
    require_validation(with_them)
    with pytest.raises(RecipeError, match=f"^{told}") as refused:
        require_validation(without)
    assert "split.validation to a share such as 0.1" in str(refused.value)


@pytest.mark.parametrize(
    ("recipe", "asked"),
    [
        ("reference", []),
        ("scratch", ["train.watch_test=true"]),
        ("quick", ["probe.l2=0.03", "train.patience=3"]),
        ("quick", ["train.strategy=head"]),
        ("finetune", ["probe.l2=0.03"]),
        ("finetune", ["model.weights=none"]),
        ("finetune", ["model.head=cosine"]),
        ("finetune", ["train.strategy=all"]),
    ],
)
def test_what_does_not_go_by_validation_photos_does_without(recipe: str, asked: list[str]) -> None:
    require_validation(override(load_recipe(recipe), [*asked, "split.validation=0"]))


@pytest.mark.parametrize(
    ("strategy", "change"),
    [
        ("all", r" --set train\.strategy=all"),
        ("last-stages", r" --set train\.strategy=last-stages"),
        ("head-then-all", ""),
    ],
)
def test_training_a_backbone_by_quick_is_refused_with_the_recipe_for_it(
    strategy: str, change: str, weights: Path
) -> None:
    told = rf"is 0\.5.* Take --recipe finetune{change}, .*set model\.feature_power to 1\."
    with pytest.raises(RecipeError, match=told):
        plan(quick(weights, f"train.strategy={strategy}"))


def test_the_recipe_named_for_training_a_backbone_takes_every_strategy_for_it(
    weights: Path,
) -> None:
    for strategy in ("all", "last-stages", "head-then-all"):
        asked = [f"model.weights={weights}", f"train.strategy={strategy}"]
        assert plan(override(load_recipe("finetune"), asked)).recipe.train.strategy == strategy


def test_a_power_that_has_no_gradient_is_refused_for_training(weights: Path) -> None:
    asked = [f"model.weights={weights}", "model.feature_power=0.5"]
    with pytest.raises(RecipeError, match=r"only\. Set model\.feature_power to 1"):
        plan(override(load_recipe("finetune"), asked))


def test_a_backbone_other_than_that_of_the_weights_is_refused(weights: Path) -> None:
    with pytest.raises(WeightsError, match="are of 'resnet18'"):
        plan(quick(weights, "model.backbone=resnet50"))


def test_a_verdict_against_the_metadata_changes_the_reading_and_says_why(weights: Path) -> None:
    verdict = Verdict(orientation="stored", num_checked=31, z=7.25)
    changed = read_as_stored(plan(quick(weights)), verdict)
    assert changed.preprocess.orientation == "stored"
    assert changed.recipe.data.orientation == "stored"
    assert "31 training photos" in changed.reasons["data.orientation"]
    assert "z = 7.2" in changed.reasons["data.orientation"]


def test_a_layout_needs_no_weights(tmp_path: Path) -> None:
    recipe = override(Recipe(), ["model.backbone=resnet18", "data.size_px=32"])
    gone = replace(recipe, model=replace(recipe.model, weights=str(tmp_path / "gone")))
    classifier = layout(gone, classes=("a", "b", "c"))
    assert classifier.classes == ("a", "b", "c")
    assert classifier.preprocess.size_px == 32
    with torch.no_grad():
        assert classifier.network(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_a_probe_with_a_cosine_head_is_refused_with_the_way_out(weights: Path) -> None:
    with pytest.raises(RecipeError, match=r"'cosine'.*model\.head to linear.*--recipe finetune"):
        plan(quick(weights, "model.head=cosine"))


@pytest.mark.parametrize("strategy", ["probe", "all"])
def test_a_flattened_head_goes_with_every_strategy(strategy: str, weights: Path) -> None:
    asked = [f"train.strategy={strategy}", "model.stages=0", "model.feature_power=1"]
    assert plan(quick(weights, "model.head=flatten", *asked)).spec.head == "flatten"


@pytest.mark.parametrize(("head", "width"), [("linear", 16), ("flatten", 16 * 4), ("cosine", 16)])
def test_what_is_assembled_is_what_its_architecture_says(
    head: str, width: int, weights: Path
) -> None:
    asked = [f"model.head={head}", "model.stages=0", "model.feature_power=1", "data.size_px=64"]
    settled = plan(quick(weights, "train.strategy=all", *asked))
    classifier = assemble(
        settled.spec, settled.preprocess, classes=("a", "b"), precision="bfloat16", views=4
    )
    architecture = classifier.architecture
    assert (architecture.head, architecture.views, architecture.precision) == (head, 4, "bfloat16")
    assert classifier.network.extractor.flatten is (head == "flatten")
    assert classifier.network.head.weight.shape == (2, width)


def test_a_layout_has_the_head_and_the_views_of_the_recipe() -> None:
    asked = ["model.backbone=resnet18", "data.size_px=64", "model.weights=none"]
    recipe = override(Recipe(), [*asked, "model.head=flatten", "augment.test_views=2"])
    classifier = layout(recipe, classes=("a", "b"))
    assert classifier.network.head.in_features == 512 * 4
    assert classifier.architecture.views == 2
