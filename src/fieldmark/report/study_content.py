"""What the page of a study shows, as plain typed data.

In: what `study.json` says, the trials, and what they show. Out: `StudyContent`.
Not covered: computing effects (`fieldmark.studies`), charts (`study_charts`), the page (`study`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.wording import percent
from fieldmark.studies.analysis import Analysis
from fieldmark.studies.estimates import Contrast, Effects, MainEffect
from fieldmark.studies.names import title_of, value_text
from fieldmark.studies.outcomes import Outcome, value_of
from fieldmark.studies.record import StudyRecord
from fieldmark.studies.trials import Trial, finished

STATUSES = ("finished", "pruned", "failed", "running", "waiting")
STATUS_WORDS: Mapping[str, str] = {"pruned": "stopped early"}
"""How a status is called on the page, where that is not its name."""
DESIGNS: Mapping[str, str] = {
    "full": "every combination of values",
    "fraction": "a part of all combinations, chosen so that effects can be told apart",
    "search": "a search",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRow:
    """One value of a field, as a dot with its interval."""

    name: str
    num_trials: int
    mean: float
    interval: Estimate | None
    """Around the mean: how sure its distance from the mean of all values is."""
    ahead: Contrast | None
    """How far it is from the best value; None for that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRows:
    """The values of one field."""

    title: str
    key: str
    rows: tuple[LevelRow, ...]
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """The finished trials of one setting together."""

    values: tuple[str, ...]
    num_trials: int
    val_accuracy: float
    spread: float | None
    """Standard deviation of the accuracy over the trials; None for a single one."""
    val_loss: float
    gap: float
    is_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyContent:
    """Everything that the page shows."""

    title: str
    record: StudyRecord
    analysis: Analysis
    trials: tuple[Trial, ...]
    counts: Mapping[str, int]
    """Trials by status, only those there are."""
    keys: tuple[str, ...]
    """What was varied."""
    settings: tuple[SettingRow, ...]
    """The most accurate first."""
    best_toml: str
    test: Evaluation | None
    """Of the best recipe, trained in full; None where there is none."""

    @property
    def has_curves(self) -> bool:
        """Whether any finished trial was trained by epochs."""
        return any(trial.result and trial.result.curve for trial in finished(self.trials))

    @property
    def spent_s(self) -> float:
        """Seconds that all trials took together."""
        return sum(trial.result.seconds for trial in self.trials if trial.result)

    def effect_rows(self, outcome: Outcome) -> tuple[EffectRows, ...]:
        """Return the dots of every field for an outcome."""
        effects = self.analysis.effects.get(outcome)
        return tuple(_rows(main, outcome) for main in effects.main) if effects else ()


def study_content(
    record: StudyRecord,
    trials: Sequence[Trial],
    analysis: Analysis,
    *,
    title: str,
    best_toml: str = "",
    test: Evaluation | None = None,
) -> StudyContent:
    """Gather what the page shows."""
    keys = tuple([one.key for one in record.factors] + [one.key for one in record.ranges])
    found = {status: sum(trial.status == status for trial in trials) for status in STATUSES}
    return StudyContent(
        title=title,
        record=record,
        analysis=analysis,
        trials=tuple(trials),
        counts={status: number for status, number in found.items() if number},
        keys=keys,
        settings=_settings(trials, keys, best=record.best.settings if record.best else None),
        best_toml=best_toml,
        test=test,
    )


def counts_text(counts: Mapping[str, int]) -> str:
    """Return trials by status as `"24 trials finished, 1 failed"`."""
    if not counts:
        return "no trials"
    first, *others = counts.items()
    told = [f"{counted(first[1], 'trial')} {STATUS_WORDS.get(first[0], first[0])}"]
    more = [f"{number:,} {STATUS_WORDS.get(status, status)}" for status, number in others]
    return ", ".join(told + more)


def design_text(record: StudyRecord) -> str:
    """Say which settings were tried, and how often."""
    what = DESIGNS[record.design]
    if record.design == "search":
        return f"{what} of at most {counted(record.num_settings, 'trial')}"
    of = f" of {record.num_possible:,}" if record.design == "fraction" else ""
    repeats = {
        "seed": "seed",
        "bootstrap": "draw of the training photos",
    }[record.replicates]
    times = counted(
        len(record.seeds), repeats, repeats.replace("draw", "draws").replace("seed", "seeds")
    )
    return f"{what}: {counted(record.num_settings, 'setting')}{of}, {times} each"


def split_text(counts: Mapping[str, int]) -> str:
    """Say how many photos were learned from, chosen by, and left alone."""
    return (
        f"{counts.get('train', 0):,} learned from, {counts.get('validation', 0):,} for judging "
        f"trials, {counts.get('test', 0):,} left for the one evaluation at the end"
    )


def best_text(record: StudyRecord) -> str:
    """Say which setting did best, with its accuracy; empty where none has."""
    best = record.best
    if best is None:
        return ""
    told = ", ".join(f"{title_of(key)} {value_text(v)}" for key, v in best.settings.items())
    return f"{told}: {percent(best.val_accuracy)} of the validation photos named right"


def _rows(main: MainEffect, outcome: Outcome) -> EffectRows:
    heights = [level.mean if outcome == "val_accuracy" else -level.mean for level in main.levels]
    best = heights.index(max(heights))
    rows = []
    for place, level in enumerate(main.levels):
        away = level.away.interval
        shift = level.mean - level.away.value
        rows.append(
            LevelRow(
                name=value_text(level.value),
                num_trials=level.num_trials,
                mean=level.mean,
                interval=away and _moved(away, by=shift, to=level.mean),
                ahead=None if place == best else main.difference(best, place),
            )
        )
    return EffectRows(
        title=title_of(main.key), key=main.key, rows=tuple(rows), p_value=main.p_value
    )


def _moved(estimate: Estimate, *, by: float, to: float) -> Estimate:
    """Return an interval elsewhere; rounding must not leave its value outside."""
    low, high = estimate.low + by, estimate.high + by
    return Estimate(value=to, low=min(low, to), high=max(high, to))


def _settings(
    trials: Sequence[Trial], keys: Sequence[str], *, best: Mapping[str, Any] | None
) -> tuple[SettingRow, ...]:
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for trial in finished(trials):
        values = tuple(value_text(trial.settings.get(key)) for key in keys)
        groups.setdefault(values, []).append(trial)
    chosen = tuple(value_text(best.get(key)) for key in keys) if best else ()
    rows = []
    for values, members in groups.items():
        results = [trial.result for trial in members if trial.result]
        accuracies = [result.val_accuracy for result in results]
        rows.append(
            SettingRow(
                values=values,
                num_trials=len(results),
                val_accuracy=mean(accuracies),
                spread=stdev(accuracies) if len(accuracies) > 1 else None,
                val_loss=mean(result.val_loss for result in results),
                gap=mean(map(value_of("gap"), results)),
                is_best=values == chosen,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-_known(row.val_accuracy), row.val_loss)))


def _known(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def interval_ends(effects: Effects) -> list[float]:
    """Return where the dots and intervals of an outcome begin and end."""
    ends = []
    for main in effects.main:
        for level in main.levels:
            shift = level.mean - level.away.value
            away = level.away.interval
            ends += [shift + away.low, shift + away.high] if away else [level.mean]
    return ends
