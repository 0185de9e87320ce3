"""The server from its beginning to its end: what is served, to whom, until it is stopped.

In: a run, a bundle or an exported file, and how it shall be served. Out: nothing; the server runs
until the process is told to stop.
"""

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.base.errors import ServeError
from fieldmark.base.executor import available_cores
from fieldmark.serving.answering import Answerer, open_answerer, warm_up
from fieldmark.serving.batching import BatchConfig
from fieldmark.serving.guards import WILDCARDS, GuardConfig, guard_config

TOKEN_VARIABLE = "FIELDMARK_TOKEN"  # noqa: S105 - the name of a variable
MIB = 1 << 20
MAX_PORT = 65_535
BATCHES_WAITING = 8
"""Batches a worker that may wait, where `max_waiting` is not given: under a second of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """How a classifier is served.

    Raises:
        ServeError: a value is out of its range.
    """

    host: str = "127.0.0.1"
    """The address to listen at; other than this machine's own ones take a token."""
    port: int = 8000
    """0 to 65535; 0 takes one that is free."""
    token: str | None = None
    """What clients must send; None: none, or that of `FIELDMARK_TOKEN`."""
    name: str | None = None
    """What the model is called in addresses; None: as its folder or file."""
    allow_hosts: tuple[str, ...] = ()
    """Further names under which the server is reached."""
    allow_origins: tuple[str, ...] = ()
    """Other sites whose pages may ask."""
    max_batch: int | None = None
    """Photos answered together at most, 1 to 1024; None: what suits the processor."""
    max_wait_ms: float = 2.0
    """Milliseconds for which a photo waits for others, 0 to 1000."""
    max_waiting: int | None = None
    """Photos in the server at a time, 1 or more; None: `BATCHES_WAITING` batches a worker."""
    max_body_mib: float = 32.0
    """The largest body of a request, over 0, in MiB."""
    show_training_photos: bool = False
    """Whether training photos like a photo are shown."""
    drain_s: float = 1.0
    """Seconds for which it goes on answering once it was told to stop, 0 to 4."""

    def __post_init__(self) -> None:
        """Check ranges."""
        _check(0 <= self.port <= MAX_PORT, "--port", self.port, f"0 to {MAX_PORT}")
        if self.max_batch is not None:
            _check(1 <= self.max_batch <= 1024, "--max-batch", self.max_batch, "1 to 1024")
        _check(0 <= self.max_wait_ms <= 1000, "--max-wait-ms", self.max_wait_ms, "0 to 1000")
        if self.max_waiting is not None:
            _check(1 <= self.max_waiting <= 1 << 20, "--max-waiting", self.max_waiting, "1 or more")
        _check(0 < self.max_body_mib <= 1024, "--max-body-mib", self.max_body_mib, "up to 1024")
        _check(0 <= self.drain_s <= 4, "drain_s", self.drain_s, "0 to 4")


def serve(
    model: str | Path,
    config: ServeConfig | None = None,
    *,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve a classifier until the process is told to stop, and all it was asked is answered.

    Args:
        model: a run folder, a bundle as folder or file, or an ONNX file that `export` wrote.
        config: how to serve it; None takes the defaults.
        on_ready: is told the address of the page, once a moment before requests are taken.

    Raises:
        ServeError: what is needed is not installed, or the address cannot be had.
        RunError: the run cannot be read.
        BundleError: the bundle or the exported file cannot be read.
    """
    _require_framework()
    from fieldmark.serving.lifecycle import open_socket

    config = config or ServeConfig()
    token = config.token or os.environ.get(TOKEN_VARIABLE) or None
    guard = guard_config(
        config.host,
        token=token,
        allow_hosts=config.allow_hosts,
        allow_origins=config.allow_origins,
    )
    bound = open_socket(config.host, config.port)  # before the model, which takes seconds
    try:
        answerer = open_answerer(
            model, name=config.name, show_training_photos=config.show_training_photos
        )
        warm_up(answerer)
        _serve(answerer, bound, config, guard, on_ready=on_ready)
    finally:
        bound.close()


def batch_config(answerer: Answerer, config: ServeConfig) -> BatchConfig:
    """Return how photos are gathered for what answers them."""
    workers = available_cores() if answerer.batch_size <= 8 else 1
    batch = BatchConfig(
        max_batch=config.max_batch or answerer.batch_size,
        max_wait_s=config.max_wait_ms / 1000,
        num_workers=workers,
    )
    waiting = config.max_waiting or BATCHES_WAITING * batch.max_batch * workers
    return replace(batch, max_waiting=waiting)


def _serve(
    answerer: Answerer,
    bound: socket.socket,
    config: ServeConfig,
    guard: GuardConfig,
    *,
    on_ready: Callable[[str], None],
) -> None:
    from fieldmark.serving import lifecycle
    from fieldmark.serving.app import build_app
    from fieldmark.serving.service import Service, ServiceConfig

    batch = batch_config(answerer, config)
    service = Service(
        answerer,
        ServiceConfig(
            max_body_bytes=max(1, int(config.max_body_mib * MIB)),
            max_photos=min(64, batch.max_waiting),
            batch=batch,
        ),
    )
    life = lifecycle.Lifecycle()
    app = build_app(service, guard=guard, lifecycle=life)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    on_ready(_address(config.host, bound.getsockname()[1], token=guard.token))
    lifecycle.run(app, bound, lifecycle=life, drain_s=config.drain_s)


def _address(host: str, port: int, *, token: str | None) -> str:
    if host in WILDCARDS:
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"#token={token}" if token else "")


def _require_framework() -> None:
    try:
        import fastapi  # noqa: F401 - whether it is there
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ServeError(
            f"The server needs {error.name}, which is not installed. Install it with: "
            'pip install "fieldmark[serve]"'
        ) from error


def _check(holds: bool, name: str, value: object, allowed: str) -> None:  # noqa: FBT001
    if not holds:
        raise ServeError(f"{name} is {value}; allowed: {allowed}.")
