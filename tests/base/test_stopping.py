"""Signals to stop: put off, obeyed at once, left ignored, and handled as before afterwards."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fieldmark.base.stopping import Stopped, deferred, stoppable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals cannot be sent to oneself")

ALL = ("SIGINT", "SIGTERM", "SIGHUP")


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """The handlers of a fresh interpreter, and after the test those that there were."""
    numbers = [getattr(signal, name) for name in ALL]
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def handlers() -> list[object]:
    return [signal.getsignal(getattr(signal, name)) for name in ALL]


def send(name: str) -> None:
    signal.raise_signal(getattr(signal, name))


# Put off


@pytest.mark.parametrize("name", ALL)
def test_the_first_signal_only_asks(name: str) -> None:
    seen: list[object] = []

    def block() -> None:
        with deferred() as stop:
            seen.extend((stop.asked, stop.signal))
            send(name)
            seen.extend((stop.asked, stop.signal))

    with pytest.raises(Stopped):
        block()
    assert seen == [False, None, True, name]


def test_nothing_is_raised_where_nobody_asked() -> None:
    with deferred() as stop:
        pass
    assert not stop.asked


@pytest.mark.parametrize("second", ALL)
def test_a_second_signal_interrupts_at_once(second: str) -> None:
    def block() -> None:
        with deferred():
            send("SIGTERM")
            send(second)
            pytest.fail("went on after the second signal")

    with pytest.raises(KeyboardInterrupt, match="a second time"):
        block()


def test_the_block_leaves_with_a_message_of_its_own() -> None:
    def leave() -> None:
        with deferred() as stop:
            send("SIGINT")
            assert stop.asked
            raise Stopped("saved in epoch 3")

    with pytest.raises(Stopped, match=r"^saved in epoch 3$"):
        leave()


def test_a_wish_to_stop_that_the_block_did_not_see_is_not_lost() -> None:
    with pytest.raises(Stopped, match=r"^stopped by SIGTERM$"), deferred():
        send("SIGTERM")


def test_an_error_of_the_block_counts_more_than_a_wish_to_stop() -> None:
    def block() -> None:
        with deferred():
            send("SIGTERM")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


def test_nobody_takes_a_stop_for_an_error() -> None:
    assert issubclass(Stopped, KeyboardInterrupt)
    assert not issubclass(Stopped, Exception)


# At once


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_interrupts_as_ctrl_c_does(name: str) -> None:
    def block() -> None:
        with stoppable():
            send(name)
            pytest.fail("went on after the signal")

    with pytest.raises(KeyboardInterrupt, match=f"^stopped by {name}$"):
        block()


def test_ctrl_c_is_left_to_python() -> None:
    with stoppable():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_putting_off_works_within_a_block_that_can_be_stopped() -> None:
    with stoppable():
        with pytest.raises(Stopped), deferred():
            send("SIGTERM")
        with pytest.raises(Stopped):
            send("SIGTERM")


# Before and after


@pytest.mark.parametrize("block", [stoppable, deferred])
def test_the_handlers_of_before_are_put_back(block: type) -> None:
    before = handlers()
    with block():
        assert handlers() != before
    assert handlers() == before


def test_the_handlers_of_before_are_put_back_after_an_interruption() -> None:
    before = handlers()
    with pytest.raises(Stopped), stoppable(), deferred():
        send("SIGTERM")
    assert handlers() == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a program
    with stoppable(), deferred() as stop:
        send("SIGHUP")
        assert not stop.asked
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize("block", [stoppable, deferred])
def test_a_block_in_another_thread_runs_and_is_never_asked(block: type) -> None:
    met: list[object] = []

    def run() -> None:
        with block() as stop:
            met.extend((handlers() == before, getattr(stop, "asked", False)))

    before = handlers()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert met == [True, False]
