"""Verbs that start from a finished run: flags in, workflow called, results printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fieldmark import terminal, terminal_compare, terminal_explain
from fieldmark.base.console import choose_progress
from fieldmark.base.counting import counted
from fieldmark.base.progress import closing
from fieldmark.flags import RunPath, command_line, echo, tell


def evaluate(
    run: RunPath,
    photos: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTOS", help="Other labelled photos; default: the run's own test split."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With PHOTOS: write predictions.csv and evaluation.json there."
        ),
    ] = None,
) -> None:
    """Show a run's numbers, or those on other labelled photos."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        evaluation = workflow.evaluate(run, photos, out=out, progress=progress)
    echo(terminal.evaluation(evaluation))
    if out:
        tell(f"Predictions and numbers written to {out}")


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folders, two or more, of the same test photos."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; default: runs/compare-NNN.")
    ] = None,
) -> None:
    """Say which run is better on the same test photos, if any."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        comparison = workflow.compare(runs, out=out, progress=progress, command=command_line())
    echo(terminal_compare.comparison(comparison))


def predict(
    run: RunPath,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Photos, or folders of photos.")
    ],
    top_k: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many classes to show for a photo.")
    ] = 3,
    output_format: Annotated[
        str, typer.Option("--format", metavar="table|csv|jsonl", help="How to write them.")
    ] = "table",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; default: the terminal.")
    ] = None,
) -> None:
    """Name what is on photos, with confidences."""
    from fieldmark import workflow

    terminal.check_output(output, output_format=output_format)
    with closing(choose_progress(sys.stderr)) as progress:
        predictions, left_out = workflow.predict(run, paths, top_k=top_k, progress=progress)
    for path, reason in left_out:
        tell(f"left out: {path}: {reason}")
    text = terminal.predictions(predictions, output_format=output_format)
    if output:
        terminal.save(output, text)
        tell(f"{counted(len(predictions), 'prediction')} written to {output}")
    else:
        echo(text)


def explain(
    run: RunPath,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Photos, or folders of photos.")
    ],
    true_class: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="What the photos show; default: their folder, where it is named like a class.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; default: runs/explain-NNN.")
    ] = None,
) -> None:
    """Draw what a run looks at on photos, and photos like them."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        explanation = workflow.explain(
            run, paths, true_class=true_class, out=out, progress=progress, command=command_line()
        )
    echo(terminal_explain.explanation(explanation))
