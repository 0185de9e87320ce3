"""Map a function over items in processes that begin as copies of this one (Linux).

In: a function and a sequence, of which nothing is pickled. Out: its results, pickled on their way
back, in the order of the items, as they come.
For work that holds the interpreter's lock for much of its time; else threads do as well.
Nothing stays behind: the processes are ended with the iteration, and end by themselves once this
process is gone. Not covered: systems other than Linux, where a process begins from nothing.
"""

import gc
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, Self

from fieldmark.base.executor import Item, Result

QUEUED_PER_PROCESS = 8
"""How many items wait ahead of each process, unless fewer are asked for."""
STALLED_S = 120.0
"""After so long without any result the processes are taken to be stuck: on a lock, say, that
another thread held while they were begun."""
LOOK_EVERY_S = 1.0
"""How often they are looked after while nothing comes."""

NOT_COPIED = ("grpc", "jax", "ray")
"""Modules whose threads do not survive in a copy of the process, as their authors say."""
CRASHES = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS"})
"""Signals by which a process falls over what it does itself; by the others it is ended."""

_ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP")
_INDEX = struct.Struct("=q")


class ProcessesLost(Exception):  # noqa: N818 - it reads as what has happened
    """The processes cannot be begun, or one of them is gone; the message says how."""

    def __init__(self, told: str, *, crash: str = "", item: int | None = None) -> None:
        """Keep what is known.

        Args:
            told: what happened.
            crash: the name of the signal if a process fell over what it did itself.
            item: the number of the item that it had taken.
        """
        super().__init__(told)
        self.crash, self.item = crash, item


def can_copy_itself() -> bool:
    """Say whether this process may begin copies of itself, without harm as far as can be told."""
    return (
        sys.platform == "linux"
        and not multiprocessing.current_process().daemon
        and not any(name in sys.modules for name in NOT_COPIED)
    )


class ProcessExecutor:
    """Maps in copies of this process, with a bounded queue."""

    def __init__(
        self,
        num_processes: int,
        *,
        queued: int | None = None,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        """Use `num_processes` (at least 1).

        Args:
            num_processes: how many.
            queued: how many items may be begun before the result of the first was taken;
                None takes `QUEUED_PER_PROCESS` for each process.
            prepare: called in each process as it begins.
        """
        self.num_processes = num_processes
        self.queued = queued or num_processes * QUEUED_PER_PROCESS
        self._prepare = prepare

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Generator[Result, None, None]:
        """Yield `function(item)` for each item in order; the first exception ends the iteration.

        Item i + `queued` is begun only when the result of item i was taken and the next is asked
        for.

        Raises:
            ProcessesLost: they cannot be begun, or one of them is gone or stuck; results that were
                yielded until then hold.
        """
        crew = _Crew.ready(
            self.num_processes, function=function, items=items, prepare=self._prepare
        )
        try:
            # First, so that each process has something to do as soon as it is there.
            for index in range(min(self.queued, len(items))):
                crew.hand_out(index)
            crew.begin()
            for index in range(len(items)):
                yield crew.result(index)
                if index + self.queued < len(items):
                    crew.hand_out(index + self.queued)
        finally:
            crew.end()


class _Crew:
    """The processes at work: numbers of items go to all by one pipe, results come by one each."""

    def __init__(
        self,
        num_processes: int,
        *,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        prepare: Callable[[], object] | None,
    ) -> None:
        self._function, self._items, self._prepare = function, items, prepare
        context = multiprocessing.get_context("fork")
        self._orders, self._order = context.Pipe(duplex=False)
        pipes = [context.Pipe(duplex=False) for _ in range(num_processes)]
        self._inboxes = [receiver for receiver, _ in pipes]
        self._outboxes = [sender for _, sender in pipes]
        self._taken = mmap.mmap(-1, _INDEX.size * num_processes)
        self._processes = [
            context.Process(target=self._work, args=(number,), daemon=True)
            for number in range(num_processes)
        ]
        self._early: dict[int, tuple[bool, Any]] = {}

    @classmethod
    def ready(cls, num_processes: int, **work: Any) -> Self:
        try:
            return cls(num_processes, **work)
        except OSError as error:  # no more files may be open
            raise ProcessesLost(f"no process could be begun: {error.strerror}") from error

    def begin(self) -> None:
        try:
            with _signals_held(), warnings.catch_warnings():
                # Python warns of copies of a process with threads; see `_settle_in`.
                warnings.simplefilter("ignore", DeprecationWarning)
                for process in self._processes:
                    process.start()
        except OSError as error:
            raise ProcessesLost(f"no process could be begun: {error.strerror}") from error
        for connection in (self._orders, *self._outboxes):
            connection.close()

    def hand_out(self, index: int) -> None:
        with suppress(BrokenPipeError):  # that all are gone shows as the result is waited for
            os.write(self._order.fileno(), _INDEX.pack(index))

    def result(self, index: int) -> Any:
        waited_s = 0.0  # not by the clock, which goes on while this process is suspended
        while index not in self._early:
            ready = wait(self._inboxes, timeout=LOOK_EVERY_S)
            for inbox in ready:
                assert isinstance(inbox, Connection)
                self._receive(inbox)
            if not ready:
                waited_s += LOOK_EVERY_S
                self._look_after(waited_s=waited_s)
        is_good, value = self._early.pop(index)
        if not is_good:
            raise value
        return value

    def _receive(self, inbox: Connection) -> None:
        try:
            index, is_good, value = pickle.loads(inbox.recv_bytes())  # noqa: S301 - of our own
        except (EOFError, OSError):
            raise self._lost(self._inboxes.index(inbox)) from None
        self._early[index] = is_good, value

    def _look_after(self, *, waited_s: float) -> None:
        for number, process in enumerate(self._processes):
            if not process.is_alive():
                raise self._lost(number)
        if waited_s >= STALLED_S:
            raise ProcessesLost(f"no process has done anything for {waited_s:.0f} s")

    def _lost(self, number: int) -> ProcessesLost:
        process = self._processes[number]
        process.join(LOOK_EVERY_S)
        code = process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        (item,) = _INDEX.unpack_from(self._taken, number * _INDEX.size)
        return ProcessesLost(
            f"a process was ended ({name})", crash=name if name in CRASHES else "", item=item
        )

    def end(self) -> None:
        """End all of them at once: they hold nothing that would have to be put away."""
        for process in self._processes:
            if process.pid is not None:
                process.kill()
        for process in self._processes:
            if process.pid is not None:
                process.join()
                # Where ended processes vanish unasked (SIGCHLD is ignored), none is known to be.
                with suppress(ValueError):
                    process.close()
        for connection in (self._orders, self._order, *self._inboxes, *self._outboxes):
            connection.close()
        self._taken.close()

    def _work(self, number: int) -> NoReturn:
        """Do what is handed out until nothing more can come; in a process of its own."""
        try:
            self._settle_in(number)
            orders, outbox = self._orders.fileno(), self._outboxes[number]
            while len(order := os.read(orders, _INDEX.size)) == _INDEX.size:
                (index,) = _INDEX.unpack(order)
                _INDEX.pack_into(self._taken, number * _INDEX.size, index)
                outbox.send_bytes(_outcome(self._function, self._items[index], index=index))
        finally:
            # Not by way of the interpreter, which would put away what is this one's parent's.
            os._exit(0)

    def _settle_in(self, number: int) -> None:
        """Let go of what belongs to the other processes."""
        # What the parent dropped must not be put away here, too: a tensor on a GPU, say.
        gc.freeze()
        # Ctrl-C reaches all processes of a terminal; the parent ends this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in ("SIGTERM", "SIGHUP"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ending_signals())
        # Whoever kept a copy of an end would keep the others from learning that it is closed.
        others = [box for at, box in enumerate(self._outboxes) if at != number]
        for connection in (self._order, *self._inboxes, *others):
            connection.close()
        if self._prepare is not None:
            self._prepare()


def _outcome(function: Callable[[Any], Any], item: object, *, index: int) -> bytes:
    try:
        return pickle.dumps((index, True, function(item)), protocol=5)
    except Exception as error:  # noqa: BLE001 - it is raised again where the result is taken
        error.add_note(traceback.format_exc())
        try:
            packed = pickle.dumps((index, False, error), protocol=5)
            pickle.loads(packed)  # noqa: S301 - of our own
        except Exception:  # noqa: BLE001 - any error may refuse to be pickled, or to come back
            return pickle.dumps((index, False, RuntimeError(repr(error))), protocol=5)
        return packed


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals from arriving in a copy that has not let go of its parent's handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ending_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending_signals() -> set[int]:
    return {getattr(signal, name) for name in _ENDINGS}
