"""Verbs that start from a finished run: flags in, workflow called, results printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fieldmark import (
    terminal,
    terminal_compare,
    terminal_degrade,
    terminal_explain,
    terminal_export,
    terminal_serve,
)
from fieldmark.base.console import choose_progress
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
        list[Path],
        typer.Argument(
            metavar="PATH", help="Photos, or folders of photos; - reads a list of photos."
        ),
    ],
    top_k: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many classes to show for a photo.")
    ] = 3,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="table|csv|jsonl",
            help="How to write them; default: by the name of FILE, else a table.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; default: the terminal.")
    ] = None,
    resume: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--resume", help="Go on with FILE: photos in it are passed over.")
    ] = False,
    sort_into: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Copy photos into a folder for each class."),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(metavar="hard|symbolic", help="With --sort-into: links, not copies."),
    ] = None,
    null: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--null", help="The list has a NUL after each path (find -print0).")
    ] = False,
) -> None:
    """Name what is on photos, with confidences."""
    from fieldmark.photo_stream import read_list
    from fieldmark.predicting import predict_to

    with closing(choose_progress(sys.stderr)) as progress:
        predicted = predict_to(
            run,
            paths,
            output=output,
            output_format=output_format,
            resume=resume,
            sort_into=sort_into,
            link=link,
            top_k=top_k,
            listed=read_list(sys.stdin.buffer, is_null=null),
            echo=echo,
            progress=progress,
        )
    for line in [*terminal.left_out(predicted), *terminal.predicted(predicted)]:
        tell(line)


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


def degrade(
    run: RunPath,
    photos: Annotated[
        Path | None,
        typer.Argument(metavar="PHOTOS", help="Where the run's photos are, if they have moved."),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="Kinds of damage, such as noise,blur; repeatable; default: all."
        ),
    ] = None,
    max_photos: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many test photos to damage.")
    ] = 500,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of the choice of photos and of the damage.")
    ] = 0,
) -> None:
    """Show how a run does on noisy, blurred, dark, covered photos."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        degraded = workflow.degrade(
            run, photos, kinds=kinds or (), max_photos=max_photos, seed=seed, progress=progress
        )
    echo(terminal_degrade.degradation(degraded))


def export(
    run: RunPath,
    to: Annotated[
        str,
        typer.Option(
            metavar="onnx|bundle|web",
            help="An ONNX file, the bundle in one file, or a site that predicts in browsers.",
        ),
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="fp32|int8", help="Numbers of 32 bits, or of 8: faster.")
    ] = "fp32",
    takes: Annotated[
        str,
        typer.Option(
            "--input", metavar="any|fixed", help="Photos of any size, or the network's pixels."
        ),
    ] = "any",
    max_loss: Annotated[
        float, typer.Option(metavar="SHARE", help="How much accuracy int8 may cost.")
    ] = 0.01,
    photos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the run's photos are, if they have moved."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the bundle with this private key.")
    ] = None,
    with_thumbnails: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--with-thumbnails", help="Put small training photos into the bundle."),
    ] = False,
    ort: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For web: ONNX Runtime's files for browsers; default: installed or fetched.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Default: model.onnx or site in the run folder."),
    ] = None,
) -> None:
    """Write a run as one file or a site, checked to do the same."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        exported = workflow.export(
            run,
            to=to,
            precision=precision,
            takes=takes,
            photos=photos,
            max_loss=max_loss,
            sign=sign,
            with_thumbnails=with_thumbnails,
            ort=ort,
            out=out,
            progress=progress,
        )
    echo(terminal_export.export(exported))


def serve(
    model: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run, a bundle, or an exported .onnx file.")
    ],
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Where to listen; others' machines take a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The token in it; default: that of FIELDMARK_TOKEN."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name that the server has, too; repeatable."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A site whose pages may ask; repeatable."),
    ] = None,
    max_batch: Annotated[
        int | None, typer.Option(metavar="N", help="Photos answered together at most.")
    ] = None,
    max_wait_ms: Annotated[
        float, typer.Option(metavar="MS", help="How long a photo waits for others.")
    ] = 2.0,
    max_waiting: Annotated[
        int | None, typer.Option(metavar="N", help="Photos in the server; more are refused.")
    ] = None,
    max_body_mib: Annotated[float, typer.Option(metavar="MIB", help="The largest request.")] = 32.0,
    show_training_photos: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--show-training-photos", help="Show training photos like a photo."),
    ] = False,
) -> None:
    """Answer requests over HTTP, with a page to drop photos on."""
    from fieldmark import workflow

    workflow.serve(
        model,
        host=host,
        port=port,
        token=terminal_serve.token_in(token_file) if token_file else None,
        allow_hosts=allow_host or (),
        allow_origins=allow_origin or (),
        max_batch=max_batch,
        max_wait_ms=max_wait_ms,
        max_waiting=max_waiting,
        max_body_mib=max_body_mib,
        show_training_photos=show_training_photos,
        on_ready=lambda address: tell(terminal_serve.ready(model, address)),
    )


def verify(
    run: RunPath,
    key: Annotated[
        Path | None, typer.Option(metavar="KEY", help="The public key that it was signed for.")
    ] = None,
) -> None:
    """Check that a bundle is whole and does what it did."""
    from fieldmark import workflow

    echo(terminal_export.verified(workflow.verify(run, key=key)))
