"""What the accuracy would have been otherwise: with leaks, and with the labels as they were.

In: a run's photos, divided, and their features by the backbone as it comes. Out: `Comparisons`.
Both sides of a comparison are a linear head on the same features, fitted alike, so that nothing
differs but what is compared, and it takes seconds. Where the run itself is such a head, the figure
for what it did do is its own.
Not covered: what a network trained in full would have made of it.

Shapes: N photos of a split, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.duplicates import find_duplicates
from fieldmark.base.errors import SplitError
from fieldmark.collect import Collected, Given, groups_of
from fieldmark.data.groups import crossing
from fieldmark.data.split_table import TEST, VALIDATION
from fieldmark.data.splits import SplitConfig, Splits, make_splits, naive_splits
from fieldmark.evaluation.comparison import accuracy_difference
from fieldmark.evaluation.comparisons import (
    Comparisons,
    GivenSplit,
    LabelChange,
    LabelComparison,
    NaiveSplit,
)
from fieldmark.evaluation.intervals import Estimate, wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.stages import Embedded
from fieldmark.training.probe import L2_TRIED, Labelled, fit_head

DEFAULT_L2 = L2_TRIED[len(L2_TRIED) // 2]
"""Strength for runs that chose none themselves: the middle of those that a probe tries."""

METHOD = (
    "{figures} are of a linear head on frozen features, fitted with the same strength ({l2:g}) on "
    "{learned}."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """Fits heads on features and says which test photos they name right."""

    embedded: Embedded
    l2: float

    def named(self, train: Mapping[str, str], test: Mapping[str, str]) -> NDArray[np.str_] | None:
        """Return the class that each test photo is given; both map paths to labels.

        None where a class of the test photos has no training photo, or there is one class only.
        """
        classes = sorted(set(train.values()))
        if len(classes) < 2 or not test or not set(test.values()) <= set(classes):
            return None
        index = {name: number for number, name in enumerate(classes)}
        labelled = Labelled(
            features_NF=self.embedded.take(train),
            labels_N=np.array([index[label] for label in train.values()], dtype=np.int64),
        )
        head = fit_head(labelled, l2=self.l2, num_classes=len(classes))
        predicted_N = head.logits(self.embedded.take(test)).argmax(axis=1)
        named_N: NDArray[np.str_] = np.array(classes)[predicted_N]
        return named_N

    def right(self, train: Mapping[str, str], test: Mapping[str, str]) -> NDArray[np.bool_] | None:
        """Return whether each test photo is given its own class; None as in `named`."""
        named_N = self.named(train, test)
        if named_N is None:
            return None
        right_N: NDArray[np.bool_] = named_N == _in_array(test)
        return right_N


def compare(
    collected: Collected,
    embedded: Embedded | None,
    predictions: Predictions,
    *,
    config: SplitConfig,
    given: Given,
    l2: float | None,
) -> Comparisons:
    """Compare a run with what it would have been otherwise, where there is a reason to.

    Args:
        collected: the photos.
        embedded: their features; None leaves out what would have to be learned anew.
        predictions: of the run.
        config: how the photos were divided.
        given: the user's files.
        l2: the strength that the run chose, if it did.
    """
    groups = groups_of(collected.gathered, config)
    leaked = given_split(collected, predictions, groups=groups)
    if embedded is None:
        return Comparisons(given_split=leaked)
    heads = _Heads(embedded=embedded, l2=l2 or DEFAULT_L2)
    return Comparisons(
        naive_split=naive_split(collected, heads, groups=groups, config=config, given=given),
        given_split=leaked,
        labels=labels_put_right(collected, heads, config=config, given=given),
    )


def naive_split(
    collected: Collected,
    heads: _Heads,
    *,
    groups: Mapping[str, str],
    config: SplitConfig,
    given: Given,
) -> NaiveSplit | None:
    """Compare with a split that ignores copies.

    None where such a split would leak nothing, and where the run's own leaks as well.
    """
    catalog = collected.gathered.catalog
    naive = naive_splits(catalog, config, split_file=given.split_file)
    leaks = crossing(naive.sides(), groups)
    if not leaks or crossing(collected.splits.sides(), groups):
        return None
    splits = collected.splits
    clean_N = heads.right(_labels(splits, "train", "validation"), _labels(splits, "test"))
    naive_N = heads.right(_labels(naive, "train", "validation"), _labels(naive, "test"))
    if clean_N is None or naive_N is None:
        return None
    return NaiveSplit(
        clean=_accuracy(clean_N),
        naive=_accuracy(naive_N),
        num_leaks=len(leaks),
        num_test_clean=len(clean_N),
        num_test_naive=len(naive_N),
        method=_method("Both figures", splits, l2=heads.l2),
    )


def given_split(
    collected: Collected, predictions: Predictions, *, groups: Mapping[str, str]
) -> GivenSplit | None:
    """Set apart the test photos that have a copy in training, where a given split was kept so."""
    leaked = crossing(collected.splits.sides(), groups)
    if not leaked:
        return None
    test = predictions.of_split("test")
    right_N = test.predicted_N == test.labels_N
    apart_N = np.array([path not in leaked for path in test.paths])
    return GivenSplit(
        num_leaked=len(leaked),
        num_excluded=collected.splits.num_duplicates_excluded,
        all=_accuracy(right_N),
        without_leaked=_accuracy(right_N[apart_N]) if apart_N.any() else None,
    )


def labels_put_right(
    collected: Collected, heads: _Heads, *, config: SplitConfig, given: Given
) -> LabelComparison | None:
    """Compare with learning from the labels as they were, on the same photos, judged by the new.

    Photos that the labels file leaves out are learned from in the one case and not in the other;
    the test photos are those that both have.
    """
    gathered = collected.gathered
    if not gathered.changes or given.labels is None:
        return None
    old = {row.path: row.label for row in gathered.before.usable}
    new = _labels(collected.splits, "train", "validation")
    test = _labels(collected.splits, "test")
    gone = _gone_from_training(collected, config=config, given=given)
    before = {path: old[path] for path in (*new, *gone)}
    named_N, after_N = heads.named(before, test), heads.right(new, test)
    if named_N is None or after_N is None:
        return None
    before_N = named_N == _in_array(test)
    as_it_was_N = named_N == _in_array({path: old[path] for path in test})
    group_of = collected.splits.groups()
    return LabelComparison(
        file=str(given.labels),
        num_relabelled=sum(one.new_label is not None for one in gathered.changes),
        num_excluded=sum(one.new_label is None for one in gathered.changes),
        changes=tuple(
            LabelChange(path=one.path, label=one.label, new_label=one.new_label or "")
            for one in gathered.changes
        ),
        as_it_was=_accuracy(as_it_was_N),
        before=_accuracy(before_N),
        after=_accuracy(after_N),
        difference=accuracy_difference(
            before_N,
            after_N,
            groups=[group_of[path] for path in test],
            generator=np.random.default_rng(config.seed),
        ),
        num_test=len(test),
        method=_method("All figures", collected.splits, l2=heads.l2)
        + " All are of the same test photos.",
    )


def _gone_from_training(
    collected: Collected, *, config: SplitConfig, given: Given
) -> Sequence[str]:
    """Return the photos that the labels file leaves out and that would have been learned from."""
    gathered = collected.gathered
    gone = {change.path for change in gathered.changes if change.new_label is None}
    if not gone:
        return ()
    try:
        splits, _ = make_splits(
            gathered.before,
            config,
            split_file=given.split_file,
            together=find_duplicates(gathered.before, gathered.cues).groups,
        )
    except SplitError:  # without the corrections the photos could not even be divided
        return ()
    return [row.path for row in splits.rows if row.path in gone and row.split != TEST]


def _method(figures: str, splits: Splits, *, l2: float) -> str:
    has_validation = bool(splits.paths(VALIDATION))
    learned = "training and validation photos" if has_validation else "training photos"
    return METHOD.format(figures=figures, l2=l2, learned=learned)


def _labels(splits: Splits, *sides: str) -> dict[str, str]:
    return {row.path: row.label for row in splits.rows if row.split in sides}


def _in_array(labels: Mapping[str, str]) -> NDArray[np.str_]:
    return np.array(list(labels.values()))


def _accuracy(right_N: NDArray[np.bool_]) -> Estimate:
    return wilson_interval(int(right_N.sum()), len(right_N))
