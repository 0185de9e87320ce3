"""What takes long has places of its own: when they are taken it says so, and answers go on."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from fieldmark.serving.service import MAX_SLOW, Service

LONGEST_S = 10


def until(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def service_of(client: TestClient) -> Service:
    service = client.app_state["service"]
    assert isinstance(service, Service)
    return service


class Held:
    """Keeps whatever comes to it waiting until it may go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()

    def __call__(self, *_: object, **__: object) -> bytes:
        assert self.may_go.wait(LONGEST_S)
        return b"drawn"


@pytest.fixture
def held() -> Iterator[Held]:
    one = Held()
    yield one
    one.may_go.set()


@contextmanager
def all_places_taken(client: TestClient, held: Held, photo: bytes) -> Iterator[list[Any]]:
    """Have as many explanations under way as there may be, and give their answers to come."""
    with ThreadPoolExecutor(MAX_SLOW) as pool:
        waiting = [pool.submit(client.post, "/explain", content=photo) for _ in range(MAX_SLOW)]
        until(lambda: service_of(client)._num_slow == MAX_SLOW)
        try:
            yield waiting
        finally:
            held.may_go.set()


def test_when_the_places_for_explanations_are_taken_it_says_so_and_answers_go_on(
    serving: Any, colours: Any, held: Held, red: bytes
) -> None:
    colours.explain = held
    with serving() as client, all_places_taken(client, held, red) as waiting:
        for path in ("/explain", "/nearest"):
            refused = client.post(path, content=red)
            assert refused.status_code == 503
            assert "Try again" in refused.json()["error"]
            assert int(refused.headers["retry-after"]) >= 1
        answered = client.post("/predict", content=red)
        assert answered.json()["photos"][0]["predicted"] == "red"
        assert client.get("/v2/health/ready").status_code == 200
        held.may_go.set()
        assert [one.result(LONGEST_S).status_code for one in waiting] == [200] * MAX_SLOW
        assert service_of(client)._num_slow == 0
        assert client.post("/explain", content=red).content == b"drawn"


def test_explanations_take_no_places_of_answers(
    serving: Any, colours: Any, held: Held, red: bytes
) -> None:
    colours.explain = held
    with serving(max_waiting=2, max_photos=2) as client, all_places_taken(client, held, red):
        assert service_of(client).batcher.num_admitted == 0
        files = [("p", ("a", red)), ("p", ("b", red))]
        assert client.post("/predict", files=files).status_code == 200


def test_places_of_explanations_that_failed_are_free_again(
    serving: Any, colours: Any, red: bytes
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise RuntimeError("no gradients today")

    with serving() as client:
        client._transport.raise_server_exceptions = False
        for _ in range(2 * MAX_SLOW):
            assert client.post("/explain", content=b"text").status_code == 415
        colours.explain = fail
        for _ in range(2 * MAX_SLOW):
            assert client.post("/explain", content=red).status_code == 500
        assert service_of(client)._num_slow == 0
