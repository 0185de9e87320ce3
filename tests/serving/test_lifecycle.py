"""A server in a process of its own: told to stop, it loses nothing that it was asked."""

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import ServeError
from fieldmark.serving.lifecycle import Lifecycle, open_socket

SCRIPT = """
import sys, time
sys.modules["torch"] = None  # it takes seconds to load, and is not needed
sys.path.insert(0, sys.argv[1])
from conftest import Colours
from fieldmark.serving import answering, app, guards, lifecycle, service, batching

answerer = Colours()
answering.warm_up(answerer)
answerer.before_answer = lambda: time.sleep(float(sys.argv[2]))
batch = batching.BatchConfig(max_batch=4, max_waiting=64)
made = service.Service(answerer, service.ServiceConfig(batch=batch, max_photos=8))
bound, life = lifecycle.open_socket("127.0.0.1", 0), lifecycle.Lifecycle()
guard = guards.guard_config("127.0.0.1", token=None)
print(bound.getsockname()[1], flush=True)
lifecycle.run(app.build_app(made, guard=guard, lifecycle=life), bound, lifecycle=life, drain_s=0.3)
print("ended", made.batcher.num_admitted, flush=True)
"""

Start = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a server whose batches take some seconds."""
    started: list[subprocess.Popen[str]] = []

    def begin(seconds: float) -> tuple["subprocess.Popen[str]", int]:
        folder = str(Path(__file__).parent)
        command = [sys.executable, "-c", SCRIPT, folder, str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        until(lambda: asked(port, "GET", "/v2/health/ready")[0] == 200)
        return process, port

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def until(holds: Callable[[], bool], *, seconds: float = 20) -> None:
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.02)
    pytest.fail("it never came to that")


def asked(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, (response.read(), response.getheader("connection"))
    finally:
        connection.close()


def test_at_sigterm_it_is_not_ready_finishes_and_ends(start: Start, red: bytes) -> None:
    process, port = start(0.5)
    answers: list[tuple[int, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(asked(port, "POST", "/predict", red)))
    asking.start()
    time.sleep(0.15)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    until(lambda: asked(port, "GET", "/v2/health/ready")[0] == 503, seconds=0.3)
    asking.join()
    assert answers[0][0] == 200
    assert b'"red"' in answers[0][1][0]
    out, _ = process.communicate(timeout=20)
    assert out == "ended 0\n"
    assert process.returncode == 0
    assert time.monotonic() - began < 10


def test_no_request_that_was_taken_is_lost_when_it_is_stopped_under_load(  # noqa: C901 - a client in one place
    start: Start, red: bytes
) -> None:
    process, port = start(0.005)
    outcomes: Counter[str] = Counter()

    def ask_on_and_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            try:
                connection.connect()
            except OSError:  # the door is closed: nothing was sent, so nothing is lost
                return
            is_new = True
            try:
                while True:
                    connection.request("POST", "/predict", red)
                    response = connection.getresponse()
                    response.read()
                    outcomes[str(response.status)] += 1
                    is_new = False
                    if response.getheader("connection") == "close":
                        break
            except ConnectionError as error:
                # The system answered the door, but the server never took what was sent.
                if not is_new:
                    outcomes[f"lost: {error!r}"] += 1
            except (OSError, http.client.HTTPException) as error:
                outcomes[f"lost: {error!r}"] += 1
            finally:
                connection.close()

    threads = [threading.Thread(target=ask_on_and_on) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert set(outcomes) == {"200"}
    assert outcomes["200"] > 20


def test_at_the_second_signal_it_ends_at_once(start: Start, red: bytes) -> None:
    process, port = start(3.0)
    asking = threading.Thread(target=lambda: silently(asked, port, "POST", "/predict", red))
    asking.start()
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    asking.join()
    assert time.monotonic() - began < 8


def silently(function: Callable[..., object], *arguments: object) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        function(*arguments)


def test_a_port_that_is_taken_is_told_before_anything_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port}.*--port 0"):
            open_socket("127.0.0.1", port)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ServeError, match=r"203\.0\.113\.1"):
        open_socket("203.0.113.1", 0)


def test_ready_means_started_and_not_stopping() -> None:
    life = Lifecycle()
    seen = [(life.is_ready, life.is_stopping)]
    life.is_started = True
    seen.append((life.is_ready, life.is_stopping))
    life.stopping_since = 0.0
    seen.append((life.is_ready, life.is_stopping))
    assert seen == [(False, False), (True, False), (False, True)]
