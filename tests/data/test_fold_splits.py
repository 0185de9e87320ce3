"""Folds: no group torn apart, every class spread evenly, every photo tested once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from fieldmark.base.errors import RecipeError, SplitError
from fieldmark.data.catalog import Catalog
from fieldmark.data.fold_splits import fold_of_groups
from fieldmark.data.splits import SplitConfig, make_splits, naive_splits
from fieldmark.data.stratify import Group

CatalogOf = Callable[..., Catalog]


def group(label: str, number: int, num_photos: int = 1) -> Group:
    return Group(digest=f"{label}-{number}", labels={label: num_photos})


def singles(**sizes: int) -> list[Group]:
    return [group(label, number) for label, size in sizes.items() for number in range(size)]


def photos_by_fold(groups: Sequence[Group], folds: Mapping[str, int]) -> dict[str, Counter[int]]:
    counted: dict[str, Counter[int]] = {}
    for one in groups:
        for label, num in one.labels.items():
            counted.setdefault(label, Counter())[folds[one.digest]] += num
    return counted


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(2, 40), min_size=1),
    st.integers(2, 7),
    st.integers(0, 2**31),
)
def test_where_photos_stand_alone_folds_differ_by_at_most_one_photo_of_a_class(
    sizes: dict[str, int], num_folds: int, seed: int
) -> None:
    groups = singles(**sizes)
    if len(groups) < num_folds:
        return
    folds = fold_of_groups(groups, num_folds=num_folds, seed=seed)
    assert set(folds.values()) == set(range(1, num_folds + 1))
    for counted in photos_by_fold(groups, folds).values():
        numbers = [counted[fold] for fold in range(1, num_folds + 1)]
        assert max(numbers) - min(numbers) <= 1


def test_the_order_of_the_groups_does_not_matter_and_the_seed_does() -> None:
    groups = singles(cat=40, dog=30)
    folds = fold_of_groups(groups, num_folds=4, seed=0)
    assert fold_of_groups(groups[::-1], num_folds=4, seed=0) == folds
    assert fold_of_groups(groups, num_folds=4, seed=1) != folds


def test_a_large_group_is_made_up_for_by_the_other_folds() -> None:
    groups = [group("cat", 100, 10), *singles(cat=20)]
    counted = photos_by_fold(groups, fold_of_groups(groups, num_folds=3, seed=0))
    assert sorted(counted["cat"].values()) == [10, 10, 10]


def test_classes_are_as_even_as_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    for _ in range(10):
        groups = [
            group(str(label), number, int(generator.geometric(0.4)))
            for label in generator.integers(0, 4, 120)
            for number in [int(generator.integers(1 << 40))]
        ]
        ours = photos_by_fold(groups, fold_of_groups(groups, num_folds=5, seed=0))
        labels = [label for one in groups for label, num in one.labels.items() for _ in range(num)]
        names = [one.digest for one in groups for num in one.labels.values() for _ in range(num)]
        theirs: dict[str, Counter[int]] = {}
        parts = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, names)
        for fold, (_, test) in enumerate(parts):
            for row in test:
                theirs.setdefault(labels[row], Counter())[fold] += 1
        assert unevenness(ours) <= unevenness(theirs) + 1


def unevenness(counted: Mapping[str, Counter[int]]) -> int:
    return max(max(of.values()) - min(of.values()) for of in counted.values())


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(SplitError, match=r"5 folds need as many groups.*form only 4"):
        fold_of_groups(singles(cat=2, dog=2), num_folds=5, seed=0)


def test_a_class_of_one_group_is_refused_by_name() -> None:
    groups = [group("cat", 0, 7), *singles(dog=9)]
    with pytest.raises(SplitError, match=r"All photos of 'cat' are of one group"):
        fold_of_groups(groups, num_folds=3, seed=0)


def test_tangled_groups_that_leave_a_class_in_one_fold_are_refused_not_hidden() -> None:
    # The four large classes draw both groups with cats to the fold that has less of them.
    large = ("dog", "fox", "owl", "elk")
    groups = [
        Group(digest="a", labels=dict.fromkeys(large, 50)),
        Group(digest="b", labels=dict.fromkeys(large, 10) | {"cat": 1}),
        Group(digest="c", labels=dict.fromkeys(large, 10) | {"cat": 1}),
    ]
    with pytest.raises(SplitError, match=r"one has all photos of 'cat'"):
        fold_of_groups(groups, num_folds=2, seed=0)


# The whole split


@pytest.fixture
def catalog(plain: CatalogOf) -> Catalog:
    return plain(cat=30, dog=30)


def split_of(catalog: Catalog, fold: int, **named: Any) -> dict[str, str]:
    together = named.pop("together", ())
    config = SplitConfig(folds=3, fold=fold, **named)
    splits, left = make_splits(catalog, config, together=together)
    assert left == catalog
    return splits.sides()


def test_each_photo_is_tested_in_exactly_one_fold(catalog: Catalog) -> None:
    together = [[f"cat/{n}.jpg", f"cat/{n + 1}.jpg"] for n in range(0, 10, 2)]
    sides = [split_of(catalog, fold, together=together) for fold in (1, 2, 3)]
    for path in (row.path for row in catalog.usable):
        assert [of[path] for of in sides].count("test") == 1
    for pair in together:
        for of in sides:
            assert of[pair[0]] == of[pair[1]]
    for of in sides:
        tested = Counter(path.split("/")[0] for path, side in of.items() if side == "test")
        assert tested == {"cat": 10, "dog": 10}
        assert set(of.values()) == {"train", "validation", "test"}


def test_not_the_same_photos_validate_in_every_fold(catalog: Catalog) -> None:
    chosen = [
        {path for path, side in split_of(catalog, fold).items() if side == "validation"}
        for fold in (1, 2, 3)
    ]
    assert chosen[0] & chosen[1] & chosen[2] == set()


def test_without_validation_all_but_the_fold_is_learned_from(catalog: Catalog) -> None:
    counted = Counter(split_of(catalog, 2, validation=0).values())
    assert counted == {"train": 40, "test": 20}


def test_a_careless_split_has_the_same_folds_of_photos_alone(catalog: Catalog) -> None:
    naive = naive_splits(catalog, SplitConfig(folds=3, fold=1))
    assert naive.sides() == split_of(catalog, 1)


def test_folds_of_a_split_already_made_are_refused(catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    file.write_text("path,split\ncat/0.jpg,test\n")
    config = SplitConfig(folds=3, fold=1)
    with pytest.raises(SplitError, match=r"split\.csv says which photos are tested"):
        make_splits(catalog, config, split_file=file)
    rows = (replace(catalog.rows[0], layout_split="test"), *catalog.rows[1:])
    with pytest.raises(SplitError, match=r"divide the photos already \(cat/0\.jpg is a test"):
        make_splits(replace(catalog, rows=rows), config)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"folds": 3}, "give both"),
        ({"fold": 1}, "give both"),
        ({"folds": 1, "fold": 1}, "from 2 to 50"),
        ({"folds": 51, "fold": 1}, "from 2 to 50"),
        ({"folds": 3, "fold": 4}, "from 1 to 3"),
        ({"folds": 3, "fold": 0}, "from 1 to 3"),
        ({"folds": 2.0, "fold": 1}, "from 2 to 50"),
        ({"folds": True, "fold": 1}, "from 2 to 50"),
    ],
)
def test_folds_that_cannot_be_are_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        SplitConfig(**asked)
