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
from fieldmark.data.cues import Cues
from fieldmark.data.label_file import LabelChange, apply_changes
from fieldmark.data.split_table import SplitRow, Splits
from fieldmark.data.splits import SplitConfig
from fieldmark.evaluation.comparisons import Comparisons, LabelComparison, NaiveSplit
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.stages import Embedded

LABELS = Given(labels=Path("labels.csv"))
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


def cues_of(path: str) -> Cues:
    """Return cues of a photo of noise, unlike every other."""
    generator = np.random.default_rng(list(path.encode()))
    return Cues(
        format="PNG",
        mode="RGB",
        camera="",
        orientation=1,
        stored_width=32,
        stored_height=32,
        brightness=127.0,
        contrast=70.0,
        sharpness=1.0,
        thumbnail_SSC=generator.integers(0, 256, (32, 32, 3), dtype=np.uint8),
    )


def collect(
    sides: Mapping[str, str],
    *,
    together: Sequence[tuple[str, ...]] = (),
    changes: Sequence[LabelChange] = (),
    given_by_folder: bool = False,
) -> Collected:
    """Return photos on these sides, some of which belong together."""
    before = Catalog(
        root=Path("photos"),
        rows=tuple(
            row(path, split=sides[path] if given_by_folder else None) for path in sorted(sides)
        ),
    )
    catalog = apply_changes(before, changes)
    gathered = Gathered(
        before=before,
        catalog=catalog,
        changes=tuple(changes),
        store=None,
        cues={row.path: cues_of(row.path) for row in before.rows},
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
    given: Given | None = None,
    l2: float | None = L2,
) -> Comparisons:
    return what_if.compare(
        collected,
        embed(features) if features is not None else None,
        predictions or predictions_of(collected.splits.sides()),
        config=config or SplitConfig(),
        given=given or Given(),
        l2=l2,
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


# Labels put right


FLIPPED = {
    **{f"a/{number}": "train" for number in range(1, 7)},
    **{f"b/{number}": "train" for number in range(1, 7)},
    "a/7": "validation",
    "b/7": "validation",
    **{f"a/{number}": "test" for number in (8, 9)},
    **{f"b/{number}": "test" for number in (8, 9)},
}
"""Photos of which a/1 to a/4 and b/8 lie in the wrong folder."""
PLACES = {path: ((1.0 if path[0] == "b" else -1.0),) for path in FLIPPED}
PLACES |= {f"a/{number}": (1.0,) for number in range(1, 5)} | {"b/8": (-1.0,)}
RIGHTED = [
    *(LabelChange(path=f"a/{number}", label="a", new_label="b") for number in range(1, 5)),
    LabelChange(path="b/8", label="b", new_label="a"),
]


def corrected(
    changes: Sequence[LabelChange], features: Mapping[str, Sequence[float]] = PLACES, **given: Any
) -> LabelComparison | None:
    collected = collect(FLIPPED, changes=changes)
    predictions = predictions_of(FLIPPED)
    return compare(collected, features, predictions=predictions, given=LABELS, **given).labels


def test_corrected_labels_are_compared_on_the_same_photos_by_what_is_true() -> None:
    # At +1 lie seven of b and four that are called a, at -1 three of a: before and after, either
    # place goes to its majority, and the test photos are named right by their corrected labels.
    found = corrected(RIGHTED)
    assert found is not None
    assert (found.num_relabelled, found.num_excluded, found.num_test) == (5, 0, 4)
    assert found.before == found.after == wilson_interval(4, 4)
    assert found.as_it_was == wilson_interval(3, 4)  # one of them was called by another name
    assert found.difference.value == 0.0


def test_what_wrong_labels_cost_is_measured() -> None:
    # Two features: what tells the classes (0), and what the wrong labels have in common with half
    # of the test photos (1). Who learned from the wrong labels names that half wrong.
    features = {path: ((1.0 if path[0] == "b" else -1.0), 0.0) for path in FLIPPED}
    features |= {f"a/{number}": (1.0, 4.0) for number in range(1, 5)}
    features |= {"b/8": (1.0, 4.0)}
    found = corrected(RIGHTED[:4], features)
    assert found is not None
    assert found.before == wilson_interval(3, 4)
    assert found.after == wilson_interval(4, 4)
    assert found.difference.value == 0.25
    assert found.difference.low <= 0.25 <= found.difference.high
    assert found.difference.low >= 0
    assert found.file == "labels.csv"
    assert found.changes[0].path == "a/1"
    assert (found.changes[0].label, found.changes[0].new_label) == ("a", "b")
    assert found.method.endswith("All are of the same test photos.")


def test_the_same_seed_gives_the_same_interval() -> None:
    assert corrected(RIGHTED) == corrected(RIGHTED)


def test_photos_left_out_were_learned_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[set[str]] = []
    named = what_if._Heads.named

    def spying(self: Any, train: Mapping[str, str], test: Mapping[str, str]) -> Any:
        learned.append(set(train))
        return named(self, train, test)

    def as_written(catalog: Catalog, config: SplitConfig, **_: Any) -> tuple[Splits, Catalog]:
        return splits_of(FLIPPED, catalog), catalog

    monkeypatch.setattr(what_if._Heads, "named", spying)
    monkeypatch.setattr(what_if, "make_splits", as_written)
    changes = [
        LabelChange(path=path, label=path[0], new_label=None) for path in ("a/1", "b/7", "b/8")
    ]
    found = corrected(changes)
    assert found is not None
    assert (found.num_relabelled, found.num_excluded, found.num_test) == (0, 3, 3)
    assert [change.new_label for change in found.changes] == ["", "", ""]
    before, after = learned
    assert before - after == {"a/1", "b/7"}  # b/8 would have been tested on
    assert after == {path for path, side in FLIPPED.items() if side != "test"} - {"a/1", "b/7"}


def test_photos_that_could_not_be_divided_before_leave_nothing_to_add() -> None:
    # Without the correction, class c has a single photo, which cannot be divided.
    sides = {**FLIPPED, "c/1": "train"}
    changes = [LabelChange(path="c/1", label="c", new_label=None)]
    collected = collect(sides, changes=changes)
    features = {**PLACES, "c/1": (0.0,)}
    predictions = predictions_of(FLIPPED)
    found = compare(collected, features, predictions=predictions, given=LABELS).labels
    assert found is not None
    assert (found.num_excluded, found.before) == (1, found.after)


def test_there_is_nothing_to_compare_without_a_change() -> None:
    assert corrected([]) is None
    collected = collect(FLIPPED, changes=RIGHTED)
    predictions = predictions_of(FLIPPED)
    assert compare(collected, PLACES, predictions=predictions).labels is None


def test_a_class_that_was_not_there_before_cannot_be_compared() -> None:
    # Every test photo of c was called b, and no training photo was called c.
    sides = {**FLIPPED, "c/1": "test"}
    moved = [LabelChange(path=f"b/{number}", label="b", new_label="c") for number in (1, 2)]
    collected = collect(sides, changes=moved)
    features = {**PLACES, "c/1": (3.0,)}
    found = compare(collected, features, predictions=predictions_of(FLIPPED), given=LABELS)
    assert found.labels is None


def test_the_strength_is_the_one_chosen_or_the_middle_of_those_tried() -> None:
    for l2, told in ((None, "(0.01)"), (0.3, "(0.3)")):
        found = corrected(RIGHTED, l2=l2)
        assert found is not None
        assert told in found.method
