"""What a long verb tells its user while it runs: events, and the sinks that show them.

In: events from the library (`progress.start(...)`, `.advance(...)`, `.finish(...)`, `.note(...)`).
Out: plain lines for pipes and logs, JSON lines, or nothing; `console` has the live display.
The library itself never prints.
"""

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

RATE_SAMPLES = 60
SAMPLE_EVERY_S = 0.5
"""The rate is that of the last 60 samples, half a second or more apart: about 30 s of a fast
stage, so that a slow start stops counting, and many units of a slow one, so that it is steady."""

SHORTEST_SPAN_S = 0.1
"""Over less than this a rate says nothing."""

DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Unicode's marks that turn the direction of writing, with which one name can pass for another."""
LINE_ENDS = (0x2028, 0x2029)
"""Unicode's separators of lines and paragraphs."""

CONTROL_CHARACTERS = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0), *DIRECTIONS, *LINE_ENDS)
    if chr(code) not in "\n\t"
}
"""What could move the cursor, recolour a terminal or turn a line round, for `str.translate`."""


class Progress(Protocol):
    """A sink of progress events. Every method returns at once and outlives a closed display."""

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """A stage begins; `total` is the number of `unit`s it will do, or None where unknown."""

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """`count` more units of the present stage are done; `detail` is shown beside the bar."""

    def finish(self, summary: str) -> None:
        """The present stage is done; `summary` says in a few words what came of it."""

    def note(self, text: str) -> None:
        """Something to be read and kept on the screen: a derived choice, a warning."""

    def close(self) -> None:
        """Nothing more will come; restore the terminal. A stage still open was stopped."""


class SilentProgress:
    """Shows nothing."""

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Ignore the event."""

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """Ignore the event."""

    def finish(self, summary: str) -> None:
        """Ignore the event."""

    def note(self, text: str) -> None:
        """Ignore the event."""

    def close(self) -> None:
        """Ignore the event."""


class Meter:
    """How far the present stage is, how fast it goes, and how long it has left."""

    def __init__(
        self,
        stage: str,
        *,
        total: int | None,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stage, self.total, self.unit = stage, total, unit
        self.done = 0
        self.detail: str | None = None
        self._clock = clock
        self._began = self._advanced = clock()
        self._samples = deque([(self._began, 0)], maxlen=RATE_SAMPLES)

    def advance(self, count: int, detail: str | None) -> None:
        """Count `count` more units; a `detail` of None leaves the last one standing."""
        self.detail = detail if detail is not None else self.detail
        if not count:
            return
        self.done += count
        self._advanced = self._clock()
        if self._advanced - self._samples[-1][0] >= SAMPLE_EVERY_S:
            self._samples.append((self._advanced, self.done))

    @property
    def seconds(self) -> float:
        """Seconds since the stage began."""
        return self._clock() - self._began

    @property
    def units_per_s(self) -> float | None:
        """The recent rate, or None while too little is done to tell."""
        since, done_then = self._samples[0]
        span_s = self._advanced - since
        if span_s < SHORTEST_SPAN_S or self.done <= done_then:
            return None
        return (self.done - done_then) / span_s

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the recent rate (0 or more), or None while it cannot be told."""
        rate = self.units_per_s
        if rate is None or not self.total:
            return None
        waited_s = self._clock() - self._advanced
        return max(0.0, (self.total - self.done) / rate - waited_s)

    def count(self) -> str:
        """Return how far the stage is: `"1,234/4,622 images"`, or `"1,234 images"`."""
        of_total = f"/{self.total:,}" if self.total else ""
        return f"{self.done:,}{of_total} {self.unit}"

    def rate(self) -> str | None:
        """Return the recent rate: `"116 images/s"`; None while it cannot be told."""
        rate = self.units_per_s
        if rate is None:
            return None
        digits = 0 if rate >= 9.5 else 1 if rate >= 0.95 else 2
        return f"{rate:,.{digits}f} {self.unit}/s"

    def left(self) -> str | None:
        """Return the time left: `"29 s left"`; None while it cannot be told."""
        seconds = self.seconds_left
        return None if seconds is None else f"{format_duration(seconds)} left"


class PlainProgress:
    """One line as a stage ends, and one every `every_s` seconds within it: for pipes and logs."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 15.0) -> None:
        """Write to `stream`, or to standard error where None."""
        self.stream = stream if stream is not None else sys.stderr
        self.every_s = every_s
        self._meter: Meter | None = None
        self._shown = 0.0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Remember the stage; nothing is printed until it advances or ends."""
        self._meter = Meter(stage, total=total, unit=unit)
        self._shown = time.monotonic()

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """Print a line where `every_s` seconds have gone by since the last."""
        if (meter := self._meter) is None:
            return
        meter.advance(count, detail)
        now = time.monotonic()
        if now - self._shown < self.every_s:
            return
        self._shown = now
        parts = (meter.count(), meter.rate(), meter.left(), meter.detail)
        self._line(f"{meter.stage}: {', '.join(part for part in parts if part)}")

    def finish(self, summary: str) -> None:
        """Print the stage, its outcome and its seconds."""
        meter, self._meter = self._meter, None
        if meter is not None:
            self._line(f"{meter.stage}: {summary} ({format_duration(meter.seconds)})")

    def note(self, text: str) -> None:
        """Print the note as a line."""
        self._line(text)

    def close(self) -> None:
        """Say of a stage still open how far it came."""
        if self._meter is not None:
            self.finish(f"stopped at {self._meter.count()}")

    def _line(self, text: str) -> None:
        write_line(self.stream, printable(text))


@dataclass(slots=True)
class JsonLinesProgress:
    """Each event as a JSON object on a line, with seconds since the sink was made."""

    stream: TextIO
    _began: float = field(default_factory=time.monotonic, init=False)

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Write `{"event": "start", ...}`."""
        self._write("start", stage=stage, total=total, unit=unit)

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """Write `{"event": "advance", ...}`."""
        self._write("advance", count=count, detail=detail)

    def finish(self, summary: str) -> None:
        """Write `{"event": "finish", ...}`."""
        self._write("finish", summary=summary)

    def note(self, text: str) -> None:
        """Write `{"event": "note", ...}`."""
        self._write("note", text=text)

    def close(self) -> None:
        """Nothing to restore: each line was flushed as it was written."""

    def _write(self, event: str, **values: Any) -> None:
        row = {"event": event, "t_s": round(time.monotonic() - self._began, 3), **values}
        write_line(self.stream, json.dumps(row, ensure_ascii=False))


@contextmanager
def closing(progress: Progress) -> Iterator[Progress]:
    """Close the sink when the block ends, however it ends."""
    try:
        yield progress
    finally:
        progress.close()


def write_line(stream: TextIO, text: str) -> None:
    """Write one line and flush; a closed stream or a reader that went away is no error."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(encodable(text, stream) + "\n")
        stream.flush()


def encodable(text: str, stream: TextIO) -> str:
    """Return `text` with backslash escapes for what the stream's encoding cannot hold."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="backslashreplace").decode(encoding)


def printable(text: str) -> str:
    """Return `text` without control characters: a file's name must not steer the terminal."""
    return text.translate(CONTROL_CHARACTERS)


def format_duration(seconds: float) -> str:
    """Return a duration for people: `"0.4 s"`, `"12 s"`, `"3 min 20 s"`, `"1 h 05 min"`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
