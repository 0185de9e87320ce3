"""Predictions written as they come: whole rows, gone on with, in constant memory, and sorted by."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldmark import predicting, prediction_output
from fieldmark.base.errors import DataError, RecipeError, RunError
from fieldmark.base.lock import hold
from fieldmark.base.stopping import Stopped
from fieldmark.evaluation.answer import Prediction
from fieldmark.predicting import Predicted, predict_to
from fieldmark.prediction_file import unfinished
from fieldmark.prediction_job import Model
from fieldmark.prediction_output import as_text, check_format, format_of
from fieldmark.run import Run

CLASSES = ("cat", "dog")
CallMain = Callable[..., Any]


def answered(path: Path) -> Prediction:
    """Return what the stand-in says: by the first letter of the name; "x" cannot be read."""
    if path.name.startswith("x"):
        return Prediction(path=str(path), ranking=(), error="damaged")
    order = CLASSES if path.name.startswith("c") else CLASSES[::-1]
    return Prediction(path=str(path), ranking=((order[0], 0.75), (order[1], 0.25)))


class StandIn:
    """A model that looks at names alone, and can be interrupted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stop_after: int | None = None

    def predictions(self, files: Iterable[Path]) -> Iterator[Prediction]:
        for file in files:
            if self.stop_after is not None and len(self.asked) >= self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(file.name)
            yield answered(file)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    opened = Model(classes=CLASSES, predictions=stand_in.predictions)
    monkeypatch.setattr(predicting, "_loaded", lambda run: run)
    monkeypatch.setattr(predicting, "_opened", lambda _loaded, **_: opened)
    return stand_in


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def write(folder: Path, output: Path, **wishes: Any) -> Predicted:
    return predict_to("run", [folder], output=output, **wishes)


def paths_in(output: Path) -> list[str]:
    with output.open(newline="") as stream:
        return [Path(row["path"]).name for row in csv.DictReader(stream)]


# Rows


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_is_written_as_it_comes_is_what_is_written_at_once(
    model: StandIn, tmp_path: Path, suffix: str
) -> None:
    photos = fill(tmp_path / "photos", *(f"{kind}{n}.jpg" for kind in "cdx" for n in range(5)))
    output = tmp_path / f"out.{suffix}"
    told = write(photos, output)
    expected = [answered(path) for path in sorted(photos.iterdir())]
    assert output.read_text() == as_text(expected, output_format=suffix)
    assert (told.num_rows, told.num_unreadable, told.num_before) == (15, 5, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "photos"]


def test_files_in_folders_that_may_be_photos_have_rows_and_others_are_told(
    model: StandIn, tmp_path: Path
) -> None:
    photos = fill(tmp_path / "photos", "a/c.jpg", "b.heic", "c.jpg", "notes.txt", "x.jpg")
    told = write(photos, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["path"], row["class_1"]) for row in rows] == [
        (str(photos / "a/c.jpg"), "cat"),
        (str(photos / "b.heic"), ""),
        (str(photos / "c.jpg"), "cat"),
        (str(photos / "x.jpg"), ""),
    ]
    assert "in a format that is not read" in rows[1]["error"]
    assert rows[3]["error"] == "damaged"
    assert told.left_out == ((photos / "notes.txt", "not an image (.txt)"),)
    assert model.asked == ["c.jpg", "c.jpg", "x.jpg"]


def test_the_format_goes_by_the_name_of_the_file() -> None:
    found = [format_of(Path(name)) for name in ("a.csv", "a.JSONL", "a.txt", "a")]
    assert found == ["csv", "jsonl", "table", "table"]
    assert format_of(None) == "table"


def test_an_unknown_format_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match=r"'json'\. Did you mean 'jsonl'\? Allowed: table, csv"):
        check_format("json")


def test_a_name_with_a_carriage_return_is_read_back_from_csv() -> None:
    text = as_text([Prediction(path="Icon\r", ranking=(("a", 1.0),))], output_format="csv")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["path"] == "Icon\r"


def test_many_rows_become_several_tables_with_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prediction_output, "TABLE_ROWS", 3)
    rows = [answered(Path(f"c{number}.jpg")) for number in range(7)]
    text = as_text(rows, output_format="table")
    assert [text.count(f"c{number}.jpg") for number in range(7)] == [1] * 7
    assert text.count("Photo") == 3


# Going on


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_interrupted_run_goes_on_to_the_same_file(
    model: StandIn, tmp_path: Path, suffix: str
) -> None:
    names = [f"{kind}{n}.jpg" for kind in "cdx" for n in range(5)]
    photos, output = fill(tmp_path / "photos", *names), tmp_path / f"out.{suffix}"
    model.stop_after = 7
    with pytest.raises(Stopped, match=rf"7 predictions are in .*unfinished\.{suffix}.*--resume"):
        write(photos, output)
    assert not output.exists()
    with pytest.raises(RunError, match=r"a run that was stopped.*--resume"):
        write(photos, output)
    model.stop_after = None
    told = write(photos, output, resume=True)
    assert (told.num_before, told.num_rows) == (7, 8)
    assert model.asked == sorted(names)
    at_once = [answered(path) for path in sorted(photos.iterdir())]
    assert output.read_text() == as_text(at_once, output_format=suffix)
    assert not unfinished(output).exists()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_row_cut_anywhere_is_made_again(model: StandIn, tmp_path: Path, suffix: str) -> None:
    photos = fill(tmp_path / "photos", "c1.jpg", 'c "2",\n.jpg', "d.jpg")
    output = tmp_path / f"out.{suffix}"
    odd = photos / 'c "2",\n.jpg'
    listed = [photos / "c1.jpg", odd, photos / "d.jpg"]
    predict_to("run", ["-"], listed=listed, output=output)
    whole = output.read_bytes()
    output.unlink()
    for length in range(len(whole)):
        unfinished(output).write_bytes(whole[:length])
        predict_to("run", ["-"], listed=listed, output=output, resume=True)
        assert output.read_bytes() == whole, length
        output.unlink()


def test_a_finished_file_gets_the_rows_of_new_photos(model: StandIn, tmp_path: Path) -> None:
    photos, output = fill(tmp_path / "photos", "c1.jpg", "c3.jpg"), tmp_path / "out.csv"
    write(photos, output)
    fill(photos, "c2.jpg")
    told = write(photos, output, resume=True)
    assert paths_in(output) == ["c1.jpg", "c3.jpg", "c2.jpg"]
    assert (told.num_before, told.num_rows) == (2, 1)
    assert write(photos, output, resume=True).num_rows == 0
    assert paths_in(output) == ["c1.jpg", "c3.jpg", "c2.jpg"]


def test_without_resume_a_finished_file_is_replaced(model: StandIn, tmp_path: Path) -> None:
    photos, output = fill(tmp_path / "photos", "c1.jpg"), tmp_path / "out.csv"
    write(photos, output)
    (photos / "c1.jpg").rename(photos / "d1.jpg")
    write(photos, output)
    assert paths_in(output) == ["d1.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("out.csv", "a,b\n1,2\n", "these columns"),
        ("out.csv", 'path,"\n', "these columns"),
        ("out.csv", "\xff\n", "these columns"),
        ("out.jsonl", '{"a": 1}\n', "these columns"),
        ("out.jsonl", "not JSON\n", "these columns"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(
    model: StandIn, tmp_path: Path, name: str, content: str, why: str
) -> None:
    photos, output = fill(tmp_path / "photos", "c1.jpg"), tmp_path / name
    output.write_text(content, "latin-1")
    with pytest.raises(RunError, match=why):
        write(photos, output, resume=True)
    assert output.read_text("latin-1") == content
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "photos"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_of_another_width_or_classifier_are_refused(
    model: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    photos, output = fill(tmp_path / "photos", "c1.jpg"), tmp_path / f"out.{suffix}"
    write(photos, output)
    with pytest.raises(RunError, match="--top-k"):
        write(photos, output, resume=True, top_k=1)
    other = Model(classes=("cow", "pig"), predictions=model.predictions)
    monkeypatch.setattr(predicting, "_opened", lambda _loaded, **_: other)
    with pytest.raises(RunError, match="another classifier: it has the class 'cat'"):
        write(photos, output, resume=True)


def test_a_file_that_another_process_writes_is_left_to_it(model: StandIn, tmp_path: Path) -> None:
    photos, output = fill(tmp_path / "photos", "c1.jpg"), tmp_path / "out.csv"
    with hold(tmp_path / ".out.csv.lock"), pytest.raises(RunError, match="is being written by"):
        write(photos, output)
    assert write(photos, output).num_rows == 1


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"resume": True}, "name it with --output"),
        ({"output": "out.txt", "resume": True}, "Allowed: csv, jsonl"),
        ({"output": "photos"}, "is a folder"),
        ({"output": "file/out.csv"}, "cannot be written"),
        ({"link": "hard"}, "--sort-into"),
        ({"sort_into": "photos/sorted"}, "inside"),
        ({"sort_into": "file"}, "is a file"),
    ],
)
def test_what_cannot_be_written_to_is_refused(
    model: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wishes: dict[str, Any],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, "photos/c1.jpg", "file")
    with pytest.raises(RunError, match=why):
        predict_to("run", ["photos"], **wishes)
    assert model.asked == []


def test_where_nothing_could_be_read_that_is_an_error_and_the_rows_say_why(
    model: StandIn, tmp_path: Path
) -> None:
    photos, output = fill(tmp_path / "photos", "x1.jpg", "x2.jpg"), tmp_path / "out.csv"
    with pytest.raises(DataError, match=r"None of the 2 photos.*x1\.jpg: damaged"):
        write(photos, output)
    assert paths_in(output) == ["x1.jpg", "x2.jpg"]
    fill(photos, "c.jpg")
    assert write(photos, output).num_unreadable == 2


# Constant memory


def test_files_are_taken_only_as_they_are_needed(model: StandIn, tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"c{taken}.jpg"

    model.stop_after = 1000
    with pytest.raises(Stopped):
        predict_to("run", ["-"], listed=endless(), output=tmp_path / "out.jsonl")
    assert taken <= 1001
    assert len(unfinished(tmp_path / "out.jsonl").read_text().splitlines()) == 1000


# A list on standard input, on the command line


def listing(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_list_gives_a_row_for_every_line_whatever_it_names(
    call_main: CallMain,
    finished_quick: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    named = [photos / "sky/00.png", tmp_path / "gone.jpg", tmp_path, tmp_path / "pipe"]
    listing(monkeypatch, "\n".join(map(str, named)).encode())
    outcome = call_main("predict", finished_quick.path, "-", "--format", "jsonl")
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["path"] for row in rows] == [str(path) for path in named]
    assert [row["predicted"] for row in rows] == ["sky", None, None, None]
    assert [row["error"] for row in rows[1:]] == [
        "cannot be read: No such file or directory",
        "cannot be read: a folder, not a photo",
        "not a regular file",
    ]


def test_a_list_with_null_characters_may_hold_line_ends(
    call_main: CallMain,
    finished_quick: Run,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = tmp_path / "two\nlines.png"
    odd.write_bytes((photos / "sky/00.png").read_bytes())
    content = os.fsencode(odd) + b"\0" + os.fsencode(photos / "leaf/00.png") + b"\0"
    listing(monkeypatch, content)
    told = call_main("predict", finished_quick.path, "-", "--null", "--format", "jsonl")
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert [(row["path"], row["predicted"]) for row in rows] == [
        (str(odd), "sky"),
        (str(photos / "leaf/00.png"), "leaf"),
    ]
    listing(monkeypatch, content)
    refused = call_main("predict", finished_quick.path, "-")
    assert (refused.code, "add --null" in refused.err) == (2, True)


def test_an_empty_list_is_an_error(
    call_main: CallMain, finished_quick: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing(monkeypatch, b"\n\n")
    outcome = call_main("predict", finished_quick.path, "-")
    assert (outcome.code, "names no file" in outcome.err) == (2, True)


def test_the_command_line_goes_on_with_a_file_and_sorts(
    call_main: CallMain, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    command = ["predict", finished_quick.path, photos, "--output", tmp_path / "out.csv"]
    command += ["--sort-into", tmp_path / "sorted"]
    first = call_main(*command)
    assert first.code == 0
    lines = first.err.splitlines()
    assert lines[0] == f"36 predictions written to {tmp_path / 'out.csv'}"
    assert lines[1] == f"36 photos sorted into {tmp_path / 'sorted'}"
    again = call_main(*command, "--resume")
    assert f"0 predictions written to {tmp_path / 'out.csv'} after 36 of before" in again.err
    assert sum(path.is_file() for path in (tmp_path / "sorted").rglob("*")) == 36
