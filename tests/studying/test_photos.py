"""The photos of a study: read once, without those of the test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fieldmark.base.errors import RecipeError, RunError, SplitError
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Given
from fieldmark.data.split_table import read_splits
from fieldmark.studies.materials import read_materials
from fieldmark.studies.plan import Asked, StudyPlan, plan_study
from fieldmark.studies.record import StudyFolder
from fieldmark.studying.photos import StudyPhotos, needs_of, prepare

SPLIT = ("split.validation=0.25", "train.precision=float32")


def planned(weights: Path, *vary: str, recipe: str | None = None) -> StudyPlan:
    return plan_study(Asked(vary=vary, recipe=recipe, weights=str(weights), overrides=SPLIT))


def made(
    photos: Path, folder: Path, plan: StudyPlan, *, expected: str | None = None, **given: Path
) -> StudyPhotos:
    return prepare(
        photos,
        StudyFolder(folder),
        needs=needs_of(plan.recipes),
        given=Given(**given),
        expected_digest=expected,
        progress=SilentProgress(),
    )


def test_trials_get_features_of_all_photos_but_those_of_the_test(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    found = made(photos, tmp_path, planned(weights, "optim.lr=1e-3,1e-2"))
    counts = found.counts
    assert counts["test"] > 0
    (key,) = found.materials.readings
    features = found.materials.features_MF(key)
    assert features is not None
    assert len(features) == counts["train"] + counts["validation"]
    assert found.materials.readings[key].pixels is None
    splits = read_splits(tmp_path / "splits.csv")
    names = (*splits.paths("train"), *splits.paths("validation"))
    labels = [found.classes[label] for label in found.materials.labels_M]
    assert labels == [name.partition("/")[0] for name in names]


def test_networks_get_pixels_and_a_head_to_begin_with(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    found = made(photos, tmp_path, planned(weights, "augment.policy=none,flip"))
    (key,) = found.materials.readings
    assert found.materials.pixels_MHWC(key).shape[1:] == (32, 32, 3)
    assert found.materials.features_MF(key) is not None
    assert (
        len(found.materials.pixels_MHWC(key)) == found.counts["train"] + found.counts["validation"]
    )


def test_each_way_of_reading_photos_has_its_own_materials(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    plan = planned(weights, "data.size_px=32,48", "augment.policy=none,flip", recipe="finetune")
    found = made(photos, tmp_path, plan)
    sizes = {found.materials.pixels_MHWC(key).shape[1] for key in found.materials.readings}
    assert sizes == {32, 48}


def test_what_is_there_is_used_again(
    tmp_path: Path, photos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(weights, "optim.lr=1e-3,1e-2")
    first = made(photos, tmp_path, plan)
    monkeypatch.setattr("fieldmark.stages.embed", None)
    second = made(photos, tmp_path, plan, expected=first.data_digest)
    assert second.materials.readings == first.materials.readings
    (tmp_path / "work" / "index.json").write_text("{")
    monkeypatch.undo()
    assert made(photos, tmp_path, plan).materials.readings == first.materials.readings


def test_other_photos_than_the_study_began_with_are_refused(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    with pytest.raises(RunError, match="not those that the study began with"):
        made(photos, tmp_path, planned(weights, "optim.lr=1e-3,1e-2"), expected="ab" * 32)


def split_file(path: Path, photos: Path, *, shift: int) -> Path:
    """Write a split of the tiny photos; another shift puts others on each side."""
    sides = ("train", "train", "validation", "test")
    names = sorted(one.relative_to(photos).as_posix() for one in photos.rglob("*.*"))
    rows = [f"{name},{sides[(place + shift) % 4]}" for place, name in enumerate(names)]
    path.write_text("\n".join(["path,split", *rows]) + "\n")
    return path


def test_another_split_than_the_study_began_with_is_refused(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    plan = planned(weights, "optim.lr=1e-3,1e-2")
    given = split_file(tmp_path / "split.csv", photos, shift=0)
    first = made(photos, tmp_path / "s", plan, split_file=given)
    split_file(given, photos, shift=1)
    with pytest.raises(RunError, match="would move between training, validation and test"):
        made(photos, tmp_path / "s", plan, expected=first.data_digest, split_file=given)


def test_what_was_left_before_the_photos_were_known_is_made_anew(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    plan = planned(weights, "augment.policy=none,flip")
    given = split_file(tmp_path / "split.csv", photos, shift=0)
    made(photos, tmp_path / "s", plan, split_file=given)
    split_file(given, photos, shift=1)
    found = made(photos, tmp_path / "s", plan, split_file=given).materials
    fresh = made(photos, tmp_path / "other", plan, split_file=given).materials
    (key,) = found.readings
    assert np.array_equal(found.pixels_MHWC(key), fresh.pixels_MHWC(key))
    assert found.labels_M.tolist() == fresh.labels_M.tolist()


def test_a_split_without_validation_photos_is_refused(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    plan = planned(weights, "optim.lr=1e-3,1e-2")
    recipe = replace(plan.basis.recipe, split=replace(plan.basis.recipe.split, validation=0.0))
    none = replace(plan, basis=replace(plan.basis, recipe=recipe))
    with pytest.raises(SplitError, match="judged"):
        made(photos, tmp_path, none)


def test_recipes_that_cannot_be_are_refused_before_a_photo_is_read(weights: Path) -> None:
    plan = planned(weights, "model.feature_power=1,0.5", recipe="finetune")
    with pytest.raises(RecipeError, match="feature_power"):
        needs_of(plan.recipes)


def test_groups_are_numbers_that_photos_share(tmp_path: Path, photos: Path, weights: Path) -> None:
    plan = plan_study(
        Asked(
            vary=("optim.lr=1e-3,1e-2",),
            weights=str(weights),
            overrides=SPLIT,
            group_by=r"/(\d\d)",
        )
    )
    found = made(photos, tmp_path, plan)
    splits = read_splits(tmp_path / "splits.csv")
    groups = splits.groups()
    names = (*splits.paths("train"), *splits.paths("validation"))
    same_M = found.materials.groups_M
    for place, name in enumerate(names):
        alike = np.flatnonzero(same_M == same_M[place])
        assert {groups[names[other]] for other in alike} == {groups[name]}
    assert read_materials(tmp_path / "work").groups_M.tolist() == same_M.tolist()
