"""What `fieldmark study` ends with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.studies.trials import TrialResult
from fieldmark.terminal_study import finished_study

SPLIT = ("split.validation=0.25", "train.precision=float32", "train.epochs=2")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, photos: Path, weights: Path) -> Any:
    """A study of two settings without its final run; read only."""
    return fieldmark.study(
        photos,
        vary=("optim.lr=1e-3,1e-2",),
        seeds=2,
        weights=str(weights),
        overrides=SPLIT,
        final=False,
        out=tmp_path_factory.mktemp("studies") / "s",
    )


def test_it_says_what_was_found_and_how_to_train_the_best(study: Any, photos: Path) -> None:
    text = finished_study(study)
    assert text.startswith("4 trials, judged by 12 validation photos\n")
    assert study.analysis.headline in text
    assert f"Best        optim.lr={study.record.best.settings['optim.lr']}" in text
    assert f"fieldmark train {photos} --recipe {study.best_toml}" in text
    assert "Test" not in text


def test_files_that_were_given_are_given_again(study: Any) -> None:
    record = replace(study.record, split_file="my split.csv", labels="labels.csv")
    text = finished_study(replace(study, record=record))
    assert text.endswith("--split-file 'my split.csv' --labels labels.csv\n")


def test_failures_are_counted_and_without_a_best_nothing_is_named(study: Any) -> None:
    failed = tuple(
        replace(trial, status="failed", error="so it goes", result=None) for trial in study.trials
    )
    record = replace(study.record, best=None)
    text = finished_study(replace(study, trials=failed, record=record))
    assert text.startswith("0 trials, 4 failed")
    assert "no trial has finished" in text
    assert "--recipe" not in text


def test_a_sentence_is_said_once(study: Any) -> None:
    lines = [line for line in finished_study(study).splitlines() if line]
    assert len(lines) == len(set(lines))
    assert isinstance(study.trials[0].result, TrialResult)
