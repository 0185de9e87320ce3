"""Which of the reference study's conclusions hold, with intervals.

In: the effects of a study with the preset `reference`, and what its epochs brought.
Out: `Conclusion`s.

That study looked at pairs of curves and concluded that a lower learning rate helps a great deal,
that augmentation cuts overfitting, that Adam beats SGD, and that more epochs help until they
overfit. Here each is a contrast of a designed experiment. Where it depends on another field, it is
judged at each of that field's values, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fieldmark.evaluation.significance import SIGNIFICANCE
from fieldmark.studies.amounts import amount, factor_words
from fieldmark.studies.curves import EpochStep
from fieldmark.studies.estimates import Contrast, Effects, SimpleEffects
from fieldmark.studies.names import name_of, value_text
from fieldmark.studies.outcomes import Outcome
from fieldmark.studies.wording import change_of, change_words

Verdict = Literal["holds", "holds in part", "does not hold", "cannot be told"]

GREAT_DEAL = 0.02
"""Of accuracy: what the study calls a great deal has to reach 2 points here. The threshold is
Fieldmark's own: the study names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One claim and what came of it."""

    claim: str
    verdict: Verdict
    evidence: str
    """In a sentence or two, with intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """A claim about changing a factor from one value to another."""

    text: str
    key: str
    old: Any
    new: Any
    outcome: Outcome
    is_more: bool
    """Whether the outcome is claimed to rise."""
    least: float = 0.0
    """How much it has to change for the claim to hold in full."""


CLAIMS = (
    _Claim(
        text="A lower learning rate helps a great deal.",
        key="optim.lr",
        old=1e-3,
        new=1e-4,
        outcome="val_accuracy",
        is_more=True,
        least=GREAT_DEAL,
    ),
    _Claim(
        text="Flipping and rotating photos cuts overfitting.",
        key="augment.policy",
        old="none",
        new="any-side-up",
        outcome="gap",
        is_more=False,
    ),
    _Claim(
        text="Adam beats SGD.",
        key="optim.name",
        old="sgd",
        new="adam",
        outcome="val_accuracy",
        is_more=True,
    ),
)
EPOCHS_CLAIM = "More epochs help until they overfit."


def conclusions(
    effects: Mapping[Outcome, Effects], steps: Sequence[EpochStep]
) -> tuple[Conclusion, ...]:
    """Judge the claims of the reference study.

    Args:
        effects: of each outcome that was measured.
        steps: what each quarter of the epochs changed.
    """
    return (*(_judged(claim, effects.get(claim.outcome)) for claim in CLAIMS), _of_epochs(steps))


def _judged(claim: _Claim, effects: Effects | None) -> Conclusion:
    main = effects.main_of(claim.key) if effects else None
    values = [level.value for level in main.levels] if main else []
    if effects is None or main is None or not {claim.old, claim.new} <= set(values):
        missing = "No trials with both values finished, or they cannot be told from others."
        return Conclusion(claim=claim.text, verdict="cannot be told", evidence=missing)
    overall = main.difference(values.index(claim.old), values.index(claim.new))
    sides = _sides(claim, effects)
    simple = [effect for side in sides for effect in side.effects]
    told = [f"{change_of(claim.key, claim.old, claim.new)} {change_words(overall, claim.outcome)}"]
    told += [_by_side(side, claim.outcome) for side in sides]
    return Conclusion(
        claim=claim.text,
        verdict=_verdict(claim, overall, simple),
        evidence=f"{'; '.join(told)}.",
    )


def _sides(claim: _Claim, effects: Effects) -> list[SimpleEffects]:
    """Return the claimed change at the values of the fields on which it is shown to depend."""
    sides = []
    for interaction in effects.interactions:
        p_value = interaction.p_adjusted
        if claim.key in interaction.keys and p_value is not None and p_value < SIGNIFICANCE:
            side = interaction.most[interaction.keys.index(claim.key)]
            sides.append(side if side.change == (claim.old, claim.new) else _turned(side))
    return sides


def _turned(side: SimpleEffects) -> SimpleEffects:
    first, second = side.effects
    return SimpleEffects(
        key=side.key,
        change=(side.change[1], side.change[0]),
        other=side.other,
        at=side.at,
        effects=(first.reversed, second.reversed),
        double=side.double.reversed,
    )


def _by_side(side: SimpleEffects, outcome: Outcome) -> str:
    first, second = (
        f"{amount(effect, outcome, signed=True)} with {value_text(value)}"
        for effect, value in zip(side.effects, side.at, strict=True)
    )
    return f"it depends on {name_of(side.other)}: {first}, {second}"


def _verdict(claim: _Claim, overall: Contrast, simple: Sequence[Contrast]) -> Verdict:
    effects = [overall, *simple]
    as_claimed = [effect for effect in effects if _shows(effect, is_more=claim.is_more)]
    against = [effect for effect in effects if _shows(effect, is_more=not claim.is_more)]
    if not as_claimed:
        return "does not hold" if against else "cannot be told"
    holds_overall = overall in as_claimed and abs(overall.value) >= claim.least
    return "holds" if holds_overall and not against else "holds in part"


def _shows(effect: Contrast, *, is_more: bool) -> bool:
    return effect.is_shown and (effect.value > 0) == is_more


def _is_clear(effect: Contrast, *, is_more: bool, of: int) -> bool:
    """Tell whether one of several differences is shown, for their number (Bonferroni)."""
    p_value = effect.p_value
    return p_value is not None and p_value * of < SIGNIFICANCE and (effect.value > 0) == is_more


def _of_epochs(steps: Sequence[EpochStep]) -> Conclusion:
    """Judge the claim about epochs: accuracy rises first, and at the end the loss does, too."""
    if not steps:
        few = "The trainings are too short to tell."
        return Conclusion(claim=EPOCHS_CLAIM, verdict="cannot be told", evidence=few)
    helped = any(_is_clear(step.val_accuracy, is_more=True, of=len(steps)) for step in steps[:-1])
    turns = [
        step for step in steps[1:] if _is_clear(step.log_val_loss, is_more=True, of=len(steps))
    ]
    told = "; ".join(
        f"epochs {step.first} to {step.last}: accuracy "
        f"{amount(step.val_accuracy, 'val_accuracy', signed=True)}, loss "
        f"{factor_words(step.log_val_loss)}"
        for step in steps
    )
    if helped and turns:
        verdict: Verdict = "holds"
        end = f"The validation loss rises again after epoch {turns[0].first}."
    elif helped:
        verdict = "holds in part"
        end = f"They helped, but no overfitting shows within {steps[-1].last} epochs."
    else:
        harms = [_is_clear(step.val_accuracy, is_more=False, of=len(steps)) for step in steps]
        verdict = "does not hold" if any(harms) else "cannot be told"
        end = "No gain is shown."
    return Conclusion(claim=EPOCHS_CLAIM, verdict=verdict, evidence=f"{_upper(told)}. {end}")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
