"""A run that has finished is left as it is, and told apart from what is asked otherwise."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.data.catalog import write_catalog
from fieldmark.data.scan import scan
from fieldmark.resuming import ChangedPhotosError

Train = Callable[..., Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The folders of photos trained on by a stand-in, with the current folder an empty one."""
    trained: list[Path] = []

    def finish(root: Path, **named: Any) -> None:
        trained.append(root)
        named["record"].folder.report_html.write_text("")

    monkeypatch.setattr("fieldmark.starting.pipeline.train", finish)
    monkeypatch.chdir(tmp_path)
    return trained


def test_a_finished_run_is_left_as_it_is(
    train: Train, calls: list[Path], recorder: Any, snapshot: Any
) -> None:
    first = train(out="run")
    before = snapshot(Path("run"))
    assert train(out="run", resume=True, progress=recorder) == first
    assert snapshot(Path("run")) == before
    assert len(calls) == 1
    assert recorder.notes == ["The run in run has finished; there is nothing to go on with."]


def test_what_is_asked_otherwise_of_a_finished_run_is_refused(
    train: Train, calls: list[Path], recorder: Any, snapshot: Any, weights: Path
) -> None:
    Path("labels.csv").write_text("path,action\n")
    train(out="run", recipe="finetune", overrides=["train.epochs=3"])
    before = snapshot(Path("run"))
    for asked, difference in (
        ({"overrides": ["train.epochs=4"]}, r"train\.epochs: before 3, now 4"),
        ({"labels": Path("labels.csv")}, r"--labels: before none, now labels\.csv"),
        ({"weights": "none"}, r"model\.weights: before .*, now none"),
    ):
        with pytest.raises(RunError, match=difference):
            train(out="run", resume=True, progress=recorder, **asked)
    train(out="run", resume=True, overrides=["train.epochs=3"], weights=str(weights))
    assert snapshot(Path("run")) == before
    assert recorder.notes == []
    assert len(calls) == 1


def test_a_finished_run_is_not_that_of_other_photos(
    train: Train, calls: list[Path], photos: Path, tmp_path: Path, recorder: Any
) -> None:
    train(out="run")
    catalog = scan(photos, preprocess=None, progress=recorder).catalog
    write_catalog(Path("run/catalog.csv"), catalog)
    train(out="run", resume=True)
    shutil.copytree(photos, tmp_path / "other")
    train(photos=tmp_path / "other", out="run", resume=True)
    gone = next(path for path in sorted((tmp_path / "other").rglob("*")) if path.is_file())
    gone.unlink()
    with pytest.raises(ChangedPhotosError, match=r"1 removed: "):
        train(photos=tmp_path / "other", out="run", resume=True)
    assert len(calls) == 1
