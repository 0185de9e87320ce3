"""The nearest photos are those whose features point the same way, however long they are."""

import numpy as np
import pytest

from fieldmark.models.nearness import nearest, units

KNOWN = np.array([[1, 0], [0, 2], [3, 3], [-1, 0]], dtype=np.float32)


def test_the_nearest_come_first_with_their_cosines() -> None:
    found = nearest(units(KNOWN), np.array([10, 0], dtype=np.float32), most=3)
    assert [place for place, _ in found] == [0, 2, 1]
    assert [cosine for _, cosine in found] == pytest.approx([1, 0.5**0.5, 0], abs=1e-6)


def test_no_more_are_given_than_there_are_and_equals_stand_in_their_order() -> None:
    alike = np.ones((3, 5), dtype=np.float32)
    found = nearest(units(alike), alike[0], most=9)
    assert [place for place, _ in found] == [0, 1, 2]
    assert all(cosine <= 1 for _, cosine in found)


def test_features_without_a_length_are_like_nothing() -> None:
    nothing = np.zeros(2, dtype=np.float32)
    assert nearest(units(KNOWN), nothing, most=1) == [(0, 0.0)]
    assert not units(nothing[None]).any()
