"""Turns the folder of a finished run into what the report says.

In: the run folder alone, so that a report can be rebuilt at any time.
Out: `ReportContent`, plain typed data.
Not covered: thumbnails (`thumbnails`), figures (`figures`), wording and layout (`render`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.base.run_folder import RunFolder, read_run_json
from fieldmark.data.catalog import Catalog, read_catalog
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.predictions import Predictions, read_predictions
from fieldmark.report.entries import (
    Block,
    ClassCount,
    Epoch,
    FileNote,
    Layer,
    Mistake,
    MixUp,
    Photo,
    Photos,
    ReportContent,
    RunFacts,
    Setting,
    Strength,
)
from fieldmark.report.run_files import (
    is_true,
    number,
    read_json,
    read_optional_table,
    read_table,
    read_toml,
    whole,
)
from fieldmark.report.scores import class_scores, scores

MAX_MISTAKES = 24
"""As many as are looked at with care; a multiple of 2, 3 and 4, so that rows come out full."""

MAX_SAMPLES_PER_CLASS = 6
MAX_SAMPLES = 150
"""Keeps the sample thumbnails of a run with many classes under about 0.7 MB."""

DIVIDED_SHARE = 0.75
"""A top-level name that holds more of the layers than this says little; it is divided once."""


def read_content(run: Path) -> ReportContent:
    """Read everything that the report shows.

    Raises:
        RunError: The folder holds no finished run, or a file in it is malformed or too new.
        EvaluationError: The evaluation or the predictions are malformed.
    """
    folder = RunFolder(run)
    facts = _run_facts(read_run_json(folder))
    evaluation = Evaluation.from_json(read_json(folder.evaluation_json))
    predictions = read_predictions(folder.predictions_csv).of_split(evaluation.split)
    catalog = read_catalog(folder.catalog_csv, root=Path(facts.photos))
    resolved = read_toml(folder.resolved_toml)
    layers = _layers(folder.layers_csv)
    mistakes = find_mistakes(predictions, digests={row.path: row.sha256 for row in catalog.usable})
    return ReportContent(
        title=Path(facts.photos or run).name,
        run=facts,
        num_test=evaluation.num_images,
        classes=evaluation.classes,
        accuracy=evaluation.accuracy,
        scores=scores(evaluation),
        class_scores=class_scores(evaluation),
        confusion=evaluation.confusion,
        mix_ups=_mix_ups(evaluation),
        photos=_photos(catalog, splits=folder.splits_csv),
        settings=list_settings(resolved),
        turn_upright=resolved.get("data", {}).get("orientation") != "stored",
        layers=layers,
        blocks=group_layers(layers),
        epochs=_epochs(folder.history_csv),
        strengths=_strengths(folder.probe_csv),
        mistakes=mistakes[:MAX_MISTAKES],
        num_mistakes=len(mistakes),
    )


def find_mistakes(predictions: Predictions, *, digests: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Return the photos named wrong, the most confident first, ties by path."""
    found = [
        Mistake(
            photo=Photo(path=predictions.paths[i], sha256=digests.get(predictions.paths[i], "")),
            true=predictions.classes[predictions.labels_N[i]],
            predicted=predictions.classes[predictions.predicted_N[i]],
            confidence=float(predictions.confidence_N[i]),
        )
        for i in np.flatnonzero(predictions.predicted_N != predictions.labels_N)
    ]
    return tuple(sorted(found, key=lambda mistake: (-mistake.confidence, mistake.photo.path)))


def list_settings(resolved: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Return the resolved recipe row by row, each value with its reason where it was derived."""
    reasons = resolved.get("reasons", {})
    return tuple(
        Setting(section=section, key=key, value=value, reason=reasons.get(f"{section}.{key}"))
        for section, values in resolved.items()
        if section != "reasons" and isinstance(values, dict)
        for key, value in values.items()
    )


def group_layers(layers: Sequence[Layer]) -> tuple[Block, ...]:
    """Group leaf layers by the top of their dotted name, in the order of the network.

    `layer1.0.conv1` belongs to `layer1`. Where one top holds nearly all layers, as `backbone`
    may, its next level is used and the top itself is left out of the names.
    """
    tops = Counter(layer.name.partition(".")[0] for layer in layers)
    divided = {top for top, times in tops.items() if times > DIVIDED_SHARE * len(layers)}
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        top, _, below = layer.name.partition(".")
        inner = below.partition(".")[0]
        is_divided = top in divided and inner and inner not in tops
        groups.setdefault(inner if is_divided else top, []).append(layer)
    return tuple(
        Block(
            name=name,
            num_layers=len(members),
            output_shape=members[-1].output_shape,
            parameters=sum(layer.parameters for layer in members),
            trainable_parameters=sum(layer.trainable_parameters for layer in members),
        )
        for name, members in groups.items()
    )


def pick_evenly(items: Sequence[Photo], *, num: int) -> tuple[Photo, ...]:
    """Return up to `num` items spread evenly over the sequence, the first always among them."""
    num = min(num, len(items))
    return tuple(items[i * len(items) // num] for i in range(num))


def _run_facts(facts: Mapping[str, Any]) -> RunFacts:
    """Take what there is: a run that was cut short has written less."""
    return RunFacts(
        fieldmark_version=str(facts.get("fieldmark_version") or ""),
        command=str(facts.get("command") or ""),
        photos=str(facts.get("photos") or ""),
        status=str(facts.get("status") or ""),
        error=facts.get("error"),
        started=facts.get("started"),
        ended=facts.get("ended"),
        seconds=facts.get("seconds"),
        stages=tuple((stage["name"], stage["seconds"]) for stage in facts.get("stages") or ()),
        versions=facts.get("versions") or {},
        seeds=facts.get("seeds") or {},
        data_digest=str(facts.get("data_digest") or ""),
        device=facts.get("device") or {},
        recipe=str(facts.get("recipe") or ""),
        warnings=tuple(facts.get("warnings") or ()),
        peak_memory_mib=facts.get("peak_memory_mib"),
    )


def _mix_ups(evaluation: Evaluation) -> tuple[MixUp, ...]:
    supports = {
        name: sum(row) for name, row in zip(evaluation.classes, evaluation.confusion, strict=True)
    }
    return tuple(
        MixUp(
            true=pair.true,
            predicted=pair.predicted,
            times=pair.count,
            support=supports[pair.true],
        )
        for pair in evaluation.most_confused
    )


def _photos(catalog: Catalog, *, splits: Path) -> Photos:
    rows = read_table(splits, columns=("path", "label", "split", "group"))
    tally = Counter((row["label"], row["split"]) for row in rows)
    groups = Counter(row["group"] for row in rows if row["group"])
    names = sorted({row["label"] for row in rows})
    by_class: dict[str, list[Photo]] = {name: [] for name in names}
    for row in catalog.usable:
        by_class.setdefault(row.label, []).append(Photo(path=row.path, sha256=row.sha256))
    per_class = max(1, min(MAX_SAMPLES_PER_CLASS, MAX_SAMPLES // max(1, len(names))))
    return Photos(
        num_met=len(catalog.rows),
        num_used=len(catalog.usable),
        repaired=_notes(catalog, status="repaired"),
        excluded=_notes(catalog, status="excluded"),
        counts=tuple(
            ClassCount(
                name=name,
                train=tally[name, "train"],
                validation=tally[name, "validation"],
                test=tally[name, "test"],
            )
            for name in names
        ),
        num_grouped=sum(times for times in groups.values() if times > 1),
        samples={name: pick_evenly(by_class[name], num=per_class) for name in names[:MAX_SAMPLES]},
    )


def _notes(catalog: Catalog, *, status: str) -> tuple[FileNote, ...]:
    return tuple(
        FileNote(path=row.path, reason=row.reason) for row in catalog.rows if row.status == status
    )


def _layers(path: Path) -> tuple[Layer, ...]:
    columns = ("name", "type", "output_shape", "parameters", "trainable")
    return tuple(
        Layer(
            name=row["name"],
            type=row["type"],
            output_shape=row["output_shape"],
            parameters=whole(row, "parameters"),
            trainable_parameters=_trainable(row),
        )
        for row in read_optional_table(path, columns=columns)
    )


def _trainable(row: Mapping[str, str]) -> int:
    """Return how many parameters are learned; the column says yes or no, or how many."""
    if is_true(row, "trainable"):
        return whole(row, "parameters")
    return 0 if row["trainable"].lower() in {"false", "no"} else whole(row, "trainable")


def _epochs(path: Path) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            epoch=whole(row, "epoch"),
            lr=number(row, "lr"),
            train_loss=number(row, "train_loss"),
            train_accuracy=number(row, "train_accuracy"),
            val_loss=number(row, "val_loss"),
            val_accuracy=number(row, "val_accuracy"),
        )
        for row in read_optional_table(path, columns=("epoch",))
    )


def _strengths(path: Path) -> tuple[Strength, ...]:
    return tuple(
        Strength(
            l2=number(row, "l2"),
            train_loss=number(row, "train_loss"),
            train_accuracy=number(row, "train_accuracy"),
            val_loss=number(row, "val_loss"),
            val_accuracy=number(row, "val_accuracy"),
            chosen=is_true(row, "chosen"),
        )
        for row in read_optional_table(path, columns=("l2", "chosen"))
    )
