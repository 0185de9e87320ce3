"""What damage to photos does to the accuracy, in plain sentences.

In: a `Degradation`. Out: short English text, not yet escaped for HTML; for the report, the model
card and the terminal.
"""

from collections.abc import Iterator, Sequence

from fieldmark.base.counting import counted, listed
from fieldmark.evaluation.degradation_document import Curve, Degradation, Step
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.wording import interval, percent

HARMLESS = 0.02
"""A loss whose interval ends below 2 points is hardly seen in use."""
OVERSURE = 0.1
"""Being 10 points surer than right is told; below, calibration on damaged photos is no news."""
MOST, EXCESS = 0.5, 0.25
"""Where half of all photos are named as one class, and a quarter more than are of it, damage is
taken for that class."""
MIDDLE = 3
"""The strength by which a kind is told in a sentence."""


def loss_points(drop: Estimate) -> str:
    """Return a loss as `"12.3 points (10.1 to 14.0)"`."""
    value, low, high = (100 * part + 0.0 for part in (drop.value, drop.low, drop.high))
    return f"{_plain(value)} points ({_plain(low)} to {_plain(high)})"


def _plain(number: float) -> str:
    rounded = round(number, 1) + 0.0
    return f"{rounded:.1f}".replace("-", "\u2212")


def what_harms_most(found: Degradation) -> str:
    """Say which kind of damage costs most accuracy, and how much at its middle strength."""
    curve, before = found.weakest_curve, found.undamaged.accuracy
    if curve.drop.low <= 0:
        return (
            "No damage costs accuracy that can be told from chance on "
            f"{counted(found.num_photos, 'photo')}."
        )
    step = curve.steps[min(MIDDLE, len(curve.steps)) - 1]
    return (
        f"{curve.title} harms most: at strength {step.strength} ({step.told}) "
        f"{percent(step.accuracy.value)} are named right ({interval(step.accuracy)}) instead of "
        f"{percent(before.value)}, and the mean loss over its strengths is "
        f"{loss_points(curve.drop)}."
    )


def who_suffers_most(found: Degradation) -> str:
    """Say which class loses most; nothing where none loses more than chance would explain."""
    name = found.weakest_class
    if found.drop_of_class[name].low <= 0 or len(found.num_of_class) < 2:
        return ""
    worst = max(found.curves, key=lambda curve: found.mean_drop(curve, name))
    before = found.undamaged.num_right[name] / found.num_of_class[name]
    return (
        f"The class that suffers most is {name}: it loses "
        f"{loss_points(found.drop_of_class[name])} over all that was done to it, most under "
        f"{worst.title.lower()}, where {percent(found.mean_recall(worst, name))} of its photos are "
        f"found instead of {percent(before)}."
    )


def what_hardly_harms(found: Degradation) -> str:
    """Name the kinds that cost hardly anything at their strongest; nothing where there is none."""
    names = [curve.title.lower() for curve in found.curves if curve.steps[-1].drop.high < HARMLESS]
    if not names:
        return ""
    return f"Even at its strongest, this costs less than 2 points: {listed(names, most=9)}."


def what_all_is_taken_for(found: Degradation) -> str:
    """Name the class that most photos are taken for; nothing where that is as it should be.

    Such a class is found as ever, which its recall alone would pass for a strength.
    """
    steps = [(curve, step, name) for curve in found.curves for step, name in _commonest(curve)]
    curve, step, name = max(steps, key=lambda one: one[1].num_named[one[2]])
    share = step.num_named[name] / found.num_photos
    should = found.num_of_class.get(name, 0) / found.num_photos
    if share < MOST or share - should < EXCESS:
        return ""
    return (
        f"Under {curve.title.lower()} at strength {step.strength} it names {percent(share)} of all "
        f"photos {name}, which {percent(should)} are: that {name} is found then means little."
    )


def _commonest(curve: Curve) -> Iterator[tuple[Step, str]]:
    for step in curve.steps:
        yield step, max(step.num_named, key=lambda name: step.num_named[name])


def what_goes_unnoticed(found: Degradation) -> str:
    """Say where it is much surer than right; nothing where it is nowhere."""
    steps = [(curve, step) for curve in found.curves for step in curve.steps]
    curve, step = max(steps, key=lambda one: one[1].confidence - one[1].accuracy.value)
    if step.confidence - step.accuracy.high < OVERSURE:
        return ""
    return (
        f"It does not notice: under {curve.title.lower()} at strength {step.strength} it is "
        f"{percent(step.confidence)} sure on average, and right in {percent(step.accuracy.value)} "
        "of cases."
    )


def how_measured(found: Degradation) -> str:
    """Say on how many photos, at which size and with which seed."""
    which = counted(found.num_photos, "test photo")
    if found.num_photos < found.num_test:
        which = (
            f"{found.num_photos:,} of {counted(found.num_test, 'test photo')}, each class by its "
            "share"
        )
    return (
        f"Measured on {which}, damaged at {found.side_px:,} pixels before anything else is done to "
        f"them; seed {found.seed}."
    )


def what_is_unknown(left_out: Sequence[str]) -> str:
    """Return a sentence on damage that was not looked into, beside the kinds left out."""
    others = "such as a moving camera, fog or scratches, and several kinds at once"
    if not left_out:
        return f"Other damage to photos, {others}."
    return (
        f"Other damage to photos ({listed([name.lower() for name in left_out], most=9)}), {others}."
    )
