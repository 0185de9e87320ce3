"""Each class by itself: how well it is recognised, and its typical and its odd photos.

In: the scores of the classes and the answers to the test photos. Out: `ClassSection`s.
Typical and odd are meant as the classifier sees it: by the odds that it gives to the true class.
Not covered: layout (`templates/classes.html.j2`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.report.answers import Answer, one_a_group
from fieldmark.report.entries import ClassScore, MixUp

MAX_OF_KIND = 5
"""Typical photos of a class that are shown, and as many odd ones."""
MAX_IN_ALL = 240
"""Photos of all classes together, about 1 MB; with more classes each shows fewer."""
MAX_CLASSES = 60
"""As many classes are shown, the hardest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSection:
    """One class; its photos are of the test split."""

    score: ClassScore
    typical: tuple[Answer, ...]
    """Named right, with the highest odds; one of each group of copies."""
    odd: tuple[Answer, ...]
    """With the lowest odds, mistakes included; none that is typical, too."""
    taken_for: MixUp | None
    """What it is most often taken for, if it ever is."""
    mistaken_for_it: MixUp | None
    """What is most often taken for it, if anything is; `support` is of the other class."""


def class_sections(
    scores: Sequence[ClassScore], answers: Sequence[Answer]
) -> tuple[ClassSection, ...]:
    """Return the sections of the first classes among `scores` that have test photos."""
    present = [score for score in scores if score.support][:MAX_CLASSES]
    num = min(MAX_OF_KIND, max(1, MAX_IN_ALL // (2 * max(1, len(present)))))
    of_class: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        of_class[answer.true].append(answer)
    wrong = Counter((one.true, one.predicted) for one in answers if not one.is_right)
    supports = {score.name: score.support for score in scores}
    sections = []
    for score in present:
        typical, odd = _ends(of_class[score.name], num=num)
        sections.append(
            ClassSection(
                score=score,
                typical=typical,
                odd=odd,
                taken_for=_most_common(
                    {pair: n for pair, n in wrong.items() if pair[0] == score.name}, supports
                ),
                mistaken_for_it=_most_common(
                    {pair: n for pair, n in wrong.items() if pair[1] == score.name}, supports
                ),
            )
        )
    return tuple(sections)


def _ends(answers: Sequence[Answer], *, num: int) -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
    """Return the photos of a class with the highest and with the lowest odds, half of it each."""
    ordered = sorted(answers, key=lambda one: (one.odds, one.photo.path))
    odd = one_a_group(ordered, most=min(num, (len(ordered) + 1) // 2))
    taken = {one.group for one in odd}
    rest = (one for one in reversed(ordered) if one.is_right and one.group not in taken)
    return one_a_group(rest, most=num), odd


def _most_common(pairs: dict[tuple[str, str], int], supports: dict[str, int]) -> MixUp | None:
    if not pairs:
        return None
    (true, predicted), times = min(pairs.items(), key=lambda item: (-item[1], item[0]))
    return MixUp(true=true, predicted=predicted, times=times, support=supports[true])
