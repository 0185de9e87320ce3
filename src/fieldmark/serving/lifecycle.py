"""A server from its start to its end: told to stop, it finishes what it was asked.

In: an application and an open socket. Out: a server that runs until SIGTERM, SIGINT or SIGHUP.
At the first of them it is no longer ready, which whoever sends it requests can ask; it goes on
answering for `drain_s`, and closes each connection with its answer. Then nothing new is let in,
what is under way is finished, and it ends. At a second it ends at once.
"""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Generator
from types import FrameType
from typing import Any

import uvicorn

from fieldmark.base.errors import ServeError

FINISH_S = 25
"""Seconds that requests have to be finished in, once nothing new is let in: with `MAX_DRAIN_S`
before them less than the 30 after which container systems kill."""
MAX_DRAIN_S = 4.0
ACCEPT_S = 0.05
"""Seconds in which connections that the system has taken already are taken over from it."""
KEEP_ALIVE_S = 15
BACKLOG = 512
"""Connections that the system keeps until they are taken over."""
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class Lifecycle:
    """Where a server is in its life; read by its routes."""

    def __init__(self) -> None:
        self.is_started = False
        """Whether it can answer."""
        self.stopping_since: float | None = None
        """When it was told to stop, by `time.monotonic`."""

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.stopping_since is not None

    @property
    def is_ready(self) -> bool:
        """Whether it should be sent requests."""
        return self.is_started and not self.is_stopping


class Server(uvicorn.Server):
    """uvicorn's server, which ends as this module says."""

    def __init__(
        self, config: uvicorn.Config, *, lifecycle: Lifecycle, drain_s: float = 1.0
    ) -> None:
        """Prepare it.

        Args:
            config: of uvicorn.
            lifecycle: is told when it shall stop.
            drain_s: for how long it goes on answering then, 0 to `MAX_DRAIN_S`.
        """
        super().__init__(config)
        self.lifecycle = lifecycle
        self._drain_s = min(max(drain_s, 0.0), MAX_DRAIN_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Begin to stop; at the second signal stop at once."""
        if self.lifecycle.is_stopping:
            self.should_exit = self.force_exit = True
        else:
            self.lifecycle.stopping_since = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end."""
        since = self.lifecycle.stopping_since
        if since is not None and time.monotonic() - since >= self._drain_s:
            self.should_exit = True
        return bool(await super().on_tick(counter))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take over the connections that the system has taken, close the door, and finish."""
        if not self.force_exit:
            with contextlib.suppress(OSError):
                for one in sockets or []:
                    # No more than one is kept from now on; who comes later is asked to try again.
                    one.listen(0)
            await asyncio.sleep(ACCEPT_S)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle signals within the block; afterwards they are as before, and not sent again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before: dict[int, Any] = {}
        for number in numbers:
            # nohup has SIGHUP ignored, and so it shall stay.
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address, not yet listening; port 0 takes a free one.

    Raises:
        ServeError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEPORT"):  # elsewhere it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        why = getattr(error, "strerror", None) or error
        raise ServeError(
            f"No server can be started at {host}, port {port}: {why}. Give another with --host "
            "and --port; --port 0 takes one that is free."
        ) from error
    return bound


def run(app: Any, bound: socket.socket, *, lifecycle: Lifecycle, drain_s: float = 1.0) -> None:
    """Serve an application until the process is told to stop, and all that it was asked is done.

    Args:
        app: an ASGI application.
        bound: an open socket; it is closed at the end.
        lifecycle: of the application.
        drain_s: as of `Server`.
    """
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
    )
    Server(config, lifecycle=lifecycle, drain_s=drain_s).run(sockets=[bound])
