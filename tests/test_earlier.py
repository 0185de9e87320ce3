"""Which run to go on with: the one named, or the last of the same photos that has not finished."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError, RunError
from fieldmark.base.run_folder import RunFolder
from fieldmark.earlier import find_run, has_checkpoint, read_earlier, saved_at
from fieldmark.recipe import BUILT_IN, Recipe, load_recipe, override, recipe_toml

PHOTOS = Path("/photos")


def begun(path: Path, *, started: str = "2026-01-01T00:00:00+00:00", **values: Any) -> RunFolder:
    """Write a run folder that says so much."""
    path.mkdir(parents=True)
    content = {"schema_version": 1, "photos": str(PHOTOS), "status": "running", "started": started}
    (path / "run.json").write_text(json.dumps(content | values))
    if values.get("status") == "finished":
        (path / "report.html").write_text("")
    return RunFolder(path)


# Named


def test_the_run_named_is_taken_whatever_became_of_it(tmp_path: Path) -> None:
    for status in ("running", "interrupted", "failed", "finished"):
        folder = begun(tmp_path / status, status=status, photos="/elsewhere")
        assert find_run(PHOTOS, out=folder.path, parent=tmp_path / "runs") == folder


def test_a_run_that_is_not_there_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*gone to go on with.*leave --resume out"):
        find_run(PHOTOS, out=tmp_path / "gone", parent=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(RunError, match=r"has no run\.json"):
        find_run(PHOTOS, out=tmp_path, parent=tmp_path)


def test_a_run_killed_before_it_said_anything_is_one(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    (tmp_path / ".fieldmark-0f.tmp").write_text("")
    folder = find_run(PHOTOS, out=tmp_path, parent=tmp_path)
    assert read_earlier(folder) is None


def test_a_damaged_record_is_not_passed_over_where_the_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read as JSON"):
        find_run(PHOTOS, out=tmp_path, parent=tmp_path)


# Looked for


def test_the_newest_unfinished_run_of_the_same_photos_is_found(tmp_path: Path) -> None:
    begun(tmp_path / "run-001", started="2026-01-01T00:00:00+00:00")
    wanted = begun(tmp_path / "run-002", started="2026-01-02T00:00:00+00:00", status="failed")
    begun(tmp_path / "run-003", started="2026-01-03T00:00:00+00:00", status="finished")
    begun(tmp_path / "run-004", started="2026-01-04T00:00:00+00:00", photos="/elsewhere")
    (tmp_path / "run-005").mkdir()
    (tmp_path / "run-006").mkdir()
    (tmp_path / "run-006" / "run.json").write_text("{")
    assert find_run(PHOTOS, out=None, parent=tmp_path) == wanted


def test_a_run_gone_on_with_is_newer_than_one_begun_meanwhile(tmp_path: Path) -> None:
    wanted = begun(tmp_path / "run-001", resumed=["2026-01-03T00:00:00+00:00"])
    begun(tmp_path / "run-002", started="2026-01-02T00:00:00+00:00")
    assert find_run(PHOTOS, out=None, parent=tmp_path) == wanted


def test_a_run_whose_report_is_missing_has_not_finished(tmp_path: Path) -> None:
    wanted = begun(tmp_path / "run-001", status="finished")
    wanted.report_html.unlink()
    assert find_run(PHOTOS, out=None, parent=tmp_path) == wanted


def test_where_there_is_none_to_go_on_with_the_ways_out_are_told(tmp_path: Path) -> None:
    begun(tmp_path / "run-001", status="finished")
    with pytest.raises(RunError, match=r"no run of the photos in /photos under .*Name .* --out"):
        find_run(PHOTOS, out=None, parent=tmp_path)
    with pytest.raises(RunError, match="There is no run"):
        find_run(PHOTOS, out=None, parent=tmp_path / "gone")


def test_an_unfinished_run_of_photos_elsewhere_is_named(tmp_path: Path) -> None:
    begun(tmp_path / "run-001", photos="/moved")
    with pytest.raises(RunError, match=r"run-001, of /moved, did not finish; give it with --out"):
        find_run(PHOTOS, out=None, parent=tmp_path)


# Read


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_recipe_is_read_as_it_was_asked(tmp_path: Path, name: str) -> None:
    asked = override(load_recipe(name), ["train.epochs=7", "optim.warmup_epochs=0"])
    folder = begun(tmp_path / "run", recipe=name)
    folder.recipe_toml.write_text(recipe_toml(asked))
    earlier = read_earlier(folder)
    assert earlier is not None
    assert earlier.asked == asked
    assert earlier.record["status"] == "running"


def test_what_the_file_leaves_out_is_none_when_it_is_read_again() -> None:
    # A recipe's file does not hold the fields that are None, so None must be their default.
    recipe = Recipe()
    for section in fields(Recipe):
        if section.name == "name":
            continue
        config = getattr(recipe, section.name)
        hints = type(config).__annotations__
        for field in fields(config):
            if "None" in str(hints[field.name]):
                assert getattr(config, field.name) is None, f"{section.name}.{field.name}"


def test_a_run_killed_before_its_recipe_was_written_tells_nothing(tmp_path: Path) -> None:
    assert read_earlier(begun(tmp_path / "run")) is None


def test_a_recipe_that_this_version_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    folder.recipe_toml.write_text("[train]\nfuture = 1\n")
    with pytest.raises(RecipeError, match=r"recipe\.toml: there is no 'train\.future'"):
        read_earlier(folder)


def test_only_whole_checkpoints_count_as_saved(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not has_checkpoint(folder)
    folder.checkpoints_dir.mkdir()
    (folder.checkpoints_dir / ".fieldmark-1.tmp").write_text("")
    assert not has_checkpoint(folder)
    saved = folder.checkpoints_dir / "step-00000012-0123456789abcdef.safetensors"
    saved.write_text("")
    assert has_checkpoint(folder)
    assert saved_at(folder) == saved.stat().st_mtime
