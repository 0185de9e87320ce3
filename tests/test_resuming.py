"""What must be as it was (recipe, files, weights, photos), and what need not."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark import __version__
from fieldmark.arguments import recipe_asked
from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import versions
from fieldmark.collect import Given
from fieldmark.data.catalog import Catalog, CatalogRow, write_catalog
from fieldmark.earlier import Earlier
from fieldmark.recipe import Recipe, load_recipe, override
from fieldmark.resuming import (
    ChangedPhotosError,
    check_files,
    check_photos,
    digests,
    notes,
    require_same,
    require_same_weights,
)

NOTHING = Given()
DEVICE = {"type": "cpu", "name": "a processor", "threads": 2, "precision": "float32"}


def begun(
    path: Path, asked: Recipe, *, given: Given = NOTHING, weights: str | None = None, **values: Any
) -> Earlier:
    record: dict[str, Any] = {
        "schema_version": 1,
        "photos": "/photos",
        "split_file": str(given.split_file) if given.split_file else None,
        "labels": str(given.labels) if given.labels else None,
        "sha256": digests(asked, given, weights=weights),
        "fieldmark_version": __version__,
        "versions": versions(),
        "device": DEVICE,
    }
    return Earlier(folder=RunFolder(path), record=record | values, asked=asked)


def catalog_of(photos: dict[str, str], *, root: Path = Path("/photos")) -> Catalog:
    """Return a catalog of photos by path, each with the beginning of its digest."""
    rows = [
        CatalogRow(
            path=path,
            label=path.partition("/")[0],
            width=40,
            height=30,
            num_bytes=7,
            sha256=content.ljust(64, "0"),
            status="used",
            reason="",
        )
        for path, content in sorted(photos.items())
    ]
    return Catalog(root=root, rows=tuple(rows))


def differences(error: pytest.ExceptionInfo[RunError]) -> list[str]:
    """Return the indented lines of a message."""
    return [line.strip() for line in str(error.value).splitlines() if line.startswith("  ")]


# The recipe


@pytest.mark.parametrize(
    ("base", "overrides", "ignore"),
    [
        (None, (), ()),
        (None, ("train.epochs=7",), ()),
        (None, (), ("FM203",)),
        ("finetune", ("train.epochs=7",), ("fm402,FM203",)),
    ],
)
def test_what_agrees_may_be_said_again(
    tmp_path: Path, base: str | None, overrides: Sequence[str], ignore: Sequence[str]
) -> None:
    before = recipe_asked(
        "finetune", backbone=None, ignore=["FM203", "FM402"], overrides=["train.epochs=7"]
    )
    now = recipe_asked(base or before, backbone=None, ignore=ignore, overrides=overrides)
    assert require_same(begun(tmp_path, before), asked=now, given=NOTHING) == NOTHING


def test_each_difference_of_the_recipe_is_listed_with_before_and_now(tmp_path: Path) -> None:
    before = override(load_recipe("finetune"), ["train.epochs=7", "augment.erase=none"])
    now = override(before, ["train.epochs=8", "train.seed=3", "data.size_px=96"])
    with pytest.raises(RunError, match="was begun otherwise") as refused:
        require_same(begun(tmp_path, before), asked=now, given=NOTHING)
    assert differences(refused) == [
        "data.size_px: before none, now 96",
        "train.epochs: before 7, now 8",
        "train.seed: before 0, now 3",
    ]
    assert "--resume" in str(refused.value).splitlines()[-1]


def test_the_name_of_the_recipe_means_nothing(tmp_path: Path) -> None:
    before = load_recipe("finetune")
    require_same(begun(tmp_path, before), asked=replace(before, name="mine"), given=NOTHING)


# Files


@pytest.fixture
def given(tmp_path: Path) -> Given:
    for name in ("split.csv", "labels.csv", "groups.csv"):
        (tmp_path / name).write_text(f"path,patient\n{name},1\n")
    return Given(split_file=tmp_path / "split.csv", labels=tmp_path / "labels.csv")


def test_files_that_are_not_given_again_are_taken_from_the_run(
    tmp_path: Path, given: Given
) -> None:
    recipe = load_recipe("quick")
    earlier = begun(tmp_path, recipe, given=given)
    assert require_same(earlier, asked=recipe, given=NOTHING) == given


def test_a_file_may_have_moved_if_its_content_is_the_same(tmp_path: Path, given: Given) -> None:
    recipe = load_recipe("quick")
    earlier = begun(tmp_path, recipe, given=given)
    assert given.split_file
    moved = given.split_file.rename(tmp_path / "moved.csv")
    with pytest.raises(RunError, match=r"split\.csv, which is not there any more.*--split-file"):
        require_same(earlier, asked=recipe, given=NOTHING)
    now = require_same(earlier, asked=recipe, given=Given(split_file=moved))
    assert now == Given(split_file=moved, labels=given.labels)


def test_a_file_with_another_content_is_a_difference(tmp_path: Path, given: Given) -> None:
    recipe = load_recipe("quick")
    earlier = begun(tmp_path, recipe, given=given)
    assert given.split_file
    assert given.labels
    given.labels.write_text("other")
    with pytest.raises(RunError) as refused:
        require_same(earlier, asked=recipe, given=Given(split_file=tmp_path / "groups.csv"))
    assert differences(refused) == [
        f"--split-file: before {given.split_file}, now {tmp_path / 'groups.csv'}",
        f"--labels: {given.labels} is not what it was",
    ]


def test_a_file_given_to_a_run_without_one_is_a_difference(tmp_path: Path, given: Given) -> None:
    recipe = load_recipe("quick")
    with pytest.raises(RunError) as refused:
        require_same(begun(tmp_path, recipe), asked=recipe, given=Given(labels=given.labels))
    assert differences(refused) == [f"--labels: before none, now {given.labels}"]


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("groups.csv:patient", True),
        ("labels.csv:patient", False),
        ("groups.csv:path", False),
        ("(.*)/", False),
    ],
)
@pytest.mark.usefixtures("given")
def test_groups_by_a_table_are_the_same_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, same: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "copy.csv").write_bytes((tmp_path / "groups.csv").read_bytes())
    before = recipe_asked("quick", backbone=None, group_by="copy.csv:patient", overrides=[])
    now = recipe_asked(before, backbone=None, group_by=spec, overrides=[])
    if same:
        require_same(begun(tmp_path, before), asked=now, given=NOTHING)
        return
    with pytest.raises(RunError) as refused:
        require_same(begun(tmp_path, before), asked=now, given=NOTHING)
    assert differences(refused) == [f"split.group_by: before copy.csv:patient, now {spec}"]


def test_groups_by_an_expression_are_the_same_by_its_text(tmp_path: Path) -> None:
    before = recipe_asked("quick", backbone=None, group_by="a(.)", overrides=[])
    require_same(begun(tmp_path, before), asked=before, given=NOTHING)
    now = recipe_asked("quick", backbone=None, group_by="b(.)", overrides=[])
    with pytest.raises(RunError, match=r"split\.group_by: before a\(\.\), now b\(\.\)"):
        require_same(begun(tmp_path, before), asked=now, given=NOTHING)


def test_weights_are_the_same_by_their_content(tmp_path: Path) -> None:
    before = recipe_asked("quick", backbone=None, weights="/a/w", overrides=[])
    moved = recipe_asked("quick", backbone=None, weights="/b/w", overrides=[])
    earlier = begun(tmp_path, before, weights="1" * 64)
    require_same(earlier, asked=moved, given=NOTHING)
    require_same_weights(earlier, asked=moved, weights="1" * 64)
    with pytest.raises(RunError, match=r"model\.weights: before /a/w, now /b/w"):
        require_same_weights(earlier, asked=moved, weights="2" * 64)
    with pytest.raises(RunError, match=r"model\.weights: /a/w is not what it was"):
        require_same_weights(earlier, asked=before, weights="2" * 64)
    with pytest.raises(RunError, match=r"model\.weights"):
        require_same_weights(earlier, asked=before, weights=None)


# Photos

PHOTOS = {f"cat/{index:02d}.jpg": "a" for index in range(15)} | {"dog/1.jpg": "b", "dog/2.jpg": "c"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    write_catalog(tmp_path / "catalog.csv", catalog_of(PHOTOS))
    return RunFolder(tmp_path)


def test_the_same_photos_may_lie_elsewhere(folder: RunFolder) -> None:
    check_photos(folder, catalog_of(PHOTOS, root=Path("/moved")))


def test_photos_added_removed_and_changed_are_counted_and_the_first_ten_named(
    folder: RunFolder,
) -> None:
    now = {path: "z" if path.startswith("cat") else content for path, content in PHOTOS.items()}
    now |= {"dog/3.jpg": "d", "dog/4.jpg": "e"}
    del now["dog/1.jpg"]
    with pytest.raises(ChangedPhotosError, match=r"are not those that the run in") as refused:
        check_photos(folder, catalog_of(now))
    assert differences(refused) == [
        "2 added: dog/3.jpg, dog/4.jpg",
        "1 removed: dog/1.jpg",
        f"15 changed: {', '.join(f'cat/{index:02d}.jpg' for index in range(10))} and 5 more",
    ]


def test_a_photo_under_another_label_is_changed(folder: RunFolder) -> None:
    catalog = catalog_of(PHOTOS)
    rows = (replace(catalog.rows[0], label="dog"), *catalog.rows[1:])
    with pytest.raises(ChangedPhotosError, match=r"1 changed: cat/00\.jpg"):
        check_photos(folder, replace(catalog, rows=rows))


def test_a_file_that_was_never_a_photo_may_come_and_go(folder: RunFolder) -> None:
    catalog = catalog_of(PHOTOS)
    row = replace(catalog.rows[0], path="Thumbs.db", width=None, height=None, status="excluded")
    check_photos(folder, replace(catalog, rows=(*catalog.rows, row)))


def test_a_photo_that_the_split_left_out_later_is_no_change(folder: RunFolder) -> None:
    catalog = catalog_of(PHOTOS)
    write_catalog(folder.catalog_csv, catalog.exclude({"cat/00.jpg": "not in the split file"}))
    check_photos(folder, catalog)


def test_a_photo_that_can_be_read_by_now_is_added(folder: RunFolder) -> None:
    catalog = catalog_of(PHOTOS)
    lost = replace(catalog.rows[0], width=None, height=None, status="excluded", reason="truncated")
    write_catalog(folder.catalog_csv, replace(catalog, rows=(lost, *catalog.rows[1:])))
    with pytest.raises(ChangedPhotosError, match=r"1 added: cat/00\.jpg"):
        check_photos(folder, catalog)


def test_a_run_that_had_not_read_its_photos_takes_any(tmp_path: Path) -> None:
    check_photos(RunFolder(tmp_path), catalog_of(PHOTOS))


def test_a_trained_run_without_its_catalog_is_refused(folder: RunFolder) -> None:
    folder.catalog_csv.unlink()
    folder.checkpoints_dir.mkdir()
    (folder.checkpoints_dir / "step-00000001-0123456789abcdef.safetensors").write_text("")
    with pytest.raises(ChangedPhotosError, match=r"catalog\.csv is missing"):
        check_photos(folder, catalog_of(PHOTOS))


# Photos of a run that has finished


@pytest.fixture
def finished(tmp_path: Path) -> tuple[RunFolder, Path]:
    """A run folder, and the folder of the three photos that it was made of."""
    root = tmp_path / "photos"
    for path in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"12345")
    catalog = catalog_of(dict.fromkeys(("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"), "a"))
    rows = tuple(replace(row, num_bytes=5) for row in catalog.rows)
    write_catalog(tmp_path / "catalog.csv", replace(catalog, rows=rows))
    return RunFolder(tmp_path), root


def test_the_files_of_a_finished_run_are_compared_by_name_and_size(
    finished: tuple[RunFolder, Path],
) -> None:
    folder, root = finished
    check_files(folder, root)
    (root / "Thumbs.db").write_bytes(b"")
    check_files(folder, root)
    (root / "cat/1.jpg").write_bytes(b"123456")
    (root / "cat/2.jpg").rename(root / "cat/3.jpg")
    with pytest.raises(ChangedPhotosError, match=r"are not those that the run in") as refused:
        check_files(folder, root)
    assert differences(refused) == [
        "1 added: cat/3.jpg",
        "1 removed: cat/2.jpg",
        "1 changed: cat/1.jpg",
    ]
    folder.catalog_csv.unlink()
    check_files(folder, root)


# Circumstances


def test_where_all_is_as_it_was_there_is_nothing_to_note(tmp_path: Path) -> None:
    earlier = begun(tmp_path, load_recipe("quick"))
    assert notes(earlier, photos=Path("/photos"), device=DEVICE) == []


def test_a_moved_folder_of_photos_is_noted(tmp_path: Path) -> None:
    earlier = begun(tmp_path, load_recipe("quick"))
    (note,) = notes(earlier, photos=Path("/moved"), device=DEVICE)
    assert note == "The photos were in /photos when the run began."


def test_other_versions_and_machines_are_noted_together(tmp_path: Path) -> None:
    record: dict[str, Any] = {
        "fieldmark_version": "0.0.1",
        "versions": versions() | {"torch": "1.0"},
        "device": DEVICE | {"name": "another processor", "threads": 8},
    }
    earlier = begun(tmp_path, load_recipe("quick"), **record)
    (note,) = notes(earlier, photos=Path("/photos"), device=DEVICE)
    assert f"fieldmark 0.0.1 (now {__version__})" in note
    assert f"torch 1.0 (now {versions()['torch']})" in note
    assert "device name another processor (now a processor)" in note
    assert "threads 8 (now 2)" in note
    assert "last bits" in note


def test_a_run_stopped_before_it_knew_its_device_has_none_to_compare(tmp_path: Path) -> None:
    earlier = begun(tmp_path, load_recipe("quick"), device=None)
    assert notes(earlier, photos=Path("/photos"), device=DEVICE) == []


def test_digests_are_plain_values_for_the_record(tmp_path: Path, given: Given) -> None:
    asked = recipe_asked(
        "quick", backbone=None, group_by=f"{tmp_path / 'groups.csv'}:patient", overrides=[]
    )
    found = digests(asked, given, weights="1" * 64)
    assert set(json.loads(json.dumps(found))) == {"split_file", "labels", "group_by", "weights"}
    assert digests(load_recipe("quick"), NOTHING, weights=None) == {}
