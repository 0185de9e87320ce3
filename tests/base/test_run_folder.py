"""The run folder: never overwritten, and a record that is true however the run ends."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fieldmark import __version__
from fieldmark.base.errors import DataError, RunError
from fieldmark.base.run_folder import (
    SCHEMA_VERSION,
    RunFolder,
    RunRecord,
    check_schema,
    create_run_folder,
    next_run_path,
    peak_memory_mib,
    read_run_json,
    recorded_call,
    recorded_run,
    require_free,
    require_place,
)


def record_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "run.json").read_text("utf-8"))
    return content


# Created


def test_a_run_folder_is_created_with_the_folders_above_it(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "a" / "b")
    assert folder.path == tmp_path / "a" / "b"
    assert folder.path.is_dir()


def test_an_empty_folder_may_become_a_run_folder(tmp_path: Path) -> None:
    assert create_run_folder(tmp_path).path == tmp_path


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("mine")
    with pytest.raises(RunError, match=r"already holds something.*another --out"):
        create_run_folder(tmp_path)
    assert (tmp_path / ".hidden").read_text() == "mine"


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunError, match="is a file"):
        create_run_folder(file)
    assert file.read_text() == "mine"


def test_a_folder_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"Cannot create .*Not a directory.*another --out"):
        create_run_folder(tmp_path / "file" / "run")


def test_asking_whether_a_place_is_free_creates_nothing(tmp_path: Path) -> None:
    require_free(tmp_path / "run")
    require_place(tmp_path / "run", photos=tmp_path / "photos")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [".", "run", "cat/run", "cat/../run"])
def test_no_place_within_the_folder_of_photos_is_accepted(tmp_path: Path, place: str) -> None:
    with pytest.raises(RunError, match="inside the folder of photos"):
        require_place(tmp_path / place, photos=tmp_path)


def test_a_link_into_the_folder_of_photos_is_seen_through(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "photos")
    with pytest.raises(RunError, match="inside the folder of photos"):
        require_place(tmp_path / "elsewhere" / "run", photos=tmp_path / "photos")


def test_a_place_whose_name_begins_like_the_folder_of_photos_is_beside_it(tmp_path: Path) -> None:
    require_place(tmp_path / "photos-run", photos=tmp_path / "photos")


def test_runs_are_numbered_and_gaps_are_filled(tmp_path: Path) -> None:
    assert next_run_path(tmp_path / "runs") == tmp_path / "runs" / "run-001"
    for number in (1, 3):
        (tmp_path / f"run-{number:03d}").mkdir()
    assert next_run_path(tmp_path) == tmp_path / "run-002"


def test_a_file_under_a_number_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run-001").write_text("")
    assert next_run_path(tmp_path) == tmp_path / "run-002"


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


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        recorded_run(RunFolder(tmp_path), command="", photos=tmp_path),
    ):
        raise KeyboardInterrupt
    content = record_of(tmp_path)
    assert content["status"] == "interrupted"
    assert "interrupted" in content["error"]


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


# Read back


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    with recorded_run(RunFolder(tmp_path), command="c", photos=tmp_path):
        pass
    assert read_run_json(RunFolder(tmp_path)) == record_of(tmp_path)


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json\. Give the folder that 'fieldmark train'"):
        read_run_json(RunFolder(tmp_path))


def test_a_folder_of_runs_is_answered_with_one_of_them(tmp_path: Path) -> None:
    for name in ("run-001", "run-002"):
        with recorded_run(create_run_folder(tmp_path / name), command="", photos=tmp_path):
            pass
    with pytest.raises(RunError, match=r"It holds runs, though.*run-002\."):
        read_run_json(RunFolder(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "not json"])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunError, match="cannot be read as JSON"):
        read_run_json(RunFolder(tmp_path))


def test_a_record_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="cannot be read"):
        read_run_json(RunFolder(tmp_path))


def test_a_record_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RunError, match=r"run\.json cannot be read: Is a directory"):
        read_run_json(RunFolder(tmp_path))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(RunError, match=rf"schema version {SCHEMA_VERSION + 1}.*Install a newer"):
        read_run_json(RunFolder(tmp_path))


@pytest.mark.parametrize("content", [{}, {"schema_version": "1"}, [1]])
def test_content_without_a_schema_version_is_foreign(content: Any) -> None:
    with pytest.raises(RunError, match="not written by Fieldmark"):
        check_schema(content, what="it")
