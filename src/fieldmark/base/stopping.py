"""Being stopped: by Ctrl-C, by the system's request to end, or by a terminal that was closed.

In: signals. Out: a KeyboardInterrupt at once or, in a block that asks for it, a flag that says so,
for the block to come to a good place, save, and leave by itself.
Not covered: SIGKILL and power cuts, which nobody is told of.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]

ENDINGS = ("SIGTERM", "SIGHUP", "SIGBREAK")
"""Beside SIGINT (Ctrl-C), the signals by which a process is told to end: from a system that shuts
down or a queue whose time is up, from a terminal that was closed, from Ctrl-Break on Windows.
Those that a system does not have are passed over."""


class Stopped(KeyboardInterrupt):
    """A run was stopped; the message says how, and what is saved.

    A KeyboardInterrupt, so that nothing on the way takes it for an error.
    """


class Stop:
    """Whether somebody asked to stop, for a block to look at between its steps."""

    def __init__(self) -> None:
        self.asked = False
        """True once a signal came; it never turns back."""
        self.signal: str | None = None
        """The name of that signal, such as "SIGTERM"; None while none came."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block, a request to end interrupts as Ctrl-C does: what is open gets closed.

    A signal that this process ignores (as `nohup` makes it do with SIGHUP) stays ignored. Outside
    the main thread, which alone is told of signals, the block runs as if this were not there.

    Raises:
        Stopped: out of the block, at a SIGTERM, SIGHUP or SIGBREAK.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        raise Stopped(told_of(signal.Signals(number).name))

    with _handled(ENDINGS, interrupt):
        yield


@contextmanager
def deferred() -> Iterator[Stop]:
    """Within the block, the first signal to stop only sets `asked`; a second interrupts at once.

    The block is to look at `asked` between its steps, save what it has, and raise `Stopped`
    with a message of its own. Where it ends without having done so, `Stopped` is raised then:
    nobody's wish to stop is lost. Signals that are ignored stay ignored, and outside the main
    thread nothing is ever asked.

    Yields:
        What says whether a stop was asked for.

    Raises:
        Stopped: the block ended although a stop was asked for.
        KeyboardInterrupt: out of the block, at a second signal.
    """
    stop = Stop()

    def ask(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if stop.asked:
            raise Stopped(f"{told_of(name)} a second time, before everything was saved")
        stop.asked, stop.signal = True, name

    with _handled(("SIGINT", *ENDINGS), ask):
        yield stop
    if stop.signal is not None:
        raise Stopped(told_of(stop.signal))


def told_of(name: str) -> str:
    """Return in words how a run was stopped by the signal of that name."""
    return "interrupted from the keyboard" if name == "SIGINT" else f"stopped by {name}"


@contextmanager
def _handled(names: tuple[str, ...], handler: Handler) -> Iterator[None]:
    """Put the handler in the place of those there are, and them back at the end."""
    before: dict[int, object] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name in names:
                _replace(name, handler, before)
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)  # type: ignore[arg-type]  # as getsignal gave it


def _replace(name: str, handler: Handler, before: dict[int, object]) -> None:
    number = getattr(signal, name, None)
    if number is None:
        return
    earlier = signal.getsignal(number)
    # None is a handler that was not set from Python, and which Python cannot put back.
    if earlier is None or earlier is signal.SIG_IGN:
        return
    before[number] = earlier
    signal.signal(number, handler)
