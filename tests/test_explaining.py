"""Explaining photos with a finished run: what it writes, what it says, what it refuses."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark import looking
from fieldmark.base.errors import DataError, RunError
from fieldmark.explaining import Explanation
from fieldmark.models.bundle_photos import thumbnail
from fieldmark.run import Run

Snapshot = Callable[[Path], dict[str, object]]
CallMain = Callable[..., Any]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def explained(
    tmp_path_factory: pytest.TempPathFactory, finished_finetune: Run, photos: Path
) -> Explanation:
    """Three photos of two classes, explained; read only."""
    wanted = [photos / "sky", photos / "leaf/03.png", photos / "leaf/04.png"]
    out = tmp_path_factory.mktemp("explained") / "out"
    explanation: Explanation = fieldmark.explain(finished_finetune, wanted, out=out)
    return explanation


def test_it_leaves_a_page_a_table_and_a_picture_for_each_photo(explained: Explanation) -> None:
    names = {path.name for path in explained.path.iterdir()}
    assert names == {"explain.html", "explain.csv", "pictures"}
    assert len(explained.photos) == 14
    files = {picture.file for photo in explained.photos for picture in photo.pictures}
    assert {f"pictures/{path.name}" for path in explained.pictures.iterdir()} == files
    assert all(photo.num_agreeing >= 3 for photo in explained.photos if not photo.is_wrong)


def test_pictures_are_pngs_as_large_as_the_photo(explained: Explanation) -> None:
    with Image.open(explained.path / explained.photos[0].named.file) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))


def test_the_table_tells_what_is_returned(explained: Explanation) -> None:
    rows = table(explained.table)
    assert [row["path"] for row in rows] == [photo.path for photo in explained.photos]
    for row, photo in zip(rows, explained.photos, strict=True):
        assert row["true"] == photo.true == Path(photo.path).parent.name
        assert row["predicted"] == photo.named.name
        assert float(row["confidence"]) == pytest.approx(photo.named.probability, abs=1e-6)
        assert (explained.path / row["picture"]).is_file()
        assert bool(row["picture_of_true"]) == photo.is_wrong
        assert row["nearest"] == photo.neighbours[0].photo.path


def test_what_was_named_is_what_predict_says(
    explained: Explanation, finished_finetune: Run
) -> None:
    paths = [photo.path for photo in explained.photos]
    predictions = finished_finetune.predict(paths, top_k=1)
    assert [photo.named.name for photo in explained.photos] == [one.label for one in predictions]
    assert [photo.named.probability for photo in explained.photos] == pytest.approx(
        [one.confidence for one in predictions]
    )


def test_mistakes_come_first_and_then_the_least_sure(explained: Explanation) -> None:
    right = [photo.named.probability for photo in explained.photos if not photo.is_wrong]
    assert right == sorted(right)
    wrong = [photo.is_wrong for photo in explained.photos]
    assert wrong == sorted(wrong, reverse=True)


def test_a_photo_that_was_learned_from_is_its_own_nearest(
    explained: Explanation, finished_finetune: Run
) -> None:
    assert finished_finetune.path is not None
    rows = table(finished_finetune.path / "splits.csv")
    sides = {row["path"]: row["split"] for row in rows}
    for photo in explained.photos:
        place = "/".join(Path(photo.path).parts[-2:])
        assert photo.side == sides[place]
        nearest = photo.neighbours[0]
        assert nearest.is_same_file == (photo.side == "train")
        if nearest.is_same_file:
            assert nearest.photo.path == place
            assert nearest.similarity == pytest.approx(1, abs=1e-5)


def test_the_sums_are_over_all_photos(explained: Explanation) -> None:
    told = explained.explained
    shares = [photo.named.border_share for photo in told.photos]
    known = [share for share in shares if share is not None]
    assert told.border is not None
    assert told.border.value == pytest.approx(np.mean(known))
    assert told.border.low <= told.border.value <= told.border.high
    assert told.sanity is not None
    assert told.sanity.num_photos == looking.NUM_COMPARED
    assert told.num_training == told.num_training_in_all > 0


def test_nothing_is_changed_but_the_folder_that_is_written(
    finished_quick: Run, photos: Path, snapshot: Snapshot, tmp_path: Path
) -> None:
    assert finished_quick.path is not None
    before = snapshot(finished_quick.path), snapshot(photos)
    fieldmark.explain(finished_quick, [photos / "sky/00.png"], out=tmp_path / "out")
    assert (snapshot(finished_quick.path), snapshot(photos)) == before


def test_a_frozen_backbones_features_are_those_that_the_run_computed(
    finished_quick: Run, photos: Path, tmp_path: Path, recorder: Any
) -> None:
    fieldmark.explain(
        finished_quick, [photos / "sky/00.png"], out=tmp_path / "out", progress=recorder
    )
    told = recorder.summaries["Training photos"]
    num_photos = len([row for row in table_of_splits(finished_quick) if row["split"] == "train"])
    assert told == f"features of {num_photos} photos, {num_photos} of them from the cache"


def test_a_trained_backbones_features_are_computed_once(
    finished_finetune: Run,
    explained: Explanation,
    photos: Path,
    tmp_path: Path,
    recorder: Any,
) -> None:
    assert explained.photos
    asked = {"out": tmp_path / "out", "progress": recorder}
    fieldmark.explain(finished_finetune, [photos / "sky/00.png"], **asked)
    told = recorder.summaries["Training photos"]
    assert told.split()[2] == told.split()[4]


def table_of_splits(run: Run) -> list[dict[str, str]]:
    assert run.path is not None
    return table(run.path / "splits.csv")


def test_a_bundle_alone_is_explained_without_training_photos(
    finished_quick: Run, photos: Path, tmp_path: Path, recorder: Any
) -> None:
    shutil.copytree(finished_quick.bundle, tmp_path / "model")
    out = tmp_path / "out"
    found = fieldmark.explain(
        tmp_path / "model", [photos / "sky/00.png"], out=out, progress=recorder
    )
    (photo,) = found.photos
    assert (photo.neighbours, photo.side, photo.true) == ((), "", "sky")
    assert any("bundle without its run" in note for note in recorder.notes)
    assert "could not be looked at" in found.page.read_text("utf-8")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, finished_quick: Run) -> Path:
    """A run's bundle with thumbnails, in one file."""
    out = tmp_path_factory.mktemp("packed") / "pets.fieldmark"
    fieldmark.export(finished_quick, to="bundle", with_thumbnails=True, out=out)
    return out


def test_a_bundle_with_thumbnails_likens_photos_to_those_that_the_run_does(
    packed: Path, finished_quick: Run, photos: Path, tmp_path: Path, recorder: Any
) -> None:
    asked = [photos / "sky/00.png", photos / "leaf/03.png"]
    by_run = fieldmark.explain(finished_quick, asked, out=tmp_path / "run")
    by_bundle = fieldmark.explain(packed, asked, out=tmp_path / "out", progress=recorder)
    for one, other in zip(by_run.photos, by_bundle.photos, strict=True):
        assert len(other.neighbours) == len(one.neighbours) == looking.NUM_NEIGHBOURS
        assert [near.similarity for near in other.neighbours] == pytest.approx(
            [near.similarity for near in one.neighbours], abs=1e-3
        )
        nearest, shown = one.neighbours[0], other.neighbours[0]
        assert shown.label == nearest.label
        with Image.open(photos / nearest.photo.path) as whole:
            assert (by_bundle.path / shown.photo.path).read_bytes() == thumbnail(whole)
        assert shown.is_same_file == nearest.is_same_file
        assert other.num_agreeing == one.num_agreeing
    assert not any("no training photos" in note for note in recorder.notes)
    num = by_run.explained.num_training
    assert by_bundle.explained.num_training == num
    assert recorder.summaries["Training photos"] == f"{num} thumbnails in the bundle"


def test_thumbnails_of_a_bundle_lie_beside_the_page_that_shows_them(
    packed: Path, photos: Path, tmp_path: Path
) -> None:
    found = fieldmark.explain(packed, [photos / "sky"], out=tmp_path / "out")
    near = {one.photo.path for photo in found.photos for one in photo.neighbours}
    assert {f"nearest/{path.name}" for path in (found.path / "nearest").iterdir()} == near
    for row in table(found.table):
        assert row["nearest"] in near
        assert row["nearest_label"] in {"cherry", "leaf", "sky"}
    page = found.page.read_text("utf-8")
    assert "no image" not in page
    assert all(f'title="{path}"' in page for path in near)
    assert "of which thumbnails travel with the bundle" in page


def test_a_photo_that_a_bundle_was_trained_on_is_known_by_its_thumbnail(
    packed: Path, finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    found = fieldmark.explain(packed, [photos / "sky"], out=tmp_path / "out")
    sides = {row["path"]: row["split"] for row in table_of_splits(finished_quick)}
    learned = {path for path, side in sides.items() if side == "train"}
    for photo in found.photos:
        is_learned = "/".join(Path(photo.path).parts[-2:]) in learned
        assert photo.side == ("train" if is_learned else "")
        assert photo.neighbours[0].is_same_file == is_learned
    assert {photo.side for photo in found.photos} == {"train", ""}


def test_the_folder_says_what_a_photo_shows_unless_something_else_does(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    for name in ("leaf", "elsewhere"):
        (tmp_path / name).mkdir()
        shutil.copy(photos / "sky/00.png", tmp_path / name / "a b#1.png")
    both = [tmp_path / "leaf", tmp_path / "elsewhere"]
    found = fieldmark.explain(finished_quick, both, out=tmp_path / "one")
    truths = {Path(photo.path).parent.name: photo.true for photo in found.photos}
    assert truths == {"leaf": "leaf", "elsewhere": None}
    assert all("a-b-1" in photo.named.file for photo in found.photos)
    told = fieldmark.explain(finished_quick, both, out=tmp_path / "two", true_class="cherry")
    assert {photo.true for photo in told.photos} == {"cherry"}
    assert all(photo.is_wrong == (photo.named.name != "cherry") for photo in told.photos)


def test_an_unreadable_photo_is_left_out_with_the_reason(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(photos / "sky/00.png", tmp_path / "in/good.png")
    (tmp_path / "in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    found = fieldmark.explain(finished_quick, [tmp_path / "in"], out=tmp_path / "out")
    assert [Path(photo.path).name for photo in found.photos] == ["good.png"]
    ((path, reason),) = found.explained.left_out
    assert path.endswith("bad.png")
    assert reason


def test_where_no_photo_can_be_read_nothing_is_written(finished_quick: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"bad\.png could not be read"):
        fieldmark.explain(finished_quick, [tmp_path / "bad.png"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_class_that_the_run_does_not_know_is_refused_with_the_nearest(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="Did you mean 'cherry'"):
        fieldmark.explain(
            finished_quick, [photos / "sky"], out=tmp_path / "out", true_class="chery"
        )


def test_an_output_that_holds_something_or_lies_among_the_photos_is_refused(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    with pytest.raises(RunError, match="already holds something"):
        fieldmark.explain(finished_quick, [photos / "sky"], out=tmp_path / "full")
    with pytest.raises(RunError, match="would lie inside"):
        fieldmark.explain(finished_quick, [photos / "sky"], out=photos / "sky/out")


def test_training_photos_that_changed_or_are_gone_are_left_out(
    finished_finetune: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    assert finished_finetune.path is not None
    run, moved = tmp_path / "run", tmp_path / "photos"
    shutil.copytree(finished_finetune.path, run)
    shutil.copytree(photos, moved)
    record = run / "run.json"
    record.write_text(record.read_text("utf-8").replace(str(photos), str(moved)), "utf-8")
    first, second = [row["path"] for row in table(run / "splits.csv") if row["split"] == "train"][
        :2
    ]
    (moved / first).unlink()
    shutil.copy(moved / "sky/00.png", moved / second)
    found = fieldmark.explain(run, [photos / "sky/00.png"], out=tmp_path / "out").explained
    assert found.num_training == found.num_training_in_all - 2
    named = {one.photo.path for photo in found.photos for one in photo.neighbours}
    assert not {first, second} & named


def test_the_command_line_explains_and_says_where_things_are(
    finished_quick: Run, photos: Path, tmp_path: Path, call_main: CallMain
) -> None:
    out = tmp_path / "out"
    done = call_main("explain", finished_quick.path, photos / "sky/00.png", "--out", out)
    assert done.code == 0
    assert f"Page        {out / 'explain.html'}" in done.out
    assert "sky/00.png" in done.out
    assert "rank correlation" in done.out
    page = (out / "explain.html").read_text("utf-8")
    assert f"fieldmark explain {finished_quick.path}" in page


def test_without_a_place_the_next_folder_of_runs_is_taken(
    finished_quick: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = fieldmark.explain(finished_quick, [photos / "sky/00.png"])
    assert found.path == Path("runs/explain-001")
