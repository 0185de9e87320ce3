"""Bodies are bounded together: one for which there is no room is refused, and leaves none taken."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.requests import Request

from fieldmark.serving.refusals import Refused
from fieldmark.serving.uploads import BODIES_HELD, Bodies

SIZE = 10
LONGEST_S = 10


def request(parts: Sequence[bytes], *, breaks_off: bool = False, stalls: bool = False) -> Request:
    """Return a request whose body comes in parts, and may break off or never end."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": part, "more_body": True} for part in parts
    ]
    messages.append(
        {"type": "http.disconnect"} if breaks_off else {"type": "http.request", "body": b""}
    )

    async def receive() -> dict[str, Any]:
        if stalls and len(messages) == 1:
            await asyncio.sleep(LONGEST_S)
        return messages.pop(0)

    return Request({"type": "http", "headers": []}, receive)


async def refusal(bodies: Bodies, asked: Request) -> Refused:
    with pytest.raises(Refused) as caught:
        async with bodies.read(asked):
            raise AssertionError("it was let in")
    return caught.value


def test_a_body_without_room_is_refused_and_leaves_no_room_taken() -> None:
    async def fill() -> None:
        bodies, whole = Bodies(max_bytes=SIZE), BODIES_HELD * SIZE
        async with AsyncExitStack() as stack:
            for _ in range(BODIES_HELD):
                await stack.enter_async_context(bodies.read(request([b"x" * SIZE])))
            assert bodies._num_held == whole
            refused = await refusal(bodies, request([b"", b"y", b"y"]))
            assert refused.status == 503
            assert "Retry-After" in refused.headers
            assert bodies._num_held == whole
        assert bodies._num_held == 0
        async with bodies.read(request([b"z" * SIZE])) as body:
            assert body == b"z" * SIZE

    asyncio.run(fill())


def test_a_body_that_comes_in_parts_counts_as_it_comes() -> None:
    async def grow() -> None:
        bodies = Bodies(max_bytes=SIZE)
        async with AsyncExitStack() as stack:
            for _ in range(BODIES_HELD - 1):
                await stack.enter_async_context(bodies.read(request([b"x" * SIZE])))
            async with bodies.read(request([b"a" * 4, b"b" * 6])) as body:
                assert body == b"aaaabbbbbb"
                assert bodies._num_held == BODIES_HELD * SIZE
            refused = await refusal(bodies, request([b"a" * 6, b"b" * 6]))
            assert refused.status == 413
            assert bodies._num_held == (BODIES_HELD - 1) * SIZE

    asyncio.run(grow())


@pytest.mark.parametrize(("how", "status"), [("breaks_off", 400), ("stalls", 408)])
def test_a_body_that_never_ends_leaves_no_room_taken(how: str, status: int) -> None:
    async def wait() -> None:
        bodies = Bodies(max_bytes=SIZE, timeout_s=0.05)
        refused = await refusal(bodies, request([b"abc"], **{how: True}))
        assert refused.status == status
        assert bodies._num_held == 0

    asyncio.run(wait())


def test_a_body_counts_until_its_photos_are_answered(
    serving: Any, colours: Any, red: bytes
) -> None:
    may_go = threading.Event()
    colours.before_answer = lambda: may_go.wait(LONGEST_S)
    with (
        serving(max_body_bytes=len(red), max_batch=1) as client,
        ThreadPoolExecutor(BODIES_HELD) as pool,
    ):
        bodies = client.app_state["service"].bodies
        try:
            waiting = [
                pool.submit(client.post, "/predict", content=red) for _ in range(BODIES_HELD)
            ]
            end_s = time.monotonic() + LONGEST_S
            while bodies._num_held < BODIES_HELD * len(red):
                assert time.monotonic() < end_s
                time.sleep(0.005)
            refused = client.post("/predict", content=red)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
        finally:
            may_go.set()
        assert [one.result(LONGEST_S).status_code for one in waiting] == [200] * BODIES_HELD
        assert bodies._num_held == 0
        assert client.post("/predict", content=red).status_code == 200
