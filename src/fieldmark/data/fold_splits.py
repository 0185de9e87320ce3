"""Folds of groups of photos: parts of about one size, each class spread evenly over them.

In: groups (photos that must stay together), the number of folds, and a seed. Out: the fold of each.
A group stands in one fold, so that with every fold tested once each photo is tested once, by a
classifier that has seen neither it nor anything of its group.

The largest groups are placed first, each where it makes the classes least uneven, and in the order
of their hashes where they are alike (`stratify.place`). Where each photo stands alone, no two folds
differ by more than one photo of any class. The price is that folds, unlike the sides of `stratify`,
are made anew when photos are added or removed.
Not covered: which photos belong together (`groups`), and validation photos (`splits`).

Shapes: F folds, C classes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.base.errors import SplitError
from fieldmark.data.split_table import name_classes
from fieldmark.data.stratify import Group, place

MIN_FOLDS, MAX_FOLDS = 2, 50
"""One to learn from and one to test with; more than fifty trainings in a row are hardly meant."""


def fold_of_groups(groups: Sequence[Group], *, num_folds: int, seed: int) -> dict[str, int]:
    """Return the fold of each group, 1 to `num_folds`, by digest.

    The order of the groups does not matter.

    Args:
        groups: each with a digest of its own.
        num_folds: F, `MIN_FOLDS` or more.
        seed: another seed, other folds.

    Raises:
        SplitError: there are fewer groups than folds, or a class all of whose photos are of one
            group, so that nothing would be left to learn it from where it is tested.
    """
    labels = sorted({label for group in groups for label in group.labels})
    _require_enough(groups, labels, num_folds=num_folds)
    index = {label: number for number, label in enumerate(labels)}
    size_C = np.zeros(len(labels))
    for group in groups:
        size_C[[index[label] for label in group.labels]] += list(group.labels.values())
    counts_FC = np.zeros((num_folds, len(labels)))
    folds = {}
    for group in _in_turn(groups, seed=seed):
        columns = [index[label] for label in group.labels]
        photos = np.array(list(group.labels.values()), dtype=np.float64)
        fold = _least_uneven(counts_FC, columns, photos, size_C=size_C)
        counts_FC[fold, columns] += photos
        folds[group.digest] = fold + 1
    _require_spread(counts_FC, labels)
    return folds


def _in_turn(groups: Sequence[Group], *, seed: int) -> list[Group]:
    """Return the largest groups first, equally large ones by their hash."""
    return sorted(
        groups,
        key=lambda group: (
            -sum(group.labels.values()),
            place(group.digest, seed=seed),
            group.digest,
        ),
    )


def _least_uneven(
    counts_FC: NDArray[np.float64],
    columns: Sequence[int],
    photos: NDArray[np.float64],
    *,
    size_C: NDArray[np.float64],
) -> int:
    """Return the fold that a group adds least to the sum of squares of its classes' shares in.

    Of equal ones the fold with the fewest photos in all, then the first.
    """
    here = counts_FC[:, columns]
    cost_F = ((2 * here + photos) * photos / size_C[columns] ** 2).sum(axis=1)
    # Rounding makes equal sums differ in their last bits.
    equal = np.flatnonzero(cost_F <= cost_F.min() * (1 + 1e-9))
    return int(equal[counts_FC[equal].sum(axis=1).argmin()])


def _require_enough(groups: Sequence[Group], labels: Sequence[str], *, num_folds: int) -> None:
    if len(groups) < num_folds:
        num_photos = sum(sum(group.labels.values()) for group in groups)
        raise SplitError(
            f"{num_folds} folds need as many groups of photos, and the "
            f"{counted(num_photos, 'photo')} form only {len(groups):,}, since copies, "
            "near-duplicates and photos that you group yourself are never torn apart. Ask for "
            "fewer folds, or add photos that differ."
        )
    num_groups: Mapping[str, int] = {
        label: sum(label in group.labels for group in groups) for label in labels
    }
    if alone := [label for label in labels if num_groups[label] < MIN_FOLDS]:
        raise SplitError(
            f"All photos of {name_classes(alone)} are of one group of copies, near-duplicates or "
            "photos that you group yourself: in the fold where they are tested none would be left "
            "to learn from. Add photos that differ, remove the class, or train once without folds."
        )


def _require_spread(counts_FC: NDArray[np.float64], labels: Sequence[str]) -> None:
    """Refuse folds one of which is empty, or has a class to itself, as tangled groups may bring."""
    in_folds_C = (counts_FC > 0).sum(axis=0)
    crowded = [label for label, num in zip(labels, in_folds_C.tolist(), strict=True) if num < 2]
    if crowded or not counts_FC.sum(axis=1).all():
        what = f"all photos of {name_classes(crowded)}" if crowded else "no photo at all"
        raise SplitError(
            f"The groups of photos cannot be spread over {len(counts_FC)} folds: one has {what}. "
            "Ask for another number of folds, or another split.seed."
        )
