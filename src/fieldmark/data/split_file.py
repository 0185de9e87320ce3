"""A split that the user brings: folders, or a CSV that says on which side each photo stands.

In: folders named train and test, or a CSV with the columns path and split, and label if wanted.
Out: the split of each path.
Not covered: photos that give each other away across its sides (`leaks`); whether it is a good one.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog
from fieldmark.data.split_table import TEST

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What the sides may be called in the file, in any case, and what each means."""

_SHOWN = 3


def given_sides(catalog: Catalog, split_file: Path | None = None) -> dict[str, str]:
    """Return the side that the user has given to each photo, by path; nothing where none is given.

    Args:
        catalog: the photos.
        split_file: a CSV, which comes before a split by folders; photos that it does not list have
            no side.

    Raises:
        SplitError: the file is not valid, does not fit the folder or holds no test photo.
    """
    if split_file is None:
        return {row.path: row.layout_split for row in catalog.usable if row.layout_split}
    sides = read_split_file(split_file, catalog)
    if TEST not in sides.values():
        raise SplitError(f"The split file {split_file} has no test photo. Mark some as test.")
    return sides


def read_split_file(path: Path, catalog: Catalog) -> dict[str, str]:
    """Return train, validation or test for each photo listed, by path.

    Args:
        path: the CSV, in UTF-8; its paths are relative to the folder of photos.
        catalog: the photos; every one listed must be there and usable.

    Raises:
        SplitError: where the file cannot be read, a line of it is not valid, it lists a photo
            twice, or it does not fit the folder.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(_read_lines(csv.reader(stream), path=path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"The split file {path} cannot be read: {error}.") from error
    splits: dict[str, str] = {}
    for number, photo, split, _ in lines:
        if photo in splits:
            raise SplitError(
                f"{path}, row {number}: {photo} is listed twice. Keep one of the rows."
            )
        splits[photo] = split
    _require_usable(splits, catalog=catalog, path=path)
    labels = {row.path: row.label for row in catalog.rows}
    for number, photo, _, label in lines:
        if label and label != labels[photo]:
            raise SplitError(
                f"{path}, row {number}: {photo} is labelled {label!r}, but lies in the folder of "
                f"{labels[photo]!r}. Move the photo, or correct or leave out the column label."
            )
    return splits


def _read_lines(lines: Iterator[list[str]], *, path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield row number, path, split and label (or nothing) of each row."""
    header = [name.strip().lower() for name in next(lines, [])]
    if not {"path", "split"} <= set(header):
        raise SplitError(
            f"The split file {path} begins with {','.join(header)!r}. Its first line must name the "
            "columns path and split, separated by commas; a column label is optional."
        )
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        if len(line) != len(header):
            raise SplitError(
                f"{path}, row {number}: {len(line)} values where the first line names "
                f"{len(header)} columns."
            )
        values = dict(zip(header, line, strict=True))
        split = SPLIT_NAMES.get(values["split"].strip().lower())
        if split is None:
            raise SplitError(
                f"{path}, row {number}: the split {values['split']!r} is none of train, "
                "validation and test."
            )
        photo = values["path"].strip().replace("\\", "/").removeprefix("./")
        yield number, photo, split, values.get("label", "").strip()


def _require_usable(splits: dict[str, str], *, catalog: Catalog, path: Path) -> None:
    rows = {row.path: row for row in catalog.rows}
    missing = [photo for photo in splits if photo not in rows]
    unusable = [photo for photo in splits if photo in rows and not rows[photo].is_usable]
    problems = []
    if missing:
        problems.append(f"{len(missing):,} not in {catalog.root} ({_some(missing)})")
    if unusable:
        told = [f"{photo}: {rows[photo].reason}" for photo in unusable]
        problems.append(f"{len(unusable):,} that cannot be used ({_some(told)})")
    if problems:
        raise SplitError(
            f"The split file {path} lists {len(splits):,} photos, among them "
            f"{' and '.join(problems)}. Paths are relative to the folder of photos, as in "
            "cat/1.jpg. Correct them, put the photos back, or take the rows out."
        )


def _some(items: Sequence[str]) -> str:
    return "; ".join(items[:_SHOWN]) + ("; ..." if len(items) > _SHOWN else "")
