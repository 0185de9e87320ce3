"""Which photos are learned from, which choose among models, and which are kept for the end.

In: a catalog, what belongs together, and fractions, or a split already made: by folders or in a
file. Out: `Splits`, in which no group stands on two sides: no copy of a photo, no near-duplicate,
none of the user's groups.
Not covered: finding near-duplicates (`audit`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from fieldmark.base.errors import RecipeError, SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.coverage import note_gaps, require_coverage, require_testable
from fieldmark.data.fold_splits import MAX_FOLDS, MIN_FOLDS, fold_of_groups
from fieldmark.data.group_by import note_groups, read_groups
from fieldmark.data.groups import find_groups
from fieldmark.data.leaks import Leak, find_leaks, note_kept, note_left_out, require_learnable
from fieldmark.data.split_file import given_sides
from fieldmark.data.split_table import (
    TEST,
    TRAIN,
    VALIDATION,
    SplitRow,
    Splits,
    read_splits,
    write_splits,
)
from fieldmark.data.stratify import Group, carve

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "SplitConfig",
    "SplitRow",
    "Splits",
    "make_splits",
    "naive_splits",
    "read_splits",
    "write_splits",
]

GROUP_DIGITS = 12
"""Hexadecimal digits of the SHA-256 that name a group: 48 bits, enough for millions of photos."""

NOT_LISTED = "not in the split file"

Leaks = Literal["exclude", "keep"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How the photos are divided."""

    test: float = 0.2
    """Share of the photos kept for the evaluation, in (0, 1), where no split is given."""
    validation: float = 0.1
    """Share of the photos for choosing among models, in [0, 1), where none are given. Of all
    photos; where the test photos are given, of the training photos. 0: none are set apart."""
    seed: int = 0
    """Another seed, another division; 0 or more."""
    group_by: None | str = None  # noqa: RUF036 - a recipe's "none" would be taken as text
    """Photos that must stay on one side, such as those of a burst, a patient or a video: a regular
    expression that is searched in each path and whose first pair of brackets, or else the whole
    match, names the group; or FILE.csv:COLUMN. None: only copies and near-duplicates."""
    leaks: Leaks = "exclude"
    """What becomes of training photos whose group also stands in validation or test of a split
    already made, and of validation photos whose group stands in test: left out, or kept."""
    folds: None | int = None  # noqa: RUF036 - as above
    """How many folds the photos are divided into, 2 to 50, one of which is tested; `test` is then
    of no meaning, and `validation` a share of the other photos. None: no folds."""
    fold: None | int = None  # noqa: RUF036 - as above
    """Which of them is tested, from 1 on; given where `folds` is, and only there."""

    def __post_init__(self) -> None:
        if not _is_share(self.test) or not self.test > 0:
            raise RecipeError(
                f"split.test is {self.test!r}: give a share of the photos between 0 and 1, such as "
                "0.2."
            )
        if not _is_share(self.validation):
            raise RecipeError(
                f"split.validation is {self.validation!r}: give a share of the photos between 0 "
                "and 1, such as 0.1, or 0 for none."
            )
        if self.test + self.validation >= 1:
            raise RecipeError(
                f"split.test is {self.test} and split.validation is {self.validation}: together "
                "they must stay below 1, so that photos are left to learn from."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RecipeError(f"split.seed is {self.seed!r}: give a whole number, 0 or more.")
        if self.group_by is not None and not (
            isinstance(self.group_by, str) and self.group_by.strip()
        ):
            raise RecipeError(
                f"split.group_by is {self.group_by!r}: give a regular expression that is searched "
                "in the path, such as 'patient-[0-9]+', or FILE.csv:COLUMN; or leave it out."
            )
        if self.leaks not in get_args(Leaks):
            raise RecipeError(
                f"split.leaks is {self.leaks!r}; allowed: {', '.join(get_args(Leaks))}."
            )
        _check_folds(self.folds, self.fold)


def make_splits(
    catalog: Catalog,
    config: SplitConfig,
    *,
    split_file: Path | None = None,
    together: Sequence[Sequence[str]] = (),
    grouped_by: Mapping[str, str] | None = None,
) -> tuple[Splits, Catalog]:
    """Divide the usable photos into train, validation and test, group by group.

    A split file comes first, then a split by folders, then the fractions of `config`. What a given
    split lacks is carved out of its training photos: validation, and for folders (train and
    validation alone) test, too. Photos of a given split whose group also stands on a later side are
    left out first, unless `config.leaks` is "keep".

    Args:
        catalog: the photos.
        config: the fractions and the seed for what is not given, and what to do about leaks.
        split_file: a CSV with the columns path and split; photos that it does not list are left
            out.
        together: groups of paths that must not be torn apart, such as near-duplicates; photos with
            the same bytes never are.
        grouped_by: the user's group of a path; None: read as `config.group_by` says.

    Returns:
        The splits, and the catalog without the photos that had to be left out.

    Raises:
        SplitError: where a side is empty, a class has nothing to learn from, or the file or
            `config.group_by` does not fit the folder.
    """
    if config.group_by is not None and grouped_by is None:
        grouped_by = read_groups(config.group_by, catalog)
    given = given_sides(catalog, split_file)
    if given and config.folds is not None:
        raise _divided_already(catalog, given, split_file=split_file)
    notes: list[str] = []
    if unlisted := [row.path for row in catalog.usable if given and row.path not in given]:
        catalog = catalog.exclude(dict.fromkeys(unlisted, NOT_LISTED))
        notes.append(f"{len(unlisted):,} photos are not in the split file and are left out.")
    if grouped_by is not None:
        notes += note_groups(catalog, grouped_by)
    groups = find_groups(catalog, together=together, grouped_by=grouped_by)
    leaks: dict[str, Leak] = {}
    if given and config.leaks == "exclude":
        rows = catalog.usable
        leaks = find_leaks(rows, given, groups, together=together, grouped_by=grouped_by)
        require_learnable(leaks, rows=rows, sides=given)
        catalog = catalog.exclude({path: leak.reason for path, leak in leaks.items()})
        notes += note_left_out(leaks.values())
    splits = _divide(catalog.usable, given, groups, config=config)
    require_coverage(splits)
    if not given:
        require_testable(splits, contents={row.path: row.sha256 for row in catalog.usable})
    if config.leaks == "keep":
        notes += note_kept(given, groups)
    splits = replace(splits, num_duplicates_excluded=len(leaks), grouped_by=config.group_by)
    notes += note_gaps(splits, wants_validation=config.validation > 0)
    return replace(splits, notes=tuple(notes)), catalog


def naive_splits(
    catalog: Catalog, config: SplitConfig, *, split_file: Path | None = None
) -> Splits:
    """Divide the photos as a tool would that knows nothing of groups, to compare with.

    Each photo is drawn by its path and the seed alone, with the fractions and the rules for small
    classes of `make_splits`; a split already made is kept as it is.

    Args:
        catalog: the photos, before `make_splits` has left any out.
        config: the fractions and the seed.
        split_file: as in `make_splits`.

    Returns:
        Every photo as a group of its own, without notes.

    Raises:
        SplitError: the split file does not fit the folder.
    """
    given = given_sides(catalog, split_file)
    rows = [row for row in catalog.usable if not given or row.path in given]
    alone = {row.path: hashlib.sha256(row.path.encode()).hexdigest() for row in rows}
    return _divide(rows, given, alone, config=config)


def _divide(
    rows: Sequence[CatalogRow],
    given: Mapping[str, str],
    groups: Mapping[str, str],
    *,
    config: SplitConfig,
) -> Splits:
    """Keep the sides that are given and carve the others out of training, but for a share of 0."""
    seed = config.seed
    if config.folds is not None and config.fold is not None:
        folds = fold_of_groups(_group_up(rows, groups), num_folds=config.folds, seed=seed)
        given = {row.path: TEST for row in rows if folds[groups[row.path]] == config.fold}
        # A draw of its own for each fold, so that not the same photos validate in all of them.
        seed = seed * (MAX_FOLDS + 1) + config.fold
    sides = {row.path: given.get(row.path, TRAIN) for row in rows}
    asked = {TEST: config.test, VALIDATION: config.validation}
    lacking = asked.keys() - set(sides.values())
    fractions = {side: share for side, share in asked.items() if side in lacking and share > 0}
    pool = [row for row in rows if sides[row.path] == TRAIN]
    parts = carve(_group_up(pool, groups), fractions, seed=seed)
    sides |= {row.path: parts[groups[row.path]] for row in pool if groups[row.path] in parts}
    return Splits(
        rows=tuple(
            SplitRow(
                path=row.path,
                label=row.label,
                split=sides[row.path],
                group=groups[row.path][:GROUP_DIGITS],
            )
            for row in rows
        )
    )


def _check_folds(folds: object, fold: object) -> None:
    """Refuse folds that cannot be, or of which it is not said which one is tested.

    Raises:
        RecipeError: as it says.
    """
    if folds is not None and not (_is_whole(folds) and MIN_FOLDS <= folds <= MAX_FOLDS):  # type: ignore[operator]
        raise RecipeError(
            f"split.folds is {folds!r}: give a whole number from {MIN_FOLDS} to {MAX_FOLDS}, or "
            "leave it out."
        )
    if (folds is None) != (fold is None):
        raise RecipeError(
            f"split.folds is {folds} and split.fold is {fold}: give both, how many folds there are "
            "and which one is tested. To run them all one after the other, give --folds alone."
        )
    if fold is not None and not (_is_whole(fold) and 1 <= fold <= folds):  # type: ignore[operator]
        raise RecipeError(f"split.fold is {fold!r}: give a whole number from 1 to {folds}.")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _divided_already(
    catalog: Catalog, given: Mapping[str, str], *, split_file: Path | None
) -> SplitError:
    """Return what to say of folds of photos that are divided already."""
    if split_file is not None:
        return SplitError(
            f"The split file {split_file} says which photos are tested, and so do folds. Leave out "
            "one of them."
        )
    path = min(given)
    return SplitError(
        f"The folders in {catalog.root} divide the photos already ({path} is a {given[path]} "
        "photo), and so do folds. Give the folder of one side instead, such as that of the "
        "training photos, or train once without folds."
    )


def _is_share(value: object) -> bool:
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return is_number and 0 <= value < 1  # type: ignore[operator]


def _group_up(rows: Sequence[CatalogRow], groups: Mapping[str, str]) -> list[Group]:
    labels: dict[str, Counter[str]] = {}
    for row in rows:
        labels.setdefault(groups[row.path], Counter())[row.label] += 1
    return [Group(digest=digest, labels=counted) for digest, counted in labels.items()]
