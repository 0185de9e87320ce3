"""The words of a report: numbers, durations and results in plain sentences.

In: numbers and names. Out: short English text, not yet escaped for HTML.
Not covered: markup, and which sentences stand where (see `templates/`).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate

NO_BREAK_SPACE = "\u00a0"
COARSE_WIDTH = 0.02
"""Intervals narrower than this are told per 1,000 photos, since per 100 the ends would coincide."""

TINY_LOSS = 1e-4
HUGE_LOSS = 1e4
SHORT_S = 10
MINUTE_S = 60
HOUR_S = 3600

EXPLANATIONS: Mapping[str, str] = {
    "accuracy": "The share of test photos whose first guess is the right class.",
    "top_k": "The share of test photos whose right class is among the {k} likeliest guesses.",
    "precision_macro": (
        "When it names a class, how often that is right: the average over classes, "
        "each counting the same however few photos it has."
    ),
    "recall_macro": (
        "Of the photos that truly are of a class, how many it finds: the average over classes."
    ),
    "f1_macro": (
        "Precision and recall in one number, high only if both are: the average over classes."
    ),
    "micro": "Counted over all photos at once; with one answer a photo this is the accuracy.",
    "thresholded_precision": (
        "Of the answers given with more than 50\u00a0% confidence, how many are right."
    ),
    "thresholded_recall": (
        "Of all photos, how many are named right with more than 50\u00a0% confidence."
    ),
    "loss": (
        "The cross-entropy, which training makes small: 0 is right and certain every time, "
        "{guess:.2f} is what blind guessing among {num_classes} classes gets."
    ),
}
"""One sentence for each number in the table of scores."""


def percent(share: float, *, decimals: int = 1) -> str:
    """Return a share in 0..1 as `"99.6 %"`, never rounded up to 100 or down to 0."""
    scaled = 100.0 * share
    step = 10.0**-decimals
    if 0.0 < scaled < 100.0:
        scaled = min(max(scaled, step), 100.0 - step)
    text = f"{scaled:.{decimals}f}"
    if scaled in (0.0, 100.0):
        text = f"{scaled:.0f}"
    return f"{text}{NO_BREAK_SPACE}%"


def loss(value: float) -> str:
    """Return a loss with four decimals, or with two digits where those would say nothing."""
    if value >= HUGE_LOSS:
        return f"{value:.1e}"
    return f"{value:.4f}" if value >= TINY_LOSS or value == 0 else f"{value:.2g}"


def interval(estimate: Estimate) -> str:
    """Return the two ends of a share's interval as `"99.3 to 99.8 %"`.

    Resampling photos that were all named right, or all wrong, shows no spread; to print equal
    ends would claim a certainty that nobody has.
    """
    if estimate.low == estimate.high:
        return {0.0: "none right", 1.0: "no errors seen"}.get(estimate.value, "no spread seen")
    low = percent(estimate.low).removesuffix(f"{NO_BREAK_SPACE}%")
    return f"{low} to {percent(estimate.high)}"


def duration(seconds: float) -> str:
    """Return seconds as `"4.2 s"`, `"45 s"`, `"2 min 3 s"` or `"1 h 7 min"`."""
    if round(seconds, 1) < SHORT_S:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"


def moment(stamp: str | None) -> str:
    """Return an ISO 8601 time as `"22 November 2026, 12:00 UTC"`; text that is none comes back."""
    if not stamp:
        return ""
    try:
        time = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    zone = f" {time.tzname()}" if time.tzinfo else ""
    return f"{time.day} {time:%B %Y, %H:%M}{zone}"


def device(facts: Mapping[str, Any]) -> str:
    """Return run.json's device as `"NVIDIA H200, bfloat16"` or `"CPU, 2 threads, float32"`."""
    kind, name = str(facts.get("type") or ""), str(facts.get("name") or "")
    parts = [kind.upper() if name.lower() in ("", kind.lower()) else name]
    if kind == "cpu" and facts.get("threads"):
        parts.append(counted(int(facts["threads"]), "thread"))
    parts.append(str(facts.get("precision") or ""))
    return ", ".join(part for part in parts if part)


def expectation(accuracy: Estimate) -> str:
    """Say what the accuracy promises for new photos, in whole photos.

    The ends are rounded outwards, so that the sentence never claims more than the interval.
    """
    base = 100 if accuracy.high - accuracy.low >= COARSE_WIDTH else 1000
    low, high = math.floor(base * accuracy.low + 1e-9), math.ceil(base * accuracy.high - 1e-9)
    opening = f"Of {base:,} new photos like these, expect"
    if accuracy.value >= 1.0:
        return f"{opening} at least {low} to be named right."
    if accuracy.value <= 0.0:
        return f"{opening} at most {high} to be named right."
    about = min(max(round(base * accuracy.value), 1), base - 1)
    return f"{opening} about {about} to be named right ({low} to {high})."


def points(estimate: Estimate) -> str:
    """Return a difference of shares in percentage points: `"+0.7 points (0.1 to 1.3)"`."""
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{_signed(value)} points ({_signed(low)} to {_signed(high)})"


def telling(difference: Estimate) -> str:
    """Say whether a difference can be told from none, by its 95 % interval."""
    if difference.low > 0:
        return "The interval lies above zero: the correction helped."
    if difference.high < 0:
        return "The interval lies below zero: the correction did harm."
    return "The interval takes in zero: on this many test photos it cannot be told from no change."


def promise(*, naive: Estimate, clean: Estimate) -> str:
    """Say what a split that tears copies apart would have claimed, beside what is true."""
    told, true = percent(naive.value), percent(clean.value)
    if naive.value > clean.value and told != true:
        return f"A split that ignores copies would have promised {told}; kept apart it is {true}."
    return (
        f"A split that ignores copies gives {told}, one that keeps them together {true}: "
        "here the copies did not flatter the accuracy."
    )


def verdict(
    severities: Mapping[str, int], *, num_run: int, num_not_run: int, is_trainable: bool = True
) -> str:
    """Say what was found in a folder, and how much it matters."""
    names = {"error": "error", "warning": "warning", "info": "remark"}
    parts = [counted(severities[key], name) for key, name in names.items() if severities.get(key)]
    told = [f"{' and '.join([', '.join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)}."]
    if not parts:
        left = f"; {counted(num_not_run, 'was', plural='were')} not run" if num_not_run else ""
        told = [f"Nothing was found by {counted(num_run, 'check')}{left}."]
    if severities.get("error"):
        told.append("Until the errors are dealt with, no accuracy can be trusted.")
    elif severities.get("warning") and is_trainable:
        told.append("Nothing forbids training; the warnings are worth a look before it.")
    elif parts and is_trainable:
        told.append("Nothing stands in the way of training.")
    if not is_trainable:
        told.append("Training would refuse these photos as they are.")
    return " ".join(told)


def clause(sentence: str) -> str:
    """Return a sentence as it stands after a colon: without its capital and its full stop."""
    begins_a_word = sentence[:1].isupper() and sentence[1:2] in " abcdefghijklmnopqrstuvwxyz"
    text = sentence[:1].lower() + sentence[1:] if begins_a_word else sentence
    return text.removesuffix(".")


def _signed(number: float) -> str:
    rounded = round(number, 1)
    return f"{rounded:+.1f}".replace("-", "\u2212") if rounded else "0.0"


def mix_up(*, true: str, predicted: str, times: int, support: int) -> str:
    """Say how often one class was taken for another: `"cat taken for dog: 3 of 40 photos"`."""
    return f"{true} taken for {predicted}: {times:,} of {counted(support, 'photo')}"


def explanation(name: str, *, k: int | None = None, num_classes: int = 2) -> str:
    """Return the sentence that explains a number of the table of scores."""
    return EXPLANATIONS[name].format(k=k, num_classes=num_classes, guess=math.log(num_classes))


def setting(value: object) -> str:
    """Return a recipe value as people write it: yes and no, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_within, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_within(item)}" for key, item in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "none"


def _within(value: object) -> str:
    """Bracket a list within a list or a table, so that its commas are its own."""
    return f"[{setting(value)}]" if isinstance(value, list | Mapping) else setting(value)
