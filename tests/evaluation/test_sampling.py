"""A part of the test photos that stands for all: each class by its share, the same every time."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.base.errors import DataError
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.sampling import take_sample


def predictions_of(*sizes: int) -> Predictions:
    """Predictions of so many photos of each class, the classes in turn."""
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    order = np.random.default_rng(0).permutation(len(labels))
    return Predictions(
        paths=tuple(f"{labels[place]}/{place}.png" for place in order),
        splits=np.array(["test"] * len(labels)),
        labels_N=np.array([labels[place] for place in order], dtype=np.int64),
        classes=tuple("abcdefgh"[: max(2, len(sizes))]),
        logits_NC=np.zeros((len(labels), max(2, len(sizes))), dtype=np.float32),
    )


def counts(sample: Predictions) -> dict[int, int]:
    return dict(Counter(sample.labels_N.tolist()))


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ((60, 30, 10), 10, {0: 6, 1: 3, 2: 1}),
        ((50, 50), 7, {0: 4, 1: 3}),
        ((97, 2, 1), 10, {0: 8, 1: 1, 2: 1}),
        ((3, 3), 100, {0: 3, 1: 3}),
        ((0, 4), 3, {1: 3}),
    ],
)
def test_each_class_gets_its_share_and_one_at_least(
    sizes: tuple[int, ...], most: int, expected: dict[int, int]
) -> None:
    assert counts(take_sample(predictions_of(*sizes), max_photos=most, seed=0)) == expected


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=8), spare=st.integers(0, 60))
def test_it_takes_as_many_as_it_may_and_never_more_than_there_are(
    sizes: list[int], spare: int
) -> None:
    most = len(sizes) + spare
    found = counts(take_sample(predictions_of(*sizes), max_photos=most, seed=0))
    assert sum(found.values()) == min(most, sum(sizes))
    assert all(1 <= found[label] <= size for label, size in enumerate(sizes))


def test_the_same_seed_takes_the_same_and_another_one_others() -> None:
    whole = predictions_of(40, 40)
    first, again, other = (take_sample(whole, max_photos=20, seed=seed).paths for seed in (3, 3, 4))
    assert first == again
    assert set(first) != set(other)


def test_the_photos_stay_in_their_order_with_their_logits() -> None:
    whole = predictions_of(20, 20)
    sample = take_sample(whole, max_photos=9, seed=0)
    places = [whole.paths.index(path) for path in sample.paths]
    assert places == sorted(places)
    assert (whole.labels_N[places] == sample.labels_N).all()


def test_a_larger_sample_holds_the_smaller_one() -> None:
    whole = predictions_of(40, 40)
    few, more = (take_sample(whole, max_photos=most, seed=0).paths for most in (20, 50))
    assert set(few) < set(more)


def test_fewer_photos_than_classes_are_refused() -> None:
    with pytest.raises(DataError, match=r"--max-photos is 2.*of 3 classes. Allowed: 3 or more"):
        take_sample(predictions_of(5, 5, 5), max_photos=2, seed=0)


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(DataError, match="--seed is -1; allowed: 0 or more"):
        take_sample(predictions_of(5, 5), max_photos=5, seed=-1)
