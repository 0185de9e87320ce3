"""Results as text for the terminal: what each verb prints on standard output.

In: plain values from the workflow. Out: text, in tables where there are several of a kind.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fieldmark.base.errors import RecipeError, nearest_spelling

if TYPE_CHECKING:
    from rich.table import Table

    from fieldmark.evaluation.evaluation import Averages, Evaluation
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.models.prediction import Prediction
    from fieldmark.run import Run
    from fieldmark.workflow import Summary

FORMATS = ("table", "csv", "jsonl")
PAIRS_SHOWN = 3
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe, where no terminal says how many there are."""


def check_format(name: str) -> None:
    """Refuse an output format that does not exist.

    Raises:
        RecipeError: with the formats that do.
    """
    if name not in FORMATS:
        hint = nearest_spelling(name, FORMATS)
        raise RecipeError(f"--format is '{name}'.{hint} Allowed: {', '.join(FORMATS)}.")


def finished_run(run: "Run") -> str:
    """Return what a training run ends with: the accuracy, the mix-ups, and where things are."""
    evaluation = run.evaluation
    photos = f"{evaluation.num_images:,} test photos (95 % interval in brackets)"
    lines = [
        f"Accuracy    {_percent(evaluation.accuracy)} on {photos}",
        *_confusions(evaluation),
        f"Report      {run.report}",
        f"Model       {run.bundle}",
        f"Try it      fieldmark predict {run.path} PHOTO",
    ]
    return "\n".join(lines) + "\n"


def evaluation(evaluation: "Evaluation") -> str:
    """Return the numbers of an evaluation as tables."""
    overall = _table("", "Value", "95 % interval")
    for name, estimate in _overall(evaluation):
        overall.add_row(name, *_value_and_interval(estimate))
    overall.add_row("Loss", *_plain_value_and_interval(evaluation.loss))
    classes = _table("Class", "Photos", "Precision", "Recall", "F1")
    for name, metrics in evaluation.per_class.items():
        scores = (metrics.precision, metrics.recall, metrics.f1)
        classes.add_row(name, f"{metrics.support:,}", *(_percent(score) for score in scores))
    heading = f"{evaluation.num_images:,} photos of {len(evaluation.classes)} classes\n"
    confusions = "".join(f"{line}\n" for line in _confusions(evaluation))
    return heading + _drawn(overall) + _drawn(classes) + confusions


def predictions(rows: "Sequence[Prediction]", *, output_format: str) -> str:
    """Return predictions as a table, as CSV, or as JSON lines."""
    writers = {"table": _prediction_table, "csv": _prediction_csv, "jsonl": _prediction_jsonl}
    return writers[output_format](rows)


def layers(summary: "Summary") -> str:
    """Return the layer table with its totals."""
    table = _table("Layer", "Type", "Output shape", "Parameters")
    for layer in summary.layers:
        table.add_row(layer.name, layer.kind, layer.output_shape, f"{layer.num_parameters:,}")
    total = sum(layer.num_parameters for layer in summary.layers)
    heading = (
        f"{summary.backbone} at {summary.size_px}x{summary.size_px} px, "
        f"{summary.num_classes} classes\n"
    )
    return heading + _drawn(table) + f"Parameters: {total:,}\n"


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
    return rows


def _confusions(evaluation: "Evaluation") -> list[str]:
    lines = []
    for pair in evaluation.most_confused[:PAIRS_SHOWN]:
        times = "once" if pair.count == 1 else f"{pair.count} times"
        lines.append(f"Confused    {pair.true} taken for {pair.predicted}, {times}")
    return lines


def _percent(estimate: "Estimate") -> str:
    from fieldmark.evaluation.intervals import format_percent

    return format_percent(estimate)


def _value_and_interval(estimate: "Estimate") -> tuple[str, str]:
    return (
        f"{100 * estimate.value:.2f} %",
        f"{100 * estimate.low:.2f} to {100 * estimate.high:.2f}",
    )


def _plain_value_and_interval(estimate: "Estimate") -> tuple[str, str]:
    return f"{estimate.value:.4f}", f"{estimate.low:.4f} to {estimate.high:.4f}"


def _prediction_table(rows: "Sequence[Prediction]") -> str:
    width = max((len(row.ranking) for row in rows), default=1)
    table = _table("Photo", *(f"{place}." for place in range(1, width + 1)), right=())
    for row in rows:
        if row.error is not None:
            table.add_row(_plain(row.path), _plain(row.error))
        else:
            cells = (f"{_plain(name)} {100 * share:.1f} %" for name, share in row.ranking)
            table.add_row(_plain(row.path), *cells)
    return _drawn(table)


def _prediction_csv(rows: "Sequence[Prediction]") -> str:
    width = max((len(row.ranking) for row in rows), default=1)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ranks = range(1, width + 1)
    columns = [column for rank in ranks for column in (f"class_{rank}", f"confidence_{rank}")]
    writer.writerow(["path", *columns, "error"])
    for row in rows:
        cells: list[object] = [cell for pair in row.ranking for cell in pair]
        missing = [""] * (2 * width - len(cells))
        writer.writerow([row.path, *cells, *missing, row.error or ""])
    return buffer.getvalue()


def _prediction_jsonl(rows: "Sequence[Prediction]") -> str:
    lines = []
    for row in rows:
        top = [{"class": name, "confidence": share} for name, share in row.ranking]
        values = {"path": row.path, "predicted": row.label, "confidence": row.confidence}
        lines.append(
            json.dumps({**values, "top": top, "error": row.error}, ensure_ascii=False) + "\n"
        )
    return "".join(lines)


def _table(first: str, *others: str, right: Sequence[str] | None = None) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for name in others:
        to_right = right is None or name in right
        table.add_column(name, justify="right" if to_right else "left", overflow="fold")
    return table


def _drawn(table: "Table") -> str:
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else PIPED_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _plain(text: str) -> str:
    """Return text from the user in a form that rich does not take for markup."""
    from rich.markup import escape

    return escape(text)
