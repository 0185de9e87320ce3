"""Pillow's warnings are silenced within the block, others are not, and nothing stays behind."""

import threading
import warnings

import pytest

from fieldmark.data.quiet import pillow_warnings_off


def warn_as(module: str) -> None:
    warnings.warn_explicit("odd tag", UserWarning, "file.py", 1, module=module)


def test_pillow_is_silent_and_others_are_heard() -> None:
    with pillow_warnings_off():
        warn_as("PIL.TiffImagePlugin")
        with pytest.warns(UserWarning, match="odd tag"):
            warn_as("numpy")


def test_nothing_stays_behind_even_after_an_error() -> None:
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="broken"), pillow_warnings_off():
        raise ValueError("broken")
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="odd tag"):
        warn_as("PIL.TiffImagePlugin")


def test_the_first_thread_to_leave_does_not_wake_the_warnings_of_the_second() -> None:
    before = list(warnings.filters)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    heard: list[str] = []

    def first() -> None:
        with pillow_warnings_off():
            first_is_in.set()
            second_is_in.wait(5)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(5)
        with pillow_warnings_off():
            second_is_in.set()
            first_is_out.wait(5)
            try:
                warn_as("PIL.PngImagePlugin")
            except UserWarning as error:
                heard.append(str(error))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=target) for target in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert first_is_out.is_set()
    assert heard == []
    assert list(warnings.filters) == before
