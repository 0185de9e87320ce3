"""Results as text for the terminal: what each verb prints on standard output.

In: plain values from the workflow. Out: text, in tables where there are several of a kind.
"""

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldmark.base.counting import counted, rounded
from fieldmark.base.errors import RecipeError, RunError, nearest_spelling
from fieldmark.base.files import write_text
from fieldmark.base.tables import add_row, drawn, new_table
from fieldmark.terminal_audit import found

if TYPE_CHECKING:
    from fieldmark.evaluation.evaluation import Averages, Evaluation
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.layer_summary import Summary
    from fieldmark.models.prediction import Prediction
    from fieldmark.run import Run

FORMATS = ("table", "csv", "jsonl")
PAIRS_SHOWN = 3
DOUBTS_SHOWN = 3
SET_SEPARATOR = "|"
"""Between the classes of a set in a cell of CSV; no folder can have it in its name on Windows, and
hardly any has it elsewhere."""
REFERENCE = "reference"
"""The recipe whose runs end with a line in the manner of Keras."""
KERAS_TOP_K = 5
"""The k of Keras' TopKCategoricalAccuracy where none is given."""
KERAS_BATCH = 32
"""Photos a batch of Keras' `Model.evaluate` where nothing else is said."""


def check_output(path: Path | None, *, output_format: str) -> None:
    """Refuse an output that cannot be written, before anything slow begins.

    Raises:
        RecipeError: there is no such format; the message has those that there are.
        RunError: `path` is a folder.
    """
    if output_format not in FORMATS:
        hint = nearest_spelling(output_format, FORMATS)
        raise RecipeError(f"--format is '{output_format}'.{hint} Allowed: {', '.join(FORMATS)}.")
    if path is not None and path.is_dir():
        raise RunError(f"--output {path} is a folder. Give the name of a file.")


def save(path: Path, text: str) -> None:
    """Write results to a file that the user has named.

    Raises:
        RunError: it cannot be written.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror}. Choose another --output."
        ) from error


def finished_run(run: "Run") -> str:
    """Return what a training run ends with: the accuracy, the mix-ups, and where things are.

    A run of the recipe `reference` ends with one more line, in the manner of Keras.
    """
    evaluation = run.evaluation
    photos = f"{counted(evaluation.num_images, 'test photo')} (95 % interval in brackets)"
    lines = [
        f"Accuracy    {_percent(evaluation.accuracy)} on {photos}",
        *_confusions(evaluation),
        *found(run.audit),
        f"Report      {run.report}",
        f"Model       {run.bundle}",
        f"Try it      fieldmark predict {shlex.quote(str(run.path))} PHOTO",
    ]
    record = run.record
    if record.get("recipe") == REFERENCE:
        lines.append(_as_keras_does(evaluation, record))
    return "\n".join(lines) + "\n"


def evaluation(evaluation: "Evaluation") -> str:
    """Return the numbers of an evaluation as tables."""
    overall = new_table("", "Value", "95 % interval")
    for name, estimate in _overall(evaluation):
        add_row(overall, name, *_value_and_interval(estimate))
    add_row(overall, "Loss", *_plain_value_and_interval(evaluation.loss))
    error = evaluation.calibration.ece_after
    add_row(overall, "Calibration error", *_plain_value_and_interval(error))
    classes = new_table("Class", "Photos", "Precision %", "Recall %", "F1 %")
    for name, metrics in evaluation.per_class.items():
        scores = (metrics.precision, metrics.recall, metrics.f1)
        add_row(classes, name, f"{metrics.support:,}", *(_short(score) for score in scores))
    photos = counted(evaluation.num_images, "photo")
    heading = f"{photos}, {len(evaluation.classes):,} classes\n"
    confusions = "".join(f"{line}\n" for line in _confusions(evaluation))
    parts = [heading, drawn(overall), drawn(classes), confusions]
    return "\n".join(part for part in parts if part)


def predictions(rows: "Sequence[Prediction]", *, output_format: str) -> str:
    """Return predictions as a table, as CSV, or as JSON lines."""
    writers = {"table": _prediction_table, "csv": _prediction_csv, "jsonl": _prediction_jsonl}
    return writers[output_format](rows)


def layers(summary: "Summary") -> str:
    """Return the layer table, then the sums over the backbone, over the head, and in all."""
    # Names and headings are kept short, so that the table of a ResNet fits into some 90 columns.
    right = ("Output", "Parameters", "Statistics", "Mult-adds")
    table = new_table("Layer", "Type", *right, right=right)
    for layer in summary.layers:
        counts = f"{layer.num_parameters:,}", f"{layer.num_statistics:,}"
        work = rounded(layer.num_multiply_adds, million=" M", billion=" B")
        name = layer.name.removeprefix("backbone.")
        add_row(table, name, layer.kind, layer.output_shape, *counts, work)
    heading = (
        f"{summary.backbone} at {summary.size_px}x{summary.size_px} px, "
        f"{summary.num_classes} classes\n"
    )
    return "\n".join([heading, drawn(table), _totals(summary), _as_keras_counts(summary)])


def _totals(summary: "Summary") -> str:
    table = new_table("", "Parameters", "Statistics", "In all", "Multiply-adds a photo")
    for name, part in summary.totals.items():
        numbers = (part.num_parameters, part.num_statistics, part.num_in_all)
        work = rounded(part.num_multiply_adds)
        add_row(table, name.capitalize(), *(f"{number:,}" for number in numbers), work)
    return drawn(table)


def _as_keras_counts(summary: "Summary") -> str:
    """Return the sums with the statistics among the parameters, as Keras' summary ends."""
    backbone, head, both = (summary.totals[part] for part in ("backbone", "head", "both"))
    left = both.num_in_all - both.num_trainable
    why = "running statistics"
    if frozen := left - both.num_statistics:
        why = f"{both.num_statistics:,} {why}, {frozen:,} frozen weights"
    return (
        f"As Keras counts: backbone {backbone.num_in_all:,}, head {head.num_in_all:,}, in all "
        f"{both.num_in_all:,},\n"
        f"of which trainable {both.num_trainable:,} and not trainable {left:,} ({why})\n"
    )


def _overall(evaluation: "Evaluation") -> "list[tuple[str, Estimate]]":
    rows = [("Accuracy", evaluation.accuracy)]
    rows += [(f"Top-{k}", value) for k, value in evaluation.top_k.items() if k > 1]
    averages: list[tuple[str, Averages]] = [
        ("Precision", evaluation.precision),
        ("Recall", evaluation.recall),
        ("F1", evaluation.f1),
    ]
    for name, average in averages:
        rows += [(f"{name}, macro", average.macro), (f"{name}, micro", average.micro)]
    rows.append(("Precision over 0.5", evaluation.thresholded_precision))
    rows.append(("Recall over 0.5", evaluation.thresholded_recall))
    given, sets = evaluation.abstention, evaluation.conformal
    if given.answered and given.accuracy:
        rows += [("Answered", given.answered), ("Accuracy of these", given.accuracy)]
    if sets.seen and sets.single:
        rows += [("Right class in the set", sets.seen), ("Sets of one class", sets.single)]
    return rows


def _confusions(evaluation: "Evaluation") -> list[str]:
    lines = []
    for pair in evaluation.most_confused[:PAIRS_SHOWN]:
        times = "once" if pair.count == 1 else f"{pair.count} times"
        lines.append(f"Confused    {pair.true} taken for {pair.predicted}, {times}")
    return lines


def _as_keras_does(evaluation: "Evaluation", record: Mapping[str, Any]) -> str:
    """Return the scores on the test photos as the last line of Keras' `Model.evaluate`.

    That is batches done of all, the seconds of predicting, and the scores, precision and recall
    at the threshold of a half.
    """
    training = record.get("training") or {}
    num_batches = math.ceil(evaluation.num_images / (training.get("batch_size") or KERAS_BATCH))
    seconds = training.get("test_seconds")
    if seconds is None:
        stages = {stage["name"]: stage["seconds"] for stage in record.get("stages") or ()}
        seconds = stages.get("evaluation", 0.0)
    scores = {
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "precision": evaluation.thresholded_precision,
        "recall": evaluation.thresholded_recall,
        "top_k": evaluation.top_k[KERAS_TOP_K],
    }
    told = [f"{name}: {estimate.value:.4f}" for name, estimate in scores.items()]
    return " - ".join([f"{num_batches}/{num_batches}", f"{seconds:.0f}s", *told])


def _percent(estimate: "Estimate") -> str:
    from fieldmark.evaluation.intervals import format_percent

    return format_percent(estimate)


def _short(estimate: "Estimate") -> str:
    value, low, high = (100 * share for share in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"


def _value_and_interval(estimate: "Estimate") -> tuple[str, str]:
    return (
        f"{100 * estimate.value:.2f} %",
        f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f}",
    )


def _plain_value_and_interval(estimate: "Estimate") -> tuple[str, str]:
    return f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"


def _prediction_table(rows: "Sequence[Prediction]") -> str:
    width = max((len(row.ranking) for row in rows), default=1)
    places = [f"{place}." for place in range(1, width + 1)]
    has_doubts = any(row.doubt for row in rows)
    table = new_table("Photo", *places, *(["Doubt"] if has_doubts else []), right=())
    for row in rows:
        if row.error is not None:
            add_row(table, row.path, row.error)
        else:
            cells = [f"{name} {100 * share:.1f} %" for name, share in row.ranking]
            missing = [""] * (width - len(cells))
            add_row(table, row.path, *cells, *([*missing, _doubt(row)] if row.doubt else []))
    return drawn(table)


def _doubt(row: "Prediction") -> str:
    """Return "not sure: cat, dog or fox", no more than `DOUBTS_SHOWN` by name."""
    names, more = list(row.doubt[:DOUBTS_SHOWN]), len(row.doubt) - DOUBTS_SHOWN
    if more > 0:
        names.append(counted(more, "other"))
    return f"not sure: {', '.join(names[:-1])} or {names[-1]}"


def _prediction_csv(rows: "Sequence[Prediction]") -> str:
    width = max((len(row.ranking) for row in rows), default=1)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranks = range(1, width + 1)
    columns = [column for rank in ranks for column in (f"class_{rank}", f"confidence_{rank}")]
    writer.writerow(["path", *columns, "set", "abstained", "error"])
    for row in rows:
        cells: list[object] = [cell for pair in row.ranking for cell in pair]
        missing = [""] * (2 * width - len(cells))
        abstained = {True: "true", False: "false", None: ""}[row.is_withheld]
        verdict = [SET_SEPARATOR.join(row.candidates or ()), abstained]
        writer.writerow([row.path, *cells, *missing, *verdict, row.error or ""])
    return buffer.getvalue()


def _prediction_jsonl(rows: "Sequence[Prediction]") -> str:
    lines = []
    for row in rows:
        top = [{"class": name, "confidence": share} for name, share in row.ranking]
        values = {
            "path": row.path,
            "predicted": row.label,
            "confidence": row.confidence,
            "top": top,
            "set": None if row.candidates is None else list(row.candidates),
            "abstained": row.is_withheld,
            "error": row.error,
        }
        lines.append(json.dumps(values, ensure_ascii=False) + "\n")
    return "".join(lines)
