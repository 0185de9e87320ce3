"""The stages of a training run, each a function from what the last one gave to its own.

In: a recipe and a folder of photos. Out: catalog, splits, classifier, predictions, each saved in
the run folder as it is made.
`workflow.train` puts them in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w
import torch

from fieldmark.base.errors import RecipeError
from fieldmark.base.executor import ThreadExecutor, available_cores
from fieldmark.base.files import write_csv, write_text
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.catalog import Catalog, write_catalog
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import DataConfig, Preprocess
from fieldmark.data.scan import scan
from fieldmark.data.splits import Splits, make_splits, write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.predictions import SPLITS, Predictions
from fieldmark.models.backbones import BackboneSpec, build_backbone, resolve_backbone
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.inference import choose_device, choose_precision
from fieldmark.models.layers import layer_table
from fieldmark.recipe import SCHEMA_VERSION, Recipe, recipe_tables
from fieldmark.training.fit import Epoch
from fieldmark.training.strategies import Outcome, Pictures, train_all, train_probe

HISTORY_HEADER = (
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "val_precision",
    "val_recall",
    "val_top_k",
    "seconds",
    "images_per_second",
)
PROBE_HEADER = ("l2", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "chosen")
LAYERS_HEADER = ("name", "type", "output_shape", "parameters", "trainable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe with every value settled, the reason of each that was derived, and the device."""

    recipe: Recipe
    spec: BackboneSpec
    preprocess: Preprocess
    device: torch.device
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The photos of a run: their catalog, their splits and their pixels."""

    catalog: Catalog
    splits: Splits
    store: PixelStore


def plan(recipe: Recipe) -> Plan:
    """Settle what the recipe leaves open, and find the weights, before any photo is read.

    Raises:
        RecipeError: values that do not go together.
        WeightsError: the weights cannot be found.
    """
    if recipe.train.strategy == "probe" and recipe.model.weights == "none":
        raise RecipeError(
            "train.strategy 'probe' (the recipe 'quick') puts a linear head on frozen features, and "
            "features of random weights are worth nothing. Give --weights auto or a path, or take "
            "--recipe finetune, which can start from random weights."
        )
    if recipe.train.strategy != "probe" and recipe.model.feature_power != 1:
        raise RecipeError(
            "model.feature_power below 1 has no gradient at 0, so it goes with train.strategy "
            "'probe' only. Set model.feature_power to 1."
        )
    spec = resolve_backbone(recipe.model)
    preprocess, reasons = _preprocess(recipe.data, spec)
    data = DataConfig(
        size_px=preprocess.size_px, resize=preprocess.resize, prescale_px=preprocess.prescale_px
    )
    model = replace(recipe.model, backbone=spec.name, backbone_args=spec.args)
    return Plan(
        recipe=replace(recipe, data=data, model=model),
        spec=spec,
        preprocess=preprocess,
        device=choose_device(),
        reasons={**spec.reasons, **reasons},
    )


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
    write_catalog(folder.catalog_csv, catalog)
    write_splits(folder.splits_csv, splits)
    assert store is not None
    return Collected(catalog=catalog, splits=splits, store=store)


def build(plan: Plan, *, classes: tuple[str, ...], folder: RunFolder) -> tuple[Classifier, Plan]:
    """Build the classifier with a fresh head; return it and the plan with its precision settled."""
    recipe = plan.recipe
    classifier = _assemble(
        plan.spec, plan.preprocess, classes=classes, precision="float32", seed=recipe.train.seed
    )
    extractor = classifier.network.extractor
    precision, why = choose_precision(extractor, asked=recipe.train.precision, device=plan.device)
    classifier = replace(
        classifier, architecture=replace(classifier.architecture, precision=precision)
    )
    extractor.requires_grad_(recipe.train.strategy != "probe")
    _write_layers(folder.layers_csv, classifier)
    reasons = dict(plan.reasons)
    if recipe.train.precision == "auto":
        reasons["train.precision"] = why
    settled = replace(recipe, train=replace(recipe.train, precision=precision))
    return classifier, replace(plan, recipe=settled, reasons=reasons)


def layout(recipe: Recipe, *, classes: tuple[str, ...]) -> Classifier:
    """Return the classifier that a recipe would train, with random weights, for its layer table.

    Raises:
        RecipeError: the recipe or the backbone is not allowed.
    """
    settled = replace(recipe, model=replace(recipe.model, weights="none"))
    spec = resolve_backbone(settled.model)
    return _assemble(spec, _preprocess(recipe.data, spec)[0], classes=classes, precision="float32")


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


def predictions_of(
    outcome: Outcome, collected: Collected, *, classes: tuple[str, ...]
) -> Predictions:
    """Return the logits of all photos as a table, in the order of the splits and of the paths."""
    rows = sorted(
        collected.splits.rows, key=lambda row: (SPLITS.index(row.split), row.path)
    )
    positions = collected.store.indices([row.path for row in rows])
    index = {name: number for number, name in enumerate(classes)}
    return Predictions(
        paths=tuple(row.path for row in rows),
        splits=np.array([row.split for row in rows]),
        labels_N=np.array([index[row.label] for row in rows], dtype=np.int64),
        classes=classes,
        logits_NC=outcome.logits_MC[positions],
    )


def write_course(outcome: Outcome, folder: RunFolder) -> None:
    """Write how training went: a row an epoch, and for a probe a row a strength."""
    write_csv(
        folder.history_csv,
        header=HISTORY_HEADER,
        rows=([getattr(epoch, name) for name in HISTORY_HEADER] for epoch in outcome.history),
    )
    if outcome.probe is None:
        return
    measured = PROBE_HEADER[:-1]
    write_csv(
        folder.probe_csv,
        header=PROBE_HEADER,
        rows=(
            [*(getattr(trial, name) for name in measured), int(trial is outcome.probe.chosen)]
            for trial in outcome.probe.trials
        ),
    )


def write_resolved(plan: Plan, outcome: Outcome, folder: RunFolder) -> None:
    """Write `resolved.toml`: what ran, every value filled in, derived ones with their reasons."""
    tables, reasons = recipe_tables(plan.recipe), dict(plan.reasons)
    if plan.recipe.train.strategy == "probe":
        for unused in ("optim", "augment"):
            tables.pop(unused)
        kept = ("strategy", "precision", "seed")
        tables["train"] = {key: tables["train"][key] for key in kept}
    else:
        tables.pop("probe")
    if outcome.probe is not None and plan.recipe.probe.l2 == "auto":
        tables["probe"]["l2"] = outcome.probe.chosen.l2
        reasons["probe.l2"] = "the lowest validation loss of the strengths tried"
    content = {"schema_version": SCHEMA_VERSION, **tables, "reasons": reasons}
    write_text(folder.resolved_toml, tomli_w.dumps(content))


def described_device(plan: Plan) -> dict[str, object]:
    """Return the device for `run.json`."""
    cuda = plan.device.type == "cuda"
    return {
        "type": plan.device.type,
        "name": torch.cuda.get_device_name(plan.device) if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "cores": available_cores(),
        "precision": plan.recipe.train.precision,
    }


def _assemble(
    spec: BackboneSpec,
    preprocess: Preprocess,
    *,
    classes: tuple[str, ...],
    precision: str,
    seed: int = 0,
) -> Classifier:
    architecture = Architecture(
        backbone=spec.name,
        backbone_args=spec.args,
        stages=spec.stages,
        feature_power=spec.feature_power,
        precision=precision,
    )
    return new_classifier(
        build_backbone(spec, seed=seed),
        architecture=architecture,
        preprocess=preprocess,
        classes=classes,
        generator=torch.Generator().manual_seed(seed),
    )


def _preprocess(config: DataConfig, spec: BackboneSpec) -> tuple[Preprocess, dict[str, str]]:
    reasons = {}
    if config.size_px is None:
        reasons["data.size_px"] = f"the size that {spec.name} was trained at"
    if config.resize is None:
        reasons["data.resize"] = "squash keeps the whole photo; cropping loses what is at its edges"
    preprocess = Preprocess(
        size_px=config.size_px or spec.size_px,
        resize=config.resize or "squash",
        prescale_px=config.prescale_px,
        interpolation="bilinear" if spec.interpolation == "bilinear" else "bicubic",
        mean=spec.mean,
        std=spec.std,
    )
    return preprocess, reasons


def _pictures(collected: Collected, *, classes: tuple[str, ...]) -> Pictures:
    store, rows = collected.store, {row.path: row for row in collected.catalog.rows}
    index = {name: number for number, name in enumerate(classes)}
    in_store = [rows[path] for path in store.paths]
    return Pictures(
        pixels_MHWC=store.array,
        sha256s=[row.sha256 for row in in_store],
        labels_M=np.array([index.get(row.label, -1) for row in in_store], dtype=np.int64),
        rows={
            split: store.indices(collected.splits.paths(split)) for split in SPLITS
        },
    )


def _write_layers(path: Path, classifier: Classifier) -> None:
    layers = layer_table(classifier.network, size_px=classifier.preprocess.size_px)
    rows: Sequence[Sequence[object]] = [
        (layer.name, layer.kind, layer.output_shape, layer.num_parameters, layer.num_trainable)
        for layer in layers
    ]
    write_csv(path, header=LAYERS_HEADER, rows=rows)


def _processor() -> str:
    import platform

    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
