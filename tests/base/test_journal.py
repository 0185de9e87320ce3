import errno
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldmark.base.journal import Journal, read_journal

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def values_of(path: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "time"} for row in read_journal(path)
    ]


def test_each_event_is_a_line_of_json_with_its_time(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    journal = Journal(tmp_path / "run" / "events.jsonl")
    journal.write("epoch", epoch=1, loss=0.5)
    journal.write("stopped", reason="Ctrl-C")
    lines = (tmp_path / "run" / "events.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    assert all(line.endswith(b"}\n") for line in lines)
    first = json.loads(lines[0])
    assert list(first) == ["event", "time", "epoch", "loss"]
    at = datetime.fromisoformat(first["time"])
    assert at.utcoffset() == timedelta(0)
    assert before <= at <= datetime.now(UTC)
    assert json.loads(lines[1])["reason"] == "Ctrl-C"


def test_an_event_is_readable_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "events.jsonl")
    for count in range(1, 4):
        journal.write("step", step=count)
        assert len(read_journal(tmp_path / "events.jsonl")) == count


def test_a_second_journal_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    Journal(tmp_path / "events.jsonl").write("started")
    Journal(tmp_path / "events.jsonl").write("resumed")
    events = [row["event"] for row in read_journal(tmp_path / "events.jsonl")]
    assert events == ["started", "resumed"]


def test_numbers_that_json_lacks_are_null_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    values = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf, 2)}}
    Journal(path).write("epoch", **values)
    assert b"NaN" not in path.read_bytes()
    assert values_of(path) == [
        {"event": "epoch", "a": None, "b": [None, 1.5], "c": {"d": [None, 2]}}
    ]


def test_what_json_does_not_know_is_written_as_text(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).write("saved", path=Path("a") / "b")
    assert values_of(path) == [{"event": "saved", "path": str(Path("a") / "b")}]


@given(st.lists(st.dictionaries(st.from_regex(r"x\w{0,5}", fullmatch=True), VALUES), max_size=4))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_json_can_hold_comes_back(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "events.jsonl"
    path.unlink(missing_ok=True)
    for row in rows:
        Journal(path).write("any", **row)
    assert values_of(path) == [{"event": "any", **row} for row in rows]


def test_a_line_that_was_cut_short_is_skipped_and_does_not_swallow_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).write("first")
    whole = path.read_bytes()
    for length in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:length])
        assert [row["event"] for row in read_journal(path)] == ["first"]
        Journal(path).write("next")
        assert [row["event"] for row in read_journal(path)] == ["first", "next"]


def test_a_line_without_its_end_alone_counts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).write("first")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    Journal(path).write("next")
    assert [row["event"] for row in read_journal(path)] == ["first", "next"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"3\n[]\n", b"\xff\xfe\n", b'"text"\n'])
def test_lines_that_are_no_events_are_skipped(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events.jsonl").write_bytes(content)
    assert read_journal(tmp_path / "events.jsonl") == []


def test_a_journal_that_does_not_exist_has_no_events(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "events.jsonl") == []


def test_a_full_disk_is_told_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    told: list[str] = []
    journal = Journal(path, warn=told.append)
    journal.write("before")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        journal.write("lost")
        journal.write("lost")
        Journal(path).write("lost, and nobody to tell")
    journal.write("after")
    assert [row["event"] for row in read_journal(path)] == ["before", "after"]
    (warning,) = told
    assert "No space left on device" in warning
    assert str(path) in warning


def test_a_place_that_cannot_be_written_to_is_told_and_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    Journal(tmp_path / "file" / "events.jsonl", warn=told.append).write("lost")
    assert len(told) == 1
