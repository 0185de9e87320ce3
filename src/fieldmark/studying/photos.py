"""The photos of a study, read once for all of its trials.

In: the folder and the recipes of all settings. Out: the materials of the trials in the study's
`work` folder, without the test photos, and `catalog.csv` and `splits.csv`.
Not covered: what a trial does with them (`trials`).
"""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark import stages
from fieldmark.base.cache import digest_of
from fieldmark.base.errors import RunError, SplitError
from fieldmark.base.progress import Progress
from fieldmark.collect import Collected, Gathered, Given, divide, gather, require_one_dataset
from fieldmark.data.catalog import write_catalog
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.split_table import TRAIN, VALIDATION, Splits
from fieldmark.data.splits import write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.models.classifier import Classifier
from fieldmark.orienting import orient
from fieldmark.planning import Plan
from fieldmark.planning import plan as settle
from fieldmark.recipe import Recipe
from fieldmark.studies.basis import kind_of, reading_key
from fieldmark.studies.materials import (
    INDEX,
    Materials,
    Reading,
    read_materials,
    write_array,
    write_materials,
)
from fieldmark.studies.record import StudyFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the trials of the recipes with one [data] and one [model] look at."""

    key: str
    plan: Plan
    pixels: bool
    features: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPhotos:
    """The photos of a study, divided."""

    data_digest: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    """What the user should know of the split."""
    materials: Materials


def needs_of(recipes: Iterable[Recipe]) -> tuple[Need, ...]:
    """Return what the trials of these recipes need, before any photo is read.

    Raises:
        RecipeError: values of a recipe do not go together.
        WeightsError: weights cannot be found.
    """
    needs: dict[str, Need] = {}
    checked: dict[str, Plan] = {}
    for recipe in recipes:
        # Everything that planning looks at: hundreds of settings may differ in the rate alone.
        looked_at = replace(recipe, optim=type(recipe.optim)(), probe=type(recipe.probe)())
        name = repr(replace(looked_at, train=replace(looked_at.train, seed=0)))
        if name not in checked:
            checked[name] = settle(recipe)
        key, is_network = reading_key(recipe), kind_of(recipe) == "network"
        features = recipe.model.weights != "none" and recipe.train.strategy != "all"
        before = needs.get(key)
        needs[key] = Need(
            key=key,
            plan=before.plan if before else checked[name],
            pixels=is_network or (before is not None and before.pixels),
            features=features or (before is not None and before.features),
        )
    return tuple(needs.values())


def prepare(
    root: Path,
    folder: StudyFolder,
    *,
    needs: Iterable[Need],
    given: Given,
    expected_digest: str | None,
    progress: Progress,
) -> StudyPhotos:
    """Read the photos, divide them, and write what the trials learn from.

    Args:
        root: the folder of photos.
        folder: of the study; materials that are in it are used again.
        needs: what the trials look at, at least one.
        given: the user's files.
        expected_digest: of the photos with which the study began; None: it begins.
        progress: told of each stage.

    Raises:
        RunError: the photos, or their split, are not those that the study began with.
        FieldmarkError: for everything else that the user can put right.
    """
    needs = tuple(needs)
    # What a sitting left that was killed before it knew its photos may be of another split.
    known = _known(folder.work, {need.key for need in needs}) if expected_digest else None
    if known is None:
        shutil.rmtree(folder.work, ignore_errors=True)
    maker = _Maker(root=root, folder=folder, given=given, progress=progress)
    if known is None:
        readings = {need.key: maker.reading(need) for need in needs}
    else:
        maker.look(needs[0].plan)
    collected = maker.collected
    _require_expected(collected, expected_digest, root=root)
    if known is None:
        materials = _materials(folder.work, collected, readings)
        write_materials(materials)
    else:
        materials = known
        _require_known(materials, collected, root=root)
    write_catalog(folder.catalog_csv, collected.catalog)
    write_splits(folder.splits_csv, collected.splits)
    return StudyPhotos(
        data_digest=collected.catalog.digest,
        classes=collected.catalog.classes,
        counts=collected.splits.counts(),
        notes=collected.splits.notes,
        materials=materials,
    )


def _known(work: Path, keys: set[str]) -> Materials | None:
    """Return the materials that are there, where they are all that is needed."""
    if not (work / INDEX).is_file():
        return None
    try:
        known = read_materials(work)
    except RunError:
        return None
    return known if keys <= known.readings.keys() else None


class _Maker:
    """Makes the readings of one folder, each photo decoded once for each way of preprocessing."""

    def __init__(self, *, root: Path, folder: StudyFolder, given: Given, progress: Progress):
        self._root, self._folder, self._given = root, folder, given
        self._progress = progress
        self._gathered: tuple[str, Gathered] | None = None
        self._collected: Collected | None = None

    @property
    def collected(self) -> Collected:
        """The photos, divided."""
        assert self._collected is not None
        return self._collected

    def look(self, plan: Plan) -> None:
        """Read the folder without any pixels."""
        gathered = gather(self._root, preprocess=None, given=self._given, progress=self._progress)
        self._divide(gathered, plan)

    def reading(self, need: Need) -> Reading:
        """Write the pixels and features that a need names."""
        classifier, plan = stages.build(need.plan, classes=("one", "other"))
        gathered = self._gather(classifier, plan, pixels=need.pixels)
        self._divide(gathered, plan)
        oriented = orient(
            classifier,
            gathered,
            paths=self.collected.splits.paths(TRAIN),
            plan=plan,
            progress=self._progress,
        )
        if oriented.num_ignored:
            self._gathered = None  # its pixels were changed in place
        if oriented.told:
            self._progress.note(oriented.told)
        paths = seen_by_trials(self.collected.splits)
        pixels = features = None
        if need.pixels:
            pixels = f"pixels-{_pixels_key(oriented.plan.preprocess)}.npy"
            self._write_pixels(self._folder.work / pixels, oriented.gathered, paths)
        if need.features:
            embedded = stages.embed(
                oriented.classifier,
                oriented.gathered,
                paths=paths,
                plan=oriented.plan,
                progress=self._progress,
                storage=self._folder.path,
            )
            if embedded is not None:
                features = f"features-{need.key}.npy"
                write_array(self._folder.work / features, embedded.features_MF)
        return Reading(
            orientation=oriented.plan.preprocess.orientation, pixels=pixels, features=features
        )

    def _gather(self, classifier: Classifier, plan: Plan, *, pixels: bool) -> Gathered:
        name = f"{_pixels_key(plan.preprocess)} {pixels}"
        if self._gathered is not None and self._gathered[0] == name:
            return self._gathered[1]
        self._gathered = None  # before the next takes as much memory again
        unneeded = frozenset() if pixels else stages.photos_known(classifier, plan=plan)
        gathered = gather(
            self._root,
            preprocess=plan.preprocess,
            given=self._given,
            progress=self._progress,
            storage=self._folder.path,
            without_pixels=unneeded,
        )
        self._gathered = (name, gathered)
        return gathered

    def _divide(self, gathered: Gathered, plan: Plan) -> None:
        if self._collected is not None:
            return
        require_trainable(gathered.catalog)
        require_one_dataset(gathered.catalog)
        collected = divide(gathered, plan.recipe.split, given=self._given)
        if not collected.splits.counts()[VALIDATION]:
            raise SplitError(
                "The split has no photos for validation, by which the trials of a study are "
                "judged. Add some to the split file, or set split.validation to a share."
            )
        self._collected = collected

    def _write_pixels(self, path: Path, gathered: Gathered, paths: tuple[str, ...]) -> None:
        if path.exists():
            return
        assert gathered.store is not None
        self._progress.start("Pixels", total=None, unit="photos")
        write_array(path, gathered.store.array, gathered.store.indices(paths).tolist())
        self._progress.finish(f"of {len(paths):,} photos kept for the trials")


def seen_by_trials(splits: Splits) -> tuple[str, ...]:
    """Return the photos that trials see: those to train on, then those of validation."""
    return (*splits.paths(TRAIN), *splits.paths(VALIDATION))


def _materials(work: Path, collected: Collected, readings: Mapping[str, Reading]) -> Materials:
    splits, classes = collected.splits, collected.catalog.classes
    rows = {row.path: row for row in splits.rows}
    paths = seen_by_trials(splits)
    groups = [rows[path].group for path in paths]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return Materials(
        folder=work,
        data_digest=collected.catalog.digest,
        splits_digest=_splits_digest(collected.splits),
        classes=classes,
        num_train=len(splits.paths(TRAIN)),
        labels_M=_numbers(classes.index(rows[path].label) for path in paths),
        groups_M=_numbers(numbers[group] for group in groups),
        readings=readings,
    )


def _splits_digest(splits: Splits) -> str:
    rows = [[row.path, row.label, row.split, row.group] for row in splits.rows]
    return digest_of({"rows": rows})


def _numbers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _pixels_key(preprocess: Preprocess) -> str:
    """Return what names the pixels: normalisation comes later."""
    content: dict[str, Any] = json.loads(json.dumps(preprocess.to_json()))
    return digest_of({key: content[key] for key in content if key not in ("mean", "std")})[:16]


def _require_expected(collected: Collected, expected: str | None, *, root: Path) -> None:
    if expected is not None and collected.catalog.digest != expected:
        raise RunError(
            f"The photos in {root} are not those that the study began with: some were added, "
            "removed, changed or labelled otherwise. Put them back as they were, or begin another "
            "study with another --out."
        )


def _require_known(known: Materials, collected: Collected, *, root: Path) -> None:
    """Refuse photos that are divided otherwise than those in the materials of the trials."""
    _require_expected(collected, known.data_digest, root=root)
    if known.splits_digest != _splits_digest(collected.splits):
        raise RunError(
            f"The split of the photos in {root} is not the one that the study began with: some "
            "would move between training, validation and test. Put the split file and the groups "
            "back as they were, or begin another study with another --out."
        )
