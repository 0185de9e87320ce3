import io
import re
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fieldmark.base.console import ConsoleProgress, _live_row, choose_progress
from fieldmark.base.progress import Meter, PlainProgress, closing

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[[\d;]*3\dm")


class Terminal(io.StringIO):
    """Text that says it goes to a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return what stands on the screen after every cursor movement, line by line."""
        rows, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", self.getvalue()):
            if token == "\n":
                row, column = row + 1, 0
                rows.extend([""] * (row + 1 - len(rows)))
            elif token == "\r":
                column = 0
            elif token == "\x1b[1A":
                row -= 1
            elif token == "\x1b[2K":
                rows[row] = ""
            elif not token.startswith("\x1b"):
                rows[row] = rows[row][:column].ljust(column) + token
                column += len(token)
        return [text.rstrip() for text in rows if text.strip()]


def make(width: int = 80) -> tuple[Terminal, ConsoleProgress]:
    terminal = Terminal()
    console = Console(file=terminal, force_terminal=True, width=width, color_system="standard")
    return terminal, ConsoleProgress(console=console)


def without_seconds(lines: list[str]) -> list[str]:
    return [re.sub(r"\s+\d+\.\d s$", "", line) for line in lines]


def meter_after(seconds: float, *, done: int, total: int | None, detail: str = "") -> Meter:
    now_s = 0.0
    meter = Meter("train", total=total, unit="epochs", clock=lambda: now_s)
    now_s = seconds
    meter.advance(done, detail)
    return meter


def test_a_finished_stage_leaves_one_line_with_tick_name_summary_and_seconds() -> None:
    terminal, progress = make()
    progress.start("catalog", total=2, unit="images")
    progress.advance(2)
    progress.finish("2 images in 1 class")
    (line,) = terminal.screen()
    assert re.fullmatch(r"✓ catalog     2 images in 1 class\s+0\.\d s", line)
    assert len(line) == 80


def test_the_summaries_of_stages_stand_in_one_column() -> None:
    terminal, progress = make()
    for stage in ("split", "evaluate"):
        progress.start(stage, total=None, unit="images")
        progress.finish("done")
    assert without_seconds(terminal.screen()) == ["✓ split       done", "✓ evaluate    done"]


def test_the_live_line_shows_count_detail_and_a_bar() -> None:
    terminal, progress = make()
    with closing(progress):
        progress.start("train", total=4, unit="epochs")
        progress.advance(2, detail="epoch 2/4  val accuracy 97.1 %")
        progress.note("the live line is drawn anew below a note")
        _, name_and_figures, below = terminal.screen()
    assert re.match(r". train       ━+─+  2/4 epochs", name_and_figures)
    assert name_and_figures.count("━") == name_and_figures.count("─")
    assert below == "              epoch 2/4  val accuracy 97.1 %"


def test_the_live_line_is_gone_after_close() -> None:
    terminal, progress = make()
    progress.start("train", total=4, unit="epochs")
    progress.finish("4 epochs")
    progress.close()
    assert without_seconds(terminal.screen()) == ["✓ train       4 epochs"]


def test_a_note_stands_above_the_live_line_and_stays() -> None:
    terminal, progress = make()
    progress.start("train", total=4, unit="epochs")
    progress.note("resize = [squash]")
    assert terminal.screen()[0] == "• resize = [squash]"
    assert "train" in terminal.screen()[1]
    progress.finish("4 epochs")
    assert without_seconds(terminal.screen()) == ["• resize = [squash]", "✓ train       4 epochs"]


def test_a_long_note_wraps_below_its_own_text() -> None:
    terminal, progress = make(width=30)
    progress.note("the class 'mökki' has 3 photos only")
    assert terminal.screen() == ["• the class 'mökki' has 3", "  photos only"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_stage_that_is_broken_off_says_how_far_it_came_and_the_cursor_is_back(
    error: type[BaseException],
) -> None:
    terminal, progress = make()
    progress.start("train", total=20, unit="epochs")
    progress.advance(3)
    with pytest.raises(error), closing(progress):
        raise error
    assert without_seconds(terminal.screen()) == ["✗ train       stopped at 3/20 epochs"]
    assert terminal.getvalue().rindex(SHOW_CURSOR) > terminal.getvalue().rindex(HIDE_CURSOR)


def test_closing_twice_shows_nothing_more() -> None:
    terminal, progress = make()
    progress.start("train", total=20, unit="epochs")
    progress.close()
    before = terminal.getvalue()
    progress.close()
    assert terminal.getvalue() == before


def test_a_stage_left_open_counts_as_finished_when_the_next_begins() -> None:
    terminal, progress = make()
    progress.start("catalog", total=None, unit="images")
    progress.advance(7)
    progress.start("split", total=None, unit="images")
    progress.finish("done")
    assert without_seconds(terminal.screen()) == ["✓ catalog     7 images", "✓ split       done"]


def test_events_outside_a_stage_are_no_error() -> None:
    terminal, progress = make()
    progress.advance()
    progress.finish("nothing")
    progress.close()
    assert terminal.screen() == []


@given(
    width=st.integers(1, 220),
    seconds=st.floats(0.0, 1e5),
    done=st.integers(0, 10**6),
    total=st.none() | st.integers(1, 10**6),
    detail=st.text(max_size=80),
    beside=st.booleans(),
)
@settings(deadline=None)
def test_the_live_line_fits_every_width(
    width: int, seconds: float, done: int, total: int | None, detail: str, beside: bool
) -> None:
    meter = meter_after(seconds, done=done, total=total, detail=detail)
    for ascii_only in (False, True):
        row = _live_row(meter, width=width, ascii_only=ascii_only, detail_beside=beside)
        assert row.cell_len <= width
        assert row.plain.isascii() or not ascii_only


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (100, r". train       ━{4}╸─{25}  3/20 epochs   0\.30 epochs/s   57 s left"),
        (60, r". train       ━+╸?─+  3/20 epochs   57 s left"),
        (40, r". train       3/20 epochs   57 s left"),
        (30, r". train       3/20 epochs"),
    ],
)
def test_a_narrow_terminal_loses_the_rate_then_the_bar_then_the_time_left(
    width: int, shown: str
) -> None:
    meter = meter_after(10.0, done=3, total=20)
    row = _live_row(meter, width=width, ascii_only=False, detail_beside=False)
    assert re.fullmatch(shown, row.plain)


def test_a_stage_without_a_total_shows_count_and_rate_and_no_bar() -> None:
    meter = meter_after(2.0, done=1000, total=None)
    row = _live_row(meter, width=80, ascii_only=False, detail_beside=False)
    assert re.fullmatch(r". train       1,000 epochs  500 epochs/s", row.plain)


def test_a_wide_terminal_shows_the_detail_beside_the_bar() -> None:
    terminal, progress = make(width=160)
    with closing(progress):
        progress.start("train", total=4, unit="epochs")
        progress.advance(1, detail="val accuracy 97.1 %")
        progress.note("the live line is drawn anew below a note")
        _, line = terminal.screen()
    assert line.endswith("val accuracy 97.1 %")


def test_a_full_bar_is_full_and_an_empty_one_empty() -> None:
    full = _live_row(
        meter_after(1.0, done=5, total=5), width=80, ascii_only=True, detail_beside=False
    )
    empty = _live_row(
        meter_after(1.0, done=0, total=5), width=80, ascii_only=True, detail_beside=False
    )
    assert re.match(r". train       #+  5/5", full.plain)
    assert re.match(r". train       -+  0/5", empty.plain)


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    def show() -> str:
        terminal = Terminal()
        with closing(ConsoleProgress(terminal)) as progress:
            progress.start("train", total=4, unit="epochs")
            progress.advance(1)
            progress.finish("done")
        return terminal.getvalue()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert COLOUR.search(show())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(show())


def test_a_terminal_that_is_not_utf8_gets_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class AsciiTerminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    content = io.BytesIO()
    with closing(ConsoleProgress(AsciiTerminal(content, encoding="ascii"))) as progress:
        progress.start("train", total=4, unit="epochs")
        progress.note("mökki")
        progress.advance(1, detail="50×50")
        progress.finish("läuft")
        progress.start("export", total=None, unit="files")
    written = content.getvalue().decode("ascii")
    for expected in ("* ", "m\\xf6kki", "+ ", "l\\xe4uft", "x ", "stopped at 0 files"):
        assert expected in written


def test_control_characters_do_not_reach_the_terminal() -> None:
    terminal, progress = make()
    progress.start("catalog", total=None, unit="images")
    progress.note("excluded: \x1b[5mcat\x07.jpg")
    progress.finish("\x1b[5mdone")
    assert "\x1b[5m" not in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()


def test_a_terminal_closed_half_way_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    progress = ConsoleProgress(terminal)
    progress.start("train", total=4, unit="epochs")
    terminal.close()
    time.sleep(0.3)
    progress.advance(1)
    progress.note("still here")
    progress.finish("done")
    progress.start("evaluate", total=4, unit="images")
    progress.close()


def test_a_warning_of_a_library_is_printed_above_the_live_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = ConsoleProgress()
    progress.start("train", total=4, unit="epochs")
    sys.stderr.write("library.py:1: UserWarning: slow path\n")
    assert "slow path" in terminal.screen()[0]
    assert "train" in terminal.screen()[-1]
    progress.close()
    assert sys.stderr is terminal


def test_results_printed_during_a_stage_stay_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal, progress = make()
    with closing(progress):
        progress.start("train", total=4, unit="epochs")
        sys.stdout.write("accuracy 0.97\n")
    assert capsys.readouterr().out == "accuracy 0.97\n"
    assert "accuracy" not in terminal.getvalue()


@pytest.mark.parametrize("term", ["xterm-256color", "screen", ""])
def test_a_terminal_gets_the_live_display(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    assert isinstance(choose_progress(Terminal()), ConsoleProgress)


@pytest.mark.parametrize("make_stream", [io.StringIO, Terminal])
def test_a_pipe_and_a_dumb_terminal_get_plain_lines(
    monkeypatch: pytest.MonkeyPatch, make_stream: Callable[[], io.StringIO]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = make_stream()
    progress = choose_progress(stream)
    assert isinstance(progress, PlainProgress)
    progress.note("hello")
    assert stream.getvalue() == "hello\n"


def test_a_closed_stream_gets_plain_lines_that_go_nowhere() -> None:
    stream = Terminal()
    stream.close()
    choose_progress(stream).note("hello")
