"""The store of trials: none lost, none done twice, whoever is killed when."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.base.errors import RunError
from fieldmark.studies.store import (
    DIED,
    MAX_ATTEMPTS,
    STALE_AFTER_S,
    SqliteTrials,
    read_trials,
)
from fieldmark.studies.trials import EpochPoint, Trial, TrialEnd, TrialResult

RESULT = TrialResult(
    num_validation=40,
    val_loss=0.5,
    val_accuracy=0.75,
    train_loss=0.25,
    train_accuracy=0.875,
    curve=(EpochPoint(epoch=1, train_loss=1, train_accuracy=0, val_loss=1, val_accuracy=0),),
    seconds=1.25,
)
FINISHED = TrialEnd(status="finished", result=RESULT)


def planned(count: int) -> list[Trial]:
    return [
        Trial(number=number, settings={"optim.lr": 10.0**-number}, seed=number, kind="head")
        for number in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trials.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteTrials]:
    with SqliteTrials(path) as opened:
        yield opened


def claimed_elsewhere(path: Path, number: int) -> int:
    """Let a process that then dies by SIGKILL begin a trial; return its exit code."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from fieldmark.studies.store import SqliteTrials\n"
        "store = SqliteTrials(Path(sys.argv[1]))\n"
        "assert store.claim(int(sys.argv[2])) is not None\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(path), str(number)]
    return subprocess.run(command, check=False, timeout=60).returncode


def test_trials_are_given_out_in_order_and_end_as_told(store: SqliteTrials, path: Path) -> None:
    store.add(planned(2))
    first = store.claim()
    assert first is not None
    assert (first.number, first.status, first.attempts) == (0, "running", 1)
    assert store.end(0, FINISHED)
    second = store.claim()
    assert second is not None
    assert second.number == 1
    assert store.end(1, TrialEnd(status="failed", error="the loss is nan"))
    assert store.claim() is None
    done = read_trials(path)
    assert done[0] == replace(planned(1)[0], status="finished", attempts=1, result=RESULT)
    assert (done[1].status, done[1].error) == ("failed", "the loss is nan")


def test_adding_again_changes_nothing_that_is_there(store: SqliteTrials) -> None:
    store.add(planned(1))
    store.claim()
    store.end(0, FINISHED)
    store.add([replace(planned(1)[0], settings={"optim.lr": 5.0}), *planned(2)[1:]])
    assert [trial.status for trial in store.all()] == ["finished", "waiting"]
    assert store.get(0).settings == {"optim.lr": 1.0}


def test_two_processes_never_get_the_same_trial(store: SqliteTrials, path: Path) -> None:
    store.add(planned(4))
    with SqliteTrials(path) as other:
        numbers = [one.number for s in (store, other, store, other) if (one := s.claim())]
        assert numbers == [0, 1, 2, 3]
        assert store.claim() is None
        assert not store.end(1, FINISHED)  # it is the other's
        assert other.get(1).status == "running"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_trial_whose_process_was_killed_is_given_out_again(
    store: SqliteTrials, path: Path
) -> None:
    store.add(planned(2))
    assert claimed_elsewhere(path, 0) == -signal.SIGKILL
    assert store.get(0).status == "running"
    again = store.claim()
    assert again is not None
    assert (again.number, again.attempts) == (0, 2)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_trial_that_kills_its_process_three_times_has_failed(
    store: SqliteTrials, path: Path
) -> None:
    store.add(planned(2))
    for _ in range(MAX_ATTEMPTS):
        assert claimed_elsewhere(path, 0) == -signal.SIGKILL
    following = store.claim()
    assert following is not None
    assert following.number == 1
    assert (store.get(0).status, store.get(0).error) == ("failed", DIED)


def test_a_trial_of_another_machine_is_given_up_once_it_gives_no_sign(path: Path) -> None:
    now = [1000.0]
    with SqliteTrials(path, clock=lambda: now[0]) as store:
        store.add(planned(1))
        with SqliteTrials(path, clock=lambda: now[0]) as other:
            assert other.claim() is not None
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE trials SET host = 'elsewhere'")
            connection.close()
            now[0] += STALE_AFTER_S - 1
            assert store.claim() is None
            now[0] += 2
            assert store.claim() is not None
            assert not other.end(0, FINISHED)  # too late: another has it now


def test_who_holds_the_lock_of_the_study_waits_for_nobody(store: SqliteTrials, path: Path) -> None:
    store.add(planned(1))
    with SqliteTrials(path) as other:
        assert other.claim() is not None
        assert store.claim() is None
        store.take_over()
        assert store.claim() is not None


def test_trials_that_are_let_go_wait_as_if_they_had_not_begun(store: SqliteTrials) -> None:
    store.add(planned(1))
    store.claim()
    store.release()
    assert store.all() == planned(1)


def test_a_file_that_is_no_database_is_told_of(path: Path) -> None:
    path.write_text("not a database, but long enough to be taken for one " * 40)
    with pytest.raises(RunError, match=r"trials\.sqlite"):
        SqliteTrials(path)
    with pytest.raises(RunError, match=r"trials\.sqlite"):
        read_trials(path)


def test_without_a_file_there_are_no_trials(path: Path) -> None:
    assert read_trials(path) == []
    assert not path.exists()
