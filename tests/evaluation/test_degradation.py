"""What is counted on damaged photos, by hand; and the document that it makes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.base.errors import EvaluationError, RunError
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.degradation import DamageKind, measure
from fieldmark.evaluation.degradation_document import HEADER, Degradation, read_degradation
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions

CLASSES = ("cat", "dog", "eel")


def kind(key: str, *amounts: float) -> DamageKind:
    return DamageKind(
        key=key,
        title=key.capitalize(),
        what="something is done",
        source="by hand",
        amounts=amounts,
        told=tuple(f"{amount:g} of it" for amount in amounts),
    )


FOG, HAIL = kind("fog", 0.1, 0.2), kind("hail", 3.0, 7.0)


def answers(named: Sequence[int], *, labels: Sequence[int], sure: float = 4.0) -> Predictions:
    """Predictions in which each photo is named as said; 2 classes of 3 have photos."""
    logits_NC = np.zeros((len(labels), len(CLASSES)), dtype=np.float32)
    logits_NC[np.arange(len(labels)), list(named)] = sure
    return Predictions(
        paths=tuple(f"{place}.png" for place in range(len(labels))),
        splits=np.array(["test"] * len(labels)),
        labels_N=np.array(labels, dtype=np.int64),
        classes=CLASSES,
        logits_NC=logits_NC,
    )


LABELS = (0, 0, 0, 0, 1, 1)


def measured(*named: Sequence[int], groups: dict[str, str] | None = None) -> Degradation:
    """Undamaged, then fog at both strengths, then hail at both."""
    undamaged, *damaged = (answers(one, labels=LABELS) for one in named)
    return measure(
        undamaged,
        {"fog": damaged[:2], "hail": damaged[2:]},
        kinds=(FOG, HAIL),
        digests={path: f"{place:064x}" for place, path in enumerate(undamaged.paths)},
        groups=groups,
        num_test=20,
        side_px=32,
        seed=0,
    )


@pytest.fixture(scope="module")
def found() -> Degradation:
    return measured(
        (0, 0, 0, 1, 1, 1),  # 5 of 6 right
        (0, 0, 0, 1, 1, 1),  # fog 1: the same
        (0, 0, 1, 1, 1, 1),  # fog 2: one cat less
        (0, 0, 0, 1, 0, 1),  # hail 1: one dog less
        (1, 1, 1, 1, 0, 0),  # hail 2: none
    )


def test_right_answers_are_counted_by_kind_strength_and_class(found: Degradation) -> None:
    assert found.num_of_class == {"cat": 4, "dog": 2}
    assert found.undamaged.num_right == {"cat": 3, "dog": 2}
    fog, hail = found.curves
    assert [step.num_right for step in fog.steps] == [{"cat": 3, "dog": 2}, {"cat": 2, "dog": 2}]
    assert [step.num_right for step in hail.steps] == [{"cat": 3, "dog": 1}, {"cat": 0, "dog": 0}]
    assert [(step.strength, step.amount, step.told) for step in hail.steps] == [
        (1, 3.0, "3 of it"),
        (2, 7.0, "7 of it"),
    ]


def test_what_photos_are_named_is_counted_too(found: Degradation) -> None:
    assert found.undamaged.num_named == {"cat": 3, "dog": 3}
    assert found.curves[1].steps[1].num_named == {"cat": 2, "dog": 4}


def test_accuracies_are_wilsons_and_losses_the_differences(found: Degradation) -> None:
    assert found.undamaged.accuracy == wilson_interval(5, 6)
    fog, hail = found.curves
    assert [step.accuracy for step in fog.steps] == [wilson_interval(5, 6), wilson_interval(4, 6)]
    assert [step.drop.value for step in hail.steps] == pytest.approx([1 / 6, 5 / 6])
    assert fog.drop.value == pytest.approx((0 + 1 / 6) / 2)
    assert hail.drop.value == pytest.approx((1 / 6 + 5 / 6) / 2)


def test_a_class_loses_the_mean_over_all_kinds_and_strengths(found: Degradation) -> None:
    # cat: 3 of 4 at first; then 3, 2, 3, 0. dog: 2 of 2; then 2, 2, 1, 0.
    assert found.drop_of_class["cat"].value == pytest.approx(3 / 4 - (3 + 2 + 3 + 0) / 16)
    assert found.drop_of_class["dog"].value == pytest.approx(1 - (2 + 2 + 1 + 0) / 8)
    fog, hail = found.curves
    assert found.mean_recall(hail, "dog") == pytest.approx(1 / 4)
    assert found.mean_drop(fog, "cat") == pytest.approx(3 / 4 - 5 / 8)
    assert found.weakest_class == "dog"
    assert found.weakest_class_of(fog) == "cat"
    assert found.weakest_curve.key == "hail"
    assert "eel" not in found.drop_of_class


def test_intervals_hold_the_value_and_losses_are_paired(found: Degradation) -> None:
    for curve in found.curves:
        for estimate in (curve.drop, *(step.drop for step in curve.steps)):
            assert estimate.low <= estimate.value <= estimate.high
    # The photos that are wrong anyway never count as lost, and none is gained.
    assert found.curves[1].steps[0].drop.low >= 0


def test_where_no_answer_changes_the_loss_may_still_be_more_than_nothing(
    found: Degradation,
) -> None:
    same = found.curves[0].steps[0].drop
    assert same.value == 0
    assert same.high == -same.low == wilson_interval(0, 6).high


def test_groups_are_drawn_as_a_whole() -> None:
    undamaged, worse = (0, 0, 0, 0, 1, 1), (1, 1, 1, 1, 1, 1)
    steps = (undamaged, worse, worse, worse, worse)
    alone = measured(*steps)
    together = measured(*steps, groups=dict.fromkeys(["0.png", "1.png", "2.png", "3.png"], "g"))
    assert alone.curves[0].drop.value == together.curves[0].drop.value
    assert together.curves[0].drop.high - together.curves[0].drop.low > (
        alone.curves[0].drop.high - alone.curves[0].drop.low
    )
    still = measured(*[undamaged] * 5, groups=dict.fromkeys(["0.png", "1.png", "2.png"], "g"))
    assert still.curves[0].drop.high == pytest.approx(wilson_interval(0, 4).high)
    assert still.drop_of_class["cat"].high == pytest.approx(wilson_interval(0, 2).high)


def test_a_gain_is_a_loss_below_zero() -> None:
    better = measured((1, 1, 1, 0, 1, 1), *[(0, 0, 0, 0, 1, 1)] * 4)
    assert better.curves[0].drop.value == pytest.approx(-0.5)


def test_confidence_is_the_mean_of_the_calibrated_probabilities() -> None:
    undamaged = answers(LABELS, labels=LABELS, sure=2.0)
    cooler = replace(undamaged, temperature=2.0)
    damaged = {"fog": [cooler] * 2}
    found = measure(
        cooler,
        damaged,
        kinds=(FOG,),
        digests=dict.fromkeys(cooler.paths, "ab"),
        num_test=6,
        side_px=8,
        seed=0,
    )
    expected = np.e / (np.e + 2)
    assert found.undamaged.confidence == pytest.approx(expected, abs=1e-6)
    assert found.curves[0].steps[1].confidence == pytest.approx(expected, abs=1e-6)


def test_the_same_seed_gives_the_same_numbers(found: Degradation) -> None:
    named = ((0, 0, 0, 1, 1, 1), (0, 0, 0, 1, 1, 1), (0, 0, 1, 1, 1, 1), (0, 0, 0, 1, 0, 1))
    assert measured(*named, (1, 1, 1, 1, 0, 0)) == found


def test_the_photo_shown_is_of_the_weakest_class_and_was_named_right(found: Degradation) -> None:
    assert found.sample.label == "dog"
    assert found.sample.path in {"4.png", "5.png"}
    assert found.sample.sha256 == f"{int(found.sample.path[0]):064x}"


def test_the_table_has_a_row_for_each_kind_strength_and_class(found: Degradation) -> None:
    rows = [dict(zip(HEADER, row, strict=True)) for row in found.rows()]
    assert len(rows) == (1 + 4) * 2
    assert rows[0]["kind"] == "none"
    assert rows[0]["strength"] == 0
    last = rows[-2]
    assert (last["kind"], last["strength"], last["amount"], last["label"]) == (
        "hail",
        2,
        "7",
        "cat",
    )
    assert (last["num_photos"], last["num_right"], last["recall"]) == (4, 0, 0.0)
    assert last["recall_high"] == wilson_interval(0, 4).high


def test_it_reads_back_as_it_was_written(found: Degradation, tmp_path: Path) -> None:
    assert read_degradation(tmp_path) is None
    write_json(RunFolder(tmp_path).degradation_json, found.to_json())
    assert read_degradation(tmp_path) == found


def test_a_newer_document_is_refused(found: Degradation) -> None:
    with pytest.raises(RunError, match="schema version 2"):
        Degradation.from_json({**found.to_json(), "schema_version": 2})


def test_without_photos_kinds_or_a_strength_nothing_is_measured() -> None:
    six = answers(LABELS, labels=LABELS)
    given = {"digests": {}, "num_test": 6, "side_px": 8, "seed": 0}
    with pytest.raises(EvaluationError, match="at least one photo and one kind"):
        measure(six, {}, kinds=(), **given)  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="fog has 2 strengths; predictions of 1"):
        measure(six, {"fog": [six]}, kinds=(FOG,), **given)  # type: ignore[arg-type]


def test_other_photos_are_refused() -> None:
    six = answers(LABELS, labels=LABELS)
    others = replace(six, paths=tuple(f"x{path}" for path in six.paths))
    with pytest.raises(EvaluationError, match="under fog are not those undamaged"):
        measure(
            six,
            {"fog": [six, others]},
            kinds=(FOG,),
            digests={},
            num_test=6,
            side_px=8,
            seed=0,
        )
