"""The lock: held by one at a time, let go of at any end, and never in the way of the next."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fieldmark.base import lock
from fieldmark.base.errors import RunError
from fieldmark.base.lock import Holder, hold, holder

HOLD = """
import sys
from pathlib import Path
from fieldmark.base.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
STALE = '{"pid": 999999999, "host": "elsewhere", "started": "2020-01-01T00:00:00+00:00"}'


@contextmanager
def other_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock until it is told a line, or killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_while_it_is_held_the_file_says_by_whom_and_then_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path):
        content = json.loads(path.read_text("utf-8"))
        assert (content["pid"], content["host"]) == (os.getpid(), socket.gethostname())
        assert holder(path) is not None
    assert list(tmp_path.iterdir()) == []


def test_it_is_let_go_of_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "lock"):
        raise ZeroDivisionError
    with hold(tmp_path / "lock"):
        pass


def test_another_process_is_refused_at_once_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_process(path) as process:
        found = holder(path)
        assert found is not None
        assert found.pid == process.pid
        told = rf"{tmp_path} is in use by process {process.pid} \(since 20.* UTC\)"
        with pytest.raises(RunError, match=told), hold(path):
            pytest.fail("held by two")
        assert path.exists()


def test_another_thread_is_refused_too(tmp_path: Path) -> None:
    refused: list[str] = []

    def run() -> None:
        try:
            with hold(tmp_path / "lock"):
                pass
        except RunError as error:
            refused.append(str(error))

    with hold(tmp_path / "lock"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert f"process {os.getpid()}" in refused[0]


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with other_process(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.exists()
        assert holder(path) is None
        with hold(path):
            assert json.loads(path.read_text("utf-8"))["pid"] == os.getpid()
    assert not path.exists()


@pytest.mark.parametrize("content", [STALE, "", "{", "[1]", '{"pid": "x"}', "\0" * 9])
def test_whatever_a_file_without_a_lock_says_it_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with hold(tmp_path / "lock"):
        assert json.loads((tmp_path / "lock").read_text("utf-8"))["pid"] == os.getpid()


def test_looking_takes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert holder(tmp_path / "lock") is None
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path / "lock"):
        assert holder(tmp_path / "lock") == holder(tmp_path / "lock") != None  # noqa: E711


def test_somebody_who_only_looks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.write_text("")
    with path.open("r+") as looking:
        fcntl.flock(looking, fcntl.LOCK_EX)
        # The pause between two attempts is when the other is done.
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with hold(path):
            pass


def test_a_file_that_its_holder_removed_meanwhile_is_not_mistaken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    locked: Callable[..., bool] = lock._lock
    removals = iter([path.unlink])

    def remove_first(descriptor: int, found: Holder) -> bool:
        for remove in removals:
            remove()
            break
        return locked(descriptor, found)

    monkeypatch.setattr(lock, "_lock", remove_first)
    with hold(path):
        # A second holder would find a free file here, had the removed one been taken.
        assert json.loads(path.read_text("utf-8"))["pid"] == os.getpid()
        with pytest.raises(RunError, match="in use"), hold(path):
            pass


# File systems without locks


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_process_that_lives_is_minded(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path), pytest.raises(RunError, match=f"process {os.getpid()}"), hold(path):
        pass
    assert not path.exists()


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize("pid", [999_999_999, 10**30])
def test_without_locks_a_dead_process_is_not_minded(tmp_path: Path, pid: int) -> None:
    content = {"pid": pid, "host": socket.gethostname(), "started": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "lock").write_text(json.dumps(content))
    with hold(tmp_path / "lock"):
        pass


# Places that cannot be written to


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "lock"
    with pytest.raises(RunError, match=rf"Cannot write {re.escape(str(path))}: No such file"):
        hold(path).__enter__()


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(RunError, match=r"Cannot write .*lock: No space left.*Free some space"):
        hold(tmp_path / "lock").__enter__()
    monkeypatch.undo()
    with hold(tmp_path / "lock"):
        pass


def test_a_holder_on_another_machine_is_told_with_its_name() -> None:
    here = Holder(pid=7, host=socket.gethostname(), started="2026-03-01T12:00:05+00:00")
    there = Holder(pid=7, host="aspen", started="2026-03-01T12:00:05+00:00")
    assert str(here) == "process 7 (since 2026-03-01 12:00 UTC)"
    assert str(there) == "process 7 on aspen (since 2026-03-01 12:00 UTC)"
    assert str(Holder()) == "another process"
