"""The shaded confusion matrix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.matrix import MAX_CLASSES, NUM_SHADES, confusion_rows, shade


def test_rows_are_true_classes_with_their_share_named_right() -> None:
    matrix = confusion_rows([[3, 1], [0, 0]], classes=["cat", "dog"])
    assert [row.name for row in matrix.rows] == ["cat", "dog"]
    assert [cell.count for cell in matrix.rows[0].cells] == [3, 1]
    assert matrix.rows[0].recall == 0.75
    assert matrix.rows[1].recall is None
    assert matrix.num_hidden == 0


def test_right_and_wrong_have_their_own_shades() -> None:
    matrix = confusion_rows([[3, 1], [0, 4]], classes=["cat", "dog"])
    assert [cell.shade for cell in matrix.rows[0].cells] == ["r7", "w5"]
    assert [cell.shade for cell in matrix.rows[1].cells] == ["", "r9"]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_a_larger_share_is_never_paler(pair: tuple[int, int]) -> None:
    count, total = pair
    for right in (True, False):
        paler, deeper = (shade(c, total=total, right=right) for c in (count, count + 1))
        assert int(paler[1:] or 0) <= int(deeper[1:])
        assert 1 <= int(deeper[1:]) <= NUM_SHADES


def test_one_mistake_in_a_thousand_still_shows() -> None:
    assert shade(1, total=1000, right=False) == "w1"


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_classes_without_mistakes_give_way_first(extra: int) -> None:
    size = MAX_CLASSES + extra
    counts = [[5 if i == j else 0 for j in range(size)] for i in range(size)]
    counts[-3][-3] = 500  # often right is no reason to stay
    counts[-1][-2] = 2
    matrix = confusion_rows(counts, classes=[f"class {i}" for i in range(size)])
    assert len(matrix.rows) == MAX_CLASSES
    assert all(len(row.cells) == MAX_CLASSES for row in matrix.rows)
    assert matrix.num_hidden == extra
    assert (f"class {size - 3}" in matrix.names) == (extra == 0)
    assert matrix.names[-2:] == (f"class {size - 2}", f"class {size - 1}")
    assert matrix.rows[-1].cells[-2].count == 2
