"""Damaging the test photos of a finished run: what is written, what is refused, what is left."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.base.errors import DataError, RunError
from fieldmark.base.files import sha256_of
from fieldmark.data.degrade import KINDS
from fieldmark.degrading import Degraded, kinds_named
from fieldmark.evaluation.degradation_document import read_degradation
from fieldmark.run import Run

Snapshot = Callable[[Path], dict[str, object]]
CallMain = Callable[..., Any]


def a_copy(run: Run, place: Path) -> Path:
    assert run.path is not None
    shutil.copytree(run.path, place)
    return place


def held_out(run: Path) -> list[str]:
    with (run / "splits.csv").open(encoding="utf-8", newline="") as stream:
        return [row["path"] for row in csv.DictReader(stream) if row["split"] == "test"]


@pytest.fixture(scope="module")
def degraded(tmp_path_factory: pytest.TempPathFactory, finished_quick: Run) -> Degraded:
    """A copy of a run, all of whose test photos were damaged; read only."""
    run = a_copy(finished_quick, tmp_path_factory.mktemp("degraded") / "run")
    found: Degraded = fieldmark.degrade(run)
    return found


def test_two_files_are_added_and_the_report_and_the_card_tell_of_them(
    degraded: Degraded, finished_quick: Run
) -> None:
    assert finished_quick.path is not None
    before = {path.relative_to(finished_quick.path) for path in finished_quick.path.rglob("*")}
    after = {path.relative_to(degraded.path) for path in degraded.path.rglob("*")}
    assert {path.name for path in after - before} == {"degradation.csv", "degradation.json"}
    assert before <= after
    changed = {
        path.name
        for path in before
        if (degraded.path / path).is_file()
        and sha256_of(degraded.path / path) != sha256_of(finished_quick.path / path)
    }
    assert changed == {"report.html", "MODEL_CARD.md"}
    assert 'id="degradation"' in degraded.report.read_text("utf-8")
    card = (degraded.path / "model" / "MODEL_CARD.md").read_text("utf-8")
    assert "## Damaged photos" in card
    assert "Not measured: noise, blur" not in card
    assert "Not measured: other damage to photos, such as a moving camera" in card


def test_all_kinds_strengths_and_classes_are_counted(degraded: Degraded) -> None:
    found = degraded.degradation
    assert [curve.key for curve in found.curves] == [kind.key for kind in KINDS]
    for curve, kind in zip(found.curves, KINDS, strict=True):
        assert tuple(step.amount for step in curve.steps) == kind.amounts
    assert found.num_photos == found.num_test == len(held_out(degraded.path))
    assert set(found.num_of_class) == {"cherry", "leaf", "sky"}
    with degraded.table.open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == (1 + 5 * len(KINDS)) * 3


def test_undamaged_it_is_as_good_as_the_run_says(degraded: Degraded, finished_quick: Run) -> None:
    undamaged = degraded.degradation.undamaged
    assert undamaged.accuracy == finished_quick.evaluation.accuracy
    saved = finished_quick.predictions.of_split("test").confidence_N.mean()
    assert undamaged.confidence == pytest.approx(saved, abs=0.03)


def test_what_is_returned_is_what_is_saved(degraded: Degraded) -> None:
    assert read_degradation(degraded.path) == degraded.degradation


def test_damage_by_which_classes_differ_costs_accuracy(degraded: Degraded) -> None:
    # The classes are told apart by their colours, of which little contrast or light leaves little.
    drops = {curve.key: curve.drop.value for curve in degraded.degradation.curves}
    assert max(drops.values()) > 0.05
    assert drops["resolution"] < max(drops.values())


def test_the_page_shows_a_photo_under_each_kind(degraded: Degraded) -> None:
    section = degraded.report.read_text("utf-8").partition('id="degradation"')[2]
    section = section.partition("</section>")[0]
    pictures = re.findall(r'<img src="data:image/webp', section)
    assert len(pictures) == 3 * len(KINDS)
    assert section.count('<svg class="plot"') == len(KINDS)


def test_the_same_seed_gives_the_same_numbers(
    degraded: Degraded, finished_quick: Run, tmp_path: Path
) -> None:
    again = fieldmark.degrade(a_copy(finished_quick, tmp_path / "again"))
    for name in ("degradation.csv", "degradation.json"):
        assert (again.path / name).read_bytes() == (degraded.path / name).read_bytes()
    other = fieldmark.degrade(again.path, seed=1)
    assert other.degradation.seed == 1
    assert other.degradation != degraded.degradation


def test_some_kinds_give_the_same_numbers_as_all_of_them(
    degraded: Degraded, finished_quick: Run, tmp_path: Path
) -> None:
    run = a_copy(finished_quick, tmp_path / "some")
    found = fieldmark.degrade(run, kinds=["occlusion,noise"]).degradation
    assert [curve.key for curve in found.curves] == ["noise", "occlusion"]
    whole = {curve.key: curve for curve in degraded.degradation.curves}
    for curve in found.curves:
        expected = [step.num_right for step in whole[curve.key].steps]
        assert [step.num_right for step in curve.steps] == expected
    card = (run / "model" / "MODEL_CARD.md").read_text("utf-8")
    assert "Not measured: other damage to photos (blur, resolution, jpeg compression" in card


def test_fewer_photos_are_a_share_of_each_class(finished_quick: Run, tmp_path: Path) -> None:
    run = a_copy(finished_quick, tmp_path / "few")
    found = fieldmark.degrade(run, kinds=["jpeg"], max_photos=3).degradation
    assert found.num_of_class == {"cherry": 1, "leaf": 1, "sky": 1}
    assert found.num_photos == 3 < found.num_test
    assert "Measured on 3 of " in (run / "report.html").read_text("utf-8")


def test_a_trained_network_can_be_damaged_too(finished_finetune: Run, tmp_path: Path) -> None:
    run = a_copy(finished_finetune, tmp_path / "trained")
    found = fieldmark.degrade(run, kinds=["darkness"], max_photos=3).degradation
    assert found.curves[0].key == "darkness"


def test_missing_and_changed_photos_are_refused_by_name_and_nothing_is_written(
    finished_quick: Run, photos: Path, tmp_path: Path, snapshot: Snapshot
) -> None:
    run, moved = a_copy(finished_quick, tmp_path / "run"), tmp_path / "photos"
    shutil.copytree(photos, moved)
    gone, other, *_ = held_out(run)
    (moved / gone).unlink()
    (moved / other).write_bytes(b"something else")
    before = snapshot(run)
    with pytest.raises(DataError) as refusal:
        fieldmark.degrade(run, moved)
    told = str(refusal.value)
    assert f"1 photo is missing: {gone}; 1 photo has changed: {other}." in told
    assert "fieldmark degrade RUN PHOTOS" in told
    assert snapshot(run) == before


def test_many_missing_photos_are_counted(finished_quick: Run, tmp_path: Path) -> None:
    run = a_copy(finished_quick, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    num = len(held_out(run))
    with pytest.raises(DataError, match=f"{num} photos are missing: .* and {num - 5} more"):
        fieldmark.degrade(run, tmp_path / "empty")


def test_photos_that_have_moved_are_found_where_they_are_said_to_be(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    run, moved = a_copy(finished_quick, tmp_path / "run"), tmp_path / "moved"
    shutil.copytree(photos, moved)
    record = run / "run.json"
    record.write_text(
        record.read_text("utf-8").replace(str(photos), str(tmp_path / "was")), "utf-8"
    )
    with pytest.raises(DataError, match="was does not exist"):
        fieldmark.degrade(run, kinds=["blur"])
    fieldmark.degrade(run, moved, kinds=["blur"], max_photos=4)
    assert "has moved or changed" not in (run / "report.html").read_text("utf-8")


def test_stopped_it_leaves_the_run_as_it_was(
    finished_quick: Run, tmp_path: Path, snapshot: Snapshot, recorder: Any
) -> None:
    run = a_copy(finished_quick, tmp_path / "run")
    before = snapshot(run)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    recorder.advance = stop
    with pytest.raises(KeyboardInterrupt):
        fieldmark.degrade(run, kinds=["noise"], progress=recorder)
    assert snapshot(run) == before


def test_a_bundle_alone_is_refused(finished_quick: Run, tmp_path: Path) -> None:
    shutil.copytree(finished_quick.bundle, tmp_path / "model")
    with pytest.raises(RunError, match="bundle without its run folder"):
        fieldmark.degrade(tmp_path / "model")


def test_an_unknown_kind_is_refused_with_the_nearest_before_anything_is_read() -> None:
    with pytest.raises(
        DataError, match=r"names 'nois'.*Did you mean 'noise'\? Allowed: noise, blur"
    ):
        fieldmark.degrade("no such run", kinds=["blur,nois"])


def test_kinds_come_in_their_own_order_and_all_where_none_is_named() -> None:
    assert [kind.key for kind in kinds_named(["jpeg", "blur, noise"])] == ["noise", "blur", "jpeg"]
    assert kinds_named([]) == KINDS


def test_progress_says_how_many_pictures_there_are(
    finished_quick: Run, tmp_path: Path, recorder: Any
) -> None:
    run = a_copy(finished_quick, tmp_path / "run")
    fieldmark.degrade(run, kinds=["noise", "blur"], max_photos=4, progress=recorder)
    assert recorder.started["Degradation"] == (4 * 11, "pictures")
    assert any("4 of " in note and "2 kinds of damage" in note for note in recorder.notes)


def test_the_command_line_prints_the_tables_and_where_things_are(
    finished_quick: Run, tmp_path: Path, call_main: CallMain
) -> None:
    run = a_copy(finished_quick, tmp_path / "run")
    done = call_main("degrade", run, "--kinds", "noise,contrast", "--max-photos", 6, "--seed", 2)
    assert done.code == 0
    assert "Contrast" in done.out
    assert "Blur" not in done.out
    assert f"Table       {run / 'degradation.csv'}" in done.out
    assert json.loads((run / "degradation.json").read_text("utf-8"))["seed"] == 2
    refused = call_main("degrade", run, "--kinds", "fog")
    assert refused.code == 2
    assert "Allowed: noise, blur" in refused.err


def test_the_example_of_the_docs_runs(
    finished_quick: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_copy(finished_quick, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs/degrade.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    exec(compile(code, "docs/degrade.md", "exec"), {})
    assert "report.html" in capsys.readouterr().out
