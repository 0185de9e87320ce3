"""`study.json`: read as it was written, and refused where it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.studies.record import (
    Best,
    StudyFolder,
    StudyRecord,
    read_record,
    write_record,
)
from fieldmark.studies.space import Factor, Range


def record(**changes: Any) -> StudyRecord:
    values: dict[str, Any] = {
        "command": "fieldmark study photos",
        "photos": "/photos",
        "data_digest": "ab" * 32,
        "classes": ("cat", "dog"),
        "split_counts": {"train": 6, "validation": 2, "test": 2},
        "recipe_name": "quick",
        "recipe_reason": "Because.",
        "recipe": {"optim": {"lr": 1e-3}},
        "factors": (Factor(key="augment.crop_scale", values=((0.5, 1.0), (0.8, 1.0))),),
        "ranges": (Range(key="optim.lr", low=1e-5, high=1e-2, is_log=True, is_whole=False),),
        "design": "full",
        "num_settings": 2,
        "num_possible": 2,
        "seeds": (0, 1, 2),
        "replicates": "seed",
        "halving": False,
        "planned": {"network": 6},
        "engine": "local",
        "preset": None,
        "started": "2026-01-01T00:00:00+00:00",
        "versions": {"fieldmark": "1"},
    }
    return StudyRecord(**values | changes)


BEST = Best(
    settings={"augment.crop_scale": (0.5, 1.0)},
    num_trials=3,
    val_accuracy=0.9,
    val_loss=0.3,
    reason="The highest.",
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    for one in (record(), record(best=BEST, notes=("a", "b"), final="best", status="finished")):
        write_record(folder, one)
        assert read_record(folder) == one


def test_a_folder_without_one_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a study"):
        read_record(StudyFolder(tmp_path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"schema_version": 99}, "Install a newer Fieldmark"),
        ({"schema_version": None}, "no schema_version"),
        ({"unheard_of": 1}, "incomplete"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    folder = StudyFolder(tmp_path)
    folder.study_json.write_text(json.dumps(record().to_json() | change))
    with pytest.raises(RunError, match=told):
        read_record(folder)


def test_half_a_file_is_told(tmp_path: Path) -> None:
    StudyFolder(tmp_path).study_json.write_text('{"schema')
    with pytest.raises(RunError, match="cannot be read as JSON"):
        read_record(StudyFolder(tmp_path))
