"""Copies of this process that work for it: in order, and gone whatever happens."""

import errno
import faulthandler
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fieldmark.base import processes
from fieldmark.base.processes import ProcessesLost, ProcessExecutor, can_copy_itself

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux")


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("num_processes", [1, 3])
@pytest.mark.parametrize("num_items", [0, 1, 100])
def test_results_come_in_the_order_of_the_items(num_processes: int, num_items: int) -> None:
    items = list(range(num_items))
    found = list(ProcessExecutor(num_processes).map(lambda item: (item, os.getpid()), items))
    assert [item for item, _ in found] == items
    assert os.getpid() not in {process for _, process in found}


def test_a_slow_first_item_is_still_the_first_result() -> None:
    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    assert list(ProcessExecutor(2).map(sleep, [0.1, 0.0, 0.0])) == [0.1, 0.0, 0.0]


def test_large_results_come_whole() -> None:
    found = ProcessExecutor(2).map(lambda item: bytes([item]) * 300_000, range(9))
    assert [(len(each), each[0]) for each in found] == [(300_000, item) for item in range(9)]


def test_results_before_the_first_exception_come_and_then_it_is_raised_here() -> None:
    results = ProcessExecutor(2).map(lambda item: 6 // item, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_exception_that_cannot_be_sent_is_told_in_words() -> None:
    class Local(Exception):  # noqa: N818
        pass

    def fail(_: int) -> None:
        raise Local("the reason")

    with pytest.raises(RuntimeError, match=r"Local\('the reason'\)"):
        list(ProcessExecutor(1).map(fail, [1]))


class TwoReasons(Exception):  # noqa: N818
    """Can be pickled, but not made again of what that gives."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def test_an_exception_that_cannot_be_made_again_is_told_in_words() -> None:
    def fail(_: int) -> None:
        raise TwoReasons("one", "another")

    with pytest.raises(RuntimeError, match="one and another"):
        list(ProcessExecutor(1).map(fail, [1]))


def test_an_exception_says_where_it_was_raised() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        list(ProcessExecutor(1).map(lambda item: 1 // item, [0]))
    assert "test_processes.py" in "".join(raised.value.__notes__)


def test_no_more_items_are_begun_than_the_queue_holds() -> None:
    begun = mmap.mmap(-1, 100)

    def mark(item: int) -> None:
        begun[item] = 1

    results = ProcessExecutor(2, queued=5).map(mark, range(100))
    for taken in range(1, 4):
        next(results)
        time.sleep(0.1)
        # The last one taken is still in use: the next is begun when another is asked for.
        assert sum(begun[:]) == taken + 4
    results.close()


def test_each_process_is_prepared_before_its_first_item() -> None:
    seen: list[int] = []
    executor = ProcessExecutor(2, prepare=lambda: seen.append(os.getpid()))
    for result in executor.map(lambda _: (os.getpid(), list(seen)), range(20)):
        process, prepared = result
        assert prepared == [process]
    assert seen == []


def test_an_iteration_given_up_ends_its_processes() -> None:
    results = ProcessExecutor(3).map(time.sleep, [0.01] * 1000)
    next(results)
    assert len(multiprocessing.active_children()) == 3
    results.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("name", "crash"),
    [("SIGKILL", ""), ("SIGTERM", ""), ("SIGBUS", "SIGBUS"), ("SIGABRT", "SIGABRT")],
)
def test_a_process_that_is_gone_is_told_with_what_it_was_at(name: str, crash: str) -> None:
    def work(item: int) -> int:
        if item == 40:
            faulthandler.disable()  # pytest's, which would print where
            os.kill(os.getpid(), getattr(signal, name))
        return item

    found: list[int] = []
    with pytest.raises(ProcessesLost, match=name) as raised:
        found.extend(ProcessExecutor(2).map(work, range(100)))
    assert (raised.value.crash, raised.value.item) == (crash, 40)


def test_results_taken_before_a_process_is_gone_hold() -> None:
    results = ProcessExecutor(1).map(lambda item: item or os._exit(3), [1, 2, 0, 4])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ProcessesLost, match="exit code 3"):
        next(results)


def test_processes_that_are_stuck_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STALLED_S", 0.2)
    monkeypatch.setattr(processes, "LOOK_EVERY_S", 0.05)
    with pytest.raises(ProcessesLost, match="no process has done anything"):
        list(ProcessExecutor(2).map(time.sleep, [60, 60]))


def test_slow_processes_are_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STALLED_S", 1.0)
    monkeypatch.setattr(processes, "LOOK_EVERY_S", 0.05)
    assert list(ProcessExecutor(1).map(time.sleep, [0.3] * 5)) == [None] * 5


@pytest.mark.parametrize("which", [0, 1])
def test_a_system_that_lends_no_process_is_told(
    monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    fork, calls = os.fork, []

    def refuse() -> int:
        calls.append(1)
        if len(calls) > which:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(ProcessesLost, match="no process could be begun: Resource"):
        list(ProcessExecutor(2).map(abs, [1, 2, 3]))


def test_a_system_that_lends_no_pipe_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    context = SimpleNamespace(Pipe=refuse)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    with pytest.raises(ProcessesLost, match="Too many open files"):
        list(ProcessExecutor(2).map(abs, [1, 2, 3]))


def test_a_warning_of_threads_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def warn() -> int:  # as Python does from 3.12 on
        warnings.warn("This process is multi-threaded", DeprecationWarning, stacklevel=2)
        return fork()

    monkeypatch.setattr(os, "fork", warn)
    assert list(ProcessExecutor(2).map(abs, [-1, -2])) == [1, 2]


def test_the_signals_of_this_process_are_as_before() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handler = signal.getsignal(signal.SIGINT)
    list(ProcessExecutor(2).map(abs, [1, 2]))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_process_may_copy_itself_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processes.NOT_COPIED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert can_copy_itself()


def test_there_are_no_copies_where_threads_would_not_survive_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    assert not can_copy_itself()


def test_there_are_no_copies_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_copy_itself()


def test_there_are_no_copies_of_a_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))
    assert not can_copy_itself()


UNASKED = """
    import signal
    from fieldmark.base.processes import ProcessExecutor

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert list(ProcessExecutor(2).map(abs, range(-50, 0))) == list(range(50, 0, -1))
"""


def test_it_works_where_ended_processes_vanish_unasked() -> None:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(UNASKED)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stderr) == (0, "")


STOPPED = """
    import os, sys, time
    from fieldmark.base.processes import ProcessExecutor
    from fieldmark.base.stopping import stoppable

    def work(item):
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep({seconds})

    with stoppable():
        list(ProcessExecutor(2).map(work, range(10_000)))
"""

Begin = Callable[[float], tuple["subprocess.Popen[str]", list[int]]]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Return what begins a process with two copies, each item so long, and gives their numbers."""
    begun: list[subprocess.Popen[str]] = []

    def start(seconds: float) -> tuple["subprocess.Popen[str]", list[int]]:
        script = tmp_path / "stopped.py"
        script.write_text(textwrap.dedent(STOPPED).format(seconds=seconds), encoding="utf-8")
        parent = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(parent)
        assert parent.stdout is not None
        copies: set[int] = set()
        while len(copies) < 2:
            copies.add(int(parent.stdout.readline()))
        return parent, sorted(copies)

    yield start
    for parent in begun:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.communicate()


@pytest.mark.parametrize("seconds", [0.05, 600])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("to_all", [True, False])
def test_a_stop_leaves_no_process_and_only_one_account_of_it(
    begin: Begin, name: str, to_all: bool, seconds: float
) -> None:
    parent, copies = begin(seconds)
    (os.killpg if to_all else os.kill)(parent.pid, getattr(signal, name))
    _, told = parent.communicate(timeout=10)
    assert parent.returncode != 0
    assert told.count("KeyboardInterrupt") + told.count("stopping.Stopped:") == 1
    assert "Lost" not in told.splitlines()[-1]
    assert _all_gone(copies, within_s=5.0)


def test_processes_end_by_themselves_once_their_parent_was_killed(begin: Begin) -> None:
    parent, copies = begin(0.05)
    parent.kill()
    parent.wait()
    assert _all_gone(copies, within_s=5.0)


def _all_gone(copies: list[int], *, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while any(Path(f"/proc/{copy}").exists() for copy in copies):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
