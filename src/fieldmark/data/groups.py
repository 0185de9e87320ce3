"""Which photos belong together, so that no split may tear them apart.

In: a catalog, groups of near-duplicates, and groups by the user. Out: the group of each photo, and
which photos of one side have a companion on another.
Not covered: finding near-duplicates (`audit`); reading the user's groups (`group_by`).

A photo's atom is its user's group or, without one, its content. Atoms are united where they share
bytes or stand among the same near-duplicates, and the group is named by the smallest of them. All
are SHA-256 digests, so which is the smallest says nothing of the photos, and a group of many has no
other chance of a side than one of a few. The name stays when photos are added, unless one joins the
group itself: then it can change, and the side with it. No rule could spare that, since the newcomer
may tie together two photos that stood on different sides.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from fieldmark.data.catalog import Catalog
from fieldmark.data.split_table import SIDES, TEST


def find_groups(
    catalog: Catalog,
    *,
    together: Sequence[Sequence[str]] = (),
    grouped_by: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the group of each usable photo, by path: 64 hexadecimal digits.

    Args:
        catalog: the photos; those with the same bytes are always of one group.
        together: paths that belong together, such as near-duplicates. Those of files that take no
            part are passed over, but still tie the others together.
        grouped_by: the user's group of a path; photos without one stand for themselves.
    """
    names = grouped_by or {}
    atoms = {
        row.path: _digest_of(names[row.path]) if row.path in names else row.sha256
        for row in catalog.usable
    }
    united = United()
    first_with: dict[str, str] = {}
    for row in catalog.usable:
        united.unite(first_with.setdefault(row.sha256, atoms[row.path]), atoms[row.path])
    for paths in together:
        known = [atoms[path] for path in paths if path in atoms]
        for atom in known[1:]:
            united.unite(known[0], atom)
    return {path: united.smallest(atom) for path, atom in atoms.items()}


def crossing(
    sides: Mapping[str, str],
    groups: Mapping[str, str],
    *,
    side: str = TEST,
    others: Collection[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Return the photos of one side that have companions on others, and those companions.

    Args:
        sides: the side of each photo, by path.
        groups: the group of each photo, by path; photos without one stand alone.
        side: whose photos are asked for.
        others: where their companions are looked for; None: on all sides that are used earlier.
            That is validation, too, for test photos: models are chosen by it, and a probe's last
            head is fitted on it.

    Returns:
        For each such photo the companions' paths, both sorted; photos of a group share one tuple.
    """
    others = SIDES[: SIDES.index(side)] if others is None else others
    companions: dict[str, list[str]] = {}
    for path in sorted(sides):
        if sides[path] in others and path in groups:
            companions.setdefault(groups[path], []).append(path)
    found = {group: tuple(paths) for group, paths in companions.items()}
    return {
        path: found[groups[path]]
        for path in sorted(sides)
        if sides[path] == side and groups.get(path) in found
    }


class United:
    """Atoms that belong together, each set of them known by its smallest (a union-find forest)."""

    def __init__(self) -> None:
        """Let each atom stand alone."""
        self._above: dict[str, str] = {}

    def smallest(self, atom: str) -> str:
        """Return the smallest of those that the atom belongs to, itself among them."""
        above = self._above
        while (parent := above.get(atom, atom)) != atom:
            # Halve the way for the next time; the sets can be long chains.
            above[atom] = above.get(parent, parent)
            atom = above[atom]
        return atom

    def unite(self, one: str, other: str) -> None:
        """Make one of the sets of both."""
        first, second = sorted((self.smallest(one), self.smallest(other)))
        if first != second:
            self._above[second] = first


def _digest_of(name: str) -> str:
    """Return the atom of a user's group: a digest, and of no photo's content."""
    return hashlib.sha256(f"group\0{name}".encode()).hexdigest()
