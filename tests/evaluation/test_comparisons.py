"""What a run is compared with, in and out of JSON."""

import json
from pathlib import Path

import pytest

from fieldmark.base.errors import RunError
from fieldmark.evaluation.comparisons import (
    Comparisons,
    GivenSplit,
    LabelChange,
    LabelComparison,
    NaiveSplit,
    read_comparisons,
    write_comparisons,
)
from fieldmark.evaluation.intervals import Estimate

LOW = Estimate(value=0.9, low=0.8, high=0.95)
HIGH = Estimate(value=0.96, low=0.9, high=1.0)
FULL = Comparisons(
    naive_split=NaiveSplit(
        clean=LOW, naive=HIGH, num_leaks=17, num_test_clean=100, num_test_naive=101, method="as is"
    ),
    given_split=GivenSplit(num_leaked=3, num_excluded=4, all=HIGH, without_leaked=LOW),
    labels=LabelComparison(
        file="labels.csv",
        num_relabelled=1,
        num_excluded=1,
        changes=(
            LabelChange(path="cat/1.jpg", label="cat", new_label="dog"),
            LabelChange(path="cat/2.jpg", label="cat", new_label=""),
        ),
        as_it_was=LOW,
        before=LOW,
        after=HIGH,
        difference=Estimate(value=0.06, low=-0.01, high=0.1),
        num_test=100,
        method="as is",
    ),
)


@pytest.mark.parametrize("comparisons", [FULL, Comparisons()])
def test_what_is_written_is_read_back(tmp_path: Path, comparisons: Comparisons) -> None:
    write_comparisons(tmp_path, comparisons)
    assert read_comparisons(tmp_path) == comparisons


def test_a_run_that_compared_nothing_has_no_file(tmp_path: Path) -> None:
    assert read_comparisons(tmp_path) == Comparisons()


def test_the_file_has_the_documented_keys() -> None:
    content = FULL.to_json()
    assert list(content) == ["schema_version", "naive_split", "given_split", "labels"]
    assert content["naive_split"]["clean"] == {"value": 0.9, "low": 0.8, "high": 0.95}
    assert content["labels"]["changes"][1] == {
        "path": "cat/2.jpg",
        "label": "cat",
        "new_label": "",
    }
    assert Comparisons().to_json() == {
        "schema_version": 1,
        "naive_split": None,
        "given_split": None,
        "labels": None,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "has no schema_version"),
        ('{"schema_version": 2}', "schema version 2"),
        ('{"schema_version": 1, "labels": null}', "there is no naive_split, given_split"),
        (json.dumps({**FULL.to_json(), "naive_split": 3}), "naive_split: expected dict"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "comparisons.json"
    path.write_text(text)
    with pytest.raises(RunError, match=told) as error:
        read_comparisons(tmp_path)
    assert str(path) in str(error.value)
