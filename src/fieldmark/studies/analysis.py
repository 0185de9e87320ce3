"""Everything that a study's trials show, gathered once for the page, the terminal and a file.

In: trials and what was varied. Out: `Analysis`, and its numbers as `effects.json`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fieldmark.base.files import write_json
from fieldmark.studies.conclusions import Conclusion, conclusions
from fieldmark.studies.curves import EpochStep, epoch_steps
from fieldmark.studies.effects import effects_of
from fieldmark.studies.estimates import Effects
from fieldmark.studies.importance import Importances, importance
from fieldmark.studies.outcomes import OUTCOMES, Outcome
from fieldmark.studies.presets import REFERENCE
from fieldmark.studies.record import StudyRecord
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.trials import Trial, finished
from fieldmark.studies.wording import (
    chance_words,
    depending,
    effect_sentence,
    headline,
    importance_sentence,
    interaction_sentence,
    notes,
)

EFFECTS_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What the trials of a study show."""

    effects: Mapping[Outcome, Effects]
    """By outcome; nothing for searches, and where settings are too few."""
    importance: Importances | None
    """Only of searches."""
    steps: tuple[EpochStep, ...]
    """What each quarter of the epochs changed."""
    conclusions: tuple[Conclusion, ...]
    """Only of the preset `reference`."""
    num_seeds: int
    is_paired: bool
    is_search: bool

    def chance(self, outcome: Outcome) -> str:
        """Return what differences in an outcome are held against, such as `"3 seeds"`."""
        return chance_words(
            self.effects[outcome], num_seeds=self.num_seeds, is_paired=self.is_paired
        )

    @property
    def headline(self) -> str:
        """What mattered most, in a sentence."""
        if self.is_search:
            return importance_sentence(self.importance)
        if "val_accuracy" not in self.effects:
            return "Too few trials have finished to compare settings."
        return headline(
            self.effects["val_accuracy"], num_seeds=self.num_seeds, is_paired=self.is_paired
        )

    def sentences(self, outcome: Outcome) -> tuple[str, ...]:
        """Return a sentence for each factor, the strongest first, then for what goes together."""
        if outcome not in self.effects:
            return ()
        effects, chance = self.effects[outcome], self.chance(outcome)
        order = sorted(
            effects.main, key=lambda main: math.inf if main.p_value is None else main.p_value
        )
        depends = depending(effects)
        told = [
            effect_sentence(main, outcome, chance=chance, depends=main.key in depends)
            for main in order
        ]
        told += [interaction_sentence(each, outcome) for each in effects.interactions]
        return tuple(filter(None, told))

    def notes(self, outcome: Outcome) -> tuple[str, ...]:
        """Return what has to be known to read the effects on an outcome."""
        return notes(self.effects[outcome]) if outcome in self.effects else ()


def analyse(trials: Sequence[Trial], record: StudyRecord) -> Analysis:
    """Return what the trials of a study show, as far as they have come."""
    is_search = record.design == "search"
    is_paired = record.replicates == "bootstrap"
    dimensions: tuple[Factor | Range, ...] = (*record.factors, *record.ranges)
    found = {} if is_search else _effects(trials, record.factors, is_paired=is_paired)
    steps = () if is_search else epoch_steps(trials, record.factors)
    return Analysis(
        effects=found,
        importance=importance(trials, dimensions) if is_search else None,
        steps=steps,
        conclusions=conclusions(found, steps) if record.preset == REFERENCE.name else (),
        num_seeds=len({trial.seed for trial in finished(trials)}),
        is_paired=is_paired,
        is_search=is_search,
    )


def write_effects(path: Path, analysis: Analysis) -> None:
    """Write the numbers of an analysis as JSON; what is not known is null."""
    write_json(path, {"schema_version": EFFECTS_SCHEMA, **effects_json(analysis)})


def effects_json(analysis: Analysis) -> dict[str, Any]:
    """Return the numbers of an analysis as plain JSON values."""
    return {
        "headline": analysis.headline,
        "effects": {
            outcome: {**_effects_json(effects), "sentences": list(analysis.sentences(outcome))}
            for outcome, effects in analysis.effects.items()
        },
        "importance": asdict(analysis.importance) if analysis.importance else None,
        "epochs": [asdict(step) for step in analysis.steps],
        "conclusions": [asdict(conclusion) for conclusion in analysis.conclusions],
    }


def _effects(
    trials: Sequence[Trial], factors: Sequence[Factor], *, is_paired: bool
) -> dict[Outcome, Effects]:
    found = {
        outcome: effects_of(trials, factors, outcome=outcome, is_paired=is_paired)
        for outcome in OUTCOMES
    }
    return {outcome: effects for outcome, effects in found.items() if effects is not None}


def _effects_json(effects: Effects) -> dict[str, Any]:
    noise = effects.noise
    content = asdict(replace(effects, main=()))
    content["noise"] = {
        "source": noise.source,
        "sd": noise.sd,
        "df": noise.df,
        "is_uneven": noise.is_uneven,
    }
    content["main"] = [
        {
            **asdict(replace(main, differences={})),
            "differences": [
                {
                    "from": main.levels[first].value,
                    "to": main.levels[second].value,
                    **asdict(contrast),
                }
                for (first, second), contrast in main.differences.items()
            ],
        }
        for main in effects.main
    ]
    return content
