"""Results as text for the terminal: what each verb prints on standard output.

In: plain values from the workflow. Out: text, in tables where there are several of a kind.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fieldmark.base.counting import counted, rounded
from fieldmark.base.tables import add_row, drawn, new_table
from fieldmark.prediction_output import as_text
from fieldmark.terminal_audit import found

if TYPE_CHECKING:
    from fieldmark.evaluation.answer import Prediction
    from fieldmark.evaluation.evaluation import Averages, Evaluation
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.layer_summary import Summary
    from fieldmark.predicting import Predicted
    from fieldmark.run import Run
    from fieldmark.sorting import Sorted

PAIRS_SHOWN = 3
REFERENCE = "reference"
"""The recipe whose runs end with a line in the manner of Keras."""
KERAS_TOP_K = 5
"""The k of Keras' TopKCategoricalAccuracy where none is given."""
KERAS_BATCH = 32
"""Photos a batch of Keras' `Model.evaluate` where nothing else is said."""


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
    return as_text(rows, output_format=output_format)


def predicted(summary: "Predicted") -> list[str]:
    """Return in lines what predicting into a file or folders came to; none if into neither."""
    lines = []
    if summary.output:
        before = f" after {summary.num_before:,} of before" if summary.num_before else ""
        rows = counted(summary.num_rows, "prediction")
        lines.append(f"{rows} written to {summary.output}{before}")
        if summary.num_unreadable:
            files = counted(summary.num_unreadable, "file")
            lines.append(f"{files} of these could not be read; their rows say why")
    if summary.sorted:
        lines += _sorted(summary.sorted)
    return lines


def left_out(summary: "Predicted") -> list[str]:
    """Return a line for each file that was never meant as a photo, up to those named."""
    lines = [f"left out: {path}: {reason}" for path, reason in summary.left_out]
    more = summary.num_left_out - len(summary.left_out)
    return [*lines, f"left out: {counted(more, 'more file')}"] if more else lines


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
    if evaluation.unfamiliar and evaluation.unfamiliar.called:
        rows.append(("Called unfamiliar", evaluation.unfamiliar.called))
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


def _sorted(result: "Sorted") -> list[str]:
    photos = counted(sum(result.counts.values()), "photo")
    lines = [f"{photos} sorted into {result.folder}"]
    lines += [f"  {name}: {number:,}" for name, number in result.counts.items()]
    if result.num_there:
        lines.append(f"  there already: {result.num_there:,}")
    if result.num_gone:
        lines.append(f"  gone before they could be sorted: {result.num_gone:,}")
    return lines
