"""What a training run leaves behind as tables: course, settled recipe, layers, predictions.

In: what the stages made. Out: files in the run folder, and the `Predictions` of every photo.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tomli_w
import torch

from fieldmark.base.executor import available_cores
from fieldmark.base.files import write_csv, write_text
from fieldmark.base.machine import processor_name
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder, RunRecord
from fieldmark.collect import Collected
from fieldmark.evaluation.predictions import SPLITS, Predictions
from fieldmark.models.classifier import Classifier
from fieldmark.models.layers import layer_table
from fieldmark.planning import Plan
from fieldmark.recipe import SCHEMA_VERSION, recipe_tables
from fieldmark.training.strategies import Outcome

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
        reasons = {key: why for key, why in reasons.items() if not key.startswith("augment.")}
        kept = ("strategy", "precision", "seed")
        tables["train"] = {key: tables["train"][key] for key in kept}
    else:
        tables.pop("probe")
    if outcome.probe is not None and plan.recipe.probe.l2 == "auto":
        tables["probe"]["l2"] = outcome.probe.chosen.l2
        reasons["probe.l2"] = (
            "the strongest within one standard error of the lowest validation loss"
        )
    content = {"schema_version": SCHEMA_VERSION, **tables, "reasons": reasons}
    write_text(folder.resolved_toml, tomli_w.dumps(content))


def described_device(plan: Plan) -> dict[str, object]:
    """Return the device for `run.json`."""
    cuda = plan.device.type == "cuda"
    return {
        "type": plan.device.type,
        "name": torch.cuda.get_device_name(plan.device) if cuda else processor_name(),
        "threads": torch.get_num_threads(),
        "cores": available_cores(),
        "precision": plan.recipe.train.precision,
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


def write_layers(path: Path, classifier: Classifier) -> None:
    """Write a row for each layer of the network, in the order of use."""
    layers = layer_table(classifier.network, size_px=classifier.preprocess.size_px)
    rows: Sequence[Sequence[object]] = [
        (layer.name, layer.kind, layer.output_shape, layer.num_parameters, layer.num_trainable)
        for layer in layers
    ]
    write_csv(path, header=LAYERS_HEADER, rows=rows)
