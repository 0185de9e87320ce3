"""Groups that the user names: photos of one burst, patient or video, which no split may tear apart.

In: a regular expression, or a CSV and a column of it. Out: the group of each photo that has one.
A photo without a group stands alone. A name means the same group wherever it is met, in whichever
class: where each class counts its patients anew, the expression must take in the folder, too.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fieldmark.base.errors import SplitError, nearest_spelling
from fieldmark.data.catalog import Catalog

_TABLE = re.compile(r"(?P<file>.+?\.csv):(?P<column>.+)", re.IGNORECASE | re.DOTALL)
_PATH = "path"
_SHOWN = 3
_COLUMNS_SHOWN = 12


def read_groups(spec: str, catalog: Catalog, *, base: Path | None = None) -> dict[str, str]:
    """Return the name of the group of each usable photo that has one, by path.

    Args:
        spec: a regular expression that is searched in each path (relative to the folder of photos,
            with forward slashes): its first pair of brackets names the group, or all that it
            matches where it has none. Or `FILE.csv:COLUMN`: a CSV in UTF-8 with a column path and
            the one named. A photo that is not matched or listed, or whose name is empty, has none.
        catalog: the photos.
        base: where a relative FILE lies; None: the current folder.

    Raises:
        SplitError: the expression is not valid or matches nothing, the CSV or its column is
            missing, a line of it is not valid or lists a photo that is not there, or all photos
            fall into one group.
    """
    named = _TABLE.fullmatch(spec)
    if named:
        path = _located(named["file"], base=base)
        groups = _from_table(path, column=named["column"], catalog=catalog)
    else:
        groups = _from_expression(_compiled(spec, base=base), catalog=catalog)
    paths = {row.path for row in catalog.usable}
    groups = {path: name for path, name in groups.items() if name and path in paths}
    _require_useful(groups, spec=spec, catalog=catalog)
    return groups


def check_group_by(spec: str, *, base: Path | None = None) -> None:
    """Refuse what cannot be right for any photos, before the photos are read.

    Raises:
        SplitError: the expression is not valid, or the CSV or its column is missing.
    """
    if named := _TABLE.fullmatch(spec):
        _read_table(_located(named["file"], base=base), column=named["column"])
    else:
        _compiled(spec, base=base)


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


def _compiled(spec: str, *, base: Path | None) -> re.Pattern[str]:
    if spec.lower().endswith(".csv"):
        columns = _columns_of(_located(spec, base=base))
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
    for number, photo, name in _read_table(path, column=column):
        if groups.setdefault(photo, name) != name:
            raise SplitError(
                f"{path}, row {number}: {photo} is of '{name}', but an earlier row has it as of "
                f"'{groups[photo]}'. Keep one of the rows."
            )
    known = {row.path for row in catalog.rows}
    if unknown := [photo for photo in groups if photo not in known]:
        raise SplitError(
            f"The table of groups {path} lists {len(groups):,} photos, among them "
            f"{len(unknown):,} not in {catalog.root} ({_some(unknown)}). Paths are relative to the "
            "folder of photos, as in cat/1.jpg. Correct them, or take the rows out."
        )
    return groups


def _read_table(path: Path, *, column: str) -> list[tuple[int, str, str]]:
    """Return row number, path and group of each row."""
    header, *lines = _lines_of(path)
    names = [name.strip().lower() for name in header]
    wanted = column.strip().lower()
    for name in (_PATH, wanted):
        if name not in names:
            raise SplitError(
                f"The table of groups {path} has no column '{name}'."
                f"{nearest_spelling(name, names)} Its first line names: {_listed(header)}."
            )
    at, group_at = names.index(_PATH), names.index(wanted)
    rows = []
    for number, line in enumerate(lines, start=2):
        if line and len(line) != len(header):
            raise SplitError(
                f"{path}, row {number}: {len(line)} values where the first line names "
                f"{len(header)} columns."
            )
        if line:
            photo = line[at].strip().replace("\\", "/").removeprefix("./")
            rows.append((number, photo, line[group_at].strip()))
    return rows


def _lines_of(path: Path) -> list[list[str]]:
    """Return the lines of a CSV, at least one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.reader(stream)) or [[]]
    except FileNotFoundError:
        beside = [file.name for file in path.parent.glob("*.csv")]
        raise SplitError(
            f"There is no table of groups {path}.{nearest_spelling(path.name, beside)} Give "
            "split.group_by as FILE.csv:COLUMN."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"The table of groups {path} cannot be read: {error}.") from error


def _columns_of(path: Path) -> str:
    return f" Its first line names: {_listed(_lines_of(path)[0])}." if path.is_file() else ""


def _located(file: str, *, base: Path | None) -> Path:
    # Joined to an absolute path, the base is dropped.
    return (base or Path()) / Path(file).expanduser()


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


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _COLUMNS_SHOWN
    told = ", ".join(name.strip() for name in names[:_COLUMNS_SHOWN]) or "nothing"
    return told + (f" and {more:,} more" if more > 0 else "")


def _some(items: Iterable[str]) -> str:
    told = list(items)
    return "; ".join(told[:_SHOWN]) + ("; ..." if len(told) > _SHOWN else "")
