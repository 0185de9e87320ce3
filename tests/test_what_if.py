"""What the accuracy would have been otherwise, with numbers worked out by hand."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark import what_if
from fieldmark.audit.duplicates import Duplicates
from fieldmark.collect import Collected, Gathered, Given
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.split_table import SplitRow, Splits
from fieldmark.data.splits import SplitConfig
from fieldmark.evaluation.comparisons import Comparisons, NaiveSplit
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.stages import Embedded

L2 = 1e-4


def row(path: str, *, content: str = "", split: str | None = None) -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=4,
        height=3,
        num_bytes=9,
        sha256=hashlib.sha256((content or path).encode()).hexdigest(),
        status="used",
        reason="",
        layout_split=split,
    )


def splits_of(sides: Mapping[str, str], catalog: Catalog) -> Splits:
    rows = {one.path: one for one in catalog.usable}
    return Splits(
        rows=tuple(
            SplitRow(
                path=path, label=rows[path].label, split=sides[path], group=rows[path].sha256[:12]
            )
            for path in sorted(sides)
            if path in rows
        )
    )


def collect(
    sides: Mapping[str, str],
    *,
    together: Sequence[tuple[str, ...]] = (),
    given_by_folder: bool = False,
) -> Collected:
    """Return photos on these sides, some of which belong together."""
    catalog = Catalog(
        root=Path("photos"),
        rows=tuple(
            row(path, split=sides[path] if given_by_folder else None) for path in sorted(sides)
        ),
    )
    gathered = Gathered(
        before=catalog,
        catalog=catalog,
        changes=(),
        store=None,
        cues={},
        duplicates=Duplicates(exact=(), near=(), groups=tuple(together)),
    )
    return Collected(gathered=gathered, catalog=catalog, splits=splits_of(sides, catalog))


def embed(features: Mapping[str, Sequence[float]]) -> Embedded:
    return Embedded(
        positions={path: place for place, path in enumerate(features)},
        features_MF=np.array(list(features.values()), dtype=np.float32),
        key="by hand",
    )


def predictions_of(sides: Mapping[str, str], wrong: Sequence[str] = ()) -> Predictions:
    """Return predictions that name all photos right but these."""
    classes = tuple(sorted({path.partition("/")[0] for path in sides}))
    labels_N = np.array([classes.index(path.partition("/")[0]) for path in sides])
    named_N = [(label + (path in wrong)) % 2 for path, label in zip(sides, labels_N, strict=True)]
    return Predictions(
        paths=tuple(sides),
        splits=np.array(list(sides.values())),
        labels_N=labels_N,
        classes=classes,
        logits_NC=np.eye(len(classes), dtype=np.float32)[named_N],
    )


def compare(
    collected: Collected,
    features: Mapping[str, Sequence[float]] | None,
    *,
    predictions: Predictions | None = None,
    config: SplitConfig | None = None,
) -> Comparisons:
    return what_if.compare(
        collected,
        embed(features) if features is not None else None,
        predictions or predictions_of(collected.splits.sides()),
        config=config or SplitConfig(),
        given=Given(),
        l2=L2,
    )


# Two classes on a line, and one photo of a class that looks like the other: it is named right only
# by who has seen its copy, since nothing else has their second feature.
SIDES = {
    "a/1": "train",
    "a/2": "train",
    "a/3": "validation",
    "a/4": "test",
    "a/odd": "test",
    "a/odd copy": "test",
    "b/1": "train",
    "b/2": "train",
    "b/3": "validation",
    "b/4": "test",
}
FEATURES = {path: ((1.0 if path[0] == "b" else -1.0), 0.0) for path in SIDES} | {
    "a/odd": (1.0, 1.0),
    "a/odd copy": (1.0, 1.0),
}
ODD = ("a/odd", "a/odd copy")


# A naive split


@pytest.fixture
def naive_sides(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The sides of the naive split; change them before the comparison."""
    sides = dict(SIDES) | {"a/odd copy": "train"}

    def naive(catalog: Catalog, config: SplitConfig, **_: Any) -> Splits:
        return splits_of(sides, catalog)

    monkeypatch.setattr(what_if, "naive_splits", naive)
    return sides


@pytest.mark.usefixtures("naive_sides")
def test_a_naive_split_is_measured_against_the_clean_one() -> None:
    found = compare(collect(SIDES, together=[ODD]), FEATURES).naive_split
    assert found == NaiveSplit(
        clean=wilson_interval(2, 4),
        naive=wilson_interval(3, 3),
        num_leaks=1,
        num_test_clean=4,
        num_test_naive=3,
        method=(
            "Both figures are of a linear head on frozen features, fitted with the same strength "
            "(0.0001) on training and validation photos."
        ),
    )


def test_without_validation_photos_the_method_speaks_of_training_photos_alone(
    naive_sides: dict[str, str],
) -> None:
    gone = ("a/3", "b/3")
    for path in gone:
        naive_sides[path] = "train"
    sides = SIDES | dict.fromkeys(gone, "train")
    config = SplitConfig(validation=0)
    found = compare(collect(sides, together=[ODD]), FEATURES, config=config).naive_split
    assert found is not None
    assert (found.clean, found.naive) == (wilson_interval(2, 4), wilson_interval(3, 3))
    assert found.method.endswith("fitted with the same strength (0.0001) on training photos.")


def test_validation_counts_as_learned_from(naive_sides: dict[str, str]) -> None:
    naive_sides["a/odd copy"] = "validation"
    found = compare(collect(SIDES, together=[ODD]), FEATURES).naive_split
    assert found is not None
    assert (found.num_leaks, found.naive.value) == (1, 1.0)
    naive_sides |= {"a/1": "validation", "a/2": "train"}
    tied = compare(collect(SIDES, together=[("a/1", "a/2")]), FEATURES)
    assert tied.naive_split is None


@pytest.mark.usefixtures("naive_sides")
def test_there_is_no_naive_split_where_nothing_would_leak() -> None:
    assert compare(collect(SIDES), FEATURES).naive_split is None
    assert compare(collect(SIDES, together=[("a/1", "a/2")]), FEATURES).naive_split is None


@pytest.mark.usefixtures("naive_sides")
def test_groups_of_the_user_would_leak_as_copies_do() -> None:
    grouped = SplitConfig(group_by="odd")
    found = compare(collect(SIDES), FEATURES, config=grouped).naive_split
    assert found is not None
    assert found.num_leaks == 1


@pytest.mark.usefixtures("naive_sides")
def test_a_run_that_leaks_itself_is_no_clean_one() -> None:
    leaking = collect({**SIDES, "a/1": "test"}, together=[ODD, ("a/1", "a/2")])
    assert compare(leaking, FEATURES).naive_split is None


def test_there_is_no_naive_split_where_either_lacks_training_photos_of_a_class(
    naive_sides: dict[str, str],
) -> None:
    unlearned = {"b/1": "test", "b/2": "test", "b/3": "test"}
    assert compare(collect({**SIDES, **unlearned}, together=[ODD]), FEATURES).naive_split is None
    naive_sides |= unlearned
    assert compare(collect(SIDES, together=[ODD]), FEATURES).naive_split is None


def test_a_head_needs_two_classes_and_training_photos_of_each_that_is_tested() -> None:
    heads = what_if._Heads(embedded=embed(FEATURES), l2=L2)
    assert heads.right({"a/1": "a", "a/2": "a"}, {"a/4": "a"}) is None
    assert heads.right({"a/1": "a", "b/1": "b"}, {}) is None
    assert heads.right({"a/1": "a", "b/1": "b"}, {"a/4": "c"}) is None
    right_N = heads.right({"a/1": "a", "b/1": "b"}, {"a/4": "a", "a/odd": "a", "b/4": "b"})
    assert right_N is not None
    assert right_N.tolist() == [True, False, True]


def test_the_split_is_the_one_that_ignores_groups() -> None:
    # Nothing stands in for `naive_splits` here: 60 pairs of copies, of which it tears many apart.
    names = [f"{label}/{number:02d}" for label in "ab" for number in range(60)]
    pairs = [(name, f"{name} copy") for name in names]
    sides: dict[str, str] = {}
    for number, pair in enumerate(pairs):
        sides |= dict.fromkeys(pair, ("train", "train", "train", "validation", "test")[number % 5])
    features = {path: FEATURES["a/1" if path[0] == "a" else "b/1"] for path in sides}
    found = compare(collect(sides, together=pairs), features).naive_split
    assert found is not None
    # Each of about 48 test photos has its copy in training with a probability of 0.8.
    assert 25 <= found.num_leaks <= found.num_test_naive
    assert found.num_test_clean == 48
    assert (found.clean.value, found.naive.value) == (1.0, 1.0)


# A split that is given


def test_test_photos_with_a_copy_in_training_are_set_apart() -> None:
    leaking = {**SIDES, "a/odd copy": "train"}
    collected = collect(leaking, together=[ODD], given_by_folder=True)
    found = compare(
        collected,
        None,
        predictions=predictions_of(leaking, wrong=["b/4"]),
        config=SplitConfig(leaks="keep"),
    )
    assert found.naive_split is None
    assert found.labels is None
    assert found.given_split is not None
    assert (found.given_split.num_leaked, found.given_split.num_excluded) == (1, 0)
    assert found.given_split.all == wilson_interval(2, 3)
    assert found.given_split.without_leaked == wilson_interval(1, 2)


def test_a_given_split_without_leaks_has_nothing_to_set_apart() -> None:
    collected = collect(SIDES, together=[ODD], given_by_folder=True)
    assert compare(collected, None) == Comparisons()
    assert compare(collected, FEATURES) == Comparisons()


def test_what_was_left_out_of_a_given_split_is_counted() -> None:
    leaking = {**SIDES, "a/odd copy": "train"}
    collected = collect(leaking, together=[ODD], given_by_folder=True)
    collected = replace(collected, splits=replace(collected.splits, num_duplicates_excluded=7))
    found = compare(collected, None, predictions=predictions_of(leaking)).given_split
    assert found is not None
    assert found.num_excluded == 7
