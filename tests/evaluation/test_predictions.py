import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation.predictions import (
    SPLITS,
    Predictions,
    read_predictions,
    write_predictions,
)


def make(**changes: Any) -> Predictions:
    values: dict[str, Any] = {
        "paths": ("a/1.jpg", "b/2.jpg", "b/3.jpg"),
        "splits": np.array(["test", "test", "train"]),
        "labels_N": np.array([0, 1, 1]),
        "classes": ("a", "b"),
        "logits_NC": np.array([[2.0, 0.0], [1.0, 1.0], [-1.0, 3.0]], dtype=np.float32),
    }
    return Predictions(**(values | changes))


def assert_same(first: Predictions, second: Predictions) -> None:
    assert first.paths == second.paths
    assert first.classes == second.classes
    for name in ("splits", "labels_N", "logits_NC"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), strict=True)


def test_a_temperature_divides_the_logits_and_leaves_the_answers() -> None:
    cool = make(temperature=0.5)
    np.testing.assert_allclose(
        cool.probabilities_NC[0], [np.e**4 / (np.e**4 + 1), 1 / (np.e**4 + 1)]
    )
    np.testing.assert_array_equal(cool.predicted_N, make().predicted_N)
    np.testing.assert_array_equal(cool.logits_NC, make().logits_NC)
    assert cool.of_split("test").temperature == 0.5
    assert cool.take(np.array([False, True, False])).temperature == 0.5


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_over_zero(temperature: float) -> None:
    with pytest.raises(EvaluationError, match="the temperature must be over 0"):
        make(temperature=temperature)


def test_the_table_has_calibrated_confidence_beside_logits_as_they_were(tmp_path: Path) -> None:
    path, cool = tmp_path / "predictions.csv", make(temperature=0.5)
    write_predictions(path, cool)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["confidence"]) for row in rows] == cool.confidence_N.tolist()
    assert float(rows[0]["logit:a"]) == 2.0
    assert_same(read_predictions(path), make())
    assert read_predictions(path, temperature=0.5).temperature == 0.5


def test_taking_no_image_leaves_an_empty_table() -> None:
    assert make().take(np.zeros(3, dtype=np.bool_)).num_images == 0


# Surrogates are no characters; the rest of Unicode may stand in a file name or a class.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
awkward = st.sampled_from(
    ["a,b", 'say "x"', "Icon\r", "two\nlines", " ", "", "löwe", "花", "'=1", "\0"]
)
names = st.one_of(texts, awkward)


@st.composite
def tables(draw: st.DrawFn) -> Predictions:
    classes = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    paths = draw(st.lists(names, max_size=5, unique=True))
    shape = (len(paths), len(classes))
    return Predictions(
        paths=tuple(paths),
        splits=np.array([draw(st.sampled_from(SPLITS)) for _ in paths], dtype="<U10"),
        labels_N=np.array([draw(st.integers(0, len(classes) - 1)) for _ in paths], dtype=np.int64),
        classes=tuple(classes),
        logits_NC=draw(
            hnp.arrays(
                np.float32,
                shape,
                elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
            )
        ),
    )


@settings(max_examples=150)
@given(table=tables())
def test_a_written_table_reads_back_exactly(
    table: Predictions, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    write_predictions(path, table)
    again = read_predictions(path)
    assert again.paths == table.paths
    assert again.classes == table.classes
    assert again.splits.tolist() == table.splits.tolist()
    np.testing.assert_array_equal(again.labels_N, table.labels_N, strict=True)
    assert again.logits_NC.tobytes() == table.logits_NC.tobytes()


def test_the_file_has_one_readable_row_an_image(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make(logits_NC=np.array([[0.1, 0], [0, 0], [0, 1e-7]], np.float32)))
    lines = path.read_bytes().decode().split("\n")
    assert lines[0] == "path,split,label,predicted,confidence,logit:a,logit:b"
    assert lines[1].startswith("a/1.jpg,test,a,a,0.52497918")
    assert lines[1].endswith(",0.1,0.0")
    assert lines[2] == "b/2.jpg,test,b,a,0.5,0.0,0.0"
    assert lines[3].endswith(",0.0,1e-07")
    assert lines[4:] == [""]


def test_a_row_survives_class_names_with_commas_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make(classes=('oak, "old"', "Ähre")))
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == ['oak, "old"', "Ähre", "Ähre"]
    assert rows[2]["logit:Ähre"] == "3.0"


def test_what_is_predicted_is_recomputed_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make())
    text = path.read_text(encoding="utf-8").replace("a/1.jpg,test,a,a,", "a/1.jpg,test,a,b,")
    path.write_text(text, encoding="utf-8")
    assert read_predictions(path).predicted_N.tolist() == [0, 0, 1]


def test_the_first_of_equal_logits_is_predicted() -> None:
    predictions = make()
    assert predictions.predicted_N.tolist() == [0, 0, 1]
    assert predictions.predicted_N.dtype == np.int64
    assert predictions.confidence_N[1] == 0.5


def test_probabilities_are_a_float64_softmax() -> None:
    predictions = make()
    odds_N = np.exp([-2.0, 0.0, 4.0])
    np.testing.assert_allclose(
        predictions.probabilities_NC[:, 1], odds_N / (1 + odds_N), rtol=1e-14
    )
    assert predictions.probabilities_NC.dtype == np.float64
    np.testing.assert_array_equal(
        predictions.confidence_N, predictions.probabilities_NC.max(axis=1)
    )


def test_a_split_keeps_its_images_in_order() -> None:
    test = make(splits=np.array(["test", "train", "test"])).of_split("test")
    assert test.paths == ("a/1.jpg", "b/3.jpg")
    assert test.labels_N.tolist() == [0, 1]
    assert test.logits_NC.tolist() == [[2.0, 0.0], [-1.0, 3.0]]
    assert test.num_images == 2


def test_a_split_without_images_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(
        EvaluationError, match=r"validation split \(splits with images: test, train"
    ):
        make().of_split("validation")


def test_a_misspelt_split_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(EvaluationError, match=r"'tset'.*Did you mean 'test'"):
        make().of_split("tset")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels_N": np.array([0, 2, 1])}, "label of 'b/2.jpg' must be .* 0 to 1, met 2"),
        ({"labels_N": np.array([-1, 0, 1])}, "label of 'a/1.jpg' must be .* 0 to 1, met -1"),
        ({"labels_N": np.array([0.0, 1.0, 1.0])}, "labels must be indices .* met float64"),
        ({"labels_N": np.array([0, 1])}, r"labels_N must have shape \(3,\).*met \(2,\)"),
        ({"splits": np.array(["test"])}, r"splits must have shape \(3,\).*met \(1,\)"),
        ({"splits": np.array(["test", "dev", "test"])}, "'b/2.jpg': unknown split 'dev'"),
        ({"logits_NC": np.zeros((3, 3))}, r"logits_NC must have shape \(3, 2\).*met \(3, 3\)"),
        ({"logits_NC": np.zeros(6)}, r"logits_NC must have shape \(3, 2\).*met \(6,\)"),
        ({"paths": ("x", "y", "x")}, "path 'x' occurs twice"),
        ({"paths": ("x", "y", "z\udcff")}, "path .*udcff.* not valid Unicode"),
        ({"classes": ("a", "a")}, "class 'a' occurs twice"),
        ({"classes": ("a",)}, "at least two classes"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        make(**changes)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_logit_that_is_not_finite_is_refused_with_its_image_and_class(value: float) -> None:
    logits_NC = np.zeros((3, 2))
    logits_NC[2, 1] = value
    with pytest.raises(EvaluationError, match=r"logit of 'b/3.jpg' for class 'b' is (nan|-?inf)"):
        make(logits_NC=logits_NC)


def test_logits_and_labels_of_other_widths_are_converted() -> None:
    predictions = make(
        logits_NC=np.full((3, 2), 0.1, dtype=np.float64), labels_N=np.array([0, 1, 1], np.uint8)
    )
    assert predictions.logits_NC.dtype == np.float32
    assert predictions.labels_N.dtype == np.int64


def test_a_table_without_rows_reads_back_and_has_no_splits(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("path,split,label,predicted,confidence,logit:a,logit:b\n", encoding="utf-8")
    empty = read_predictions(path)
    assert (empty.num_images, empty.classes, empty.logits_NC.shape) == (0, ("a", "b"), (0, 2))
    with pytest.raises(EvaluationError, match="splits with images: none"):
        empty.of_split("test")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a/1.jpg,test,a,a,1,0,0", "path 'a/1.jpg' occurs twice"),
        ("b/9.jpg,dev,a,a,1,0,0", "'b/9.jpg': unknown split 'dev'"),
        ("b/9.jpg,test,a,a,1,0,1e39", "logit of 'b/9.jpg' for class 'b' is inf"),
    ],
)
def test_rows_that_do_not_fit_each_other_are_refused_with_the_file(
    row: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make())
    with path.open("a", encoding="utf-8") as stream:
        stream.write(row + "\n")
    with pytest.raises(EvaluationError, match=f"predictions.csv: .*{message}"):
        read_predictions(path)


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run" / "predictions.csv"
    write_predictions(path, make())
    write_predictions(path, make(classes=("c", "d")))
    assert read_predictions(path).classes == ("c", "d")
    assert_same(
        read_predictions(path), make(classes=("c", "d"), splits=make().splits.astype("<U5"))
    )
    assert [file.name for file in path.parent.iterdir()] == ["predictions.csv"]


def test_the_score_for_unfamiliar_images_is_kept_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    scores_N = np.array([0.1 + 0.2, -1e-17, 3.0])
    write_predictions(path, make(unfamiliarity_N=scores_N))
    assert path.read_text("utf-8").startswith(
        "path,split,label,predicted,confidence,unfamiliarity,logit:a"
    )
    read = read_predictions(path)
    assert read.unfamiliarity_N is not None
    np.testing.assert_array_equal(read.unfamiliarity_N, scores_N)
    taken = read.take(np.array([True, False, True]))
    assert taken.unfamiliarity_N is not None
    np.testing.assert_array_equal(taken.unfamiliarity_N, scores_N[[0, 2]])


def test_a_file_with_a_score_missing_has_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, make(unfamiliarity_N=np.array([0.5, 1.25, 2.0])))
    path.write_text(path.read_text("utf-8").replace(",1.25,", ",,"), "utf-8")
    assert read_predictions(path).unfamiliarity_N is None


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, 2.0, np.inf]])
def test_scores_that_are_too_few_or_not_finite_are_refused(scores: list[float]) -> None:
    with pytest.raises(EvaluationError, match="unfamiliarity"):
        make(unfamiliarity_N=np.array(scores))
