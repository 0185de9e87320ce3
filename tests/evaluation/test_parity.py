"""Agreement of two models is counted photo by photo, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.evaluation.parity import (
    APART,
    TOLERANCE,
    ToRun,
    agreement,
    distance_to_run,
    measure_parity,
)
from fieldmark.evaluation.predictions import Predictions

EXPECTED = np.array([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])


def table(logits: NDArray[np.float64], labels: list[int]) -> Predictions:
    return Predictions(
        paths=tuple(f"{number}.jpg" for number in range(len(labels))),
        splits=np.array(["test"] * len(labels)),
        labels_N=np.array(labels),
        classes=("a", "b"),
        logits_NC=logits.astype(np.float32),
    )


def test_the_worst_photo_is_named_with_its_difference() -> None:
    found = EXPECTED + np.array([[0.0, 0.0], [0.02, -0.02], [-0.01, 0.01]])
    parity = agreement(EXPECTED, found, paths=("x", "y", "z"))
    assert parity.max_difference == pytest.approx(0.02)
    assert parity.worst_photo == "y"
    assert (parity.num_agreeing, parity.num_photos) == (2, 3)  # z is named b instead of a
    assert not parity.is_exact


@pytest.mark.parametrize(("by", "is_exact"), [(0.99, True), (1.01, False)])
def test_within_the_tolerance_is_exact(by: float, is_exact: bool) -> None:
    shift = np.array([[by * TOLERANCE, -by * TOLERANCE], [0, 0], [0, 0]])
    assert agreement(EXPECTED, EXPECTED + shift, paths=("x", "y", "z")).is_exact is is_exact


def test_what_is_no_number_never_agrees() -> None:
    found = EXPECTED.copy()
    found[0] = np.nan
    parity = agreement(EXPECTED, found, paths=("x", "y", "z"))
    assert parity.max_difference == 1
    assert not parity.is_exact


def test_accuracy_lost_is_the_share_named_right_before_less_after() -> None:
    """Of 8 photos 7 are right before and 5 after: a quarter is lost."""
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    before = np.array([[2.0, 0.0]] * 4 + [[0.0, 2.0]] * 3 + [[2.0, 0.0]])
    after = before.copy()
    after[:2] = after[:2, ::-1]
    first, second = table(before, labels), table(after, labels)
    parity = measure_parity(first, second, second.probabilities_NC)
    assert parity.accuracy == pytest.approx(7 / 8)
    assert parity.accuracy_lost is not None
    assert parity.accuracy_lost.value == pytest.approx(2 / 8)
    assert 0 <= parity.accuracy_lost.low < 2 / 8 < parity.accuracy_lost.high
    assert parity.num_agreeing == 6


def test_a_model_that_is_better_has_lost_less_than_nothing() -> None:
    labels = [0] * 6
    worse, better = np.array([[0.0, 1.0]] * 3 + [[1.0, 0.0]] * 3), np.array([[1.0, 0.0]] * 6)
    second = table(better, labels)
    lost = measure_parity(table(worse, labels), second, second.probabilities_NC).accuracy_lost
    assert lost is not None
    assert lost.value == pytest.approx(-0.5)


def of_shares(shares: list[float], paths: list[str], *, split: str = "test") -> Predictions:
    """Return predictions whose first class has these probabilities."""
    logits = np.log(np.array([[share, 1 - share] for share in shares]))
    return replace(
        table(logits, [0] * len(paths)), paths=tuple(paths), splits=np.array([split] * len(paths))
    )


def test_the_distance_to_the_run_is_counted_photo_by_photo_in_any_order() -> None:
    saved = of_shares([0.51, 0.9, 0.2, 0.3], ["x", "elsewhere", "y", "z"])
    found = of_shares([0.2, 0.48, 0.3 + 0.9 * APART], ["y", "x", "z"])
    said = distance_to_run(saved, found, found.probabilities_NC, precision="bfloat16")
    assert said is not None
    assert said.max_difference == pytest.approx(0.03, abs=1e-6)
    assert replace(said, max_difference=0.0) == ToRun(
        precision="bfloat16",
        num_photos=3,
        num_agreeing=2,
        num_apart=1,
        max_difference=0.0,
        worst_photo="x",
    )


def test_without_a_shared_photo_or_with_other_classes_there_is_no_distance() -> None:
    found = of_shares([0.2], ["y"])
    saved = of_shares([0.2], ["x"])
    for one in (saved, replace(found, classes=("b", "a"))):
        said = distance_to_run(one, found, found.probabilities_NC, precision="float32")
        assert said is None
