"""What a run looks at on its own test photos: which are taken, what is kept, what never fails."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark import attending
from fieldmark.base.errors import RunError
from fieldmark.data.splits import read_splits
from fieldmark.report.answers import Answer
from fieldmark.report.attention_document import read_attention
from fieldmark.report.entries import Photo
from fieldmark.report.render import write_report
from fieldmark.run import Run

TrainTiny = Callable[..., Any]


def answer(path: str, named: str, *, odds: float, group: str = "") -> Answer:
    true = path.partition("/")[0]
    return Answer(
        photo=Photo(path=path, sha256=""),
        group=group or path,
        true=true,
        predicted=named,
        confidence=abs(odds) / 10,
        second="",
        second_confidence=0.0,
        odds=odds,
    )


def test_the_surest_mistakes_and_a_typical_photo_of_each_class_are_taken() -> None:
    answers = [
        answer("cat/1", "cat", odds=5),
        answer("cat/2", "cat", odds=7),
        answer("dog/1", "cat", odds=-2),
        answer("dog/2", "dog", odds=1),
        answer("fox/1", "dog", odds=-4),
    ]
    chosen = attending._chosen(answers)
    assert [one.photo.path for one in chosen.mistakes] == ["fox/1", "dog/1"]
    # No fox was named right; half of the dogs were, and all cats.
    assert [one.photo.path for one in chosen.typical] == ["dog/2", "cat/2"]
    assert set(chosen.all) == {one.photo.path for one in answers}


def test_of_many_photos_as_many_are_taken_as_stated_and_of_each_group_one() -> None:
    answers = [
        answer(f"{label:02}/{place}", f"{label:02}" if place else "x", odds=place, group=f"{place}")
        for label in range(20)
        for place in range(50)
    ]
    chosen = attending._chosen(answers)
    assert len(chosen.mistakes) == attending.MAX_MISTAKES
    assert len(chosen.typical) == attending.MAX_TYPICAL
    assert len(chosen.sample) == attending.NUM_SAMPLED
    assert len({one.group for one in chosen.sample}) == attending.NUM_SAMPLED


def test_a_run_keeps_what_it_looks_at_on_test_photos(finished_quick: Run) -> None:
    assert finished_quick.path is not None
    attention = read_attention(finished_quick.path)
    assert attention is not None
    test = set(read_splits(finished_quick.path / "splits.csv").paths("test"))
    assert attention.num_sampled == len(test)
    assert {seen.true for seen in attention.typical} == {"cherry", "leaf", "sky"}
    for seen in attention.photos:
        assert seen.photo.path in test
        has_heat = seen.heats[0].border_share is not None
        assert seen.heats[0].heat_HW.max() == float(has_heat)
    assert attention.border is not None
    assert 0 < attention.border.low <= attention.border.high < 1
    assert "attention" in [stage["name"] for stage in finished_quick.record["stages"]]
    page = finished_quick.report.read_text("utf-8")
    assert "A typical photo of each class" in page
    assert 'See <a href="#attention">What it looks at</a>' in page


def test_it_is_what_explain_says_of_the_same_photos(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    assert finished_quick.path is not None
    attention = read_attention(finished_quick.path)
    assert attention is not None
    seen = attention.typical[0]
    told = fieldmark.explain(finished_quick, [photos / seen.photo.path], out=tmp_path / "out")
    (photo,) = told.photos
    assert photo.named.name == seen.predicted
    assert photo.named.border_share == pytest.approx(seen.heats[0].border_share, rel=1e-5)


def test_the_report_is_rebuilt_from_the_folder(finished_quick: Run, tmp_path: Path) -> None:
    assert finished_quick.path is not None
    moved = tmp_path / "moved"
    shutil.copytree(finished_quick.path, moved)
    (moved / "report.html").unlink()

    def section(page: Path) -> str:
        return page.read_text("utf-8").partition('<section id="attention"')[2].partition("<h2")[0]

    assert section(write_report(moved)) == section(finished_quick.report) != ""


@pytest.mark.parametrize("error", [RunError("No place can be told."), RuntimeError("odd\nshape")])
def test_a_network_that_cannot_be_explained_finishes_all_the_same(
    train_tiny: TrainTiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recorder: Any,
    error: Exception,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("fieldmark.attending.Explainer", refuse)
    run = train_tiny(tmp_path / "run", progress=recorder)
    why = str(error).splitlines()[0]
    assert run.record["status"] == "finished"
    attention = read_attention(run.path)
    assert attention is not None
    assert attention.why_not == why
    assert f"Where the network looks cannot be shown: {why}" in run.report.read_text("utf-8")
