"""Photos of a given split that would give away the answers on another of its sides.

In: the sides that the user gave, and the group of each photo. Out: which photos to leave out of
training or validation, and why; or, where they are to stay, how many test photos they give away.
Of a group on several sides the photos nearest to the end stay: test, then validation.
Not covered: splits that are made here, in which groups stay whole (`stratify`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.groups import crossing
from fieldmark.data.split_table import SIDES, TEST, TRAIN, VALIDATION, name_classes

Link = Literal["copy", "near", "group", "chain"]
"""How a photo is tied to one on another side: the same bytes, a near-duplicate, the same group of
the user's, or only through other photos of these kinds."""

_NOTES: Mapping[Link, str] = {
    "copy": "the same bytes stand on another side",
    "near": "near-duplicates of them stand on another side",
    "group": "photos of the same group stand on another side",
    "chain": "through other photos they are tied to another side",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A photo that stands on one side and belongs to a photo on another."""

    link: Link
    other: str
    """The path of the photo that stays."""
    side: str
    """Where that one stands."""
    group: str = ""
    """The user's name of their group, where that is the link."""

    @property
    def reason(self) -> str:
        """Why the photo is left out, for the catalog."""
        told = {
            "copy": "same bytes as",
            "near": "near-duplicate of",
            "group": f"of the same group ({self.group}) as",
            "chain": "tied through other photos to",
        }
        return f"{told[self.link]} {self.other}, a {self.side} photo"


def find_leaks(
    rows: Sequence[CatalogRow],
    sides: Mapping[str, str],
    groups: Mapping[str, str],
    *,
    together: Sequence[Sequence[str]] = (),
    grouped_by: Mapping[str, str] | None = None,
) -> dict[str, Leak]:
    """Return the photos to leave out so that no group stands on two sides, by path.

    Args:
        rows: the photos that take part.
        sides: the side given to each, by path.
        groups: the group of each, by path, made of what follows and equal bytes.
        together: paths that belong together, as near-duplicates.
        grouped_by: the user's group of a path.
    """
    home = _last_sides(sides, groups)
    ties = _ties(rows, groups, together=together, grouped_by=grouped_by or {})
    found: dict[tuple[Link, str, str], str] = {}
    for path in sorted(ties):
        for link, name in ties[path]:
            found.setdefault((link, name, sides[path]), path)
    leaks = {}
    for path in sorted(ties):
        side = home[groups[path]]
        if sides[path] == side:
            continue
        link, name = next(tie for tie in ties[path] if (*tie, side) in found)
        leaks[path] = Leak(
            link=link,
            other=found[link, name, side],
            side=side,
            group=name if link == "group" else "",
        )
    return leaks


def require_learnable(
    leaks: Iterable[str], *, rows: Sequence[CatalogRow], sides: Mapping[str, str]
) -> None:
    """Refuse to leave out all training photos of a class.

    Raises:
        SplitError: names the classes, and how to go on.
    """
    left_out = set(leaks)
    given = {row.label for row in rows if sides[row.path] == TRAIN}
    left = {row.label for row in rows if sides[row.path] == TRAIN and row.path not in left_out}
    if emptied := sorted(given - left):
        raise SplitError(
            f"Every training photo of {name_classes(emptied)} belongs to a test or validation "
            "photo, as a copy, a near-duplicate or one of the same group, and would be left out. "
            "Correct the split given, or set split.leaks=keep to train on them; the accuracy "
            "then flatters."
        )


def note_left_out(leaks: Iterable[Leak]) -> list[str]:
    """Say how many photos are left out, for each reason."""
    counted = Counter(leak.link for leak in leaks)
    return [
        f"{_photos_are(counted[link])} left out: {why}."
        for link, why in _NOTES.items()
        if counted[link]
    ]


def note_kept(sides: Mapping[str, str], groups: Mapping[str, str]) -> list[str]:
    """Say how many photos of the later sides have companions on earlier ones."""
    notes = []
    for side, earlier in ((TEST, "training or validation"), (VALIDATION, "training")):
        num_all = sum(given == side for given in sides.values())
        if num_leaked := len(crossing(sides, groups, side=side)):
            notes.append(
                f"{num_leaked:,} of {num_all:,} {side} photos have a copy, a near-duplicate or a "
                f"photo of their group in {earlier}, and split.leaks=keep leaves it there: the "
                f"accuracy on {side} photos flatters."
            )
    return notes


def _last_sides(sides: Mapping[str, str], groups: Mapping[str, str]) -> dict[str, str]:
    """Return the side nearest to the end on which each group stands."""
    last: dict[str, str] = {}
    for path, group in groups.items():
        last[group] = max(last.get(group, TRAIN), sides[path], key=SIDES.index)
    return last


def _ties(
    rows: Sequence[CatalogRow],
    groups: Mapping[str, str],
    *,
    together: Sequence[Sequence[str]],
    grouped_by: Mapping[str, str],
) -> dict[str, list[tuple[Link, str]]]:
    """Return what each photo shares with others, the closest tie first."""
    ties: dict[str, list[tuple[Link, str]]] = {row.path: [("copy", row.sha256)] for row in rows}
    for number, paths in enumerate(together):
        for path in paths:
            if path in ties:
                ties[path].append(("near", str(number)))
    for path, of in ties.items():
        if path in grouped_by:
            of.append(("group", grouped_by[path]))
        of.append(("chain", groups[path]))
    return ties


def _photos_are(count: int) -> str:
    return "1 photo is" if count == 1 else f"{count:,} photos are"
