"""Which photos are learned from, which choose among models, and which are kept for the end.

In: a catalog, and fractions, or a split already made: by folders or in a file. Out: `Splits`, in
which no photo stands on two sides, nor an exact copy of it.
Not covered: near-duplicates; only files with the same bytes are kept together.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.base.errors import RecipeError, RunError, SplitError
from fieldmark.base.files import write_csv
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.split_file import read_split_file
from fieldmark.data.stratify import Group, carve

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_SPLITS = (TRAIN, VALIDATION, TEST)
HEADER = ("path", "label", "split", "group")
GROUP_DIGITS = 12
"""Hexadecimal digits of the SHA-256 that name a group: 48 bits, enough for millions of photos."""

NOT_LISTED = "not in the split file"

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig:
    """How the photos are divided, where no split is given."""

    test: float = 0.2
    """Share of the photos kept for the evaluation, in (0, 1)."""
    validation: float = 0.1
    """Share of the photos for choosing among models, in (0, 1). Of all photos; where the test
    photos are given, of the training photos."""
    seed: int = 0
    """Another seed, another division; 0 or more."""

    def __post_init__(self) -> None:
        for name, value in (("split.test", self.test), ("split.validation", self.validation)):
            if isinstance(value, bool) or not isinstance(value, float | int) or not 0 < value < 1:
                raise RecipeError(
                    f"{name} is {value!r}: give a share of the photos between 0 and 1, such as 0.2."
                )
        if self.test + self.validation >= 1:
            raise RecipeError(
                f"split.test is {self.test} and split.validation is {self.validation}: together "
                "they must stay below 1, so that photos are left to learn from."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RecipeError(f"split.seed is {self.seed!r}: give a whole number, 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRow:
    """Where one photo stands."""

    path: str
    """Relative to the folder of photos, with forward slashes."""
    label: str
    """Its class."""
    split: str
    """train, validation or test."""
    group: str
    """The same for photos that are kept together: the first digits of their SHA-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The side of every photo that takes part."""

    rows: tuple[SplitRow, ...]
    """One a photo, sorted by path."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the split came about; not kept in the file."""
    num_duplicates_excluded: int = 0
    """Photos left out because the same bytes stand on another side of a given split."""

    def paths(self, split: str) -> tuple[str, ...]:
        """Return the paths of one side, sorted."""
        return tuple(row.path for row in self.rows if row.split == split)

    def labels(self, split: str) -> tuple[str, ...]:
        """Return the classes of one side's photos, in the order of `paths`."""
        return tuple(row.label for row in self.rows if row.split == split)

    def counts(self) -> dict[str, int]:
        """Return the number of photos on each side, all three of them."""
        counted = Counter(row.split for row in self.rows)
        return {split: counted[split] for split in _SPLITS}

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos on each side for each class, sorted by name."""
        counted = Counter((row.label, row.split) for row in self.rows)
        labels = sorted({row.label for row in self.rows})
        return {label: {split: counted[label, split] for split in _SPLITS} for label in labels}


def make_splits(
    catalog: Catalog, config: SplitConfig, *, split_file: Path | None = None
) -> tuple[Splits, Catalog]:
    """Divide the usable photos into train, validation and test.

    A split file comes first, then a split by folders, then the fractions of `config`. What a given
    split lacks is carved out of its training photos, class by class: validation, and for folders
    (train and validation alone) test, too. A photo whose bytes also stand on another side of a
    given split is left out of training, or else of validation.

    Args:
        catalog: the photos.
        config: the fractions and the seed for what is not given.
        split_file: a CSV with the columns path and split; photos that it does not list are left
            out.

    Returns:
        The splits, and the catalog without the photos that had to be left out.

    Raises:
        SplitError: where a side is empty, a class has nothing to learn from, or the file does not
            fit the folder.
    """
    notes: list[str] = []
    given = {row.path: row.layout_split for row in catalog.usable if row.layout_split}
    if split_file is not None:
        given = read_split_file(split_file, catalog)
        unlisted = [row.path for row in catalog.usable if row.path not in given]
        catalog = catalog.exclude(dict.fromkeys(unlisted, NOT_LISTED))
        if unlisted:
            notes.append(f"{len(unlisted):,} photos are not in the split file and are left out.")
        if TEST not in given.values():
            raise SplitError(f"The split file {split_file} has no test photo. Mark some as test.")
    copies = _copies_across(catalog.usable, given)
    catalog = catalog.exclude(copies)
    if copies:
        notes.append(f"{len(copies):,} photos are left out: the same bytes stand on another side.")
    rows = catalog.usable
    sides = {path: split for path, split in given.items() if path not in copies}
    sides |= _carved(rows, sides, config=config)
    table = tuple(
        SplitRow(
            path=row.path,
            label=row.label,
            split=sides.get(row.path, TRAIN),
            group=row.sha256[:GROUP_DIGITS],
        )
        for row in rows
    )
    splits = Splits(rows=table, num_duplicates_excluded=len(copies))
    _require_both_sides(splits, is_given=bool(given))
    return replace(splits, notes=(*notes, *_gaps(splits))), catalog


def _copies_across(rows: Sequence[CatalogRow], given: Mapping[str, str]) -> dict[str, str]:
    """Return why to leave out each photo whose bytes also stand on a side nearer to the end."""
    kept: dict[str, CatalogRow] = {}
    for row in rows:
        known = kept.setdefault(row.sha256, row)
        if given and _SPLITS.index(given[row.path]) > _SPLITS.index(given[known.path]):
            kept[row.sha256] = row
    return {
        row.path: f"same bytes as {kept[row.sha256].path}, a {given[kept[row.sha256].path]} photo"
        for row in rows
        if given and given[row.path] != given[kept[row.sha256].path]
    }


def _carved(
    rows: Sequence[CatalogRow], sides: Mapping[str, str], *, config: SplitConfig
) -> dict[str, str]:
    """Return the side of the photos taken out of training, for the sides that are not given."""
    asked = {TEST: config.test, VALIDATION: config.validation}
    fractions = {name: share for name, share in asked.items() if name not in sides.values()}
    pool = [row for row in rows if sides.get(row.path, TRAIN) == TRAIN]
    parts = carve(_groups(pool), fractions, seed=config.seed)
    return {row.path: parts[row.sha256] for row in pool if row.sha256 in parts}


def _groups(rows: Sequence[CatalogRow]) -> list[Group]:
    """Put photos with the same bytes together, under the class that most of them have."""
    labels: dict[str, Counter[str]] = {}
    for row in rows:
        labels.setdefault(row.sha256, Counter())[row.label] += 1
    return [
        Group(
            digest=digest,
            label=min(counted, key=lambda label: (-counted[label], label)),
            num_photos=counted.total(),
        )
        for digest, counted in labels.items()
    ]


def _require_both_sides(splits: Splits, *, is_given: bool) -> None:
    """Refuse a split from which nothing can be learned, or nothing be said of the result."""
    for side in (TRAIN, TEST):
        if not splits.paths(side):
            raise SplitError(f"No photo is left for {side}. Add photos, or change the split.")
    counts = splits.class_counts()
    if unlearned := [label for label, of in counts.items() if not of[TRAIN]]:
        raise SplitError(
            f"No training photo of {_named(unlearned)}, though there are photos of it on other "
            "sides. Add some to the training photos, or remove the class."
        )
    if not is_given and (untested := [label for label, of in counts.items() if not of[TEST]]):
        raise SplitError(
            f"All photos of {_named(untested)} are copies of one, so none is left to test with. "
            "Add different photos, or remove the class."
        )


def _gaps(splits: Splits) -> list[str]:
    """Say which classes are missing on a side."""
    counts = splits.class_counts()
    return [
        f"No {side} photo of {_named(missing)}: too few photos, or the split gives it none."
        for side in (VALIDATION, TEST)
        if (missing := [label for label, of in counts.items() if not of[side]])
    ]


def _named(labels: Sequence[str]) -> str:
    more = len(labels) - _SHOWN
    told = ", ".join(f"'{label}'" for label in labels[:_SHOWN])
    return told + (f" and {more:,} more classes" if more > 0 else "")


def write_splits(path: Path, splits: Splits) -> None:
    """Write the rows as CSV, atomically."""
    rows = ((row.path, row.label, row.split, row.group) for row in splits.rows)
    write_csv(path, header=HEADER, rows=rows)


def read_splits(path: Path) -> Splits:
    """Read what `write_splits` wrote; the notes are not in the file.

    Raises:
        RunError: where the file is missing or a line of it is not valid.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return Splits(rows=tuple(_read_rows(csv.reader(stream), path=path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}. Run the training again.") from error


def _read_rows(lines: Iterator[list[str]], *, path: Path) -> Iterator[SplitRow]:
    if tuple(next(lines, ())) != HEADER:
        raise RunError(f"{path} is not a table of splits: it must begin {','.join(HEADER)}.")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(HEADER) or line[2] not in _SPLITS:
            raise RunError(
                f"{path}, row {number}: {','.join(line)!r} is not {','.join(HEADER)} with a split "
                f"out of {', '.join(_SPLITS)}. Run the training again."
            )
        yield SplitRow(path=line[0], label=line[1], split=line[2], group=line[3])
