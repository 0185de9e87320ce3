"""The plan of a study: its settings and seeds, and so its trials, before anything is computed.

In: what is asked, as flags have it. Out: a `StudyPlan`, and the plan in words.
Not covered: how long it takes (see `studying.estimate`), and what a search tries (see `search`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fieldmark.base.counting import counted
from fieldmark.base.errors import RecipeError
from fieldmark.recipe import Recipe, override, recipe_of_tables
from fieldmark.studies.basis import STRATEGY, Basis, choose_basis, first_settings, kind_of
from fieldmark.studies.design import fraction, full_factorial, num_possible
from fieldmark.studies.presets import preset_named
from fieldmark.studies.record import StudyRecord
from fieldmark.studies.space import Factor, Range, parse_range, parse_vary
from fieldmark.studies.trials import Kind, Trial

NUM_SEEDS, NUM_SEEDS_OF_SEARCH = 3, 1
MAX_SEEDS = 100
MAX_SEARCH = 10_000
PATIENCE = 3
"""Epochs without a lower validation loss after which a trial of a network ends, where the recipe
was chosen here. A third of `finetune`'s ten."""
WHAT: Mapping[Kind, str] = {
    "head": "a head on features computed once",
    "network": "the network trained",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a study; None and empty where it is left open."""

    vary: Sequence[str] = ()
    """As `--vary` takes it."""
    seeds: int | None = None
    search: int | None = None
    """How many settings a search tries; None: a design."""
    runs: int | None = None
    """At most so many settings of a design."""
    preset: str | None = None
    halving: bool | None = None
    recipe: str | None = None
    backbone: str | None = None
    weights: str | None = None
    group_by: str | None = None
    overrides: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """The trials of a study."""

    basis: Basis
    factors: tuple[Factor, ...]
    ranges: tuple[Range, ...]
    design: Literal["full", "fraction", "search"]
    settings: tuple[Mapping[str, Any], ...]
    """Of a search: examples, one for each kind that there can be."""
    num_settings: int
    num_possible: int | None
    seeds: tuple[int, ...]
    replicates: Literal["seed", "bootstrap"]
    halving: bool
    preset: str | None

    @property
    def keys(self) -> tuple[str, ...]:
        """The fields that are varied."""
        return (*(one.key for one in self.factors), *(one.key for one in self.ranges))

    @property
    def num_trials(self) -> int:
        """How many there are; of a search, at most."""
        return self.num_settings * len(self.seeds)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe of each of the settings."""
        return tuple(map(self.basis.with_settings, self.settings))

    @property
    def planned(self) -> dict[Kind, int]:
        """How many trials there are of each kind; of a search of one kind, at most."""
        kinds = Counter(map(kind_of, self.recipes))
        if self.design != "search":
            return {kind: count * len(self.seeds) for kind, count in kinds.items()}
        share, rest = divmod(self.num_trials, len(kinds))
        return {kind: share + (rest if place == 0 else 0) for place, kind in enumerate(kinds)}

    def trials(self) -> list[Trial]:
        """Return every trial of a design: all settings with the first seed, then with the next.

        So what is there of a study that is stopped is of all settings alike.
        """
        kinds = [kind_of(recipe) for recipe in self.recipes]
        return [
            Trial(
                number=round_ * len(self.settings) + place,
                settings=settings,
                seed=seed,
                kind=kinds[place],
            )
            for round_, seed in enumerate(self.seeds)
            for place, settings in enumerate(self.settings)
        ]

    def told(self) -> list[str]:
        """Return the plan in sentences."""
        lines = [self._counts(), self.basis.reason]
        if self.replicates == "bootstrap":
            lines.append(
                "The strategy 'probe' draws nothing at random, so the trials of one setting differ "
                "in the training photos that they draw, with replacement."
            )
        if self.halving:
            lines.append(
                "Trials far behind others at the same share of their epochs are stopped there. "
                "The effects are then of those that were not, and favour what starts fast."
                if self.design != "search"
                else "Trials far behind others at the same share of their epochs are stopped there."
            )
        return [*lines, "Test photos are left alone until the best recipe is trained at the end."]

    def _counts(self) -> str:
        kinds = ", ".join(
            f"{counted(number, 'trial')} of {WHAT[kind]}" for kind, number in self.planned.items()
        )
        seeds = counted(len(self.seeds), "seed")
        if self.design == "search":
            return f"A search of {counted(self.num_settings, 'setting')}, {seeds} each: {kinds}."
        sizes = " x ".join(str(len(factor.values)) for factor in self.factors)
        part = ""
        if self.design == "fraction":
            part = f" of {self.num_possible:,} possible, chosen to tell the effects apart best"
        return f"{counted(self.num_settings, 'setting')} ({sizes}{part}), {seeds} each: {kinds}."


def plan_study(asked: Asked) -> StudyPlan:
    """Return the plan of a study.

    Raises:
        RecipeError: flags, fields or values that do not go together, each with what to do.
    """
    asked, preset = _with_preset(asked)
    _check(asked)
    factors, ranges = _varied(asked)
    varied: tuple[Factor | Range, ...] = (*factors, *ranges)
    basis = choose_basis(
        varied, recipe=asked.recipe, overrides=asked.overrides, backbone=asked.backbone
    )
    basis = replace(basis, recipe=_with_flags(basis.recipe, asked))
    if asked.recipe is None:
        basis = _with_patience(basis, varied)
    settings, design = _settings(asked, factors, ranges, seed=basis.recipe.train.seed)
    num_seeds = asked.seeds or (NUM_SEEDS_OF_SEARCH if asked.search else NUM_SEEDS)
    first = basis.recipe.train.seed
    seeds = tuple(range(first, first + num_seeds))
    probes = {basis.with_settings(one).train.strategy == "probe" for one in settings}
    return StudyPlan(
        basis=basis,
        factors=factors,
        ranges=ranges,
        design=design,
        settings=tuple(settings),
        num_settings=asked.search or len(settings),
        num_possible=None if ranges else num_possible(factors),
        seeds=seeds,
        replicates="bootstrap" if probes == {True} and num_seeds > 1 else "seed",
        halving=bool(asked.search) if asked.halving is None else asked.halving,
        preset=preset,
    )


def plan_of_record(record: StudyRecord) -> StudyPlan:
    """Return the plan that a study was begun with.

    Raises:
        RecipeError: this Fieldmark does not know its recipe.
    """
    recipe = recipe_of_tables(record.recipe, name=record.recipe_name, where="study.json")
    basis = Basis(recipe=recipe, reason=record.recipe_reason)
    factors, ranges, first = record.factors, record.ranges, recipe.train.seed
    if record.design == "search":
        settings = _examples(factors, ranges)
    elif record.design == "fraction":
        settings = fraction(factors, num_runs=record.num_settings, seed=first)
    else:
        settings = full_factorial(factors)
    return StudyPlan(
        basis=basis,
        factors=factors,
        ranges=ranges,
        design=record.design,
        settings=tuple(settings),
        num_settings=record.num_settings,
        num_possible=record.num_possible,
        seeds=record.seeds,
        replicates=record.replicates,
        halving=record.halving,
        preset=record.preset,
    )


def _with_preset(asked: Asked) -> tuple[Asked, str | None]:
    if asked.preset is None:
        return asked, None
    preset = preset_named(asked.preset)
    if asked.vary or asked.search:
        raise RecipeError(
            f"--preset {preset.name} says itself what is varied. Leave out --vary and --search, or "
            "the preset; its values can be changed with --set and --seeds."
        )
    return (
        replace(
            asked,
            vary=preset.vary,
            seeds=preset.num_seeds if asked.seeds is None else asked.seeds,
            recipe=asked.recipe or preset.recipe,
            overrides=(*preset.overrides, *asked.overrides),
        ),
        preset.name,
    )


def _check(asked: Asked) -> None:
    for flag, value, low, high in (
        ("--seeds", asked.seeds, 1, MAX_SEEDS),
        ("--search", asked.search, 2, MAX_SEARCH),
        ("--runs", asked.runs, 2, None),
    ):
        if value is not None and (value < low or (high is not None and value > high)):
            allowed = f"{low} to {high:,}" if high is not None else f"{low} or more"
            raise RecipeError(f"{flag} is {value}; allowed: {allowed}.")
    if asked.search and asked.runs:
        raise RecipeError(
            "--runs is for designs, and --search looks for the best: it tries as many settings as "
            "it says. Leave out one of them."
        )


def _varied(asked: Asked) -> tuple[tuple[Factor, ...], tuple[Range, ...]]:
    if not asked.search:
        return tuple(map(parse_vary, asked.vary)), ()
    parsed = [parse_range(text) for text in asked.vary]
    return (
        tuple(one for one in parsed if isinstance(one, Factor)),
        tuple(one for one in parsed if isinstance(one, Range)),
    )


def _with_flags(recipe: Recipe, asked: Asked) -> Recipe:
    if asked.weights is not None:
        recipe = replace(recipe, model=replace(recipe.model, weights=asked.weights))
    if asked.group_by is not None:
        recipe = replace(recipe, split=replace(recipe.split, group_by=asked.group_by))
    return recipe


def _with_patience(basis: Basis, varied: Sequence[Factor | Range]) -> Basis:
    """Let trials of networks end early, where neither the recipe nor the study says when."""
    recipe = basis.recipe
    is_open = recipe.train.patience is None and "train.patience" not in {x.key for x in varied}
    if not is_open or kind_of(recipe) != "network":
        return basis
    return Basis(
        recipe=override(recipe, [f"train.patience={PATIENCE}"]),
        reason=f"{basis.reason} A trial ends early once {PATIENCE} epochs have brought no lower "
        "validation loss (train.patience).",
    )


def _settings(
    asked: Asked, factors: tuple[Factor, ...], ranges: tuple[Range, ...], *, seed: int
) -> tuple[list[dict[str, Any]], Literal["full", "fraction", "search"]]:
    if asked.search:
        return _examples(factors, ranges), "search"
    if asked.runs is not None and asked.runs < num_possible(factors):
        return fraction(factors, num_runs=asked.runs, seed=seed), "fraction"
    return full_factorial(factors), "full"


def _examples(factors: Sequence[Factor], ranges: Sequence[Range]) -> list[dict[str, Any]]:
    """Return settings that a search may try, one for each strategy."""
    first = first_settings((*factors, *ranges))
    strategies = [factor for factor in factors if factor.key == STRATEGY]
    if not strategies:
        return [first]
    return [{**first, STRATEGY: name} for name in strategies[0].values]
