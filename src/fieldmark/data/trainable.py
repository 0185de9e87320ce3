"""Whether a classifier can be trained on a catalog at all, asked before anything slow begins.

In: a catalog. Out: nothing, or one `DataError` that names everything in the way.
Not covered: whether the result will be any good.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from fieldmark.base.counting import listed
from fieldmark.base.errors import DataError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.layout import NO_CLASS, has_image_name

MIN_CLASSES = 2
MIN_PHOTOS_PER_CLASS = 2
"""One to learn from and one to test with."""

_REASONS_SHOWN = 3
_CLASSES_SHOWN = 10


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
            [f"'{name}' ({_tally(rows)})" for name, rows in dead.items()], most=_CLASSES_SHOWN
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
    text = f"No usable photo in {catalog.root}"
    if not catalog.rows:
        return f"{text}: the folder is empty. {_HOW}"
    loose = [row for row in catalog.rows if row.reason == NO_CLASS and has_image_name(row.path)]
    if loose:
        text += f": {len(loose):,} photos lie in no class folder, such as {loose[0].path}"
    else:
        text += f", though {len(catalog.rows):,} files were met: {_tally(catalog.rows)}"
    return f"{text}. {_HOW}"


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
    return f" (and left out: {_tally(left_out)})" if left_out else ""


def _tally(rows: Iterable[CatalogRow]) -> str:
    reasons = Counter(row.reason for row in rows).most_common()
    told = [f"{count:,} × {reason}" for reason, count in reasons[:_REASONS_SHOWN]]
    if more := sum(count for _, count in reasons[_REASONS_SHOWN:]):
        told.append(f"{more:,} × other reasons")
    return "; ".join(told)
