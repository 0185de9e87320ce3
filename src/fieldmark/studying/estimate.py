"""How long the trials of a study will take, before they are run.

In: the trials and their `Bench`. Out: seconds, by timing an epoch of one trial of each kind.
Not covered: the strategy "probe", which has no epochs; the first of its trials tells.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from fieldmark import stages
from fieldmark.base.counting import counted
from fieldmark.base.progress import format_duration
from fieldmark.planning import plan as settle
from fieldmark.recipe import Recipe
from fieldmark.studies.basis import kind_of
from fieldmark.studies.plan import StudyPlan
from fieldmark.studies.trials import Kind, Trial
from fieldmark.studying.trials import Bench, head_photos_of, pictures_of, settled_recipe
from fieldmark.training.head_fit import train_head
from fieldmark.training.preparation import new_batches
from fieldmark.training.settling import seconds_an_epoch
from fieldmark.training.settling import settle as settle_course
from fieldmark.training.strategies import Configs, plan_course


def seconds_expected(trials: Sequence[Trial], bench: Bench) -> dict[Kind, float]:
    """Return about how long all trials of each kind take; a kind of which nobody knows is missing.

    Trials that are stopped early take less. Neither is anything known of a kind whose first trial
    goes wrong: that is for the trial itself to tell.
    """
    found: dict[Kind, float] = {}
    for kind in dict.fromkeys(trial.kind for trial in trials):
        of_kind = [bench.recipe(trial) for trial in trials if trial.kind == kind]
        timed = next((recipe for recipe in of_kind if recipe.train.strategy != "probe"), None)
        if timed is None or any(recipe.train.strategy == "probe" for recipe in of_kind):
            continue
        with suppress(Exception):  # whatever a trial may die of
            epoch_s = _head_s(timed, bench) if kind == "head" else _network_s(timed, bench)
            found[kind] = epoch_s * sum(recipe.train.epochs for recipe in of_kind)
    return found


def _head_s(recipe: Recipe, bench: Bench) -> float:
    """Return how long an epoch of a head takes: the second of two, the first warms up."""
    photos, num_classes = head_photos_of(bench, recipe)
    times: list[float] = []
    train_head(
        photos,
        train=replace(recipe.train, epochs=2, patience=None),
        optim=recipe.optim,
        num_classes=num_classes,
        on_epoch=lambda _: times.append(time.perf_counter()),
    )
    return times[1] - times[0]


def _network_s(recipe: Recipe, bench: Bench) -> float:
    """Return how long an epoch of the network takes, by a few steps."""
    materials, pictures = pictures_of(bench, recipe)
    plan = settle(settled_recipe(recipe, materials))
    classifier, plan = stages.build(plan, classes=materials.classes)
    asked = plan.recipe
    course = plan_course(
        classifier,
        Configs(train=asked.train, optim=asked.optim, augment=asked.augment, probe=asked.probe),
        pretrained=plan.spec.weights is not None,
        device=plan.device,
    )
    train, validation = pictures.of_split("train"), pictures.of_split("validation")
    # Neither a range test nor a plan by time is worth making twice.
    quick = replace(
        course,
        config=replace(course.config, time_budget_s=None, compile="off"),
        optim=replace(course.optim, lr=course.optim.lr if _is_rate(course.optim.lr) else 1e-4),
    )
    settled = settle_course(classifier, train=train, validation=validation, course=quick).settled
    batches = new_batches(classifier, train, quick)
    return seconds_an_epoch(classifier, batches, quick, settled, watched=(validation,))


def _is_rate(lr: float | str) -> bool:
    return not isinstance(lr, str)


def example_trials(plan: StudyPlan) -> list[Trial]:
    """Return as many trials as a search has at most, with settings that it may try."""
    kinds = [kind_of(recipe) for recipe in plan.recipes]
    return [
        Trial(
            number=number,
            settings=plan.settings[number % len(kinds)],
            seed=plan.seeds[0],
            kind=kinds[number % len(kinds)],
        )
        for number in range(plan.num_trials)
    ]


def expected_words(
    expected: Mapping[Kind, float], waiting: Sequence[Trial], plan: StudyPlan
) -> str:
    """Say how long the trials take, as far as it is known.

    Args:
        expected: what `seconds_expected` returned.
        waiting: the trials that are left.
        plan: of the study.
    """
    early = ""
    if plan.halving or plan.basis.recipe.train.patience is not None:
        early = ", less where trials end early"
    parts = []
    for kind in dict.fromkeys(trial.kind for trial in waiting):
        noun = counted(sum(trial.kind == kind for trial in waiting), f"{kind} trial")
        time_words = "the first will tell how long they take"
        if kind in expected:
            time_words = f"about {format_duration(expected[kind])}{early}"
        parts.append(f"{noun}: {time_words}")
    return "; ".join(parts)
