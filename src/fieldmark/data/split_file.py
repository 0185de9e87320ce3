"""A split that the user brings: folders, or a CSV that says on which side each photo stands.

In: folders named train and test, or a CSV with the columns path and split, and label if wanted.
Out: the split of each path.
Not covered: photos that give each other away across its sides (`leaks`); whether it is a good one.
"""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.label_file import EXCLUDED
from fieldmark.data.layout import SPLIT_FOLDERS
from fieldmark.data.photo_table import (
    PATH,
    PhotoTable,
    name_meant,
    photo_named,
    read_photo_table,
    some,
)
from fieldmark.data.split_table import TEST


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
        catalog: the photos; every one listed must be there and usable, or else left out by the
            labels file, and then has no side. A label may be the folder's or the one put right.

    Raises:
        SplitError: where the file cannot be read, a line of it is not valid, it lists a photo
            twice, or it does not fit the folder.
    """
    rows = {row.path: row for row in catalog.rows}
    table = read_photo_table(path, what="split file", error=SplitError)
    lines = list(_read_lines(table, known=rows))
    splits: dict[str, str] = {}
    for number, photo, split, _ in lines:
        if photo in splits:
            raise SplitError(
                f"{path}, row {number}: {photo} is listed twice. Keep one of the rows."
            )
        splits[photo] = split
    _require_usable(splits, rows=rows, catalog=catalog, path=path)
    for number, photo, _, label in lines:
        _require_label(label, row=rows[photo], where=f"{path}, row {number}")
    return {photo: side for photo, side in splits.items() if rows[photo].is_usable}


def _read_lines(table: PhotoTable, *, known: Container[str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield row number, path, split and label (or nothing) of each row."""
    if not {PATH, "split"} <= set(table.columns):
        raise SplitError(
            f"The split file {table.path} begins with {','.join(table.columns)!r}. Its first line "
            "must name the columns path and split, separated by commas; a column label is optional."
        )
    for number, cells in table.rows():
        split = SPLIT_FOLDERS.get(cells["split"].strip().lower())
        if split is None:
            raise SplitError(
                f"{table.path}, row {number}: the split {cells['split']!r} is none of train, "
                "validation and test."
            )
        yield number, photo_named(cells[PATH], known), split, cells.get("label", "")


def _require_usable(
    splits: Mapping[str, str], *, rows: Mapping[str, CatalogRow], catalog: Catalog, path: Path
) -> None:
    missing = [photo for photo in splits if photo not in rows]
    unusable = [
        f"{photo}: {rows[photo].reason}"
        for photo in splits
        if photo in rows and not rows[photo].is_usable and rows[photo].reason != EXCLUDED
    ]
    problems = []
    if missing:
        problems.append(f"{len(missing):,} not in {catalog.root} ({some(missing)})")
    if unusable:
        problems.append(f"{len(unusable):,} that cannot be used ({some(unusable)})")
    if problems:
        raise SplitError(
            f"The split file {path} lists {len(splits):,} photos, among them "
            f"{' and '.join(problems)}. Paths are relative to the folder of photos, as in "
            "cat/1.jpg. Correct them, put the photos back, or take the rows out."
        )


def _require_label(label: str, *, row: CatalogRow, where: str) -> None:
    """Refuse a label that is neither that of the folder nor the one put right."""
    allowed = ("", row.label, row.folder_label or row.label)
    if name_meant(label, allowed) not in allowed:
        raise SplitError(
            f"{where}: {row.path} is labelled {label!r}, but lies in the folder of "
            f"{row.folder_label or row.label!r}. Move the photo, or correct or leave out the "
            "column label."
        )
