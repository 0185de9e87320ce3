"""The photos behind each cell of the confusion matrix.

In: the answers to the test photos. Out: `CellPhotos`, a panel for each cell that is not empty.
Not covered: the matrix itself (`matrix`), and how a cell opens its panel (`templates/`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fieldmark.report.answers import Answer, spread_out

MAX_OF_WRONG, MAX_OF_RIGHT = 48, 24
"""Photos of one cell that are shown, at most: mistakes are looked at one by one."""
MAX_IN_ALL = 600
"""Photos behind all cells together: about 2.5 MB of pictures. With more, each cell shows fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPhotos:
    """What is behind one cell."""

    id: str
    true: str
    predicted: str
    count: int
    """The test photos of the cell; at least 1."""
    answers: tuple[Answer, ...]
    """Those shown: of mistakes the most confident ones, the most confident first; of photos named
    right some of all degrees of confidence, the least sure first."""

    @property
    def is_right(self) -> bool:
        """Whether the cell stands on the diagonal."""
        return self.true == self.predicted


def cell_id(true: int, predicted: int) -> str:
    """Return the id of a cell's panel on the page, by the places of its classes."""
    return f"cell-{true}-{predicted}"


def cells_of(
    answers: Sequence[Answer],
    *,
    classes: Sequence[str],
    shown: Collection[str],
    max_in_all: int = MAX_IN_ALL,
) -> tuple[CellPhotos, ...]:
    """Return the panel of each cell that is not empty, in the order of the matrix.

    Args:
        answers: to all test photos.
        classes: all class names, in order.
        shown: those that the matrix shows.
        max_in_all: how many photos all panels may show together; each shows at least one.
    """
    behind: dict[tuple[int, int], list[Answer]] = defaultdict(list)
    index = {name: place for place, name in enumerate(classes)}
    for answer in answers:
        if answer.true in shown and answer.predicted in shown:
            behind[index[answer.true], index[answer.predicted]].append(answer)
    wanted = [min(len(photos), _most(cell)) for cell, photos in behind.items()]
    limit = fair_limit(wanted, total=max_in_all)
    return tuple(
        CellPhotos(
            id=cell_id(*cell),
            true=classes[cell[0]],
            predicted=classes[cell[1]],
            count=len(photos),
            answers=_chosen(photos, cell=cell, num=min(limit, _most(cell))),
        )
        for cell, photos in sorted(behind.items())
    )


def fair_limit(wanted: Sequence[int], *, total: int) -> int:
    """Return the largest limit under which all wishes together stay within a total; at least 1."""
    limit = max(wanted, default=1)
    while limit > 1 and sum(min(limit, wish) for wish in wanted) > total:
        limit -= 1
    return limit


def in_turn(cells: Sequence[CellPhotos]) -> Iterator[Answer]:
    """Yield the first photo of every cell, then the second ones, and so on.

    So no cell is left without a picture because another has many.
    """
    for answers in zip_longest(*(cell.answers for cell in cells)):
        yield from (answer for answer in answers if answer is not None)


def _most(cell: tuple[int, int]) -> int:
    true, predicted = cell
    return MAX_OF_RIGHT if true == predicted else MAX_OF_WRONG


def _chosen(answers: Sequence[Answer], *, cell: tuple[int, int], num: int) -> tuple[Answer, ...]:
    true, predicted = cell
    if true == predicted:
        return spread_out(answers, num=num)
    surest = sorted(answers, key=lambda one: (-one.confidence, one.photo.path))
    return tuple(surest[:num])
