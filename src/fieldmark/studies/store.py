"""The trials of a study in one SQLite file: none lost, none done twice, whoever is killed when.

In: trials planned, and how each ended. Out: the next one to run, and all as they stand.
A running trial is its owner's while that process lives; one that nobody runs any more is given out
again, three times at most. Several processes of one machine, or of several that share the folder
with locks, may work on one file.
Not covered: what a trial does (see `studying.trials`), and what a search asks next (`search`).
"""

import json
import os
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fieldmark.base.errors import RunError
from fieldmark.studies.trials import Trial, TrialEnd

MAX_ATTEMPTS = 3
BEAT_EVERY_S = 5.0
STALE_AFTER_S = 60.0
"""A running trial whose owner gave no sign for so long is given up: twelve signs missed."""
BUSY_TIMEOUT_S = 30.0
"""How long one process waits for another's transaction, which takes milliseconds."""
DIED = f"its process died {MAX_ATTEMPTS} times, perhaps for want of memory"

SCHEMA = """
CREATE TABLE IF NOT EXISTS trials (
    number INTEGER PRIMARY KEY,
    settings TEXT NOT NULL,
    seed INTEGER NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    result TEXT,
    owner TEXT,
    host TEXT,
    pid INTEGER,
    beat REAL
)
"""
COLUMNS = "number, settings, seed, kind, status, attempts, error, result"


class SqliteTrials:
    """The trials of one study; to be used in a `with` block, by one thread.

    Raises:
        RunError: from every method where the file cannot be read or written.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open the file, which is made where there is none."""
        self.path = path
        self._clock = clock
        self._owner = secrets.token_hex(8)
        with self._told():
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                # A trial that was reported as done stays done through a power cut, too.
                self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.execute(SCHEMA)
            except sqlite3.Error:
                self._connection.close()
                raise
        self._beating = _Beating(path, self._owner, clock)

    def __enter__(self) -> Self:
        self._beating.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._beating.stop()
        self._connection.close()

    def add(self, planned: Sequence[Trial]) -> None:
        """Add trials, all or none; those whose number is there already are left as they are."""
        rows = [
            (trial.number, json.dumps(dict(trial.settings)), trial.seed, trial.kind)
            for trial in planned
        ]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO trials (number, settings, seed, kind) VALUES (?, ?, ?, ?)",
                rows,
            )

    def claim(self, number: int | None = None) -> Trial | None:
        """Mark the next trial that waits, or that nobody runs any more, as running, and return it.

        Args:
            number: of the one to take; None: the first there is.

        Returns:
            The trial, or None where there is none left to run.
        """
        with self._transaction() as connection:
            self._give_up_dead(connection)
            only = "" if number is None else "AND number = :number"
            row = connection.execute(
                f"SELECT {COLUMNS} FROM trials WHERE status = 'waiting' {only} "  # noqa: S608
                "ORDER BY number LIMIT 1",
                {"number": number},
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE trials SET status = 'running', attempts = attempts + 1, error = NULL, "
                "owner = ?, host = ?, pid = ?, beat = ? WHERE number = ?",
                (self._owner, socket.gethostname(), os.getpid(), self._clock(), row[0]),
            )
        return self.get(row[0])

    def end(self, number: int, how: TrialEnd) -> bool:
        """Write down how a trial that this store runs ended.

        Returns:
            Whether it was this store's to end: False where it had been given to another, whose
            word counts then.
        """
        result = None if how.result is None else json.dumps(how.result.to_json(), allow_nan=False)
        with self._transaction() as connection:
            cursor = connection.execute(
                "UPDATE trials SET status = ?, error = ?, result = ?, owner = NULL, host = NULL, "
                "pid = NULL, beat = NULL WHERE number = ? AND status = 'running' AND owner = ?",
                (how.status, how.error, result, number, self._owner),
            )
            return cursor.rowcount == 1

    def release(self) -> None:
        """Let the trials that this store runs wait again, as if they had not been begun."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE trials SET status = 'waiting', attempts = attempts - 1, owner = NULL, "
                "host = NULL, pid = NULL, beat = NULL WHERE status = 'running' AND owner = ?",
                (self._owner,),
            )

    def take_over(self) -> None:
        """Count every other process as gone: for one that holds the lock of the study."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE trials SET beat = 0 WHERE status = 'running' AND owner != ?",
                (self._owner,),
            )

    def get(self, number: int) -> Trial:
        """Return a trial as it stands.

        Raises:
            KeyError: there is none with this number.
        """
        with self._told():
            row = self._connection.execute(
                f"SELECT {COLUMNS} FROM trials WHERE number = ?",  # noqa: S608
                (number,),
            ).fetchone()
        if row is None:
            raise KeyError(number)
        return _trial(row)

    def all(self) -> list[Trial]:
        """Return every trial as it stands, by number."""
        with self._told():
            rows = self._connection.execute(
                f"SELECT {COLUMNS} FROM trials ORDER BY number"  # noqa: S608
            ).fetchall()
        return [_trial(row) for row in rows]

    def _give_up_dead(self, connection: sqlite3.Connection) -> None:
        """Let trials wait again whose process is gone; those that were begun often enough fail."""
        running = connection.execute(
            "SELECT number, attempts, host, pid, beat FROM trials "
            "WHERE status = 'running' AND owner != ?",
            (self._owner,),
        ).fetchall()
        for number, attempts, host, pid, beat in running:
            if self._clock() - beat < STALE_AFTER_S and _may_live(host, pid):
                continue
            status, error = ("failed", DIED) if attempts >= MAX_ATTEMPTS else ("waiting", None)
            connection.execute(
                "UPDATE trials SET status = ?, error = ?, owner = NULL, host = NULL, pid = NULL, "
                "beat = NULL WHERE number = ?",
                (status, error, number),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self.path}, which holds the trials, cannot be used: {error}. See that the disk "
                "has room and that the folder is on a file system with locks."
            ) from error


def read_trials(path: Path) -> list[Trial]:
    """Return every trial of a study, by number; none where there is no file yet.

    Raises:
        RunError: the file cannot be read.
    """
    if not path.exists():
        return []
    with closing(SqliteTrials(path)) as store:
        return store.all()


class _Beating:
    """A thread that says every few seconds that the owner of some trials lives."""

    def __init__(self, path: Path, owner: str, clock: Callable[[], float]) -> None:
        self._path, self._owner, self._clock = path, owner, clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="fieldmark-beat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_EVERY_S):
            self._beat()

    def _beat(self) -> None:
        # A sign that is missed does no harm: many are, before a trial is given up.
        try:
            with closing(sqlite3.connect(self._path, timeout=1.0, isolation_level=None)) as file:
                file.execute(
                    "UPDATE trials SET beat = ? WHERE status = 'running' AND owner = ?",
                    (self._clock(), self._owner),
                )
        except sqlite3.Error:
            return


def _may_live(host: str, pid: int) -> bool:
    """Tell whether a process is at work, as far as can be seen from here."""
    if host != socket.gethostname() or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)  # signal 0 is never delivered; it only asks
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _trial(row: tuple[Any, ...]) -> Trial:
    number, settings, seed, kind, status, attempts, error, result = row
    return Trial.from_json(
        {
            "number": number,
            "settings": json.loads(settings),
            "seed": seed,
            "kind": kind,
            "status": status,
            "attempts": attempts,
            "error": error,
            "result": None if result is None else json.loads(result),
        }
    )
