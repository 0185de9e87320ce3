"""The run folder: never overwritten, each process its own, and read back with care."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.base.lock import hold
from fieldmark.base.run_folder import (
    SCHEMA_VERSION,
    RunFolder,
    check_schema,
    clear_leftovers,
    create_next_run_folder,
    create_run_folder,
    has_finished,
    next_run_path,
    read_run_json,
    require_free,
    require_outside,
    require_place,
    require_unused,
)


def write_record(path: Path, **values: Any) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "run.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION, **values}))


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
    for refuse in (require_place, require_outside):
        with pytest.raises(RunError, match="inside the folder of photos"):
            refuse(tmp_path / place, photos=tmp_path)


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


def test_processes_that_ask_at_once_each_get_a_folder_of_their_own(tmp_path: Path) -> None:
    got: list[Path] = []
    start = threading.Barrier(8)

    def create() -> None:
        start.wait()
        got.append(create_next_run_folder(tmp_path / "runs").path)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [tmp_path / "runs" / f"run-{number:03d}" for number in range(1, 9)]


def test_runs_below_a_file_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="it is a file"):
        create_next_run_folder(tmp_path / "runs")
    with pytest.raises(RunError, match="Not a directory"):
        create_next_run_folder(tmp_path / "runs" / "more")


# What a killed process leaves


def test_a_folder_with_nothing_but_what_a_killed_process_left_is_free(tmp_path: Path) -> None:
    for name in ("lock", ".fieldmark-00ff.tmp"):
        (tmp_path / name).write_text("")
    assert create_run_folder(tmp_path).path == tmp_path
    (tmp_path / "recipe.toml").write_text("mine")
    with pytest.raises(RunError, match="already holds something"):
        require_free(tmp_path)


def test_files_half_written_are_cleared_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    gone = [tmp_path / ".fieldmark-1.tmp", tmp_path / "model" / ".fieldmark-2.tmp"]
    kept = [tmp_path / "run.json", tmp_path / "model" / "model.json", tmp_path / "notes.tmp"]
    for path in (*gone, *kept):
        path.write_text("")
    clear_leftovers(RunFolder(tmp_path))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


# In use


def test_a_folder_that_a_process_writes_into_is_refused_by_the_name_of_that_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "run.json").write_text("{}")
    with hold(tmp_path / "lock"):
        for refuse in (require_free, require_unused, create_run_folder):
            with pytest.raises(RunError, match=rf"is in use by process {os.getpid()} .*--out"):
                refuse(tmp_path)
        with pytest.raises(RunError, match="already holds something"):
            require_free(tmp_path, is_locked=True)
    require_unused(tmp_path)
    with pytest.raises(RunError, match="already holds something"):
        require_free(tmp_path)


# Read back


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    write_record(tmp_path, command="c")
    assert read_run_json(RunFolder(tmp_path)) == {"schema_version": 1, "command": "c"}


@pytest.mark.parametrize(
    ("status", "with_report", "expected"),
    [("finished", True, True), ("finished", False, False), ("interrupted", True, False)],
)
def test_a_run_has_finished_with_its_report(
    tmp_path: Path, status: str, with_report: bool, expected: bool
) -> None:
    assert not has_finished(RunFolder(tmp_path))
    write_record(tmp_path, status=status)
    if with_report:
        (tmp_path / "report.html").write_text("")
    assert has_finished(RunFolder(tmp_path)) is expected


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run\.json\. Give the folder that 'fieldmark train'"):
        read_run_json(RunFolder(tmp_path))


def test_a_folder_of_runs_is_answered_with_one_of_them(tmp_path: Path) -> None:
    for name in ("run-001", "run-002"):
        write_record(tmp_path / name)
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
