"""What a study found, in sentences for the page and for the terminal.

In: `Effects`, `Importances`. Out: short English text, not yet escaped for HTML.
A difference is told from the worse value to the better one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.significance import SIGNIFICANCE
from fieldmark.studies.amounts import amount
from fieldmark.studies.estimates import Contrast, Effects, Interaction, MainEffect, SimpleEffects
from fieldmark.studies.importance import Importances
from fieldmark.studies.names import name_of, value_text
from fieldmark.studies.outcomes import LESS_IS_BETTER, Outcome

SUBJECTS: Mapping[Outcome, str] = {
    "val_accuracy": "accuracy",
    "val_loss": "the loss",
    "gap": "the overfitting gap",
}
LACK_OF_FIT_P = 0.01
"""Below it the terms of the model do not account for how settings differ."""


def effect_sentence(
    main: MainEffect, outcome: Outcome, *, chance: str, depends: bool = False
) -> str:
    """Say what a factor did to an outcome.

    Args:
        main: the effect.
        outcome: what of.
        chance: what the noise was learned from, as `chance_words` gives it.
        depends: whether it is shown to depend on another factor, so that this is but an average.
    """
    told = _of_itself(main, outcome, chance=chance)
    if is_shown(main):
        told = _hedged(told, main.aliases)
    return f"On average, {_lower(told)}" if depends else told


def depending(effects: Effects) -> frozenset[str]:
    """Return the keys of factors whose effect is shown to depend on another's value."""
    return frozenset(
        key
        for interaction in effects.interactions
        if interaction.p_adjusted is not None and interaction.p_adjusted < SIGNIFICANCE
        for key in interaction.keys
    )


def _of_itself(main: MainEffect, outcome: Outcome, *, chance: str) -> str:
    order = sorted(
        range(len(main.levels)),
        key=lambda place: main.levels[place].mean,
        reverse=outcome not in LESS_IS_BETTER,
    )
    best, worst = order[0], order[-1]
    if main.p_value is None:
        told = change_words(main.difference(worst, best), outcome)
        change = change_of(main.key, main.levels[worst].value, main.levels[best].value)
        return f"{change} {told}; {chance}."
    if main.p_value >= SIGNIFICANCE:
        return _no_difference(main, outcome, chance=chance)
    if len(main.levels) == 2:
        change = change_of(main.key, main.levels[worst].value, main.levels[best].value)
        return f"{change} {change_words(main.difference(worst, best), outcome)}."
    return _among_several(main, order, outcome)


def change_of(key: str, old: Any, new: Any) -> str:
    """Say what is changed: `"Lowering the learning rate from 1e-3 to 1e-4"`."""
    name = name_of(key)
    if isinstance(old, bool) and isinstance(new, bool):
        return f"Turning {name} {value_text(new)}"
    numbers = (int, float)
    if isinstance(old, numbers) and isinstance(new, numbers):
        verb = "Raising" if new > old else "Lowering"
        return f"{verb} {name} from {value_text(old)} to {value_text(new)}"
    return f"Taking {value_text(new)} instead of {value_text(old)} for {name}"


def change_words(contrast: Contrast, outcome: Outcome) -> str:
    """Say which way an outcome went, and by how much: `"raised accuracy by 2.1 points (...)"`."""
    subject = SUBJECTS[outcome]
    if contrast.interval is not None and not contrast.is_shown:
        return f"changed {subject} by {amount(contrast, outcome, signed=True)}"
    verb = "raised" if contrast.value >= 0 else "lowered"
    return f"{verb} {subject} by {amount(_sized(contrast), outcome)}"


def chance_words(effects: Effects, *, num_seeds: int, is_paired: bool) -> str:
    """Say what differences are held against: `"3 seeds"`, or that there is nothing to do so."""
    if effects.noise.source == "none":
        return "whether that is chance one trial a setting cannot say"
    if effects.noise.source == "residual":
        return "one trial a setting"
    return (
        counted(num_seeds, "draw of the training photos", "draws of the training photos")
        if (is_paired)
        else counted(num_seeds, "seed")
    )


def interaction_sentence(interaction: Interaction, outcome: Outcome) -> str:
    """Say how what one factor does depends on another; empty where that is not shown."""
    p_value = interaction.p_adjusted
    if p_value is None or p_value >= SIGNIFICANCE:
        return ""
    return _hedged(simple_sentence(plainest(interaction), outcome), interaction.aliases)


def plainest(interaction: Interaction) -> SimpleEffects:
    """Return the one of its two sides that is told: a change in a number before one in a name."""
    first, second = interaction.most
    return second if _is_number(second.change) and not _is_number(first.change) else first


def simple_sentence(most: SimpleEffects, outcome: Outcome) -> str:
    """Say what a change did at two values of another factor."""
    change = change_of(most.key, *most.change)
    at = [f"{name_of(most.other)} {value_text(value)}" for value in most.at]
    first, second = (change_words(effect, outcome) for effect in most.effects)
    verb, _, rest = second.partition(" by ")
    if first.startswith(f"{verb} by "):
        return f"It depends: {_lower(change)} {first} with {at[0]}, and by {rest} with {at[1]}."
    return f"It depends: {_lower(change)} {first} with {at[0]}, but {second} with {at[1]}."


def headline(effects: Effects, *, num_seeds: int, is_paired: bool) -> str:
    """Say in a sentence what mattered most, or that nothing did or can be told."""
    shown = list(filter(is_shown, effects.main))
    chance = chance_words(effects, num_seeds=num_seeds, is_paired=is_paired)
    if effects.noise.source == "none":
        return f"Differences were seen; {chance}."
    if not shown:
        if len(effects.main) == 1:
            return _no_difference(effects.main[0], effects.outcome, chance=chance)
        return f"Nothing that was varied made a difference that {chance} can show."
    clear = [main for main in shown if not main.aliases]
    if not clear:
        return (
            "Settings differ, but these cannot tell which field makes the difference from how "
            "fields act together. More of the combinations can."
        )
    first = max(clear, key=span)
    depends = first.key in depending(effects)
    return effect_sentence(first, effects.outcome, chance=chance, depends=depends)


def is_shown(main: MainEffect) -> bool:
    """Whether a factor made more of a difference than chance would."""
    return main.p_value is not None and main.p_value < SIGNIFICANCE


def _hedged(sentence: str, aliases: Sequence[Sequence[str]]) -> str:
    """Add to what was found what it may be as well; nothing where that is ruled out."""
    if not aliases:
        return sentence
    others = [" and ".join(map(name_of, keys)) for keys in aliases]
    acting = others[0] if len(others) == 1 else "other fields"
    told = f"{sentence.removesuffix('.')}, unless that is how {acting} act together"
    return f"{told}: these settings cannot tell."


def span(main: MainEffect) -> float:
    """Return how far apart the best and the worst value of a factor are."""
    means = [level.mean for level in main.levels]
    return max(means) - min(means)


def notes(effects: Effects) -> tuple[str, ...]:
    """Say what has to be known to read the effects."""
    told = []
    noise, outcome = effects.noise, effects.outcome
    if noise.source == "residual":
        told.append(
            "Each setting was tried once, so what main effects and interactions leave over is "
            "taken for chance. --seeds 3 would show chance itself."
        )
    if noise.is_uneven:
        told.append(
            "Some settings scatter more than others from trial to trial, so each difference is "
            "held against the scatter of its own settings."
        )
    for keys in effects.left_out:
        named = " and ".join(name_of(key) for key in keys)
        told.append(
            f"How {named} act together is not estimated: these trials cannot tell it from "
            "other effects."
            if len(keys) == 2
            else f"The effect of {named} is not estimated: these trials cannot tell it from others."
        )
    photo = noise.floor * math.sqrt(12)
    if effects.main and max(map(span, effects.main)) < photo:
        told.append(
            f"Every one of these differences is below what one of the {1 / photo:,.0f} validation "
            f"photos counts, {100 * photo:.2g} points: other photos may turn them round."
        )
    if effects.lack_of_fit is not None and effects.lack_of_fit < LACK_OF_FIT_P:
        told.append(
            "Settings differ by more than these effects account for: three fields or more act "
            "together. Look at the table of settings."
        )
    if effects.num_unmeasured:
        trials = counted(effects.num_unmeasured, "trial")
        told.append(f"{trials} without a finite figure of {SUBJECTS[outcome]} left out.")
    return tuple(told)


def importance_sentence(found: Importances | None) -> str:
    """Say what mattered most in a search, and whether that can be believed."""
    if found is None:
        return "Too few trials, or all alike: what mattered cannot be told."
    first = found.fields[0]
    share = f"{100 * first.total.value:.0f} % ({_percents(first.total)})"
    told = f"{_upper(name_of(first.key))} mattered most: {share} of the differences come with it."
    if not found.is_credible:
        return (
            f"{told} Take that with care: from other trials a trial can hardly be foreseen "
            f"({100 * max(found.explained, 0):.0f} % of the differences)."
        )
    return told


def _no_difference(main: MainEffect, outcome: Outcome, *, chance: str) -> str:
    subject = SUBJECTS[outcome]
    what = f"{_upper(name_of(main.key))} made no difference to {subject} that {chance} can show"
    if len(main.levels) == 2:
        old, new = (value_text(level.value) for level in main.levels)
        change = amount(main.difference(0, 1), outcome, signed=True)
        return f"{what}: {change} from {old} to {new}."
    values = ", ".join(value_text(level.value) for level in main.levels)
    return f"{what} ({values})."


def _among_several(main: MainEffect, order: Sequence[int], outcome: Outcome) -> str:
    """Say which of three values or more did best, and how far the others are behind."""
    best = main.levels[order[0]]
    direction = "lower" if outcome in LESS_IS_BETTER else "higher"
    behind, level = [], []
    for place in order[1:]:
        ahead, value = main.difference(place, order[0]), value_text(main.levels[place].value)
        if ahead.is_shown:
            behind.append(f"{amount(_sized(ahead), outcome)} {direction} than with {value}")
        else:
            level.append(value)
    told = f"For {name_of(main.key)}, {value_text(best.value)} did best"
    told += f": {SUBJECTS[outcome]} {', '.join(behind)}" if behind else ""
    return f"{told}; it cannot be told from {' or '.join(level)}." if level else f"{told}."


def _sized(contrast: Contrast) -> Contrast:
    """Return a difference without its direction."""
    return contrast if contrast.value >= 0 else contrast.reversed


def _percents(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}"


def _is_number(values: Sequence[Any]) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _upper(text: str) -> str:
    return text if "." in text.split(" ", maxsplit=1)[0] else text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
