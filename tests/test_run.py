"""A finished run: loaded from anywhere, asked again, and refused where it is none."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fieldmark
from fieldmark.base.errors import BundleError, DataError, RunError
from fieldmark.base.lock import hold
from fieldmark.base.run_folder import RunFolder
from fieldmark.models.prediction import Prediction
from fieldmark.report.render import write_report
from fieldmark.run import Run, find_photos, load


def folder_of(run: Run) -> Path:
    assert run.path is not None
    return run.path


def rows_of(run: Run) -> list[dict[str, str]]:
    with (folder_of(run) / "predictions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# Loaded


def test_a_run_folder_and_the_bundle_in_it_are_the_same_run(finished_quick: Run) -> None:
    folder = folder_of(finished_quick)
    assert load(folder) == finished_quick
    assert load(str(folder / "model")) == finished_quick


def test_a_run_that_was_moved_still_loads_predicts_and_reports(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(folder_of(finished_quick), moved)
    (moved / "report.html").unlink()
    run = load(moved)
    assert run.evaluation == finished_quick.evaluation
    photo = photos / "sky" / "00.png"
    assert run.predict([photo]) == finished_quick.predict([photo])
    pages = [page.read_text("utf-8") for page in (finished_quick.report, write_report(moved))]
    # The last section lists the seconds of each stage, by now those of the report, too.
    before, after = (page.partition('<section id="provenance"')[0] for page in pages)
    assert before == after
    assert len(before) < len(pages[0])


def test_a_bundle_alone_predicts_but_has_no_evaluation(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_quick.bundle, tmp_path / "bundle")
    run = load(tmp_path / "bundle")
    assert run.path is None
    assert run.predict([photos / "sky" / "00.png"])[0].label == "sky"
    with pytest.raises(RunError, match="bundle without its run folder"):
        _ = run.evaluation
    with pytest.raises(RunError, match="bundle without its run folder"):
        _ = run.report


def test_a_run_has_its_record_and_a_bundle_alone_has_none(
    finished_quick: Run, tmp_path: Path
) -> None:
    assert (finished_quick.record["recipe"], finished_quick.record["status"]) == (
        "quick",
        "finished",
    )
    shutil.copytree(finished_quick.bundle, tmp_path / "bundle")
    with pytest.raises(RunError, match="bundle without its run folder"):
        _ = load(tmp_path / "bundle").record


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*gone"):
        load(tmp_path / "gone")


def test_a_file_is_no_run(finished_quick: Run) -> None:
    with pytest.raises(RunError, match=r"report\.html is a file"):
        load(finished_quick.report)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "running"}, r"it was stopped\. Go on with it: fieldmark train .* --resume$"),
        ({"status": "interrupted", "error": "by SIGTERM"}, r"it was stopped \(by SIGTERM\)\. Go"),
        (
            {"status": "failed", "error": "No photos."},
            r"it failed \(No photos\.\)\. Put that right and go on .* --resume$",
        ),
    ],
)
def test_a_run_that_did_not_finish_is_refused_with_the_reason(
    finished_quick: Run, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    content = json.loads((folder_of(finished_quick) / "run.json").read_text("utf-8"))
    (tmp_path / "run.json").write_text(json.dumps(content | changes))
    with pytest.raises(RunError, match=message):
        load(tmp_path)


def test_a_run_that_still_goes_on_is_told_with_its_process(
    finished_quick: Run, tmp_path: Path
) -> None:
    content = json.loads((folder_of(finished_quick) / "run.json").read_text("utf-8"))
    (tmp_path / "run.json").write_text(json.dumps(content | {"status": "running"}))
    with (
        hold(RunFolder(tmp_path).lock),
        pytest.raises(RunError, match=f"still going on in process {os.getpid()}.*Wait"),
    ):
        load(tmp_path)


def test_a_run_whose_model_was_altered_is_refused(finished_quick: Run, tmp_path: Path) -> None:
    shutil.copytree(folder_of(finished_quick), tmp_path / "run")
    with (tmp_path / "run" / "model" / "model.json").open("a") as stream:
        stream.write("\n")
    with pytest.raises(BundleError, match="not the file that was saved"):
        load(tmp_path / "run").predict([tmp_path / "a.png"])


def test_a_run_without_its_predictions_has_no_evaluation(
    finished_quick: Run, tmp_path: Path
) -> None:
    shutil.copytree(folder_of(finished_quick), tmp_path / "run")
    (tmp_path / "run" / "predictions.csv").unlink()
    with pytest.raises(RunError, match=r"predictions\.csv"):
        _ = load(tmp_path / "run").evaluation


# Asked again


@pytest.mark.parametrize("recipe", ["quick", "finetune"])
def test_a_photo_gets_the_answer_that_the_run_has_saved_for_it(
    recipe: str, request: pytest.FixtureRequest, photos: Path
) -> None:
    run: Run = request.getfixturevalue(f"finished_{recipe}")
    rows = [row for row in rows_of(run) if row["split"] == "test"]
    for row, prediction in zip(
        rows, run.predict([photos / row["path"] for row in rows]), strict=True
    ):
        assert prediction.label == row["predicted"]
        assert prediction.confidence == pytest.approx(float(row["confidence"]), abs=1e-12)


def test_an_answer_does_not_depend_on_its_neighbours(finished_quick: Run, photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))
    together = finished_quick.predict(files)
    assert [finished_quick.predict([file])[0] for file in files[::7]] == together[::7]


def test_answers_are_ranked_and_cut_to_top_k(finished_quick: Run, photos: Path) -> None:
    photo = photos / "leaf" / "00.png"
    (every,) = finished_quick.predict([photo], top_k=99)
    shares = [share for _, share in every.ranking]
    assert {name for name, _ in every.ranking} == {"cherry", "leaf", "sky"}
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    (one,) = finished_quick.predict([photo], top_k=1)
    assert one.ranking == every.ranking[:1]
    assert (one.label, one.confidence) == every.ranking[0]


def test_no_answer_at_all_cannot_be_asked_for(finished_quick: Run, photos: Path) -> None:
    with pytest.raises(DataError, match="allowed: 1 or more"):
        finished_quick.predict([photos / "leaf" / "00.png"], top_k=0)


def test_a_photo_that_cannot_be_read_says_why_and_the_others_are_answered(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    files = [tmp_path / "empty.jpg", photos / "leaf" / "00.png", tmp_path / "gone.jpg"]
    empty, leaf, gone = finished_quick.predict(files)
    assert empty == Prediction(path=str(files[0]), ranking=(), error="empty file")
    assert (empty.label, empty.confidence) == (None, None)
    assert leaf.label == "leaf"
    assert gone.error == "cannot be read: No such file or directory"


# Through the library's door


def test_predict_searches_folders_and_tells_what_it_left_out(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(photos / "sky" / "00.png", folder / "a.PNG")
    shutil.copy(photos / "leaf" / "00.png", folder / "deep" / "b.png")
    (folder / "notes.txt").write_text("")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    answers, left_out = fieldmark.predict(finished_quick, [folder, photos / "cherry" / "00.png"])
    found = {Path(answer.path).name: answer.label for answer in answers}
    assert found == {"a.PNG": "sky", "b.png": "leaf", "broken.jpg": None, "00.png": "cherry"}
    assert left_out == [(folder / "notes.txt", "not an image (.txt)")]


def test_predict_refuses_where_not_one_photo_can_be_read(
    finished_quick: Run, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.jpg could not be read: empty file\."):
        fieldmark.predict(finished_quick, [tmp_path / "a.jpg"])
    with pytest.raises(DataError, match=r"None of the 2 photos.*such as .*a\.jpg: empty file\."):
        fieldmark.predict(finished_quick, [tmp_path])


def test_the_library_gives_an_accuracy_with_its_interval(finished_quick: Run) -> None:
    accuracy = finished_quick.evaluation.accuracy
    assert isinstance(accuracy, fieldmark.Estimate)
    assert accuracy.low < accuracy.value <= accuracy.high


def test_progress_is_shown_only_where_there_is_time_to_see_it(
    finished_quick: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fieldmark import predicting
    from fieldmark.base.progress import SilentProgress

    class Counter(SilentProgress):
        done = 0

        def advance(self, count: int = 1, *, detail: str | None = None) -> None:  # noqa: ARG002
            self.done += count

    few, many = Counter(), Counter()
    fieldmark.predict(finished_quick, [photos], progress=few)
    monkeypatch.setattr(predicting, "SHOWN_FROM", 36)
    fieldmark.predict(finished_quick, [photos], progress=many)
    assert (few.done, many.done) == (0, 36)


# Photos found


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file or folder .*gone\.jpg"):
        find_photos([tmp_path / "gone.jpg"])


def test_a_folder_without_photos_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no photo under [^,]*\.$"):
        find_photos([tmp_path])
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(
        DataError, match=r"1 file was met, such as .*a\.txt: not an image \(\.txt\)"
    ):
        find_photos([tmp_path])


def test_a_named_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.txt", format="PNG")
    assert find_photos([tmp_path / "photo.txt"]) == ([tmp_path / "photo.txt"], [])


def test_photos_in_class_folders_and_beside_them_are_found(
    write_photos: Callable[..., Path], tmp_path: Path
) -> None:
    root: Any = write_photos(tmp_path / "photos", count=1)
    Image.new("RGB", (8, 8)).save(root / "loose.png")
    found, left_out = find_photos([root])
    assert len(found) == 4
    assert left_out == []
