"""The answer for one photo: what a classifier's probabilities come to by its rule.

In: a row of probabilities, the names of the classes and a `DecisionRule`. Out: a `Prediction`.
Predictions by PyTorch and by an exported file both come through here.
Not covered: where probabilities come from (`models.prediction`, `exported`).

Shapes: C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.evaluation.conformal import prediction_sets
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.unfamiliar import UNLIKE

DOUBTS_SHOWN = 3
"""As many classes as are named in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one file: the classes by falling probability, or why there is none.

    Probabilities are calibrated where the classifier has a temperature.
    """

    path: str
    ranking: tuple[tuple[str, float], ...]
    """(class, probability 0 to 1), highest first; empty where `error` says why."""
    error: str | None = None
    candidates: tuple[str, ...] | None = None
    """The classes that the photo may be of, the likeliest first: sets like this one hold the right
    class as often as `abstain.coverage` says. None where the classifier has no such rule."""
    is_withheld: bool | None = None
    """Whether the confidence is too low for `abstain.target_accuracy`. None where no accuracy was
    asked for, or none could be vouched for."""
    doubt: tuple[str, ...] = ()
    """The classes it wavers between, at least two, the likeliest first; empty where it is sure."""
    unfamiliarity: float | None = None
    """How unlike the training photos it is: higher is stranger. It has no unit, and compares only
    photos of one classifier. None where the classifier has no such score."""
    is_unfamiliar: bool | None = None
    """Whether it is unlike anything that the classifier was trained on, so that the answer means
    little. None where there is no score, or no threshold for it."""

    @property
    def label(self) -> str | None:
        """The most probable class, None for a file that could not be read."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def confidence(self) -> float | None:
        """The probability of `label`, 0 to 1."""
        return self.ranking[0][1] if self.ranking else None

    @property
    def words(self) -> str:
        """What to say besides the class: "not sure: cat, dog or fox", or nothing if it is sure.

        No more than `DOUBTS_SHOWN` are named. Of a photo unlike those of training that is said
        instead: it may well be of no class.
        """
        if self.is_unfamiliar:
            return UNLIKE
        if not self.doubt:
            return ""
        names, more = list(self.doubt[:DOUBTS_SHOWN]), len(self.doubt) - DOUBTS_SHOWN
        if more > 0:
            names.append(counted(more, "other"))
        return f"not sure: {', '.join(names[:-1])} or {names[-1]}"


def check_top_k(top_k: int) -> None:
    """Refuse a number of classes that cannot be named.

    Raises:
        DataError: it is below 1.
    """
    if top_k < 1:
        raise DataError(f"--top-k is {top_k}; allowed: 1 or more.")


def answer(
    path: str,
    probabilities_C: NDArray[np.float64],
    *,
    classes: Sequence[str],
    rule: DecisionRule,
    top_k: int,
    unfamiliarity: float | None = None,
) -> Prediction:
    """Return what a rule makes of a photo's calibrated probabilities.

    Args:
        path: of the photo.
        probabilities_C: one a class, 0 to 1, which add up to 1.
        classes: their names, in the same order.
        rule: of the classifier; its temperature is in the probabilities already.
        top_k: how many classes to name, 1 or more.
        unfamiliarity: the score of the photo by the rule; None where it is not known.
    """
    order = np.argsort(-probabilities_C, kind="stable").tolist()
    ranking = [(classes[index], float(probabilities_C[index])) for index in order]
    candidates = is_withheld = None
    if rule.set_threshold is not None:
        (in_set_C,) = prediction_sets(probabilities_C[None], rule.set_threshold)
        candidates = tuple(classes[index] for index in order if in_set_C[index])
    if rule.abstain_below is not None:
        is_withheld = ranking[0][1] < rule.abstain_below
    doubt = candidates if candidates and len(candidates) > 1 else ()
    if is_withheld and not doubt:
        doubt = tuple(name for name, _ in ranking[:2])
    return Prediction(
        path=path,
        ranking=tuple(ranking[:top_k]),
        candidates=candidates,
        is_withheld=is_withheld,
        doubt=doubt,
        unfamiliarity=unfamiliarity,
        is_unfamiliar=_is_unfamiliar(unfamiliarity, rule),
    )


def _is_unfamiliar(unfamiliarity: float | None, rule: DecisionRule) -> bool | None:
    if unfamiliarity is None or rule.unfamiliar is None:
        return None
    return rule.unfamiliar.is_unfamiliar(unfamiliarity)
