"""Clients that load a server over HTTP: what goes out is prepared, and little is made of answers.

In: an address and photos. Out: how many answers came, of which status, after how long.
`closed` keeps a number of clients busy, each with one request at a time; `opened` sends at a rate,
whether answers come or not. Clients share the processor with the server, so what they cost is
taken from it: run them by `run`, on the fastest loop that is installed.
"""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

Result = TypeVar("Result")


def run(main: Coroutine[None, None, Result]) -> Result:
    """Run a coroutine on uvloop where that is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


@dataclass(kw_only=True)
class Load:
    """What came of loading a server."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    """Seconds of the good answers."""

    @property
    def good_a_second(self) -> float:
        """Good answers a second."""
        return self.statuses["200"] / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Return the seconds within which a share of the good answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def request_bytes(
    photo: bytes, *, port: int, path: str = "/predict", as_json: bool = False
) -> bytes:
    """Return a request with a photo, head and body in one.

    The photo is the body, or in base64 the value "photo" of a JSON object: LitServe hands a request
    on to its workers as what was parsed, and it parses JSON and forms.
    """
    kind = "application/octet-stream"
    if as_json:
        kind, photo = "application/json", b'{"photo": "%s"}' % base64.b64encode(photo)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(photo)}\r\n\r\n"
    )
    return head.encode() + photo


class Client(asyncio.Protocol):
    """One connection, opened again where the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str] | None = None
        self._received = b""

    async def ask(self, request: bytes) -> str:
        """Return the status of the answer, or what went wrong."""
        loop = asyncio.get_running_loop()
        try:
            if self._transport is None:
                await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError:
            return "refused"
        assert self._transport is not None
        self._received, self._answer = b"", loop.create_future()
        self._transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give the status once an answer is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        head = head.lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) >= length:
            if b"connection: close" in head:
                self.close()
            self._give(head.split(b" ", 2)[1].decode("ascii"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to whoever waits for an answer."""
        self._transport = None
        self._give(f"lost ({type(exc).__name__})" if exc else "lost (closed)")

    def close(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.close()
        self._transport = None

    def _give(self, status: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


async def closed(port: int, requests: Sequence[bytes], *, num_clients: int, seconds: float) -> Load:
    """Keep clients busy for some seconds, or until the server refuses connections."""
    load, began = Load(), time.perf_counter()
    numbers = iter(range(1 << 60))

    async def work() -> None:
        client = Client(port)
        while time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            status = await client.ask(requests[next(numbers) % len(requests)])
            if status == "refused":
                break
            load.statuses[status] += 1
            if status == "200":
                load.latencies.append(time.perf_counter() - sent)
        client.close()

    await asyncio.gather(*(work() for _ in range(num_clients)))
    load.seconds = time.perf_counter() - began
    return load


async def opened(
    port: int, requests: Sequence[bytes], *, rate: float, seconds: float, num_clients: int = 400
) -> Load:
    """Send requests at a rate; one for which no client is free counts as not sent."""
    load, began, free = Load(), time.perf_counter(), [Client(port) for _ in range(num_clients)]
    tasks: set[asyncio.Task[None]] = set()

    async def one(client: Client, request: bytes) -> None:
        sent = time.perf_counter()
        status = await client.ask(request)
        load.statuses[status] += 1
        if status == "200":
            load.latencies.append(time.perf_counter() - sent)
        free.append(client)

    number = 0
    while (now := time.perf_counter() - began) < seconds:
        while number < now * rate:
            if free:
                task = asyncio.create_task(one(free.pop(), requests[number % len(requests)]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            else:
                load.statuses["not sent"] += 1
            number += 1
        await asyncio.sleep(0.002)
    load.seconds = time.perf_counter() - began
    await asyncio.gather(*tasks)
    for client in free:
        client.close()
    return load
