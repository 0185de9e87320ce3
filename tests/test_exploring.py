"""Exploring a folder: what it writes, what it never touches, and what stops it early."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.audit.findings import read_findings
from fieldmark.base.errors import DataError, RecipeError, RunError, SplitError, WeightsError
from fieldmark.exploring import Exploration

WritePhotos = Callable[..., Path]
Snapshot = Callable[[Path], dict[str, object]]
CallMain = Callable[..., Any]

FILES = {"explore.html", "findings.json", "labels.csv", "catalog.csv", "splits.csv"}
FAST = ("FM501", "FM502", "FM601")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def explore(root: Path, out: Path, **given: Any) -> Exploration:
    asked = {"weights": "none", "ignore": FAST, **given}
    return fieldmark.explore(root, out=out, **asked)


def codes(result: Exploration) -> set[str]:
    return {finding.code for finding in result.audit.findings}


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError("Name or service not known")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights of an earlier download, and no network."""
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)


# What it writes


def test_an_exploration_leaves_these_files_and_no_others(explored: Exploration) -> None:
    assert {path.name for path in explored.path.iterdir()} == FILES
    assert explored.page == explored.path / "explore.html"
    assert explored.labels == explored.path / "labels.csv"


def test_the_files_tell_what_is_returned(explored: Exploration, photos: Path) -> None:
    assert read_findings(explored.path / "findings.json") == explored.audit
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    for name in ("catalog.csv", "splits.csv"):
        assert [row["path"] for row in table(explored.path / name)] == paths
    assert len(table(explored.labels)) == explored.num_doubts
    assert explored.splits is not None
    sides = {row["path"]: row["split"] for row in table(explored.path / "splits.csv")}
    assert sides == explored.splits.sides()


def test_with_weights_every_check_is_run(explored: Exploration) -> None:
    assert explored.audit.skipped == {}
    assert explored.audit.muted == ()
    assert explored.audit.classifier is not None
    assert explored.audit.shortcuts is not None


def test_training_divides_the_photos_as_was_told(
    explored: Exploration, finished_quick: Any
) -> None:
    assert table(explored.path / "splits.csv") == table(finished_quick.path / "splits.csv")
    assert table(explored.path / "catalog.csv") == table(finished_quick.path / "catalog.csv")
    assert explored.audit == finished_quick.audit


@pytest.mark.parametrize("with_weights", [False, True])
def test_photos_can_be_looked_at_as_divided_without_validation(
    photos: Path, weights: Path, tmp_path: Path, *, with_weights: bool
) -> None:
    given = {"weights": str(weights) if with_weights else "none"}
    result = explore(photos, tmp_path / "out", overrides=["split.validation=0"], **given)
    assert result.splits is not None
    assert result.splits.counts()["validation"] == 0
    assert {row["split"] for row in table(result.path / "splits.csv")} == {"train", "test"}


def test_the_page_names_the_folder_and_the_command(photos: Path, tmp_path: Path) -> None:
    result = explore(photos, tmp_path / "out", command="fieldmark explore 'my photos'")
    page = result.page.read_text("utf-8")
    assert "fieldmark explore &#39;my photos&#39;" in page
    assert "FM402" in page
    called = explore(photos, tmp_path / "other").page.read_text("utf-8")
    assert "fieldmark.explore(" in called


def test_outputs_are_counted_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        result = fieldmark.explore(photos, weights="none", ignore=FAST)
        assert result.path == Path(f"runs/explore-00{number}")


# What it never touches


def test_the_folder_of_photos_is_left_as_it_was(
    write_photos: WritePhotos, snapshot: Snapshot, weights: Path, tmp_path: Path
) -> None:
    root = write_photos(tmp_path / "photos", count=4)
    (root / "sky" / "Thumbs.db").write_bytes(b"\x00")
    (root / "sky" / "empty.jpg").write_bytes(b"")
    before = snapshot(root)
    asked: list[dict[str, Any]] = [{}, {"weights": str(weights)}, {"ignore": ("FM101",)}]
    for number, given in enumerate(asked):
        explore(root, tmp_path / str(number), **given)
    assert snapshot(root) == before


def test_an_output_within_the_photos_is_refused(photos: Path, snapshot: Snapshot) -> None:
    before = snapshot(photos)
    for out in (photos, photos / "out", photos / "sky" / ".." / "out"):
        with pytest.raises(RunError, match="inside the folder of photos"):
            explore(photos, out)
    assert snapshot(photos) == before


def test_standing_in_the_photos_asks_for_another_output(
    photos: Path, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(photos)
    monkeypatch.chdir(photos)
    with pytest.raises(RunError, match="another --out"):
        fieldmark.explore(".", weights="none")
    assert snapshot(photos) == before


def test_an_output_that_holds_something_is_refused_and_kept(
    explored: Exploration, photos: Path, snapshot: Snapshot
) -> None:
    before = snapshot(explored.path)
    with pytest.raises(RunError, match="already holds something"):
        explore(photos, explored.path)
    assert snapshot(explored.path) == before


# A second look


def test_a_second_look_decodes_and_computes_nothing(
    explored: Exploration,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was known already")

    for name in (
        "data.reading.decode",
        "data.reading.inspect",
        "data.preprocess.decode",
        "models.inference.Predictor.features",
        "audit.checks_model.measure_shortcuts",
        "audit.checks_model.find_outliers",
        "audit.checks_model.out_of_fold_probabilities",
    ):
        monkeypatch.setattr(f"fieldmark.{name}", never)
    again = explore(photos, tmp_path / "again", weights=str(weights), ignore=())
    assert again.audit == explored.audit
    assert again.catalog == explored.catalog
    for name in FILES - {"explore.html"}:
        assert (again.path / name).read_bytes() == (explored.path / name).read_bytes()


def test_a_photo_that_is_new_is_looked_at(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fieldmark.data.reading
    from fieldmark.data.cues import inspect

    looked_at = []

    def counting(content: bytes, **given: Any) -> Any:
        looked_at.append(content)
        return inspect(content, **given)

    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    explore(root, tmp_path / "first")
    monkeypatch.setattr(fieldmark.data.reading, "inspect", counting)
    shutil.copy(root / "sky" / "00.png", root / "sky" / "copy.png")
    explore(root, tmp_path / "second")
    assert looked_at == []
    with (root / "sky" / "00.png").open("ab") as stream:
        stream.write(b"more")
    explore(root, tmp_path / "third")
    assert looked_at == [(root / "sky" / "00.png").read_bytes()]


# Weights


def test_without_weights_torch_is_never_imported(photos: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from fieldmark.cli import app\n"
        "app(standalone_mode=False)\n"
        "heavy = {'torch', 'torchvision', 'timm', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    flags = ["--weights", "none", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, "explore", str(photos), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "FIELDMARK_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "explore.html").is_file()
    audit = read_findings(tmp_path / "out" / "findings.json")
    assert audit is not None
    assert audit.shortcuts is not None


@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_had_are_done_without_where_none_were_asked_for(
    photos: Path, tmp_path: Path, recorder: Any
) -> None:
    result = explore(photos, tmp_path / "out", weights=None, ignore=("FM601",), progress=recorder)
    assert {path.name for path in result.path.iterdir()} == FILES
    assert set(result.audit.skipped) == {"FM501", "FM502"}
    (note,) = recorder.notes
    assert note.startswith("No pretrained weights, so labels and outliers are not checked: ")
    assert note.endswith("To look without them from the start, give --weights none.")
    assert "resnet50" in note


@pytest.mark.usefixtures("offline")
def test_weights_asked_for_must_be_had(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call_main: CallMain
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="could not be fetched"):
        fieldmark.explore(photos, weights="auto")
    for asked in ("auto", tmp_path / "gone"):
        outcome = call_main("explore", photos, "--weights", asked)
        assert outcome.code == 2
        assert "weights" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_settings_leave_weights_out_all_the_same(photos: Path, tmp_path: Path) -> None:
    result = explore(photos, tmp_path / "out", overrides=["split.test=0.5", "split.seed=3"])
    assert result.splits is not None
    assert 12 <= result.splits.counts()["test"] <= 24
    assert explore(photos, tmp_path / "plain").splits != result.splits


# What stops it early


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"photos": "gone"}, DataError, "gone does not exist"),
        ({"photos": "a.zip"}, DataError, "is a file"),
        ({"split_file": "gone.csv"}, SplitError, r"no split file gone\.csv"),
        ({"labels": "gone.csv"}, DataError, r"no labels file gone\.csv"),
        ({"ignore": ["FM32"]}, RecipeError, "Did you mean 'FM302'"),
        ({"ignore": ["FM32"], "weights": None}, RecipeError, "Did you mean 'FM302'"),
        ({"group_by": "("}, SplitError, "not a valid regular expression"),
        ({"group_by": "gone.csv:patient"}, SplitError, r"no table of groups gone\.csv"),
        ({"group_by": " "}, RecipeError, "split.group_by is ' '"),
        ({"overrides": ["split.tests=1"]}, RecipeError, "Did you mean 'test'"),
        ({"backbone": "resnet5", "weights": "auto"}, RecipeError, "no backbone 'resnet5'"),
    ],
)
@pytest.mark.usefixtures("offline")
def test_what_is_wrong_with_the_command_is_told_before_anything_is_made(
    given: dict[str, Any],
    error: type[Exception],
    message: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"PK")
    asked: dict[str, Any] = {"photos": photos, "weights": "none", **given}
    with pytest.raises(error, match=message):
        fieldmark.explore(asked.pop("photos"), **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


# Photos under two labels, and files that are broken


@pytest.fixture
def contradictory(photos: Path, tmp_path: Path) -> Path:
    """The photos, one of them a second time under another label."""
    root = tmp_path / "contradictory"
    shutil.copytree(photos, root)
    shutil.copy(root / "sky" / "00.png", root / "leaf" / "copy.png")
    return root


def test_a_photo_under_two_labels_is_an_error_and_listed_to_be_put_right(
    contradictory: Path, tmp_path: Path
) -> None:
    result = explore(contradictory, tmp_path / "out")
    found = json.loads((result.path / "findings.json").read_text("utf-8"))["findings"][0]
    assert (found["code"], found["severity"]) == ("FM302", "error")
    assert found["evidence"][0]["paths"] == ["leaf/copy.png", "sky/00.png"]
    rows = table(result.labels)
    assert [(row["path"], row["new_label"]) for row in rows] == [
        ("leaf/copy.png", ""),
        ("sky/00.png", ""),
    ]
    assert result.num_doubts == 2
    assert "FM302" in result.page.read_text("utf-8")
    # Put right, it is no finding any more.
    edited = tmp_path / "edited.csv"
    with edited.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerow({**rows[0], "new_label": "sky", "action": "relabel"})
    again = explore(contradictory, tmp_path / "again", labels=edited)
    assert "FM302" not in codes(again)
    assert again.catalog.counts() == {"cherry": 12, "leaf": 12, "sky": 13}


def test_a_finding_that_is_ignored_is_gone(contradictory: Path, tmp_path: Path) -> None:
    result = explore(contradictory, tmp_path / "out", ignore=(*FAST, "fm302"))
    assert "FM302" not in codes(result)
    assert "FM302" in result.audit.muted
    assert table(result.labels) == []


def test_an_archive_that_holds_its_photos_twice_is_a_finding(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    shutil.copytree(photos, root / "natural_images")
    shutil.copytree(photos, root / "data" / "natural_images")
    result = explore(root, tmp_path / "out")
    assert "FM306" in codes(result)
    assert "FM302" not in codes(result)
    finding = result.audit.of_code("FM306")
    assert finding is not None
    assert finding.severity == "error"
    assert "Give PHOTOS/natural_images." in finding.summary
