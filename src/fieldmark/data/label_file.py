"""Labels put right without touching the folder: a CSV that relabels photos or leaves them out.

In: photos with doubtful labels, or the CSV as its user has edited it. Out: the CSV, or the catalog
with other labels. Its rows say for a photo `relabel` (to the class in new_label) or `exclude`;
without an action nothing changes.
Not covered: finding the doubtful ones (`audit`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.base.errors import DataError, nearest_spelling
from fieldmark.base.files import write_csv
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.photo_table import PATH, as_text, name_meant, photo_named, read_photo_table

HEADER = ("path", "label", "new_label", "reason", "action")
RELABEL, EXCLUDE, KEEP = "relabel", "exclude", "keep"
ACTIONS = (RELABEL, EXCLUDE, KEEP, "")
"""What the column action may hold, in any case; keep and nothing are the same."""

EXCLUDED = "excluded by the labels file"
"""The reason of a photo that the file leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A photo whose label may be wrong."""

    path: str
    label: str
    """What the folder says."""
    suggested: str
    """The class it may be of instead."""
    reason: str
    """Why, for the user."""
    action: str = ""
    """What the user has asked for before; nothing leaves it to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """One change that the user asks for."""

    path: str
    label: str
    """What the folder says."""
    new_label: str | None
    """The class it is to count as; None leaves the photo out."""


def write_doubts(path: Path, doubts: Iterable[Doubt]) -> None:
    """Write photos with doubtful labels in the order given, for their user to fill in `action`."""
    rows = (
        (as_text(one.path), as_text(one.label), as_text(one.suggested), one.reason, one.action)
        for one in doubts
    )
    write_csv(path, header=HEADER, rows=rows)


def read_changes(path: Path, catalog: Catalog) -> tuple[LabelChange, ...]:
    """Return the changes that a labels file asks for, in its order.

    Args:
        path: the CSV, in UTF-8, with the columns path and action, and new_label where a photo is
            to be relabelled; a column label is checked against the folder. Paths are relative to
            the folder of photos.
        catalog: the photos; every one that is to change must be there and usable.

    Raises:
        DataError: the file cannot be read, a line of it is not valid, or it does not fit the
            folder.
    """
    rows, classes = {row.path: row for row in catalog.rows}, catalog.classes
    changes: dict[str, LabelChange] = {}
    for number, values in _read_lines(path):
        where = f"{path}, row {number}"
        change = _change(values, rows=rows, classes=classes, where=where)
        if change is None:
            continue
        if change.path in changes:
            raise DataError(f"{where}: {change.path} is listed twice. Keep one of the rows.")
        changes[change.path] = change
    return tuple(changes.values())


def apply_changes(catalog: Catalog, changes: Sequence[LabelChange]) -> Catalog:
    """Return the catalog as if the photos lay in other folders, or were not there."""
    asked = {change.path: change for change in changes}
    rows = tuple(
        _changed(row, asked[row.path]) if row.path in asked else row for row in catalog.rows
    )
    return replace(catalog, rows=rows)


def _changed(row: CatalogRow, change: LabelChange) -> CatalogRow:
    if change.new_label is None:
        return replace(row, status="excluded", reason=EXCLUDED)
    told = f"relabelled from {row.label}"
    reason = f"{row.reason}; {told}" if row.reason else told
    return replace(
        row, label=change.new_label, status="repaired", reason=reason, folder_label=row.label
    )


def _read_lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    table = read_photo_table(path, what="labels file", error=DataError)
    if not {PATH, "action"} <= set(table.columns):
        raise DataError(
            f"The labels file {path} begins with {','.join(table.columns)!r}. Its first line must "
            f"name the columns path and action, separated by commas, as in {','.join(HEADER)}."
        )
    return table.rows()


def _change(
    values: Mapping[str, str],
    *,
    rows: Mapping[str, CatalogRow],
    classes: Sequence[str],
    where: str,
) -> LabelChange | None:
    action = values["action"].strip().lower()
    if action not in ACTIONS:
        hint = nearest_spelling(action, ACTIONS)
        raise DataError(
            f"{where}: the action is {values['action']!r}.{hint} Allowed: relabel, exclude, keep, "
            "or nothing."
        )
    if action in {KEEP, ""}:
        return None
    row = _row(values, rows=rows, where=where)
    if action == EXCLUDE:
        return LabelChange(path=row.path, label=row.label, new_label=None)
    new_label = name_meant(values.get("new_label", ""), classes)
    if new_label not in classes:
        hint = nearest_spelling(new_label, classes)
        raise DataError(
            f"{where}: new_label is {new_label!r}, which is no class of this folder.{hint} "
            f"Its classes: {', '.join(classes)}."
        )
    if new_label == row.label:
        return None
    return LabelChange(path=row.path, label=row.label, new_label=new_label)


def _row(values: Mapping[str, str], *, rows: Mapping[str, CatalogRow], where: str) -> CatalogRow:
    photo = photo_named(values[PATH], rows)
    if photo not in rows:
        raise DataError(
            f"{where}: there is no {photo or 'path'} in the folder of photos. Paths are relative "
            f"to it, as in {next(iter(rows), 'cat/1.jpg')}."
        )
    row = rows[photo]
    label = name_meant(values.get("label", ""), (row.label,))
    if label not in {"", row.label}:
        raise DataError(
            f"{where}: {photo} is listed with the label {label!r}, but lies in the folder of "
            f"{row.label!r}. The file may be of another folder; run 'fieldmark explore' again."
        )
    if not row.is_usable:
        raise DataError(f"{where}: {photo} is not used anyway: {row.reason}. Take the row out.")
    return row
