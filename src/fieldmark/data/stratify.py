"""Carve parts such as test and validation out of groups of photos, class by class.

In: groups (photos that must stay together), the fractions asked for and a seed. Out: the part of
each group that was carved out; the others stay.
The order in which groups are taken depends on their content and the seed alone, so neither the
order of the files nor the place of the folder changes anything, and a photo added to one class
moves few others.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Photos that must not be torn apart, and count as one class."""

    digest: str
    """Names the group; decides, with the seed, when it is taken."""
    label: str
    """The class for which it counts."""
    num_photos: int
    """How many photos it holds, at least 1."""


def carve(groups: Sequence[Group], fractions: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """Return the part of each group carved out, by digest.

    Of every class each part gets its share of the photos, rounded so that the part as a whole
    comes closest to its fraction. A class gives at least one group to each part, in the order
    given, as long as one is left to stay.

    Args:
        groups: each with a digest of its own.
        fractions: the share of all photos for each part, in (0, 1), with a sum below 1.
        seed: another seed, another choice.
    """
    by_label: dict[str, list[Group]] = {}
    for group in sorted(groups, key=lambda group: _rank(group, seed=seed)):
        by_label.setdefault(group.label, []).append(group)
    sizes = {label: sum(g.num_photos for g in some) for label, some in by_label.items()}
    parts: dict[str, str] = {}
    for position, (part, fraction) in enumerate(fractions.items()):
        quotas = apportion(sizes, fraction=fraction)
        num_parts_after = len(fractions) - position - 1
        for label, left in by_label.items():
            taken = _take(left, quota=quotas[label], num_parts_after=num_parts_after)
            parts |= dict.fromkeys((group.digest for group in taken), part)
            by_label[label] = [group for group in left if group.digest not in parts]
    return parts


def apportion(sizes: Mapping[str, int], *, fraction: float) -> dict[str, int]:
    """Return how many of each class make up `fraction` of all, by largest remainders.

    The sum is the nearest whole number to `fraction` of the whole (Hamilton's method, in which
    the classes that lose most by rounding down get one more each).
    """
    shares = {label: size * fraction for label, size in sizes.items()}
    quotas = {label: math.floor(share) for label, share in shares.items()}
    missing = math.floor(sum(sizes.values()) * fraction + 0.5) - sum(quotas.values())
    by_loss = sorted(shares, key=lambda label: (quotas[label] - shares[label], label))
    for label in by_loss[: max(0, missing)]:
        quotas[label] += 1
    return quotas


def _rank(group: Group, *, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{group.digest}".encode()).digest()


def _take(groups: Sequence[Group], *, quota: int, num_parts_after: int) -> list[Group]:
    """Take groups in their order until they hold `quota` photos, passing over those too large."""
    # One group stays, and as many more as can be spared for the parts after this one.
    num_spare = len(groups) - 1 - min(num_parts_after, max(0, len(groups) - 2))
    if num_spare <= 0:
        return []
    taken: list[Group] = []
    room = quota
    for group in groups:
        if len(taken) < num_spare and group.num_photos <= room:
            taken.append(group)
            room -= group.num_photos
    return taken or [min(groups, key=lambda group: group.num_photos)]
