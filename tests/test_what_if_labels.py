"""What the labels that were put right changed, with numbers worked out by hand."""

import hashlib
from collections.abc import Mapping, Sequence
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
from fieldmark.evaluation.comparisons import LabelComparison
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.stages import Embedded

LABELS = Given(labels=Path("labels.csv"))
L2 = 1e-4

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


def row(path: str) -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=4,
        height=3,
        num_bytes=9,
        sha256=hashlib.sha256(path.encode()).hexdigest(),
        status="used",
        reason="",
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


def collect(sides: Mapping[str, str], changes: Sequence[LabelChange]) -> Collected:
    """Return photos on these sides, with these labels put right."""
    before = Catalog(root=Path("photos"), rows=tuple(row(path) for path in sorted(sides)))
    catalog = apply_changes(before, changes)
    gathered = Gathered(
        before=before,
        catalog=catalog,
        changes=tuple(changes),
        store=None,
        cues={row.path: cues_of(row.path) for row in before.rows},
        duplicates=Duplicates(exact=(), near=(), groups=()),
    )
    return Collected(gathered=gathered, catalog=catalog, splits=splits_of(sides, catalog))


def embed(features: Mapping[str, Sequence[float]]) -> Embedded:
    return Embedded(
        positions={path: place for place, path in enumerate(features)},
        features_MF=np.array(list(features.values()), dtype=np.float32),
        key="by hand",
    )


def predictions_of(sides: Mapping[str, str]) -> Predictions:
    """Return predictions that name all photos right."""
    classes = tuple(sorted({path.partition("/")[0] for path in sides}))
    labels_N = np.array([classes.index(path.partition("/")[0]) for path in sides])
    return Predictions(
        paths=tuple(sides),
        splits=np.array(list(sides.values())),
        labels_N=labels_N,
        classes=classes,
        logits_NC=np.eye(len(classes), dtype=np.float32)[labels_N],
    )


def compare(
    collected: Collected,
    features: Mapping[str, Sequence[float]],
    *,
    given: Given = LABELS,
    l2: float | None = L2,
) -> LabelComparison | None:
    return what_if.compare(
        collected,
        embed(features),
        predictions_of(FLIPPED),
        config=SplitConfig(),
        given=given,
        l2=l2,
    ).labels


def corrected(
    changes: Sequence[LabelChange],
    features: Mapping[str, Sequence[float]] = PLACES,
    *,
    l2: float | None = L2,
) -> LabelComparison | None:
    return compare(collect(FLIPPED, changes), features, l2=l2)


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
    found = compare(collect(sides, changes), {**PLACES, "c/1": (0.0,)})
    assert found is not None
    assert (found.num_excluded, found.before) == (1, found.after)


def test_there_is_nothing_to_compare_without_a_change() -> None:
    assert corrected([]) is None
    assert compare(collect(FLIPPED, RIGHTED), PLACES, given=Given()) is None


def test_a_class_that_was_not_there_before_cannot_be_compared() -> None:
    # Every test photo of c was called b, and no training photo was called c.
    sides = {**FLIPPED, "c/1": "test"}
    moved = [LabelChange(path=f"b/{number}", label="b", new_label="c") for number in (1, 2)]
    assert compare(collect(sides, moved), {**PLACES, "c/1": (3.0,)}) is None


def test_the_strength_is_the_one_chosen_or_the_middle_of_those_tried() -> None:
    for l2, told in ((None, "(0.01)"), (0.3, "(0.3)")):
        found = corrected(RIGHTED, l2=l2)
        assert found is not None
        assert told in found.method
