"""The record of a run: true however the run ends, and going on where it was stopped."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fieldmark import __version__
from fieldmark.base import run_record
from fieldmark.base.errors import DataError
from fieldmark.base.run_folder import SCHEMA_VERSION, RunFolder
from fieldmark.base.run_record import (
    RunRecord,
    peak_memory_mib,
    recorded_call,
    recorded_run,
    resume_command,
)
from fieldmark.base.stopping import Stopped


def record_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    return content


# Recorded


def test_a_run_that_goes_on_says_so(tmp_path: Path) -> None:
    with recorded_run(RunFolder(tmp_path), command="fieldmark train p", photos=tmp_path):
        content = record_of(tmp_path)
    assert content["status"] == "running"
    assert content["ended"] is None
    assert content["error"] is None


def test_a_finished_run_says_how_it_was_made(tmp_path: Path) -> None:
    with recorded_run(RunFolder(tmp_path), command="fieldmark train p", photos=tmp_path) as record:
        record.values["strategy"] = "probe"
        record.warnings.append("few photos")
        with record.stage("catalog"):
            pass
    content = record_of(tmp_path)
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["fieldmark_version"] == __version__
    assert content["command"] == "fieldmark train p"
    assert content["photos"] == str(tmp_path)
    assert content["status"] == "finished"
    assert content["error"] is None
    assert content["strategy"] == "probe"
    assert content["warnings"] == ["few photos"]
    assert [stage["name"] for stage in content["stages"]] == ["catalog"]
    assert {"python", "torch", "timm", "numpy"} <= set(content["versions"])


def test_times_have_their_zone_and_stand_in_order(tmp_path: Path) -> None:
    with recorded_run(RunFolder(tmp_path), command="", photos=tmp_path):
        pass
    content = record_of(tmp_path)
    started, ended = (datetime.fromisoformat(content[key]) for key in ("started", "ended"))
    assert started.utcoffset() is not None
    assert started <= ended
    assert content["seconds"] == pytest.approx((ended - started).total_seconds(), abs=0.1)


def test_what_the_user_can_put_right_is_recorded_as_it_was_said(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError),
        recorded_run(RunFolder(tmp_path), command="", photos=tmp_path) as record,
        record.stage("catalog"),
    ):
        raise DataError("No photos here.")
    content = record_of(tmp_path)
    assert (content["status"], content["error"]) == ("failed", "No photos here.")
    assert [stage["name"] for stage in content["stages"]] == ["catalog"]
    assert content["ended"] is not None


def test_a_defect_is_recorded_with_its_kind(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        recorded_run(RunFolder(tmp_path), command="", photos=tmp_path),
    ):
        raise ZeroDivisionError("division by zero")
    content = record_of(tmp_path)
    assert content["status"] == "failed"
    assert content["error"] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("stop", "told"),
    [
        (KeyboardInterrupt(), "interrupted from the keyboard"),
        (Stopped("stopped by SIGTERM in epoch 3"), "stopped by SIGTERM in epoch 3"),
    ],
)
def test_an_interrupted_run_says_so(tmp_path: Path, stop: BaseException, told: str) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        recorded_run(RunFolder(tmp_path), command="", photos=tmp_path),
    ):
        raise stop
    content = record_of(tmp_path)
    assert (content["status"], content["error"]) == ("interrupted", told)


def test_what_is_known_from_the_start_is_recorded_from_the_start(tmp_path: Path) -> None:
    values = {"split_file": None, "recipe": "quick"}
    with recorded_run(RunFolder(tmp_path), command="", photos=tmp_path, values=values):
        assert values.items() <= record_of(tmp_path).items()


def test_where_nothing_can_be_written_any_more_the_first_error_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def fail() -> None:
        with recorded_run(RunFolder(tmp_path), command="", photos=tmp_path):
            monkeypatch.setattr(run_record, "write_json", full)
            raise DataError("No photos here.")

    with pytest.raises(DataError, match=r"No photos here\."):
        fail()
    assert record_of(tmp_path)["status"] == "running"


def test_a_failure_after_the_run_called_itself_finished_still_counts(tmp_path: Path) -> None:
    # The report needs a finished run, so the status is set before it is written.
    def fail_late(record: RunRecord) -> None:
        record.status = "finished"
        raise DataError("No report.")

    with (
        pytest.raises(DataError),
        recorded_run(RunFolder(tmp_path), command="", photos=tmp_path) as record,
    ):
        fail_late(record)
    assert record_of(tmp_path)["status"] == "failed"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({}, "fieldmark.train('photos')"),
        (
            {"recipe": "quick", "out": None, "overrides": []},
            "fieldmark.train('photos', recipe='quick')",
        ),
        (
            {"out": Path("run"), "overrides": ["a.b=1"]},
            "fieldmark.train('photos', out='run', overrides=['a.b=1'])",
        ),
    ],
)
def test_a_call_is_recorded_without_what_was_left_out(
    named: dict[str, object], expected: str
) -> None:
    assert recorded_call("train", Path("photos"), **named) == expected


def test_peak_memory_is_that_of_a_python_process() -> None:
    peak = peak_memory_mib()
    assert peak is None or 5 < peak < 1_000_000


def test_the_command_that_goes_on_can_be_pasted_into_a_shell() -> None:
    assert resume_command(Path("my photos"), "runs/run-001") == (
        "fieldmark train 'my photos' --out runs/run-001 --resume"
    )


# Gone on with

EARLIER = {
    "schema_version": 1,
    "command": "fieldmark train p --recipe finetune",
    "photos": "/old/place",
    "status": "interrupted",
    "error": "stopped by SIGTERM",
    "started": "2026-01-02T03:04:05+00:00",
    "ended": "2026-01-02T04:04:05+00:00",
    "seconds": 3600.0,
    "stages": [{"name": "catalog", "seconds": 12.0}],
    "versions": {"torch": "1.0"},
    "warnings": ["few photos"],
    "peak_memory_mib": 10**7,
    "recipe": "finetune",
    "splits": {"train": 7},
}


def test_a_run_that_goes_on_keeps_what_was_and_counts_on(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    with recorded_run(
        RunFolder(tmp_path), command="other", photos=tmp_path, earlier=EARLIER
    ) as record:
        content = record_of(tmp_path)
        assert (content["status"], content["error"], content["ended"]) == ("running", None, None)
        with record.stage("catalog"):
            pass
        record.warnings += ["few photos", "odd photos"]
    content = record_of(tmp_path)
    for key in ("command", "started", "recipe", "splits"):
        assert content[key] == EARLIER[key]
    assert content["photos"] == str(tmp_path)
    assert content["versions"]["torch"] != "1.0"
    assert [stage["name"] for stage in content["stages"]] == ["catalog", "catalog"]
    assert content["warnings"] == ["few photos", "odd photos"]
    assert content["seconds"] == pytest.approx(3600, abs=5)
    assert content["peak_memory_mib"] in (None, 10**7)
    (resumed,) = content["resumed"]
    assert began <= datetime.fromisoformat(resumed) <= datetime.now(UTC)


def test_each_time_that_a_run_goes_on_is_listed(tmp_path: Path) -> None:
    with recorded_run(RunFolder(tmp_path), command="c", photos=tmp_path):
        pass
    assert record_of(tmp_path)["resumed"] == []
    for count in (1, 2):
        earlier = record_of(tmp_path)
        with recorded_run(RunFolder(tmp_path), command="c", photos=tmp_path, earlier=earlier):
            pass
        assert len(record_of(tmp_path)["resumed"]) == count


@pytest.mark.parametrize("earlier", [{}, {"started": None, "seconds": None, "stages": None}])
def test_a_record_with_gaps_can_be_gone_on_from(tmp_path: Path, earlier: dict[str, Any]) -> None:
    with recorded_run(RunFolder(tmp_path), command="c", photos=tmp_path, earlier=earlier):
        pass
    assert record_of(tmp_path)["command"] == "c"
