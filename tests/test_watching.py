"""A training that goes on can be looked at: tables, page and events are there after each epoch."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.journal import read_journal
from fieldmark.base.progress import SilentProgress
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import RunRecord
from fieldmark.base.stopping import Stopped
from fieldmark.training.range_test import RangeTest
from fieldmark.training.tally import HISTORY_HEADER, Epoch
from fieldmark.watching import SHOWN_PX, Watching, end_live, watching

ROW = Epoch(
    epoch=1,
    lr=1e-3,
    train_loss=0.5,
    train_accuracy=0.75,
    train_precision=0.7,
    train_recall=0.65,
    train_top_k=1.0,
    train_thresholded_precision=0.75,
    train_thresholded_recall=0.5,
    val_loss=0.6,
    val_accuracy=0.625,
    val_precision=0.6,
    val_recall=0.55,
    val_top_k=1.0,
    val_thresholded_precision=0.7,
    val_thresholded_recall=0.45,
    test_loss=0.65,
    test_accuracy=0.6,
    test_precision=0.55,
    test_recall=0.5,
    test_top_k=1.0,
    test_thresholded_precision=0.65,
    test_thresholded_recall=0.4,
    seconds=2.0,
    images_per_second=12.0,
    data_wait_s=0.1,
)
ROWS = [ROW, replace(ROW, epoch=2, val_accuracy=0.75)]


class Listening(SilentProgress):
    """Keeps what a person would have seen."""

    def __init__(self) -> None:
        self.done = 0
        self.details: list[str | None] = []
        self.notes: list[str] = []

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        self.done += count
        self.details.append(detail)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Sink:
    """Keeps scalars."""

    def __init__(self) -> None:
        self.written: list[tuple[int, dict[str, float]]] = []
        self.is_closed = False

    def write(self, step: int, values: Any) -> None:
        self.written.append((step, dict(values)))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """The record of a run whose folder is there."""
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    return RunRecord(folder=folder, command="fieldmark train photos", photos=Path("photos"))


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    """Where TensorBoard's files would go."""
    made = Sink()
    monkeypatch.setattr("fieldmark.watching.tensorboard_scalars", lambda *_, **__: made)
    return made


def events(record: RunRecord, name: str | None = None) -> list[dict[str, Any]]:
    """Return the events of one name, or all of them, without their times."""
    found = read_journal(record.folder.events_jsonl)
    assert all("time" in event for event in found)
    return [
        {key: value for key, value in event.items() if key != "time"}
        for event in found
        if name in (None, event["event"])
    ]


def page(record: RunRecord) -> str:
    return record.folder.live_html.read_text("utf-8")


def watch_of(record: RunRecord, progress: Listening, sink: Sink) -> Watching:
    with watching(record, progress=progress, tensorboard=True) as watch:
        return watch


def test_a_batch_moves_the_bar(record: RunRecord, sink: Sink) -> None:
    progress = Listening()
    watch = watch_of(record, progress, sink)
    watch.batch(8)
    watch.batch(5)
    assert progress.done == 13


def test_after_each_epoch_the_table_has_its_row(record: RunRecord, sink: Sink) -> None:
    watch = watch_of(record, Listening(), sink)
    for num_done in (1, 2):
        watch.epoch(ROWS[:num_done], num_epochs=5)
        with record.folder.history_csv.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert [tuple(row) for row in rows] == [HISTORY_HEADER] * num_done
        assert [float(row["val_accuracy"]) for row in rows] == [0.625, 0.75][:num_done]


def test_after_each_epoch_the_page_shows_it_and_reloads_itself(
    record: RunRecord, sink: Sink
) -> None:
    watch = watch_of(record, Listening(), sink)
    assert not record.folder.live_html.exists()
    watch.epoch(ROWS, num_epochs=5)
    assert 'http-equiv="refresh"' in page(record)
    assert "<svg" in page(record)


def test_epochs_of_milliseconds_are_not_all_drawn_but_the_last_one_is(
    record: RunRecord, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, drawn = [100.0], []
    monkeypatch.setattr("fieldmark.watching.write_live", lambda *_, **__: drawn.append(now_s[0]))
    watch = watch_of(record, Listening(), sink)
    watch._clock = lambda: now_s[0]
    for number, at_s in enumerate((100.0, 100.4, 101.1, 101.2, 101.3), start=1):
        now_s[0] = at_s
        watch.epoch([replace(ROW, epoch=i + 1) for i in range(number)], num_epochs=5)
    assert drawn == [100.0, 101.1, 101.3]
    assert len(events(record, "epoch")) == 5


def test_after_each_epoch_the_bar_tells_how_well_it_went(record: RunRecord, sink: Sink) -> None:
    progress = Listening()
    watch_of(record, progress, sink).epoch(ROWS, num_epochs=5)
    assert progress.details == ["epoch 2/5, validation accuracy 75.00%"]
    assert progress.done == 0


def test_without_validation_the_bar_tells_how_well_it_goes_on_the_test_photos_watched(
    record: RunRecord, sink: Sink
) -> None:
    progress, row = Listening(), replace(ROW, val_loss=math.nan, val_accuracy=math.nan)
    watch_of(record, progress, sink).epoch([row], num_epochs=5)
    assert progress.details == ["epoch 1/5, test accuracy 60.00%"]
    assert "<svg" not in page(record)  # of one epoch there is no curve yet
    watch_of(record, progress, sink).epoch([row, replace(row, epoch=2)], num_epochs=5)
    assert "<svg" in page(record)


def test_a_page_that_cannot_be_written_ends_no_run(
    record: RunRecord, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fieldmark.watching.write_live", fail)
    watch_of(record, Listening(), sink).epoch(ROWS, num_epochs=5)
    assert record.folder.history_csv.is_file()


def test_events_and_scalars_have_the_figures_of_each_epoch(record: RunRecord, sink: Sink) -> None:
    watch = watch_of(record, Listening(), sink)
    watch.epoch(ROWS[:1], num_epochs=5)
    (event,) = events(record, "epoch")
    assert event == {"event": "epoch", "num_epochs": 5, **ROW.to_json()}
    ((step, values),) = sink.written
    assert step == 1
    assert values["epoch/val_loss"] == 0.6
    assert values["epoch/train_top_k"] == 1.0
    assert values["epoch/test_thresholded_recall"] == 0.4
    assert set(values) == {f"epoch/{name}" for name in HISTORY_HEADER}


def test_figures_that_there_are_not_are_null_in_events_and_no_scalars(
    record: RunRecord, sink: Sink
) -> None:
    watch_of(record, Listening(), sink).epoch([replace(ROW, val_loss=math.nan)], num_epochs=1)
    (event,) = events(record, "epoch")
    assert event["val_loss"] is None
    assert "epoch/val_loss" not in sink.written[0][1]


def test_figures_within_an_epoch_are_events_and_scalars(record: RunRecord, sink: Sink) -> None:
    watch = watch_of(record, Listening(), sink)
    watch.scalars(17, {"lr": 0.5, "train_loss": 0.25})
    assert events(record, "step") == [{"event": "step", "step": 17, "lr": 0.5, "train_loss": 0.25}]
    assert sink.written == [(17, {"step/lr": 0.5, "step/train_loss": 0.25})]


def test_a_note_is_shown_and_kept_in_the_record(record: RunRecord, sink: Sink) -> None:
    progress = Listening()
    watch_of(record, progress, sink).note("The GPU is small.")
    assert progress.notes == record.warnings == ["The GPU is small."]
    assert events(record, "note") == [{"event": "note", "text": "The GPU is small."}]


def test_a_checkpoint_is_an_event(record: RunRecord, sink: Sink) -> None:
    watch_of(record, Listening(), sink).saved(40, 0.12345)
    assert events(record, "checkpoint") == [{"event": "checkpoint", "step": 40, "seconds": 0.123}]


def test_the_picture_has_the_photos_in_two_rows(record: RunRecord, sink: Sink) -> None:
    noise = np.random.default_rng(0)
    rows = [noise.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8) for _ in range(2)]
    watch_of(record, Listening(), sink).shown(*rows)
    with Image.open(BytesIO(record.folder.augmentation_png.read_bytes())) as picture:
        assert picture.width >= 3 * SHOWN_PX
        assert picture.height >= 2 * SHOWN_PX


def test_a_range_test_is_a_table(record: RunRecord, sink: Sink) -> None:
    test = RangeTest(
        rates=(0.1, 0.2), losses=(1.5, 1.25), smoothed=(1.4, 1.3), proposed=0.1, reason="it falls"
    )
    watch_of(record, Listening(), sink).range_tested(test)
    text = record.folder.lr_range_csv.read_text("utf-8")
    assert text.splitlines() == ["lr,loss,smoothed", "0.1,1.5,1.4", "0.2,1.25,1.3"]


# How it ends


def end_by(
    error: BaseException, record: RunRecord, *, before: Callable[[], object] = lambda: None
) -> None:
    """Watch two epochs, and then this happens."""
    with watching(record, progress=Listening(), tensorboard=True) as watch:
        watch.epoch(ROWS, num_epochs=5)
        before()
        raise error


def test_the_first_and_the_last_event_are_start_and_end(record: RunRecord, sink: Sink) -> None:
    with watching(record, progress=Listening(), tensorboard=True) as watch:
        assert [event["event"] for event in events(record)] == ["start"]
        watch.saved(0, 0.1)
        assert not sink.is_closed
    first, _, last = events(record)
    assert first == {"event": "start", "command": "fieldmark train photos", "photos": "photos"}
    assert last == {"event": "end", "outcome": "trained", "message": ""}
    assert sink.is_closed


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Stopped("stopped by SIGTERM"), "stopped by SIGTERM"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (RuntimeError("it broke"), "it broke"),
    ],
)
def test_a_training_that_is_stopped_or_fails_says_so_in_events_and_on_the_page(
    error: BaseException, message: str, record: RunRecord, sink: Sink
) -> None:
    with pytest.raises(type(error)):
        end_by(error, record)
    assert events(record)[-1] == {
        "event": "end",
        "outcome": type(error).__name__,
        "message": str(error),
    }
    assert message in page(record)
    assert 'http-equiv="refresh"' not in page(record)
    assert sink.is_closed


def test_a_training_that_is_stopped_before_its_first_epoch_has_no_page(
    record: RunRecord, sink: Sink
) -> None:
    with pytest.raises(KeyboardInterrupt), watching(record, progress=Listening(), tensorboard=True):
        raise KeyboardInterrupt
    assert not record.folder.live_html.exists()


def test_what_went_wrong_is_told_and_not_that_the_page_could_not_be(
    record: RunRecord, sink: Sink
) -> None:
    def spoil() -> None:
        record.folder.history_csv.write_text("not,a,history\n1,2,3\n")

    with pytest.raises(RuntimeError, match="it broke"):
        end_by(RuntimeError("it broke"), record, before=spoil)


def test_a_run_that_goes_on_adds_to_its_events(record: RunRecord, sink: Sink) -> None:
    for _ in range(2):
        with watching(record, progress=Listening(), tensorboard=False):
            pass
    assert [event["event"] for event in events(record)] == ["start", "end"] * 2


def test_at_the_end_the_page_names_the_report_and_reloads_no_more(
    record: RunRecord, sink: Sink
) -> None:
    watch_of(record, Listening(), sink).epoch(ROWS, num_epochs=2)
    end_live(record.folder)
    assert 'http-equiv="refresh"' not in page(record)
    assert "report.html" in page(record)


def test_without_a_page_none_is_made_at_the_end(record: RunRecord) -> None:
    end_live(record.folder)
    assert not record.folder.live_html.exists()


def test_without_a_wish_for_them_there_are_no_files_for_tensorboard(
    record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.watching.tensorboard_scalars", pytest.fail)
    with watching(record, progress=Listening(), tensorboard=False) as watch:
        watch.epoch(ROWS, num_epochs=2)
    assert not record.folder.tensorboard_dir.exists()
