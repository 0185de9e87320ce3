"""Whether a classifier can be trained on photos at all, asked before anything slow begins.

In: a folder, and then its catalog. Out: nothing, or one `DataError` that names everything in the
way.
Not covered: whether the result will be any good.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from fieldmark.base.counting import counted, listed
from fieldmark.base.errors import DataError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.layout import NO_CLASS, has_image_name
from fieldmark.data.walk import walk

MIN_CLASSES = 2
MIN_PHOTOS_PER_CLASS = 2
"""One to learn from and one to test with."""

_REASONS_SHOWN = 3
_CLASSES_SHOWN = 10


def require_files(root: Path) -> None:
    """Raise where a folder holds nothing that could be a photo; no file is opened.

    Raises:
        DataError: the folder is empty, or no file in it is one to open.
    """
    problems = []
    for found in walk(root):
        if not found.problem:
            return
        problems.append(found.problem)
    raise DataError(_nothing_in(root, problems))


def require_trainable(catalog: Catalog) -> None:
    """Raise where the photos do not suffice: at least two classes of at least two photos each.

    A class all of whose photos were left out on purpose, as by the labels file, is simply gone.

    Raises:
        DataError: no photo at all, one class only, classes with one usable photo, or classes none
            of whose photos is left while some could not be read.
    """
    if not catalog.usable:
        raise DataError(_no_photos(catalog))
    counts = catalog.counts()
    left_out = _left_out(catalog)
    problems = []
    if dead := {name: rows for name, rows in left_out.items() if _is_dead(name, rows, counts)}:
        told = listed(
            [f"'{name}' ({_tally_of(rows)})" for name, rows in dead.items()], most=_CLASSES_SHOWN
        )
        problems.append(
            f"No photo can be used of: {told}. Repair or replace them, or remove the folder."
        )
    if few := [name for name, count in counts.items() if count < MIN_PHOTOS_PER_CLASS]:
        told = listed(
            [f"'{name}'{_besides(left_out.get(name, []))}" for name in few], most=_CLASSES_SHOWN
        )
        problems.append(
            f"Only one usable photo of: {told}. Each class needs at least "
            f"{MIN_PHOTOS_PER_CLASS}, one to learn from and one to test with: add photos or remove "
            "the folder."
        )
    if len(counts) < MIN_CLASSES:
        (name, count), *_ = counts.items()
        problems.append(
            f"There is only one class, '{name}' with {count:,} usable photo{'s' * (count != 1)}; "
            f"a classifier tells at least {MIN_CLASSES} apart. Put the photos of each class into a "
            "folder of its own."
        )
    if problems:
        raise DataError("\n".join([f"No training on {catalog.root}:", *problems]))


def _no_photos(catalog: Catalog) -> str:
    loose = [row for row in catalog.rows if row.reason == NO_CLASS and has_image_name(row.path)]
    if not loose:
        return _nothing_in(catalog.root, [row.reason for row in catalog.rows])
    return (
        f"No usable photo in {catalog.root}: {len(loose):,} photos lie in no class folder, such as "
        f"{loose[0].path}. {_HOW}"
    )


def _nothing_in(root: Path, reasons: Sequence[str]) -> str:
    what = ": the folder is empty"
    if reasons:
        what = f", though {counted(len(reasons), 'file was', 'files were')} met: {_tally(reasons)}"
    return f"No usable photo in {root}{what}. {_HOW}"


_HOW = "Give each class a folder with its photos: photos/cat/1.jpg, photos/dog/1.jpg."


def _left_out(catalog: Catalog) -> dict[str, list[CatalogRow]]:
    """Return the photos of each class that were lost, or left out on purpose."""
    left_out: dict[str, list[CatalogRow]] = {}
    for row in catalog.rows:
        if row.is_lost_photo or (not row.is_usable and row.width is not None):
            left_out.setdefault(row.label, []).append(row)
    return left_out


def _is_dead(name: str, left_out: Sequence[CatalogRow], counts: Container[str]) -> bool:
    """Say whether a class lacks photos and nobody meant it so."""
    return bool(name) and name not in counts and all(row.is_lost_photo for row in left_out)


def _besides(left_out: Sequence[CatalogRow]) -> str:
    return f" (and left out: {_tally_of(left_out)})" if left_out else ""


def _tally_of(rows: Iterable[CatalogRow]) -> str:
    return _tally(row.reason for row in rows)


def _tally(reasons: Iterable[str]) -> str:
    counts = Counter(reasons).most_common()
    told = [f"{count:,} × {reason}" for reason, count in counts[:_REASONS_SHOWN]]
    if more := sum(count for _, count in counts[_REASONS_SHOWN:]):
        told.append(f"{more:,} × other reasons")
    return "; ".join(told)
