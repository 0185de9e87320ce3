"""What came of the reference case, beside the study that it comes from and better recipes.

In: finished runs of `fieldmark train`, that of the recipe `reference` first. Out: a table of all of
them on standard output, the last line, the curves and the confusion matrix of the first. With
--record the same stands in benchmarks/README.md, and the curves in reference_curves.svg beside it.
"""

import argparse
import re
from pathlib import Path

import fieldmark
from conditions import machine
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.report import render
from fieldmark.report.epoch_curves import epoch_charts
from fieldmark.report.learning import read_epochs
from fieldmark.report.plot import LARGE
from fieldmark.run import Run
from fieldmark.terminal import finished_run
from figures_table import FiguresTable, record_text

CURVES = Path(__file__).parent / "reference_curves.svg"
TEMPLATES = Path(render.__file__).parent / "templates"
GAP_PX, TITLE_PX = 24, 28
TABLE = FiguresTable(
    name="reference_results",
    header=(
        "What",
        "Accuracy on the test photos",
        "Precision, recall over 0.5",
        "Top-5",
        "Loss",
        "Time",
        "Machine",
        "Date",
    ),
    num_keys=1,
)
STUDY = (
    "the study: Keras' ResNet50, ImageNet weights, 20 epochs",
    "95.83 %",
    "0.9595, 0.9578",
    "1.0000",
    "0.1752",
    "not told",
    "not told",
    "-",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Put runs beside the study of the reference case.")
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="the reference case first"
    )
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = parser.parse_args()
    runs = [fieldmark.load(path) for path in options.runs]
    rows = [STUDY, *map(row_of, runs)]
    told = told_of(runs[0])
    print("\n".join([*TABLE.lines(rows), "", told]))
    if options.record:
        TABLE.record(rows)
        record_text("reference_run", told)
        CURVES.write_text(curves_of(runs[0]), encoding="utf-8")


def row_of(run: Run) -> tuple[str, ...]:
    """Return what a run is and what came of it."""
    evaluation = run.evaluation
    accuracy = evaluation.accuracy
    seconds = round(float(run.record["seconds"]))
    return (
        name_of(run),
        f"{100 * accuracy.value:.2f} % ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})",
        f"{evaluation.thresholded_precision.value:.4f}, {evaluation.thresholded_recall.value:.4f}",
        f"{evaluation.top_k[5].value:.4f}",
        f"{evaluation.loss.value:.4f}",
        f"{seconds // 60} min {seconds % 60} s",
        machine(),
        str(run.record["ended"])[:10],
    )


def name_of(run: Run) -> str:
    """Return recipe, network, weights, epochs and sizes."""
    assert run.path
    preprocess, architecture = run.classifier.preprocess, run.classifier.architecture
    num_epochs = len(read_epochs(RunFolder(run.path).history_csv))
    epochs = f" {num_epochs} epochs," if num_epochs else ""
    digests = run.record.get("sha256") or {}
    weights = "pretrained weights" if digests.get("weights") else "random weights"
    size = f"{preprocess.size_px} px"
    if preprocess.prescale_px:
        size = f"photos reduced to {preprocess.prescale_px} px, and enlarged to {size}"
    return f"{run.record['recipe']}: {architecture.backbone}, {weights},{epochs} {size}"


def told_of(run: Run) -> str:
    """Return the last line that the run printed, and its confusion matrix as Markdown."""
    last = finished_run(run).splitlines()[-1]
    return f"```text\n{last}\n```\n\n{matrix_of(run.evaluation)}"


def matrix_of(evaluation: Evaluation) -> str:
    """Return how often each class was named each: what is right is bold, and zeros are left out."""
    classes = evaluation.classes
    lines = [("true class", *classes), ("---", *["---:"] * len(classes))]
    for row, counts in enumerate(evaluation.confusion):
        cells = [
            f"**{count}**" if row == column else f"{count or ''}"
            for column, count in enumerate(counts)
        ]
        lines.append((classes[row], *cells))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def curves_of(run: Run) -> str:
    """Return the report's charts of loss and accuracy, abreast, as an SVG that stands alone."""
    assert run.path
    charts = epoch_charts(read_epochs(RunFolder(run.path).history_csv)).first
    step, height = LARGE.width + GAP_PX, LARGE.height + TITLE_PX
    box = f'width="{LARGE.width}" height="{LARGE.height}"'
    parts = []
    for x, chart in zip(range(0, step * len(charts), step), charts, strict=True):
        title = f'<text x="{x + 8}" y="20" font-weight="bold" font-size="14">{chart.title}</text>'
        parts += [title, chart.svg.replace("<svg", f'<svg x="{x}" y="{TITLE_PX}" {box}', 1)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {step * len(charts)} {height}" '
        f'font-family="sans-serif"><style>{style_of_charts()}</style>'
        '<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def style_of_charts() -> str:
    """Return the rules of the report's style sheets that charts need, in light colours."""
    colours = (TEMPLATES / "style.css").read_text("utf-8").partition("}")[0]
    charts = (TEMPLATES / "curves.css").read_text("utf-8")
    return " ".join([f"{colours}}}", *re.findall(r"^\.plot .*$", charts, re.MULTILINE)])


if __name__ == "__main__":
    main()
