"""Carve parts such as test and validation out of groups of photos, by hashing each group's name.

In: groups (photos that must stay together), the fractions asked for and a seed. Out: the part of
each group that was carved out; the others stay, to be learned from.

A group's place in [0, 1) is a hash of its name and the seed, and the parts are intervals of it. So
the side of a group depends on nothing but the group: photos may be added or removed around it.
The price is that no part is met to the photo: of n groups of one photo, a fraction f draws
n·f ± sqrt(n·f·(1 - f)), such as 200 ± 13 of 1,000. Quotas met exactly cannot be stable, since each
photo added would shift who fills them.

Two rules stand above the hash, and are the only way in which other photos touch a group's side:

1. A class with one group has it in training, one with two has one in the first part as well, one
   with three also one in the second, and so on. Where the hash left a side without, the group
   nearest by its place is moved there: not the last of another side, nor one that takes too much
   from training, if there is a choice. At 70, 20 and 10 % that befalls one class in 560 of those
   with 60 groups, one in 38,000 of those with 100 (0.9 to the power of their number).
2. A group with most of any class is learned from, and never moved elsewhere by the first rule: a
   class with no other group to give lacks that side. Where large groups leave a class less than
   `MIN_TRAINING` of the training photos asked for, its largest return to training until it has
   them. Classes of single photos are left alone.

Not covered: which photos belong together (`groups`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_TRAINING = 0.5
"""Share of the training photos asked for that large groups must leave to a class. A group with a
share g of a class leaves about 1 - g of them, so that one with a third may well be tested on."""

_STAY = ""
_BITS = 53
"""As many as a float holds exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Photos that must not be torn apart."""

    digest: str
    """Names the group; decides, with the seed, where it stands."""
    labels: Mapping[str, int]
    """How many photos of each class it holds, 1 or more of at least one class."""


def place(digest: str, *, seed: int) -> float:
    """Return where a group stands in [0, 1): even over groups, and anew for each seed.

    The first 53 bits of SHA-256 over seed and name.
    """
    content = hashlib.sha256(f"{seed}:{digest}".encode()).digest()
    return (int.from_bytes(content[:8]) >> (64 - _BITS)) / (1 << _BITS)


def carve(groups: Sequence[Group], fractions: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """Return the part of each group carved out, by digest.

    Neither the order of the groups nor any name of theirs but the digest matters, except that
    classes are told apart by name where nothing else does.

    Args:
        groups: each with a digest of its own.
        fractions: the share of the groups for each part, in (0, 1), with a sum below 1; parts
            named first come first where a class has too few groups for all.
        seed: another seed, another choice.
    """
    division = _Division(groups, fractions, seed=seed)
    for label in division.labels:
        division.give_back_to_training(label)
    for side in division.sides_by_need:
        for label in division.labels:
            division.provide(label, side)
    return {digest: side for digest, side in division.side_of.items() if side != _STAY}


class _Division:
    """The side of each group, and how many groups and photos of each class stand on each side."""

    def __init__(
        self, groups: Sequence[Group], fractions: Mapping[str, float], *, seed: int
    ) -> None:
        self.sides_by_need = (_STAY, *fractions)
        self._intervals = _intervals(fractions)
        self._place_of = {group.digest: place(group.digest, seed=seed) for group in groups}
        self._groups_of: dict[str, list[Group]] = {}
        self.side_of: dict[str, str] = {}
        self._num_groups: Counter[tuple[str, str]] = Counter()
        self._num_photos: Counter[tuple[str, str]] = Counter()
        self._size: Counter[str] = Counter()
        self._training_share = MIN_TRAINING * (1 - sum(fractions.values()))
        for group in groups:
            for label, num_photos in group.labels.items():
                self._groups_of.setdefault(label, []).append(group)
                self._size[label] += num_photos
            self._put(group, self._side_at(self._place_of[group.digest]))
        self.labels = sorted(self._groups_of, key=self._rank)
        """Classes with the fewest groups first, since they have the least choice."""

    def give_back_to_training(self, label: str) -> None:
        """Move large groups to training until enough of the class's photos stand there."""
        movable = [
            group
            for group in self._groups_of[label]
            if group.labels[label] > 1 and self.side_of[group.digest] != _STAY
        ]
        for group in sorted(movable, key=lambda group: (-group.labels[label], group.digest)):
            is_enough = self._num_photos[label, _STAY] >= self._training_share * self._size[label]
            if is_enough and not self._is_most(group, label):
                return
            self._move(group, _STAY)

    def provide(self, label: str, side: str) -> None:
        """Give the class a group on `side`, if it lacks one there and can spare one elsewhere."""
        if self._num_groups[label, side]:
            return
        if spare := [group for group in self._groups_of[label] if self._is_spare(group, side)]:
            self._move(min(spare, key=lambda group: self._cost(group, label, side)), side)

    def _is_spare(self, group: Group, side: str) -> bool:
        """Say whether it holds most of no class that is learned from it, and would bare none.

        A class is bared on a side that is needed more than `side`.
        """
        home = self.side_of[group.digest]
        if home == _STAY and any(self._is_most(group, label) for label in group.labels):
            return False
        more_needed = self.sides_by_need[: self.sides_by_need.index(side)]
        return home not in more_needed or not self._bares(group)

    def _cost(self, group: Group, label: str, side: str) -> tuple[bool, bool, float, str]:
        """Rank a group to move: without harm to others, to training, near by, then by its name."""
        low, high = self._intervals[side]
        at = self._place_of[group.digest]
        return (
            self._bares(group),
            self._starves(group, label),
            max(low - at, at - high),
            group.digest,
        )

    def _starves(self, group: Group, label: str) -> bool:
        """Say whether its leaving takes too much of the class from training."""
        left = self._num_photos[label, _STAY] - group.labels[label]
        is_learned = self.side_of[group.digest] == _STAY
        return is_learned and left < self._training_share * self._size[label]

    def _is_most(self, group: Group, label: str) -> bool:
        return 2 * group.labels[label] > self._size[label]

    def _bares(self, group: Group) -> bool:
        """Say whether a class would lose its last group where the group stands now."""
        home = self.side_of[group.digest]
        return any(self._num_groups[label, home] == 1 for label in group.labels)

    def _side_at(self, at: float) -> str:
        return next(side for side, (low, high) in self._intervals.items() if low <= at < high)

    def _rank(self, label: str) -> tuple[int, str, str]:
        groups = self._groups_of[label]
        return len(groups), min(group.digest for group in groups), label

    def _move(self, group: Group, side: str) -> None:
        self._count(group, sign=-1)
        self._put(group, side)

    def _put(self, group: Group, side: str) -> None:
        self.side_of[group.digest] = side
        self._count(group, sign=1)

    def _count(self, group: Group, *, sign: int) -> None:
        side = self.side_of[group.digest]
        for label, num_photos in group.labels.items():
            self._num_groups[label, side] += sign
            self._num_photos[label, side] += sign * num_photos


def _intervals(fractions: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return where each part begins and ends; what stays takes the rest, up to 1."""
    intervals, low = {}, 0.0
    for part, fraction in fractions.items():
        intervals[part] = (low, low + fraction)
        low += fraction
    return intervals | {_STAY: (low, 1.0)}
