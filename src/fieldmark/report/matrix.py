"""The confusion matrix as rows of shaded cells.

In: counts, rows true and columns predicted. Out: `Matrix`, with a shade for each cell.
Not covered: its layout (see `templates/confusion.html.j2`) and its colours (`style.css`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.report.cells import cell_id

NUM_SHADES = 9
MAX_CLASSES = 60
"""Beyond this a matrix is too fine to read; the classes with the most mistakes are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: `shade` is a CSS class such as `r5` (right) or `w3` (wrong), empty for none."""

    id: str
    """Of the panel with the photos behind it, which is there unless the count is 0."""
    count: int
    shade: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """The test photos of one class; `recall` is None if there are none."""

    name: str
    cells: tuple[Cell, ...]
    recall: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The cells to show; `num_hidden` classes were left out for lack of room."""

    names: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    num_hidden: int


def confusion_rows(counts: Sequence[Sequence[int]], *, classes: Sequence[str]) -> Matrix:
    """Shade a confusion matrix; of more than 60 classes the ones with the most mistakes stay."""
    kept = _most_mistaken(counts)
    return Matrix(
        names=tuple(classes[i] for i in kept),
        rows=tuple(_row(counts[i], name=classes[i], diagonal=i, kept=kept) for i in kept),
        num_hidden=len(classes) - len(kept),
    )


def shade(count: int, *, total: int, right: bool) -> str:
    """Return the CSS class of a cell by its share of the row, or an empty string for zero.

    Mistakes go by the square root of the share: a few in a hundred must show.
    """
    if count == 0:
        return ""
    share = count / total
    level = math.ceil(NUM_SHADES * (share if right else math.sqrt(share)))
    return f"{'r' if right else 'w'}{level}"


def _row(counts: Sequence[int], *, name: str, diagonal: int, kept: Sequence[int]) -> MatrixRow:
    total = sum(counts)
    return MatrixRow(
        name=name,
        cells=tuple(
            Cell(
                id=cell_id(diagonal, j),
                count=counts[j],
                shade=shade(counts[j], total=total, right=j == diagonal),
            )
            for j in kept
        ),
        recall=counts[diagonal] / total if total else None,
    )


def _most_mistaken(counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    places = range(len(counts))
    if len(counts) <= MAX_CLASSES:
        return tuple(places)
    mistakes = [
        sum(row) + sum(other[i] for other in counts) - 2 * row[i] for i, row in enumerate(counts)
    ]
    chosen = sorted(places, key=lambda i: (-mistakes[i], i))[:MAX_CLASSES]
    return tuple(sorted(chosen))
