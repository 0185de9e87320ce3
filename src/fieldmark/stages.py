"""The stages of a training run, each a function from what the last one gave to its own.

In: a plan and a folder of photos. Out: catalog, splits and pixels, the classifier, its logits.
`workflow.train` puts them in order; `records` writes down what they leave.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import SplitError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.catalog import Catalog, write_catalog
from fieldmark.data.pixels import PixelStore
from fieldmark.data.scan import scan, turned_paths
from fieldmark.data.splits import Splits, make_splits, write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.predictions import SPLITS
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor, choose_precision
from fieldmark.models.orientation import MIN_CHECKED, Verdict, judge_orientation
from fieldmark.planning import Plan, assemble
from fieldmark.training.strategies import Outcome, Pictures, train_all, train_probe

NOTED_CHECKED, UPRIGHT_CHECKED = 96, 384
"""Photos with and without a rotation on which its truth is judged: a few seconds' work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The photos of a run: their catalog, their splits and their pixels."""

    catalog: Catalog
    splits: Splits
    store: PixelStore


def collect(
    root: Path,
    *,
    plan: Plan,
    split_file: Path | None,
    folder: RunFolder,
    progress: Progress,
) -> Collected:
    """Read every file of the folder once and divide the photos.

    Raises:
        DataError: the folder cannot be trained on.
        SplitError: the split asked for cannot be made.
    """
    catalog, store = scan(
        root,
        preprocess=plan.preprocess,
        executor=ThreadExecutor(),
        progress=progress,
        storage=folder.path,
    )
    write_catalog(folder.catalog_csv, catalog)
    require_trainable(catalog)
    splits, catalog = make_splits(catalog, plan.recipe.split, split_file=split_file)
    if not splits.counts()["validation"]:
        raise SplitError(
            "No photo is left for validation, without which nothing can be chosen. Add photos: at "
            "least one class needs three that are not copies of each other."
        )
    write_catalog(folder.catalog_csv, catalog)
    write_splits(folder.splits_csv, splits)
    assert store is not None
    return Collected(catalog=catalog, splits=splits, store=store)


def build(plan: Plan, *, classes: tuple[str, ...]) -> tuple[Classifier, Plan]:
    """Build the classifier with a fresh head; return it and the plan with its precision settled."""
    recipe = plan.recipe
    classifier = assemble(
        plan.spec, plan.preprocess, classes=classes, precision="float32", seed=recipe.train.seed
    )
    extractor = classifier.network.extractor
    precision, why = choose_precision(extractor, asked=recipe.train.precision, device=plan.device)
    classifier = replace(
        classifier, architecture=replace(classifier.architecture, precision=precision)
    )
    extractor.requires_grad_(recipe.train.strategy != "probe")
    reasons = dict(plan.reasons)
    if recipe.train.precision == "auto":
        reasons["train.precision"] = why
    settled = replace(recipe, train=replace(recipe.train, precision=precision))
    return classifier, replace(plan, recipe=settled, reasons=reasons)


def check_orientation(
    classifier: Classifier, collected: Collected, *, plan: Plan, progress: Progress
) -> Verdict | None:
    """Judge whether the rotations in the photos' metadata can be believed.

    None where the question does not arise: the recipe says how to read them, too few photos carry
    a rotation, or the network knows nothing yet. Only training photos are looked at.
    """
    if plan.reading_given or plan.spec.weights is None:
        return None
    turned, train = set(turned_paths(collected.catalog)), collected.splits.paths("train")
    noted = _sample([path for path in train if path in turned], most=NOTED_CHECKED)
    upright = _sample([path for path in train if path not in turned], most=UPRIGHT_CHECKED)
    if len(noted) < MIN_CHECKED or not upright:
        return None
    progress.start("Orientation", total=2 * len(noted) + len(upright), unit="photos")
    predictor = Predictor(classifier, device=plan.device)

    def features(pixels_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        return predictor.features(pixels_NHWC, on_batch=progress.advance)

    verdict = judge_orientation(
        turned_NF=features(collected.store.take(noted)),
        stored_NF=features(_pixels_as_stored(collected.catalog.root, noted, plan=plan)),
        labels_N=_labels(noted, collected, classes=classifier.classes),
        upright_MF=features(collected.store.take(upright)),
        upright_labels_M=_labels(upright, collected, classes=classifier.classes),
    )
    believed = "believed" if verdict.orientation == "exif" else "not believed"
    progress.finish(f"{verdict.num_checked} rotated photos checked, metadata {believed}")
    return verdict


def learn(
    classifier: Classifier, collected: Collected, *, plan: Plan, progress: Progress
) -> Outcome:
    """Train the classifier in place by the recipe's strategy, and predict every photo."""
    pictures = _pictures(collected, classes=classifier.classes)
    recipe = plan.recipe
    if recipe.train.strategy == "probe":
        assert plan.spec.weights is not None
        return train_probe(
            classifier,
            pictures,
            config=recipe.probe,
            weights_sha256=plan.spec.weights.sha256,
            device=plan.device,
            progress=progress,
        )
    return train_all(
        classifier,
        pictures,
        config=recipe.train,
        optim=recipe.optim,
        augmentation=recipe.augment,
        autocast=torch.bfloat16 if recipe.train.precision == "bfloat16" else None,
        device=plan.device,
        progress=progress,
    )


def _pixels_as_stored(root: Path, paths: Sequence[str], *, plan: Plan) -> NDArray[np.uint8]:
    preprocess = replace(plan.preprocess, orientation="stored")
    contents = ((root / path).read_bytes() for path in paths)
    return np.stack(
        [preprocess.to_pixels(preprocess.decode(content).image) for content in contents]
    )


def _labels(
    paths: Sequence[str], collected: Collected, *, classes: tuple[str, ...]
) -> NDArray[np.int64]:
    labels = {row.path: row.label for row in collected.splits.rows}
    return np.array([classes.index(labels[path]) for path in paths], dtype=np.int64)


def _sample(paths: Sequence[str], *, most: int) -> list[str]:
    """Return at most `most` paths, evenly spread over the sorted list and so over the classes."""
    step = max(1.0, len(paths) / most)
    return [paths[int(place * step)] for place in range(min(most, len(paths)))]


def _pictures(collected: Collected, *, classes: tuple[str, ...]) -> Pictures:
    store, rows = collected.store, {row.path: row for row in collected.catalog.rows}
    index = {name: number for number, name in enumerate(classes)}
    in_store = [rows[path] for path in store.paths]
    return Pictures(
        pixels_MHWC=store.array,
        sha256s=[row.sha256 for row in in_store],
        labels_M=np.array([index.get(row.label, -1) for row in in_store], dtype=np.int64),
        rows={split: store.indices(collected.splits.paths(split)) for split in SPLITS},
    )
