"""What a training run leaves behind as tables: course, settled recipe, layers, predictions.

In: what the stages made. Out: files in the run folder, and the `Predictions` of every photo.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import torch

from fieldmark.base.executor import available_cores
from fieldmark.base.files import write_csv, write_text
from fieldmark.base.machine import processor_name
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import RunRecord
from fieldmark.collect import Collected
from fieldmark.evaluation.predictions import SPLITS, Predictions
from fieldmark.models.classifier import Classifier
from fieldmark.models.layers import layer_table
from fieldmark.planning import Plan
from fieldmark.recipe import SCHEMA_VERSION, recipe_tables
from fieldmark.training.fit import Fitted
from fieldmark.training.head_fit import UNREAD_BY_HEAD
from fieldmark.training.strategies import Outcome
from fieldmark.training.tally import HISTORY_HEADER, Epoch

PROBE_HEADER = ("l2", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "chosen")
LAYERS_HEADER = (
    "name",
    "type",
    "output_shape",
    "parameters",
    "trainable",
    "statistics",
    "multiply_adds",
)


def predictions_of(
    outcome: Outcome, collected: Collected, *, classes: tuple[str, ...]
) -> Predictions:
    """Return the logits of all photos as a table, in the order of the splits and of the paths."""
    rows = sorted(collected.splits.rows, key=lambda row: (SPLITS.index(row.split), row.path))
    positions = collected.store.indices([row.path for row in rows])
    index = {name: number for number, name in enumerate(classes)}
    return Predictions(
        paths=tuple(row.path for row in rows),
        splits=np.array([row.split for row in rows]),
        labels_N=np.array([index[row.label] for row in rows], dtype=np.int64),
        classes=classes,
        logits_NC=outcome.logits_MC[positions],
    )


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Write a row for each epoch so far; what was not measured is an empty cell."""
    rows = ([_cell(getattr(epoch, name)) for name in HISTORY_HEADER] for epoch in history)
    write_csv(path, header=HISTORY_HEADER, rows=rows)


def write_course(outcome: Outcome, folder: RunFolder) -> None:
    """Write how training went: a row an epoch, and for a probe a row a strength."""
    write_history(folder.history_csv, outcome.fitted.history if outcome.fitted else ())
    if outcome.probe is None:
        return
    measured = PROBE_HEADER[:-1]
    write_csv(
        folder.probe_csv,
        header=PROBE_HEADER,
        rows=(
            [
                *(_cell(getattr(trial, name)) for name in measured),
                int(trial is outcome.probe.chosen),
            ]
            for trial in outcome.probe.trials
        ),
    )


def _cell(value: float) -> float | str:
    return "" if math.isnan(value) else value


def write_resolved(plan: Plan, outcome: Outcome, folder: RunFolder) -> None:
    """Write `resolved.toml`: what ran, every value filled in, derived ones with their reasons."""
    tables, reasons = recipe_tables(plan.recipe), dict(plan.reasons)
    if outcome.fitted is None:
        tables.pop("optim")
        _leave_out_augmentation(tables, reasons, views=plan.recipe.augment.test_views)
        tables["train"] = {key: tables["train"][key] for key in ("strategy", "seed")}
    else:
        _settle(tables, reasons, plan=plan, fitted=outcome.fitted)
    if outcome.probe is not None and plan.recipe.probe.l2 == "auto":
        tables["probe"]["l2"] = outcome.probe.chosen.l2
        reasons["probe.l2"] = (
            "the strongest within one standard error of the lowest validation loss"
        )
    content = {"schema_version": SCHEMA_VERSION, **tables, "reasons": reasons}
    write_text(folder.resolved_toml, tomli_w.dumps(content))


def _leave_out_augmentation(tables: dict[str, Any], reasons: dict[str, str], *, views: int) -> None:
    """Drop what alters photos at random, where the features are of the photos as they are."""
    tables.pop("augment")
    if views > 1:
        tables["augment"] = {"test_views": views}
    for key in [key for key in reasons if key.startswith("augment.")]:
        del reasons[key]


def _leave_out_the_network(tables: dict[str, Any], reasons: dict[str, str], *, views: int) -> None:
    """Drop the settings that a head trained on features does not read."""
    _leave_out_augmentation(tables, reasons, views=views)
    tables.pop("probe")
    for section, unread in UNREAD_BY_HEAD.items():
        for key in unread:
            tables[section].pop(key, None)


def _settle(tables: dict[str, Any], reasons: dict[str, str], *, plan: Plan, fitted: Fitted) -> None:
    """Fill in what was found out by measuring, so that the same choices are made again."""
    recipe, settled = plan.recipe, fitted.settled
    measured = {choice.what: choice.reason for choice in settled.choices}
    tables["optim"]["lr"] = settled.lr
    if recipe.optim.lr == "auto":
        reasons["optim.lr"] = measured["learning rate"]
    if recipe.train.strategy == "head":
        _leave_out_the_network(tables, reasons, views=recipe.augment.test_views)
        return
    if recipe.train.strategy == "all" or recipe.model.weights == "none":
        tables.pop("probe")  # no head was fitted to begin with
    tables["train"]["precision"] = settled.pace.precision
    if recipe.train.precision == "auto":
        reasons["train.precision"] = measured["precision"]
    tables["train"]["batch_norm"] = fitted.batch_norm
    if recipe.train.batch_norm == "auto":
        why = {"frozen": "the weights are pretrained", "batch": "the weights were random"}
        reasons["train.batch_norm"] = why[fitted.batch_norm]
    if "epochs" in measured:
        tables["train"]["epochs"] = settled.num_epochs
        tables["train"].pop("time_budget_s")
        reasons["train.epochs"] = measured["epochs"]


def described_device(plan: Plan) -> dict[str, object]:
    """Return the device for `run.json`."""
    cuda = plan.device.type == "cuda"
    return {
        "type": plan.device.type,
        "name": torch.cuda.get_device_name(plan.device) if cuda else processor_name(),
        "threads": torch.get_num_threads(),
        "cores": available_cores(),
        "precision": plan.recipe.model.precision,
    }


def describe(record: RunRecord, *, plan: Plan, collected: Collected, progress: Progress) -> None:
    """Put into the record what is known once the photos are read, and say what needs saying."""
    catalog, splits, recipe = collected.catalog, collected.splits, plan.recipe
    counts = catalog.status_counts()
    for note in splits.notes:
        progress.note(note)
    record.warnings.extend(splits.notes)
    if left_out := sum(row.is_lost_photo for row in collected.gathered.before.rows):
        what = (
            "1 file that looks like a photo was"
            if left_out == 1
            else (f"{left_out:,} files that look like photos were")
        )
        text = f"{what} left out; catalog.csv says why."
        record.warnings.append(text)
        progress.note(text)
    record.values |= {
        "seeds": {"split": recipe.split.seed, "train": recipe.train.seed},
        "data_digest": catalog.digest,
        "device": described_device(plan),
        "recipe": recipe.name,
        "strategy": recipe.train.strategy,
        "images": {"met": len(catalog.rows)} | dict(counts),
        "splits": splits.counts(),
    }
    record.save()


def describe_training(record: RunRecord, outcome: Outcome, *, batch_size: int) -> None:
    """Put into the record what was measured and chosen for training, and what came of it."""
    if (fitted := outcome.fitted) is None:
        return
    record.values["training"] = {
        "kept_epoch": fitted.kept_epoch,
        "num_epochs_planned": fitted.settled.num_epochs,
        "stopped_early": fitted.stopped_early,
        "choices": [asdict(choice) for choice in fitted.settled.choices],
        "lr": fitted.settled.lr,
        "batch_size": batch_size,
        "test_seconds": None if outcome.test_s is None else round(outcome.test_s, 2),
    }


def write_layers(path: Path, classifier: Classifier) -> None:
    """Write a row for each layer of the network, in the order of use."""
    layers = layer_table(classifier.network, size_px=classifier.preprocess.size_px)
    rows: Sequence[Sequence[object]] = [
        (
            layer.name,
            layer.kind,
            layer.output_shape,
            layer.num_parameters,
            layer.num_trainable,
            layer.num_statistics,
            layer.num_multiply_adds,
        )
        for layer in layers
    ]
    write_csv(path, header=LAYERS_HEADER, rows=rows)
