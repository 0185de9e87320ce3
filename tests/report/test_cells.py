"""The photos behind the cells of the confusion matrix."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.answers import Answer
from fieldmark.report.cells import (
    MAX_OF_RIGHT,
    MAX_OF_WRONG,
    CellPhotos,
    cell_id,
    cells_of,
    fair_limit,
    in_turn,
)
from fieldmark.report.entries import Photo

CLASSES = ("cat", "dog", "fox")


def answers(true: str, predicted: str, *, times: int) -> list[Answer]:
    return [
        Answer(
            photo=Photo(path=f"{true}/{predicted}{i:03d}", sha256=""),
            group="",
            true=true,
            predicted=predicted,
            confidence=0.5 + i / 1000,
            second="fox",
            second_confidence=0.1,
            odds=0.0,
        )
        for i in range(times)
    ]


def paths(cell: CellPhotos) -> list[str]:
    return [one.photo.path for one in cell.answers]


def cells(given: Sequence[Answer], **wishes: int) -> tuple[CellPhotos, ...]:
    return cells_of(given, classes=CLASSES, shown=CLASSES, **wishes)


def test_every_cell_with_photos_has_its_panel_in_the_order_of_the_matrix() -> None:
    found = cells([*answers("dog", "cat", times=2), *answers("cat", "cat", times=1)])
    assert [(cell.id, cell.count, cell.is_right) for cell in found] == [
        (cell_id(0, 0), 1, True),
        (cell_id(1, 0), 2, False),
    ]


def test_mistakes_come_most_confident_first_and_right_ones_from_the_least_sure() -> None:
    right, wrong = cells([*answers("cat", "cat", times=3), *answers("cat", "dog", times=3)])
    assert paths(right) == ["cat/cat000", "cat/cat001", "cat/cat002"]
    assert paths(wrong) == ["cat/dog002", "cat/dog001", "cat/dog000"]


def test_a_cell_of_many_shows_some_and_counts_all() -> None:
    right, wrong = cells([*answers("cat", "cat", times=300), *answers("cat", "dog", times=300)])
    assert (right.count, len(right.answers)) == (300, MAX_OF_RIGHT)
    assert (wrong.count, len(wrong.answers)) == (300, MAX_OF_WRONG)
    assert paths(right)[-1] == "cat/cat299"


def test_classes_that_the_matrix_hides_have_no_panels() -> None:
    given = [*answers("cat", "fox", times=1), *answers("cat", "dog", times=1)]
    (cell,) = cells_of(given, classes=CLASSES, shown=("cat", "dog"))
    assert cell.predicted == "dog"


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 500))
def test_a_fair_limit_is_the_largest_that_keeps_to_the_total(wanted: list[int], total: int) -> None:
    limit = fair_limit(wanted, total=total)

    def taken(num: int) -> int:
        return sum(min(num, wish) for wish in wanted)

    assert limit >= 1
    assert taken(limit) <= total or limit == 1
    assert limit == max(wanted) or taken(limit + 1) > total


def test_all_panels_together_keep_to_their_total_and_none_is_empty() -> None:
    given = [one for true in CLASSES for other in CLASSES for one in answers(true, other, times=30)]
    found = cells(given, max_in_all=40)
    assert [len(cell.answers) for cell in found] == [4] * 9


def test_pictures_are_handed_out_in_turn() -> None:
    found = cells([*answers("cat", "dog", times=3), *answers("dog", "cat", times=1)])
    order = [one.photo.path for one in in_turn(found)]
    assert order == ["cat/dog002", "dog/cat000", "cat/dog001", "cat/dog000"]
