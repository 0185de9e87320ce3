"""What several trainings of one recipe come to, in sentences for the page and for the terminal.

In: what they came to. Out: short English text, not yet escaped for HTML.
"""

from collections.abc import Iterator

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.repeated import FOLDS, Repeated, Spread
from fieldmark.report.wording import NO_BREAK_SPACE, loss, percent

NAMES = {
    "accuracy": "Accuracy",
    "f1": "F1, macro",
    "loss": "Loss",
    "ece": "Calibration error",
}
"""Of the measures, as people read them."""
AS_SHARES = ("accuracy", "f1", "ece")
DECIMALS = 2
"""Of percentages: a spread is often below a tenth of a point."""


def told(measure: str, value: float) -> str:
    """Return a value of a measure: `"99.21 %"`, or a loss as it is."""
    return percent(value, decimals=DECIMALS) if measure in AS_SHARES else loss(value)


def spread_told(measure: str, spread: Spread) -> str:
    """Return a standard deviation: `"0.18 points"`, or that of a loss as it is."""
    if measure in AS_SHARES:
        return f"{100 * spread.sd:.{DECIMALS}f} points"
    return f"{spread.sd:.4f}"


def ends_told(measure: str, ends: Spread | Estimate) -> str:
    """Return a lower and an upper end: `"99.02 to 99.38 %"`, once where they are the same."""
    low, high = told(measure, ends.low), told(measure, ends.high)
    if low == high:
        return low
    return f"{low.removesuffix('%').rstrip()} to {high}"


def scale_told(measure: str, value: float) -> str:
    """Return the end of a scale, without more digits than it takes: `"99.5 %"`, `"0.02"`."""
    return f"{round(100 * value, 6):g}{NO_BREAK_SPACE}%" if measure in AS_SHARES else f"{value:g}"


def verdict(result: Repeated) -> str:
    """Say what it comes to, in a sentence."""
    spread = result.measures["accuracy"]
    if result.kind == FOLDS:
        return (
            f"{told('accuracy', result.overall.value)} of {counted(result.num_photos, 'photo')} "
            f"are named right ({ends_told('accuracy', result.overall)}), each by a classifier that "
            "has not seen it."
        )
    if result.are_alike:
        return f"The seed makes no difference here: {_every(result)} give the same results."
    return (
        f"{told('accuracy', spread.mean)} on average over {len(result.repeats)} seeds, and another "
        f"seed makes a difference of about {spread_told('accuracy', spread)}: from "
        f"{ends_told('accuracy', spread)} on the same test photos."
    )


def follow_up(result: Repeated) -> str:
    """Say how far the repeats lie apart, and whether that is more than chance; may be nothing."""
    spread = result.measures["accuracy"]
    if result.kind != FOLDS:
        return _seeds_follow_up(result)
    opening = (
        f"The {len(result.repeats)} folds lie {spread_told('accuracy', spread)} apart (standard "
        f"deviation), from {ends_told('accuracy', spread)}."
    )
    chance = 100 * (result.sd_by_chance or 0.0)
    if result.differ_beyond_chance:
        return (
            f"{opening} That is more than the choice of test photos explains, which makes about "
            f"{chance:.{DECIMALS}f} points: some folds hold harder photos, or those learned from "
            "without them teach less."
        )
    return (
        f"{opening} The choice of test photos alone makes about {chance:.{DECIMALS}f} points, so "
        "nothing says that any fold is better than another."
    )


def _seeds_follow_up(result: Repeated) -> str:
    if not result.wrong:
        return "No run names any test photo wrong."
    always, ever = result.num_always_wrong, len(result.wrong)
    if result.are_alike:
        return f"Each names the same {counted(ever, 'photo')} wrong."
    opening = f"Together the runs name {counted(ever, 'photo')} wrong"
    if not always:
        return f"{opening}, none of them by {_every(result)}: all that is a matter of chance."
    hard = "It is" if always == 1 else "They are"
    told_of = (
        f"{opening}, {always:,} of them by {_every(result)}. {hard} hard, mislabelled or "
        "unlike the training photos, and no seed helps."
    )
    rest = ever - always
    if not rest:
        return told_of
    return f"{told_of} The other{f' {rest:,} are' if rest > 1 else ' is'} a matter of chance."


def _every(result: Repeated) -> str:
    return "both runs" if len(result.repeats) == 2 else f"all {len(result.repeats)} runs"


def meanings(result: Repeated) -> Iterator[tuple[str, str]]:
    """Yield what each of the numbers says, and what it does not, as title and text."""
    yield from _of_folds(result) if result.kind == FOLDS else _of_seeds(result)


def _of_folds(result: Repeated) -> Iterator[tuple[str, str]]:
    num = len(result.repeats)
    in_all = (
        f"Each of the {result.num_photos:,} photos is tested once, by the one of {num} classifiers "
        "that has learned from neither it nor any copy, near-duplicate or companion of it. The "
        f"interval is that of the choice of photos{_by_groups(result)}. It is narrower than that "
        "of one split, since more photos are tested."
    )
    learned = (
        f"Each fold learns from {percent(1 - 1 / num, decimals=0)} of the photos, validation "
        "photos among them. A classifier that learns from more will be a little better, hardly "
        "worse."
    )
    deviation = (
        "It is that of single folds, not of their mean. The folds learn from mostly the same "
        "photos, so they are more alike than trainings on photos of their own would be: the "
        "spread makes the result look surer than it is. No formula puts that right; there is no "
        "unbiased estimate of the variance of cross-validation (Bengio and Grandvalet 2004)."
    )
    recipes = (
        "Compare them fold by fold, on the same test photos: 'fieldmark compare' takes fold-1 of "
        "the one and fold-1 of the other, as long as the photos and split.seed are the same."
    )
    yield from {
        "Over all photos": in_all,
        "Of how much it learned": learned,
        "The standard deviation": deviation,
        "Two recipes": recipes,
    }.items()


def _of_seeds(result: Repeated) -> Iterator[tuple[str, str]]:
    deviation = (
        f"All {len(result.repeats)} runs have the same photos on the same sides. What differs is "
        "what the seed decides: the weights at the start, the order of the photos, how they are "
        "altered. So the spread is the luck of training, and nothing else."
    )
    if result.are_alike:
        deviation = (
            "It is 0. With train.strategy 'probe' it always is: a linear head on frozen features "
            "has one solution, and nothing is left to chance. What the choice of photos does, "
            "folds show ('fieldmark train PHOTOS --folds 5')."
        )
    recipes = (
        "A difference between two recipes of about this size, each trained once, may be the "
        "seed's. Train both with several seeds."
    )
    photos = (
        f"It stands beside the spread, not in it: {told('accuracy', result.overall.value)} is the "
        f"mean, and {ends_told('accuracy', result.overall)} its 95 % interval over test photos"
        f"{_by_groups(result)}. Other photos would bring another figure, with any seed."
    )
    best = (
        "Picking the run that did best on the test photos is choosing by the test photos: its "
        "figure flatters. The mean is what to expect of a new training."
    )
    told_of = {"The standard deviation": deviation, "The choice of photos": photos}
    if not result.are_alike:
        told_of |= {"Two recipes": recipes, "The best seed": best}
    yield from told_of.items()


def _by_groups(result: Repeated) -> str:
    if result.num_groups == result.num_photos:
        return ""
    return f", in their {result.num_groups:,} groups of photos that belong together"
