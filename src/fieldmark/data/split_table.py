"""The table of a split: the side and the group of every photo that takes part, in and out of CSV.

In: rows, or `splits.csv`. Out: `Splits`, and the numbers that a report needs of them.
Not covered: making one (`splits`).
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SIDES = (TRAIN, VALIDATION, TEST)
"""The sides, from the first that is used to the last."""
HEADER = ("path", "label", "split", "group")

_SHOWN = 10


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
    """The same for photos that are kept together: the first digits of a SHA-256, of the content for
    a photo that stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The side of every photo that takes part."""

    rows: tuple[SplitRow, ...]
    """One a photo, sorted by path."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the split came about; not kept in the file."""
    num_duplicates_excluded: int = 0
    """Photos left out because a photo of their group stands on another side of a given split; not
    kept in the file, but the catalog says so of each."""
    grouped_by: str | None = None
    """Where the user's groups came from; None without any. Not kept in the file, but in the recipe
    as split.group_by."""

    @property
    def num_groups(self) -> int:
        """The number of groups; a photo that stands alone is one."""
        return len({row.group for row in self.rows})

    @property
    def num_grouped(self) -> int:
        """The number of photos in groups of at least two."""
        sizes = Counter(row.group for row in self.rows)
        return sum(size for size in sizes.values() if size > 1)

    @property
    def largest_group(self) -> int:
        """The number of photos in the largest group; 0 without photos."""
        return max(Counter(row.group for row in self.rows).values(), default=0)

    def sides(self) -> dict[str, str]:
        """Return the side of each photo, by path."""
        return {row.path: row.split for row in self.rows}

    def groups(self) -> dict[str, str]:
        """Return the group of each photo, by path."""
        return {row.path: row.group for row in self.rows}

    def paths(self, split: str) -> tuple[str, ...]:
        """Return the paths of one side, sorted."""
        return tuple(row.path for row in self.rows if row.split == split)

    def labels(self, split: str) -> tuple[str, ...]:
        """Return the classes of one side's photos, in the order of `paths`."""
        return tuple(row.label for row in self.rows if row.split == split)

    def counts(self) -> dict[str, int]:
        """Return the number of photos on each side, all three of them."""
        counted = Counter(row.split for row in self.rows)
        return {split: counted[split] for split in SIDES}

    def class_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos on each side for each class, sorted by name."""
        counted = Counter((row.label, row.split) for row in self.rows)
        labels = sorted({row.label for row in self.rows})
        return {label: {split: counted[label, split] for split in SIDES} for label in labels}


def write_splits(path: Path, splits: Splits) -> None:
    """Write the rows as CSV, atomically."""
    rows = ((row.path, row.label, row.split, row.group) for row in splits.rows)
    write_csv(path, header=HEADER, rows=rows)


def read_splits(path: Path) -> Splits:
    """Read what `write_splits` wrote: the rows alone.

    Raises:
        RunError: where the file is missing or a line of it is not valid.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return Splits(rows=tuple(_read_rows(csv.reader(stream), path=path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}. Run the training again.") from error


def name_classes(labels: Sequence[str]) -> str:
    """Return up to ten of the classes in quotes, for a message, and how many more there are."""
    more = len(labels) - _SHOWN
    told = ", ".join(f"'{label}'" for label in labels[:_SHOWN])
    return told + (f" and {more:,} more classes" if more > 0 else "")


def _read_rows(lines: Iterator[list[str]], *, path: Path) -> Iterator[SplitRow]:
    if tuple(next(lines, ())) != HEADER:
        raise RunError(f"{path} is not a table of splits: it must begin {','.join(HEADER)}.")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(HEADER) or line[2] not in SIDES:
            raise RunError(
                f"{path}, row {number}: {','.join(line)!r} is not {','.join(HEADER)} with a split "
                f"out of {', '.join(SIDES)}. Run the training again."
            )
        yield SplitRow(path=line[0], label=line[1], split=line[2], group=line[3])
