"""Pillow's warnings, off for as long as anybody decodes, on all threads.

Pillow warns about odd tags of a TIFF; that is no news to the owner of the photo.
`warnings.catch_warnings` alone is not safe on threads: the first to leave would restore the
filters under the others. So the first thread in sets the filter and the last one out takes it back.
"""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _SharedSilence:
    """Counts the threads that want silence."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_inside = 0
        self._saved: warnings.catch_warnings[None] | None = None

    def enter(self) -> None:
        with self._lock:
            if self._num_inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                _ignore_pillow()
            self._num_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside == 0 and self._saved is not None:
                self._saved.__exit__(None, None, None)
                self._saved = None


_SILENCE = _SharedSilence()


@contextmanager
def pillow_warnings_off() -> Iterator[None]:
    """Ignore what Pillow's modules warn of within the block; other warnings come through."""
    # From Python 3.14 on, filters can belong to each thread: then the plain way is the safe one.
    if getattr(sys.flags, "context_aware_warnings", False):
        with warnings.catch_warnings():
            _ignore_pillow()
            yield
        return
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()


def _ignore_pillow() -> None:
    warnings.filterwarnings("ignore", module=r"PIL\.")
