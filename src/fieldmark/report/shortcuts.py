"""Lays out the shortcut test for a page.

In: a `ShortcutTest`, and the accuracy to compare with. Out: `ShortcutContent`.
Not covered: the test itself (see `fieldmark.audit.shortcuts`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fieldmark.audit.shortcut_cues import FILE, PICTURE
from fieldmark.audit.shortcuts import CueScore, ShortcutTest, describe_shortcuts
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report import wording

KINDS: Mapping[str, str] = {
    FILE: "Of the file: never the subject",
    PICTURE: "Of the picture: perhaps part of the subject",
}
"""How the kinds of cues are headed, in the order of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CueRow:
    """How far one cue goes."""

    title: str
    description: str
    accuracy: Estimate
    is_shortcut: bool
    """Whether it goes so far that a network may learn it instead of the subject."""
    note: str
    """Why it was not measured, or nothing."""
    given_away: tuple[str, ...]
    """The classes that it gives away."""
    recall: Mapping[str, float]
    """The share of each class that is recognised by it, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutContent:
    """How far cues go that are not the subject."""

    sentences: tuple[str, ...]
    """What it means, for people; at least one."""
    kinds: tuple[tuple[str, tuple[CueRow, ...]], ...]
    """Heading and cues, of these the one that goes furthest first."""
    chance: Estimate
    classifier: Estimate | None
    """What the classifier gets that looks at the whole photo, where it is known."""
    num_photos: int
    """On how many photos it was measured; 0 where that was not noted."""

    @property
    def measured(self) -> tuple[CueRow, ...]:
        """The cues that a model was fitted for."""
        return tuple(cue for _, cues in self.kinds for cue in cues if not cue.note)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes whose recall is known, by name."""
        return tuple(sorted({name for cue in self.measured for name in cue.recall}))


def shortcut_content(
    test: ShortcutTest | None, *, classifier: Estimate | None
) -> ShortcutContent | None:
    """Lay out a shortcut test beside the accuracy of a classifier; None where none was made."""
    if test is None:
        return None
    found = {score.key for score in test.shortcuts}
    ordered = sorted(test.cues, key=lambda score: -score.accuracy.value)
    kinds = [
        (heading, tuple(_row(one, found=found) for one in ordered if one.kind == kind))
        for kind, heading in KINDS.items()
    ]
    return ShortcutContent(
        sentences=tuple(describe_shortcuts(test, classifier)) or (_no_shortcut(test),),
        kinds=tuple((heading, rows) for heading, rows in kinds if rows),
        chance=test.chance,
        classifier=classifier,
        num_photos=test.num_photos,
    )


def _row(score: CueScore, *, found: set[str]) -> CueRow:
    return CueRow(
        title=score.title,
        description=score.description,
        accuracy=score.accuracy,
        is_shortcut=score.key in found,
        note=score.note,
        given_away=score.given_away,
        recall=score.recall,
    )


def _no_shortcut(test: ShortcutTest) -> str:
    measured = [score for score in test.cues if not score.note]
    if not measured:
        return "No cue could be measured, so nothing is known of shortcuts."
    best = max(measured, key=lambda score: score.accuracy.value)
    return (
        "No shortcut was found: nothing but the subject tells the classes apart well. "
        f"{best.title} goes furthest, with {wording.percent(best.accuracy.value)} right; always "
        f"guessing the largest class gets {wording.percent(test.chance.value)}."
    )
