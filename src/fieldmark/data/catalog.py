"""The catalog: every file of a folder of photos, accounted for.

In: a folder with one subfolder of photos per class. Out: `Catalog`, one row a file met, and the
pixels of those that can be used, from one reading of each file.
Not covered: what is wrong with photos that can be read (blur, mislabels, near-duplicates).
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv
from fieldmark.data.layout import NEVER_PHOTOS

Status = Literal["used", "repaired", "excluded"]
"""used: as it is. repaired: used, after a change that its reason names. excluded: left out."""

HEADER = ("path", "label", "width", "height", "bytes", "sha256", "status", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRow:
    """One file met in the folder."""

    path: str
    """Relative to the folder, with forward slashes."""
    label: str
    """Its class, by the folder in which it lies or by the labels file; nothing where by none."""
    width: int | None
    """Of the upright photo in pixels; None where it could not be read."""
    height: int | None
    """Of the upright photo in pixels; None where it could not be read."""
    num_bytes: int
    """Size of the file."""
    sha256: str
    """Of the file's bytes, 64 hexadecimal digits; nothing where it was never opened."""
    status: Status
    """used, repaired or excluded."""
    reason: str
    """What was repaired, or why the file is left out; nothing for a photo used as it is."""
    layout_split: str | None = None
    """train, validation or test, where the folder holds a split already made."""
    folder_label: str = ""
    """The class by the folder, where the labels file gives it another; else nothing. Not kept in
    the file, whose reason says so."""

    @property
    def is_usable(self) -> bool:
        """Whether the photo takes part."""
        return self.status != "excluded"

    @property
    def is_lost_photo(self) -> bool:
        """Whether somebody will miss it: not read, though it looks meant as a photo.

        What was read and then left out has a width: by the labels file or the split, on purpose.
        """
        is_unread = not self.is_usable and self.width is None
        return is_unread and not self.reason.startswith(NEVER_PHOTOS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All files of one folder of photos."""

    root: Path
    """The folder; the rows' paths are relative to it."""
    rows: tuple[CatalogRow, ...]
    """One a file met, sorted by path."""
    notes: tuple[str, ...] = ()
    """What was made of the folder, where it is not the plain one folder a class."""

    @property
    def usable(self) -> tuple[CatalogRow, ...]:
        """The photos that take part, used or repaired."""
        return tuple(row for row in self.rows if row.is_usable)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that have a usable photo, sorted."""
        return tuple(sorted({row.label for row in self.rows if row.is_usable}))

    @property
    def digest(self) -> str:
        """SHA-256 over path, label and content of the usable photos: what the run learns from."""
        digest = hashlib.sha256()
        for row in self.usable:
            digest.update(f"{row.path}\0{row.label}\0{row.sha256}\n".encode())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """Return the number of usable photos of each class, by name."""
        counted = Counter(row.label for row in self.rows if row.is_usable)
        return {name: counted[name] for name in self.classes}

    def status_counts(self) -> dict[Status, int]:
        """Return the number of files with each status, all three of them."""
        counted = Counter(row.status for row in self.rows)
        return {status: counted[status] for status in get_args(Status)}

    def exclude(self, reasons: Mapping[str, str]) -> "Catalog":
        """Return a catalog with more files left out.

        Args:
            reasons: why, by path.

        Raises:
            KeyError: for a path that the catalog does not hold.
        """
        if unknown := set(reasons) - {row.path for row in self.rows}:
            raise KeyError(f"not in the catalog: {min(unknown)}")
        rows = tuple(
            replace(row, status="excluded", reason=reasons[row.path])
            if row.path in reasons
            else row
            for row in self.rows
        )
        return replace(self, rows=rows)


def write_catalog(path: Path, catalog: Catalog) -> None:
    """Write the rows as CSV, atomically."""
    write_csv(
        path,
        header=HEADER,
        rows=(
            (
                row.path,
                row.label,
                "" if row.width is None else row.width,
                "" if row.height is None else row.height,
                row.num_bytes,
                row.sha256,
                row.status,
                row.reason,
            )
            for row in catalog.rows
        ),
    )


def read_catalog(path: Path, *, root: Path) -> Catalog:
    """Read what `write_catalog` wrote; notes and a split by folders are not in the file.

    Args:
        path: the CSV.
        root: the folder of photos that it tells of.

    Raises:
        RunError: where the file is missing or a line of it is not valid.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return Catalog(root=root, rows=tuple(_read_rows(csv.reader(stream), path=path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} cannot be read: {error}. Run the training again.") from error


def _read_rows(lines: Iterator[list[str]], *, path: Path) -> Iterator[CatalogRow]:
    if tuple(next(lines, ())) != HEADER:
        raise RunError(f"{path} is not a catalog: its first line must be {','.join(HEADER)}.")
    for number, line in enumerate(lines, start=2):
        try:
            yield _parse(line)
        except ValueError as error:
            raise RunError(f"{path}, row {number}: {error}. Run the training again.") from error


def _parse(line: list[str]) -> CatalogRow:
    if len(line) != len(HEADER):
        raise ValueError(f"{len(line)} values where {len(HEADER)} belong")
    path, label, width, height, num_bytes, sha256, status, reason = line
    if status not in get_args(Status):
        raise ValueError(f"status {status!r} is none of {', '.join(get_args(Status))}")
    return CatalogRow(
        path=path,
        label=label,
        width=int(width) if width else None,
        height=int(height) if height else None,
        num_bytes=int(num_bytes),
        sha256=sha256,
        status=status,  # type: ignore[arg-type]  # checked just above
        reason=reason,
    )
