"""Groups that the user names: photos of one burst, patient or video, which no split may tear apart.

In: a regular expression, or a CSV and a column of it. Out: the group of each photo that has one.
A photo without a group stands alone. A name means the same group wherever it is met, in whichever
class: where each class counts its patients anew, the expression must take in the folder, too.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldmark.base.counting import listed
from fieldmark.base.errors import SplitError, nearest_spelling
from fieldmark.data.catalog import Catalog
from fieldmark.data.photo_table import PATH, PhotoTable, photo_named, read_photo_table, some

_TABLE = re.compile(r"(?P<file>.+?\.csv):(?P<column>.+)", re.IGNORECASE | re.DOTALL)
_COLUMNS_SHOWN = 12


def read_groups(spec: str, catalog: Catalog) -> dict[str, str]:
    """Return the name of the group of each usable photo that has one, by path.

    Args:
        spec: a regular expression that is searched in each path (relative to the folder of photos,
            with forward slashes): its first pair of brackets names the group, or all that it
            matches where it has none. Or `FILE.csv:COLUMN`: a CSV in UTF-8 with a column path and
            the one named; a relative FILE lies in the current folder. A photo that is not matched
            or listed, or whose name is empty, has none.
        catalog: the photos.

    Raises:
        SplitError: the expression is not valid or matches nothing, the CSV or its column is
            missing, a line of it is not valid or lists a photo that is not there, or all photos
            fall into one group.
    """
    if table := table_of(spec):
        groups = _from_table(table[0], column=table[1], catalog=catalog)
    else:
        groups = _from_expression(_compiled(spec), catalog=catalog)
    paths = {row.path for row in catalog.usable}
    groups = {path: name for path, name in groups.items() if name and path in paths}
    _require_useful(groups, spec=spec, catalog=catalog)
    return groups


def check_group_by(spec: str) -> None:
    """Refuse what cannot be right for any photos, before the photos are read.

    Raises:
        SplitError: the expression is not valid, or the CSV or its column is missing.
    """
    if table := table_of(spec):
        _read_table(table[0], column=table[1])
    else:
        _compiled(spec)


def table_of(spec: str) -> tuple[Path, str] | None:
    """Return the CSV and the column that a specification names, or None where it is no table."""
    named = _TABLE.fullmatch(spec)
    return (Path(named["file"]).expanduser(), named["column"]) if named else None


def note_groups(catalog: Catalog, groups: Mapping[str, str]) -> list[str]:
    """Say what may be odd about the user's groups, or nothing.

    Args:
        catalog: the photos.
        groups: the name of the group of a path, as from `read_groups`.
    """
    labels: dict[str, set[str]] = {}
    sizes: Counter[str] = Counter()
    for row in catalog.usable:
        if row.path in groups:
            labels.setdefault(groups[row.path], set()).add(row.label)
            sizes[groups[row.path]] += 1
    notes = []
    if num_alone := len(catalog.usable) - sizes.total():
        have = "1 photo has" if num_alone == 1 else f"{num_alone:,} photos have"
        notes.append(f"{have} no group by split.group_by; without one a photo stands alone.")
    if max(sizes.values(), default=0) < 2:
        notes.append("split.group_by puts no two photos into one group.")
    if num_mixed := sum(len(of) > 1 for of in labels.values()):
        notes.append(
            f"{num_mixed:,} of {len(sizes):,} groups by split.group_by hold photos of several "
            "classes. If each class has names of its own, take its folder into the name."
        )
    return notes


def _compiled(spec: str) -> re.Pattern[str]:
    if spec.lower().endswith(".csv"):
        columns = _columns_of(Path(spec).expanduser())
        raise SplitError(
            f"split.group_by is '{spec}': name the column, too, as in {spec}:patient.{columns}"
        )
    try:
        return re.compile(spec)
    except (re.error, OverflowError, RecursionError) as error:
        what = str(error)
        if isinstance(error, re.error) and error.pos is not None:
            what = f"{error.msg} at character {error.pos + 1}"
        raise SplitError(
            f"split.group_by is '{spec}', which is not a valid regular expression: {what}. "
            "Correct it, or give FILE.csv:COLUMN."
        ) from error


def _from_expression(expression: re.Pattern[str], *, catalog: Catalog) -> dict[str, str]:
    number = min(1, expression.groups)
    matches = {row.path: expression.search(row.path) for row in catalog.usable}
    return {path: match[number] or "" for path, match in matches.items() if match}


def _from_table(path: Path, *, column: str, catalog: Catalog) -> dict[str, str]:
    groups: dict[str, str] = {}
    known = {row.path for row in catalog.rows}
    for number, cell, name in _read_table(path, column=column):
        photo = photo_named(cell, known)
        if groups.setdefault(photo, name) != name:
            raise SplitError(
                f"{path}, row {number}: {photo} is of '{name}', but an earlier row has it as of "
                f"'{groups[photo]}'. Keep one of the rows."
            )
    if unknown := [photo for photo in groups if photo not in known]:
        raise SplitError(
            f"The table of groups {path} lists {len(groups):,} photos, among them "
            f"{len(unknown):,} not in {catalog.root} ({some(unknown)}). Paths are relative to the "
            "folder of photos, as in cat/1.jpg. Correct them, or take the rows out."
        )
    return groups


def _read_table(path: Path, *, column: str) -> list[tuple[int, str, str]]:
    """Return row number, cell of the path and group of each row."""
    table = _open_table(path)
    wanted = column.strip().lower()
    for name in (PATH, wanted):
        if name not in table.columns:
            raise SplitError(
                f"The table of groups {path} has no column '{name}'."
                f"{nearest_spelling(name, table.columns)} Its first line names: "
                f"{_named(table.columns)}."
            )
    return [(number, cells[PATH], cells[wanted].strip()) for number, cells in table.rows()]


def _open_table(path: Path) -> PhotoTable:
    if not path.exists():
        beside = [file.name for file in path.parent.glob("*.csv")]
        raise SplitError(
            f"There is no table of groups {path}.{nearest_spelling(path.name, beside)} Give "
            "split.group_by as FILE.csv:COLUMN."
        )
    return read_photo_table(path, what="table of groups", error=SplitError)


def _columns_of(path: Path) -> str:
    return f" Its first line names: {_named(_open_table(path).columns)}." if path.is_file() else ""


def _require_useful(groups: Mapping[str, str], *, spec: str, catalog: Catalog) -> None:
    if not catalog.usable:
        return
    example = catalog.usable[0].path
    if not groups:
        raise SplitError(
            f"split.group_by is '{spec}', which gives no photo a group. Paths look like "
            f"'{example}', relative to the folder of photos."
        )
    if len(groups) == len(catalog.usable) and len(set(groups.values())) == 1:
        raise SplitError(
            f"split.group_by is '{spec}', which puts all photos into one group, "
            f"'{groups[example]}', so that they cannot be divided. Paths look like '{example}'; "
            "name what differs between groups."
        )


def _named(columns: Sequence[str]) -> str:
    return listed(columns, most=_COLUMNS_SHOWN) or "nothing"
