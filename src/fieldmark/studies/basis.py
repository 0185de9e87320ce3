"""The recipe that a study starts from, and what its settings change in it.

In: what is varied, and the recipe that was asked for, if any. Out: a `Basis`: the recipe, why it is
that one, and for each setting the recipe that a trial runs and its kind.
Fields that no trial would notice are refused here, before anything is computed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fieldmark.base.cache import digest_of
from fieldmark.base.counting import listed
from fieldmark.base.errors import RecipeError
from fieldmark.recipe import Recipe, load_recipe, override, recipe_tables
from fieldmark.studies.space import Factor, Range, text_of
from fieldmark.studies.trials import Kind
from fieldmark.training.config import FROZEN

HEAD_RECIPE, NETWORK_RECIPE = "quick", "finetune"
STRATEGY = "train.strategy"

OF_HEAD = frozenset(
    f"train.{name}"
    for name in (
        "epochs",
        "batch_size",
        "label_smoothing",
        "class_weights",
        "sampling",
        "ema",
        "patience",
        "keep",
    )
)
"""Fields of [train] that mean something where only a head is trained."""
OF_NETWORK_ALONE = frozenset(
    {
        "train.last_stages",
        "train.batch_norm",
        "train.precision",
        "train.compile",
        "train.time_budget_s",
        "optim.head_lr_factor",
        "optim.layer_decay",
    }
)
"""Fields that mean something only where the backbone is trained."""
NEVER = {
    "train.seed": "give --seeds N",
    "train.watch_test": "test photos are left alone until the end",
    "train.checkpoint_every_s": "it changes nothing that is learned",
    "train.tensorboard": "it changes nothing that is learned",
}
"""Fields that cannot be studied, and why."""
NEVER_SECTIONS = {
    "split": "all trials share one split",
    "audit": "it changes nothing that is learned",
    "abstain": "it changes nothing that is learned",
}
VIEWS = "augment.test_views"
NEEDS = {
    "optim.step_every_epochs": ("optim.schedule", ("step",)),
    "optim.step_factor": ("optim.schedule", ("step",)),
    "optim.warmup_epochs": ("optim.schedule", ("constant", "step", "cosine")),
    "optim.epsilon": ("optim.name", ("adam", "adamw", "rmsprop")),
    "train.last_stages": (STRATEGY, ("last-stages",)),
}
"""Fields that are read only with certain values of another."""

Varied = Factor | Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The recipe that settings are laid over."""

    recipe: Recipe
    reason: str
    """In a sentence: why this one."""

    def with_settings(self, settings: Mapping[str, Any], *, seed: int | None = None) -> Recipe:
        """Return the recipe of a trial, or without a seed that of the settings.

        Raises:
            RecipeError: a value is not allowed.
        """
        assignments = [f"{key}={_as_toml(value)}" for key, value in settings.items()]
        try:
            recipe = override(self.recipe, assignments)
        except RecipeError as error:
            raise RecipeError(str(error).replace("--set: ", "--vary: ", 1)) from error
        if seed is None:
            return recipe
        return replace(recipe, train=replace(recipe.train, seed=seed))

    def kind(self, settings: Mapping[str, Any]) -> Kind:
        """Return what a trial of these settings trains."""
        return kind_of(self.with_settings(settings))


def kind_of(recipe: Recipe) -> Kind:
    """Return what a recipe trains."""
    return "head" if recipe.train.strategy in FROZEN else "network"


def reading_key(recipe: Recipe) -> str:
    """Return what names everything that pixels and features depend on in a recipe."""
    tables = recipe_tables(recipe)
    return digest_of(
        {
            "data": tables["data"],
            "model": tables["model"],
            "views": recipe.augment.test_views,
            "precision": recipe.train.precision,
        }
    )[:16]


def choose_basis(
    varied: Sequence[Varied], *, recipe: str | None, overrides: Sequence[str], backbone: str | None
) -> Basis:
    """Return the recipe to start from, checked against what is varied.

    Args:
        varied: what is varied, at least one field.
        recipe: its name or file; None: by what is varied.
        overrides: `section.key=value` changes to it.
        backbone: in the place of its own; None leaves that.

    Raises:
        RecipeError: there is no such recipe or key, a value is not allowed, or a field makes no
            difference to any trial.
    """
    _require_studiable(varied)
    base, reason = _base(varied, recipe)
    base = override(base, overrides)
    if backbone is not None:
        base = replace(base, model=replace(base.model, backbone=backbone))
    if base.split.validation == 0:
        base = replace(base, split=replace(base.split, validation=0.1))
        reason += (
            " It sets no photos apart for validation, by which trials are judged; a tenth of all "
            "are."
        )
    base = replace(base, train=replace(base.train, watch_test=False))
    basis = Basis(recipe=base, reason=reason)
    _require_known(basis, varied)
    _require_felt(basis, varied)
    return basis


def first_settings(varied: Sequence[Varied]) -> dict[str, Any]:
    """Return settings with the first value of everything, for checks."""
    return {one.key: _values(one)[0] for one in varied}


def _base(varied: Sequence[Varied], recipe: str | None) -> tuple[Recipe, str]:
    if recipe is not None:
        return load_recipe(recipe), f"The recipe {recipe} was asked for."
    keys = [one.key for one in varied]
    named = listed(keys, most=5)
    if all(key.startswith("probe.") for key in keys):
        reason = f"{named} is of the linear head that is fitted on frozen features, so"
        return load_recipe(HEAD_RECIPE), f"{reason} the recipe is {HEAD_RECIPE}."
    if all(_touches_head_only(key) for key in keys):
        base = override(load_recipe(HEAD_RECIPE), [f"{STRATEGY}=head"])
        touch = "touches" if len(keys) == 1 else "touch"
        return base, (
            f"{named} {touch} only the head, so the recipe is {HEAD_RECIPE} with a head that is "
            "trained on frozen features, computed once. To vary them where the whole network is "
            f"trained, give --recipe {NETWORK_RECIPE}."
        )
    touching = [key for key in keys if not _touches_head_only(key)]
    if all(key.startswith("probe.") for key in touching):
        return load_recipe(NETWORK_RECIPE), (
            f"No head on frozen features reads both {listed(touching, most=5)} and the others, so "
            f"the recipe is {NETWORK_RECIPE}, which begins with one and then trains the network."
        )
    verb = "goes" if len(touching) == 1 else "go"
    return load_recipe(NETWORK_RECIPE), (
        f"{listed(touching, most=5)} {verb} beyond the head, so the recipe is {NETWORK_RECIPE}, "
        "and each trial trains the network."
    )


def _touches_head_only(key: str) -> bool:
    if key in OF_NETWORK_ALONE:
        return False
    return key.startswith("optim.") or key in OF_HEAD


def _require_studiable(varied: Sequence[Varied]) -> None:
    if not varied:
        raise RecipeError(
            "Nothing is varied. Name a field and its values, such as --vary optim.lr=1e-4,1e-3; "
            "it may be given several times."
        )
    keys = [one.key for one in varied]
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise RecipeError(f"{key} is varied twice. Put all its values into one --vary.")
        why = NEVER.get(key) or NEVER_SECTIONS.get(key.partition(".")[0])
        if why:
            raise RecipeError(f"{key} cannot be varied in a study: {why}.")


def _require_known(basis: Basis, varied: Sequence[Varied]) -> None:
    """Try every value, with the first of all the others."""
    first = first_settings(varied)
    for one in varied:
        met: dict[Any, Any] = {}
        for value in _values(one):
            recipe = basis.with_settings({**first, one.key: value})
            taken = _value_in(recipe, one.key)
            if taken in met:
                raise RecipeError(
                    f"{one.key}: {text_of(met[taken])} and {text_of(value)} are the same. Leave "
                    "one of them."
                )
            met[taken] = value


def _require_felt(basis: Basis, varied: Sequence[Varied]) -> None:
    """Refuse a field that changes nothing, whatever the others are."""
    strategies = _met(basis, varied, STRATEGY)
    for one in varied:
        if one.key != STRATEGY and not any(_is_felt(one.key, name) for name in strategies):
            raise RecipeError(_unfelt(one.key, strategies))
        other, values = NEEDS.get(one.key, (None, ()))
        if other and not set(values) & set(_met(basis, varied, other)):
            raise RecipeError(
                f"{one.key} has no effect: it is read with {other} {' or '.join(values)} only. "
                f"Vary {other}, too, or set it: --set {other}={values[0]}."
            )


def _is_felt(key: str, strategy: str) -> bool:
    section = key.partition(".")[0]
    if section in ("data", "model") or key == VIEWS:
        return True
    if strategy == "probe":
        return section == "probe"
    if strategy == "head":
        return _touches_head_only(key)
    return section != "probe" or strategy != "all"


def _unfelt(key: str, strategies: Sequence[str]) -> str:
    ways = [name for name in ("probe", "head", "head-then-all", "all") if _is_felt(key, name)]
    names = " and ".join(f"'{name}'" for name in strategies)
    return (
        f"{key} has no effect with train.strategy {names}. Give --recipe {NETWORK_RECIPE}, or "
        f"--set {STRATEGY}={ways[0] if ways else 'all'}."
    )


def _met(basis: Basis, varied: Sequence[Varied], key: str) -> list[Any]:
    """Return the values that a field has in the study."""
    for one in varied:
        if one.key == key:
            return list(_values(one))
    return [_value_in(basis.recipe, key)]


def _value_in(recipe: Recipe, key: str) -> Any:
    section, _, name = key.partition(".")
    value = getattr(getattr(recipe, section), name)
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


def _values(one: Varied) -> tuple[Any, ...]:
    if isinstance(one, Factor):
        return one.values
    ends = (one.low, one.high)
    return tuple(map(int, ends)) if one.is_whole else ends


def _as_toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"' if '"' not in value and "\\" not in value else f"'{value}'"
    return repr(value) if isinstance(value, float) else text_of(value)
