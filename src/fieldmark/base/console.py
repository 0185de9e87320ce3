"""The live display of a terminal: a line for each finished stage, a moving one for the present.

In: progress events. Out: text with cursor movements on one terminal (standard error, so that
results on standard output can be piped). Not covered: several stages at once.
"""

import atexit
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO, cast

from fieldmark.base.progress import (
    Meter,
    PlainProgress,
    Progress,
    encodable,
    format_duration,
    printable,
)

if TYPE_CHECKING:  # rich is imported where a display is made: it costs a tenth of a second
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

REFRESHES_PER_S = 8
"""Smooth to the eye; a refresh takes about 0.2 ms of one core."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_ASCII = "|/-\\"

STAGE_COLUMNS = 10
"""Stage names are padded to this width, so that what follows them stands in one column."""

LINE_COLUMNS = 100
"""Finished lines are no wider than this, so that seconds stay near what they belong to."""

DETAIL_BESIDE_COLUMNS = 150
"""From this width on the detail stands beside the bar; on narrower terminals below it."""

MARGIN_COLUMNS = 3
"""Left free at the right of the live line: a terminal writes `^C` there without wrapping it."""

LONGEST_BAR_COLUMNS = 30
SHORTEST_BAR_COLUMNS = 8

GAP = "  "

NAME_COLUMNS = 2 + STAGE_COLUMNS + len(GAP)
"""Mark, blank, name and gap: what stands before a summary or a bar."""

LEFT_COLUMNS = len("59 min 59 s left")
RATE_COLUMNS = len("9,999 /s")


class ConsoleProgress:
    """Shows progress on a terminal.

    A finished stage leaves a line: a tick, its name, what came of it, its seconds. The present one
    has a live line: spinner, bar, count, rate, time left, and the detail. Notes are printed above
    it. NO_COLOR is honoured, and a narrow terminal gets fewer parts. Once the terminal is gone the
    display falls silent; it never raises for that.
    """

    def __init__(self, stream: TextIO | None = None, *, console: "Console | None" = None) -> None:
        """Show on `stream` (standard error where None), or on a `rich` console made elsewhere."""
        if console is None:
            from rich.console import Console

            stream = stream if stream is not None else sys.stderr
            console = Console(file=cast("TextIO", _LastingStream(stream)))
        self._console = console
        self._is_stderr = stream is not None and stream is sys.stderr
        self._live: Live | None = None
        self._meter: Meter | None = None

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Show the live line of a stage; one left open before it counts as finished."""
        if self._meter is not None:
            self.finish(self._meter.count())
        self._meter = Meter(stage, total=total, unit=unit)
        self._live = self._start_live(self._meter)

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """Count; the live line shows it at its next refresh, so this costs next to nothing."""
        if self._meter is not None:
            self._meter.advance(count, detail)

    def finish(self, summary: str) -> None:
        """Replace the live line by the finished one."""
        self._end(summary, mark="+" if self._ascii_only else "✓", style="green")

    def note(self, text: str) -> None:
        """Print the note above the live line."""
        self._print(mark="*" if self._ascii_only else "•", style="dim", text=text)

    def close(self) -> None:
        """Remove the live line and restore the cursor; say of an open stage how far it came."""
        if self._meter is not None:
            mark = "x" if self._ascii_only else "✗"
            self._end(f"stopped at {self._meter.count()}", mark=mark, style="red")
        self._stop_live()

    @property
    def _ascii_only(self) -> bool:
        return self._console.options.ascii_only or self._console.legacy_windows

    def _start_live(self, meter: Meter) -> "Live":
        from rich.live import Live

        live = Live(
            _LiveLine(meter),
            console=self._console,
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
            # Results belong on standard output, which may be a file; rich would move them here.
            redirect_stdout=False,
            # A library's warning, on the other hand, is printed above the live line.
            redirect_stderr=self._is_stderr,
        )
        # A program that dies before `close` must not leave the terminal without a cursor.
        atexit.register(self._stop_live)
        live.start(refresh=True)
        return live

    def _stop_live(self) -> None:
        atexit.unregister(self._stop_live)
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _end(self, summary: str, *, mark: str, style: str) -> None:
        meter, self._meter = self._meter, None
        self._stop_live()
        if meter is not None:
            seconds = format_duration(meter.seconds)
            self._print(mark=mark, style=style, name=meter.stage, text=summary, right=seconds)

    def _print(
        self, *, mark: str, style: str, text: str, name: str | None = None, right: str = ""
    ) -> None:
        text = _drawable(text, ascii_only=self._ascii_only)
        name = name and _drawable(name, ascii_only=self._ascii_only)
        width = min(self._console.width, LINE_COLUMNS)
        row = _finished_row(mark, style, text, name=name, right=right, width=width)
        self._console.print(row)


def choose_progress(stream: TextIO) -> Progress:
    """Return the live display where `stream` is a terminal that can move its cursor, else lines."""
    try:
        is_terminal = stream.isatty()
    except (AttributeError, ValueError):
        is_terminal = False
    if is_terminal and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}:
        return ConsoleProgress(stream)
    return PlainProgress(stream)


class _LastingStream:
    """Passes text on to a terminal and drops it once that is closed or gone.

    It stands below the display since that writes from a thread of its own too, where an error
    could not be caught.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(encodable(text, self._stream))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _LiveLine:
    """The present stage, drawn anew at each refresh for the width that the terminal then has."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text

        meter, width = self._meter, options.max_width - MARGIN_COLUMNS
        ascii_only = options.ascii_only or options.legacy_windows
        beside = options.max_width >= DETAIL_BESIDE_COLUMNS
        yield _live_row(meter, width=width, ascii_only=ascii_only, detail_beside=beside)
        if meter.detail and not beside:
            indent = " " * min(NAME_COLUMNS, width // 3)
            detail = indent + _drawable(meter.detail, ascii_only=ascii_only)
            yield _cut(Text(detail, style="dim"), width, ascii_only=ascii_only)


def _live_row(meter: Meter, *, width: int, ascii_only: bool, detail_beside: bool) -> "Text":
    """Return spinner, name, bar, figures and perhaps the detail as one line of at most `width`."""
    from rich.text import Text

    frames = SPINNER_ASCII if ascii_only else SPINNER
    frame = frames[int(time.monotonic() * REFRESHES_PER_S) % len(frames)]
    row = Text.assemble((frame, "cyan"), " ")
    row.append(_drawable(meter.stage, ascii_only=ascii_only).ljust(STAGE_COLUMNS), style="bold")
    figures = _figures_that_fit(meter, width - row.cell_len)
    reserved = sum(len(GAP) + columns for _, _, columns in figures)
    bar_columns = min(LONGEST_BAR_COLUMNS, width - row.cell_len - reserved - len(GAP))
    if meter.total and bar_columns >= SHORTEST_BAR_COLUMNS:
        bar = _bar(meter.done / meter.total, columns=bar_columns, ascii_only=ascii_only)
        row.append(GAP).append_text(bar)
    for text, style, columns in figures:
        row.append(GAP).append(text.ljust(columns), style=style)
    if meter.detail and detail_beside:
        row.append(GAP).append(_drawable(meter.detail, ascii_only=ascii_only))
    row.rstrip()
    return _cut(row, width, ascii_only=ascii_only)


def _figures_that_fit(meter: Meter, room: int) -> list[tuple[str, str, int]]:
    """Return count, rate and time left as far as they fit: each with its style and its columns.

    The rate goes first on a narrow terminal, before the bar, then the bar, then the time left.
    The columns are those of the longest that the figure gets, so that nothing jumps as it changes.
    """
    total = f"{meter.total:,}" if meter.total else ""
    count, left, rate = meter.count(), meter.left(), meter.rate()
    widest = len(f"{total}/{total} {meter.unit}") if meter.total else len(count)
    figures = [(count, "", widest)]
    room -= len(GAP) + widest
    if left is not None and room >= len(GAP) + len(left):
        columns = max(len(left), LEFT_COLUMNS)
        figures.append((left, "dim", columns))
        room -= len(GAP) + columns
    bar = len(GAP) + SHORTEST_BAR_COLUMNS if meter.total else 0
    columns = len(meter.unit) + RATE_COLUMNS
    if rate is not None and room >= bar + len(GAP) + columns:
        figures.insert(1, (rate, "dim", columns))
    return figures


def _bar(share: float, *, columns: int, ascii_only: bool) -> "Text":
    """Return a bar with `share` (0 to 1) of it filled; it can be read without colours too."""
    from rich.text import Text

    filled, empty, half = "#-#" if ascii_only else "━─╸"
    halves = int(2 * columns * min(1.0, max(0.0, share)))
    full = filled * (halves // 2) + half * (halves % 2)
    return Text.assemble((full, "cyan"), (empty * (columns - len(full)), "bright_black"))


def _finished_row(
    mark: str, mark_style: str, text: str, *, name: str | None, right: str, width: int
) -> "Table":
    """Return a finished stage or, without a name, a note; long text wraps within its column."""
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(pad_edge=False)
    row.width = width if name is not None else None
    row.add_column(no_wrap=True)
    cells = [Text(mark + " ", style=mark_style)]
    if name is not None:
        row.add_column(no_wrap=True)
        cells.append(Text(name.ljust(STAGE_COLUMNS) + GAP, style="bold"))
    row.add_column(ratio=1, overflow="fold")
    cells.append(Text(text))
    if right:
        row.add_column(no_wrap=True, justify="right")
        cells.append(Text(GAP + right, style="dim"))
    row.add_row(*cells)
    return row


def _drawable(text: str, *, ascii_only: bool) -> str:
    """Return `text` as the terminal can show it, so that what is measured is what is drawn."""
    text = printable(text)
    return text.encode("ascii", errors="backslashreplace").decode() if ascii_only else text


def _cut(text: "Text", columns: int, *, ascii_only: bool) -> "Text":
    text.no_wrap = True
    text.truncate(max(columns, 1), overflow="crop" if ascii_only else "ellipsis")
    return text
