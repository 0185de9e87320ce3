import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier

from fieldmark.audit.folds import MIN_LEAF, NUM_TREES, fold_of, guess_out_of_fold

GROUPS = st.lists(st.text(max_size=4), min_size=1, max_size=40)


@given(groups=GROUPS, num_folds=st.integers(2, 7), seed=st.integers(0, 50))
def test_a_group_lies_in_one_fold(groups: list[str], num_folds: int, seed: int) -> None:
    folds_N = fold_of(groups, num_folds=num_folds, seed=seed)
    assert folds_N.dtype == np.int64
    assert len(set(zip(groups, folds_N.tolist(), strict=True))) == len(set(groups))
    assert set(folds_N.tolist()) <= set(range(num_folds))


@given(groups=st.lists(st.text(max_size=4), min_size=2, max_size=5, unique=True))
def test_two_groups_or_more_fill_two_folds_or_more(groups: list[str]) -> None:
    for seed in range(20):
        assert len(set(fold_of(groups, num_folds=2, seed=seed).tolist())) == 2


def test_a_fold_does_not_change_when_photos_are_added_or_put_in_another_order() -> None:
    names = [f"photo{i}" for i in range(60)]
    before = dict(zip(names, fold_of(names, num_folds=5, seed=3).tolist(), strict=True))
    grown = [*reversed(names), *(f"new{i}" for i in range(40))]
    after = dict(zip(grown, fold_of(grown, num_folds=5, seed=3).tolist(), strict=True))
    assert {name: after[name] for name in names} == before


def test_folds_are_about_equal_and_differ_by_seed() -> None:
    names = [f"photo{i}" for i in range(5000)]
    folds_N = fold_of(names, num_folds=5, seed=0)
    # A binomial count of 5,000 trials at 1/5 has a standard deviation of 28; this is 5 of them.
    assert np.abs(np.bincount(folds_N) - 1000).max() < 141
    same = (folds_N == fold_of(names, num_folds=5, seed=1)).mean()
    assert 0.15 < same < 0.25


def test_a_name_that_is_not_valid_unicode_has_a_fold() -> None:
    assert len(fold_of(["\udcff.jpg", "b.jpg"], num_folds=2, seed=0)) == 2


def test_fewer_than_two_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, met 1"):
        fold_of(["a"], num_folds=1, seed=0)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_guesses_are_those_of_the_forest_of_scikit_learn(num_classes: int) -> None:
    generator = np.random.default_rng(num_classes)
    labels_N = generator.integers(0, num_classes, size=300)
    values_ND = (labels_N[:, None] + 2 * generator.standard_normal((300, 7))).astype(np.float32)
    folds_N = np.arange(300) % 3
    (guessed_N,) = guess_out_of_fold([values_ND], labels_N, folds_N, seed=11)
    for fold in range(3):
        within_N = folds_N == fold
        forest = ExtraTreesClassifier(NUM_TREES, min_samples_leaf=MIN_LEAF, random_state=11)
        forest.fit(values_ND[~within_N], labels_N[~within_N])
        assert guessed_N[within_N].tolist() == forest.predict(values_ND[within_N]).tolist()


def test_a_class_that_the_other_folds_lack_is_never_guessed() -> None:
    labels_N = np.array([0, 3] * 20 + [1] * 10)
    folds_N = np.array([0] * 40 + [1] * 10)
    values_ND = labels_N[:, None].astype(np.float32)
    (guessed_N,) = guess_out_of_fold([values_ND], labels_N, folds_N, seed=0)
    assert set(guessed_N[:40].tolist()) == {1}
    assert set(guessed_N[40:].tolist()) <= {0, 3}


def test_trees_in_threads_leave_the_warnings_of_the_process_alone() -> None:
    generator = np.random.default_rng(0)
    labels_N = generator.integers(0, 3, size=60)
    matrices = [generator.random((60, 3), dtype=np.float32) for _ in range(8)]
    before = list(warnings.filters)
    for seed in range(5):
        guess_out_of_fold(matrices, labels_N, np.arange(60) % 5, seed=seed)
    assert list(warnings.filters) == before
