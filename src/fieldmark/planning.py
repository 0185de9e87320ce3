"""Planning: a recipe with every value settled before any photo is read.

In: a recipe. Out: a `Plan` that names the backbone, its weights, the preprocessing and the device,
with the reason of each value that was derived.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from fieldmark.base.errors import RecipeError
from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import DataConfig, Interpolation, Preprocess
from fieldmark.models.backbones import BackboneSpec, build_backbone, resolve_backbone
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.depth import freeze_below
from fieldmark.models.inference import choose_device
from fieldmark.models.orientation import Verdict
from fieldmark.recipe import Recipe
from fieldmark.training.config import FROZEN, TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe with every value settled, the reason of each that was derived, and the device."""

    recipe: Recipe
    spec: BackboneSpec
    preprocess: Preprocess
    device: torch.device
    reasons: Mapping[str, str]
    reading_given: bool
    """Whether the recipe itself says how to read photos with a rotation in their metadata."""


def plan(recipe: Recipe) -> Plan:
    """Settle what the recipe leaves open, and find the weights, before any photo is read.

    Raises:
        RecipeError: values that do not go together.
        WeightsError: the weights cannot be found.
    """
    _require_together(recipe)
    spec = resolve_backbone(recipe.model)
    preprocess, reasons = _preprocess(recipe.data, spec)
    data = DataConfig(
        size_px=preprocess.size_px,
        resize=preprocess.resize,
        orientation=preprocess.orientation,
        prescale_px=preprocess.prescale_px,
        interpolation=preprocess.interpolation,
        antialias=preprocess.antialias,
    )
    model = replace(
        recipe.model,
        backbone=spec.name,
        backbone_args=spec.args,
        weights=_lasting(recipe.model.weights),
    )
    augment, of_policy = _augment(recipe.augment)
    return Plan(
        recipe=replace(recipe, data=data, model=model, augment=augment),
        spec=spec,
        preprocess=preprocess,
        device=choose_device(),
        reasons={**spec.reasons, **reasons, **of_policy},
        reading_given=recipe.data.orientation is not None,
    )


def _require_together(recipe: Recipe) -> None:
    """Refuse settings of the network that the strategy cannot do with."""
    strategy, model = recipe.train.strategy, recipe.model
    name = "'probe' (the recipe 'quick')" if strategy == "probe" else f"'{strategy}'"
    if strategy in FROZEN and model.weights == "none":
        raise RecipeError(
            f"train.strategy {name} puts a linear head on frozen features, "
            "and features of random weights are worth nothing. Give --weights auto or a path, or "
            "take --recipe finetune, which can start from random weights."
        )
    if strategy in FROZEN and model.head == "cosine":
        raise RecipeError(
            f"train.strategy {name} learns a linear head, and model.head is "
            "'cosine'. Set model.head to linear, or take --recipe finetune, which trains one."
        )
    if strategy == "head" and recipe.train.time_budget_s is not None:
        raise RecipeError(
            f"train.time_budget_s is {recipe.train.time_budget_s:g}, and train.strategy 'head' "
            "plans no epochs by time: one takes milliseconds. Set train.time_budget_s to none."
        )
    if strategy == "last-stages" and model.weights == "none":
        raise RecipeError(
            "train.strategy 'last-stages' leaves the first stages as they come, and those of "
            "random weights are worth nothing. Give --weights auto or a path, or set "
            "train.strategy to all."
        )
    if strategy not in FROZEN and model.feature_power != 1:
        raise RecipeError(
            f"model.feature_power is {model.feature_power:g}, and below 1 it has no gradient at "
            "0, so it goes with train.strategy 'probe' or 'head' only. "
            f"{_way_to_train(recipe)}et model.feature_power to 1."
        )


def _way_to_train(recipe: Recipe) -> str:
    """Return the beginning of the way out: recipe 'quick' is no base for training a backbone."""
    if recipe.name != "quick":
        return "S"
    strategy = recipe.train.strategy
    change = "" if strategy == "head-then-all" else f" --set train.strategy={strategy}"
    return f"Take --recipe finetune{change}, whose other settings suit training, or s"


def read_as_stored(plan: Plan, verdict: Verdict) -> Plan:
    """Return the plan changed to leave photos as they lie, with the evidence as its reason."""
    reason = (
        f"{verdict.num_checked} training photos with a rotation in their metadata look more like "
        f"the others without it (z = {verdict.z:.1f})"
    )
    recipe = replace(plan.recipe, data=replace(plan.recipe.data, orientation="stored"))
    return replace(
        plan,
        recipe=recipe,
        preprocess=replace(plan.preprocess, orientation="stored"),
        reasons={**plan.reasons, "data.orientation": reason},
    )


def layout(recipe: Recipe, *, classes: tuple[str, ...]) -> Classifier:
    """Return the classifier that a recipe would train, with random weights, for its layer table.

    Raises:
        RecipeError: the recipe or the backbone is not allowed.
    """
    settled = replace(recipe, model=replace(recipe.model, weights="none"))
    spec = resolve_backbone(settled.model)
    return assemble(
        spec,
        _preprocess(recipe.data, spec)[0],
        classes=classes,
        precision="float32",
        views=recipe.augment.test_views,
    )


def assemble(
    spec: BackboneSpec,
    preprocess: Preprocess,
    *,
    classes: tuple[str, ...],
    precision: str,
    views: int,
    seed: int = 0,
) -> Classifier:
    """Build a backbone, its weights loaded, and put a fresh head on it.

    `precision` is "float32" or "bfloat16", `views` one of `data.views.NUM_VIEWS`.
    """
    architecture = Architecture(
        backbone=spec.name,
        backbone_args=spec.args,
        stages=spec.stages,
        feature_power=spec.feature_power,
        precision=precision,
        head=spec.head,
        views=views,
    )
    return new_classifier(
        build_backbone(spec, seed=seed),
        architecture=architecture,
        preprocess=preprocess,
        classes=classes,
        generator=torch.Generator().manual_seed(seed),
    )


def freeze(classifier: Classifier, train: TrainConfig) -> None:
    """Let no weight of the backbone learn but those that the strategy trains.

    Raises:
        RecipeError: the backbone has fewer stages than shall be trained.
    """
    trained = {**dict.fromkeys(FROZEN, 0), "last-stages": train.last_stages}
    if train.strategy in trained:
        freeze_below(classifier.network.extractor, trained=trained[train.strategy])


def _lasting(weights: str) -> str:
    """Return a path of weights in a form that holds from any folder."""
    return weights if weights in ("auto", "none") else str(Path(weights).expanduser().resolve())


def _augment(config: AugmentConfig) -> tuple[AugmentConfig, dict[str, str]]:
    """Return the config with all of it filled in, and why for what was left open."""
    open_fields = [key.name for key in fields(config) if getattr(config, key.name) is None]
    reasons = {f"augment.{name}": f"the policy {config.policy}" for name in open_fields}
    return config.resolved(), reasons


def _preprocess(config: DataConfig, spec: BackboneSpec) -> tuple[Preprocess, dict[str, str]]:
    reasons = {}
    if config.size_px is None:
        reasons["data.size_px"] = f"the size that {spec.name} was trained at"
    if config.resize is None:
        reasons["data.resize"] = "squash keeps the whole photo; cropping loses what is at its edges"
    if config.interpolation is None:
        reasons["data.interpolation"] = f"as {spec.name} was trained"
    preprocess = Preprocess(
        size_px=config.size_px or spec.size_px,
        resize=config.resize or "squash",
        orientation=config.orientation or "exif",
        prescale_px=config.prescale_px,
        interpolation=config.interpolation or _interpolation(spec),
        antialias=config.antialias,
        mean=spec.mean,
        std=spec.std,
    )
    return preprocess, reasons


def _interpolation(spec: BackboneSpec) -> Interpolation:
    return "bilinear" if spec.interpolation == "bilinear" else "bicubic"


def require_validation(recipe: Recipe) -> None:
    """Refuse a recipe to train by that sets no photos apart for validation, and needs them.

    Whether a split already made brings some shows only once the photos are read.

    Raises:
        RecipeError: says what would be chosen by them, and what to do.
    """
    if recipe.split.validation > 0:
        return
    train, strategy = recipe.train, recipe.train.strategy
    fits_head = strategy == "probe" or (
        strategy in ("head-then-all", "last-stages")
        and recipe.model.weights != "none"
        and recipe.model.head != "cosine"
    )
    if fits_head and recipe.probe.l2 == "auto":
        raise _chosen_by_validation("probe.l2 is 'auto'", "set probe.l2 to a number such as 0.03")
    if strategy != "probe" and train.patience is not None:
        what = f"train.patience is {train.patience}"
        raise _chosen_by_validation(what, "set train.patience to none")
    if strategy != "probe" and train.keep == "best":
        raise _chosen_by_validation("train.keep is 'best'", "set train.keep to last")


def _chosen_by_validation(what: str, way_out: str) -> RecipeError:
    return RecipeError(
        f"{what}, which goes by the loss on validation photos, and split.validation is 0, so none "
        f"are set apart. Either {way_out}, or set split.validation to a share such as 0.1 (where a "
        "split of your own has validation photos, those are used)."
    )
