import io
import json
import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base import progress as module
from fieldmark.base.progress import (
    RATE_SAMPLES,
    JsonLinesProgress,
    Meter,
    PlainProgress,
    Progress,
    SilentProgress,
    closing,
    format_duration,
    printable,
    write_line,
)


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Meter", partial(Meter, clock=Clock()))


def run_a_stage(progress: Progress) -> None:
    progress.start("train", total=3, unit="epochs")
    progress.advance(detail="val accuracy 91.0 %")
    progress.advance(2)
    progress.note("train.batch_size = 16: few images")
    progress.finish("3 epochs")
    progress.close()


@pytest.mark.usefixtures("_no_time_passes")
def test_plain_progress_writes_one_line_for_a_short_stage_and_one_for_a_note() -> None:
    stream = io.StringIO()
    run_a_stage(PlainProgress(stream))
    assert stream.getvalue() == "train.batch_size = 16: few images\ntrain: 3 epochs (0.0 s)\n"


@pytest.mark.usefixtures("_no_time_passes")
def test_plain_progress_writes_a_line_at_each_advance_when_the_interval_is_zero() -> None:
    stream = io.StringIO()
    run_a_stage(PlainProgress(stream, every_s=0.0))
    lines = stream.getvalue().splitlines()
    assert lines[:2] == [
        "train: 1/3 epochs, val accuracy 91.0 %",
        "train: 3/3 epochs, val accuracy 91.0 %",
    ]


@pytest.mark.usefixtures("_no_time_passes")
def test_plain_progress_tells_how_far_a_stage_came_that_was_stopped() -> None:
    stream = io.StringIO()
    with closing(PlainProgress(stream)) as progress:
        progress.start("catalog", total=None, unit="images")
        progress.advance(1234)
    assert stream.getvalue() == "catalog: stopped at 1,234 images (0.0 s)\n"


def test_plain_progress_goes_to_standard_error_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    PlainProgress().note("hello")
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize("make", [PlainProgress, JsonLinesProgress])
def test_a_closed_stream_is_no_error(make: type[PlainProgress | JsonLinesProgress]) -> None:
    stream = io.StringIO()
    stream.close()
    run_a_stage(make(stream))


def test_a_reader_that_went_away_is_no_error() -> None:
    class Pipe(io.StringIO):
        def write(self, _: str, /) -> int:
            raise BrokenPipeError

    run_a_stage(PlainProgress(Pipe()))


def test_what_the_encoding_of_a_stream_cannot_hold_is_escaped() -> None:
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="ascii", newline="\n")
    write_line(stream, "50×50 \udce9")
    assert content.getvalue() == b"50\\xd750 \\udce9\n"


def test_control_characters_in_a_file_name_do_not_reach_the_stream() -> None:
    stream = io.StringIO()
    PlainProgress(stream).note("excluded: \x1b[2Jcat.jpg\x9b")
    assert stream.getvalue() == "excluded: \N{REPLACEMENT CHARACTER}[2Jcat.jpg\ufffd\n"


def test_what_is_no_control_character_is_kept() -> None:
    text = "Käfer\t猫 50\u202fpx\n✓ 👩‍🌾"
    assert printable(text) == text


def test_json_lines_say_each_event_in_order_with_rising_times() -> None:
    stream = io.StringIO()
    run_a_stage(JsonLinesProgress(stream))
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    times = [row.pop("t_s") for row in rows]
    assert times == sorted(times)
    assert rows == [
        {"event": "start", "stage": "train", "total": 3, "unit": "epochs"},
        {"event": "advance", "count": 1, "detail": "val accuracy 91.0 %"},
        {"event": "advance", "count": 2, "detail": None},
        {"event": "note", "text": "train.batch_size = 16: few images"},
        {"event": "finish", "summary": "3 epochs"},
    ]


def test_silent_progress_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    run_a_stage(SilentProgress())
    assert capfd.readouterr() == ("", "")


def test_closing_closes_when_the_block_ends_and_when_it_raises() -> None:
    class Counting(SilentProgress):
        num_closed = 0

        def close(self) -> None:
            self.num_closed += 1

    progress = Counting()
    with closing(progress):
        assert progress.num_closed == 0
    assert progress.num_closed == 1
    with pytest.raises(KeyboardInterrupt), closing(progress):
        raise KeyboardInterrupt
    assert progress.num_closed == 2


def test_a_meter_tells_rate_and_time_left_by_hand_computed_values() -> None:
    clock = Clock()
    meter = Meter("train", total=20, unit="epochs", clock=clock)
    for _ in range(4):
        clock.now_s += 5.0
        meter.advance(1, None)
    assert meter.units_per_s == pytest.approx(0.2)
    assert meter.seconds_left == pytest.approx(16 / 0.2)
    assert (meter.count(), meter.rate(), meter.left()) == (
        "4/20 epochs",
        "0.20 epochs/s",
        "1 min 20 s left",
    )
    clock.now_s += 3.0
    assert meter.seconds_left == pytest.approx(16 / 0.2 - 3.0)
    assert meter.seconds == pytest.approx(23.0)


def test_a_meter_forgets_a_slow_start() -> None:
    clock = Clock()
    meter = Meter("catalog", total=10_000, unit="images", clock=clock)
    clock.now_s += 60.0
    meter.advance(1, None)
    for _ in range(RATE_SAMPLES):
        clock.now_s += 1.0
        meter.advance(100, None)
    assert meter.units_per_s == pytest.approx(100.0)


def test_a_meter_tells_no_rate_before_there_is_something_to_tell() -> None:
    clock = Clock()
    meter = Meter("catalog", total=10, unit="images", clock=clock)
    assert (meter.rate(), meter.left()) == (None, None)
    meter.advance(1, None)
    assert (meter.rate(), meter.left()) == (None, None)


def test_a_meter_without_a_total_counts_and_tells_no_time_left() -> None:
    clock = Clock()
    meter = Meter("scan", total=None, unit="files", clock=clock)
    clock.now_s += 2.0
    meter.advance(2468, None)
    assert (meter.count(), meter.rate(), meter.left()) == ("2,468 files", "1,234 files/s", None)


def test_a_meter_past_its_total_has_no_time_left() -> None:
    clock = Clock()
    meter = Meter("scan", total=2, unit="files", clock=clock)
    clock.now_s += 1.0
    meter.advance(3, None)
    assert meter.seconds_left == 0.0


def test_a_meter_keeps_the_last_detail_until_there_is_a_new_one() -> None:
    meter = Meter("train", total=2, unit="epochs")
    meter.advance(1, "epoch 1")
    meter.advance(1, None)
    assert meter.detail == "epoch 1"
    meter.advance(0, "epoch 2")
    assert (meter.detail, meter.done) == ("epoch 2", 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (3900.0, "1 h 05 min"),
        (90_000.0, "25 h 00 min"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(seconds=st.floats(0.0, 1e6))
def test_a_duration_read_back_is_off_by_at_most_what_it_was_rounded_by(seconds: float) -> None:
    units = {"s": 1.0, "min": 60.0, "h": 3600.0}
    parts = re.findall(r"([\d.]+) (s|min|h)", format_duration(seconds))
    step_s = 60.0 if parts[-1][1] == "min" else 0.1 if "." in parts[-1][0] else 1.0
    assert abs(sum(float(number) * units[unit] for number, unit in parts) - seconds) <= step_s
    assert all(float(number) < 60 for number, unit in parts if unit != "h")
