"""The command line: flags in, workflow called, results printed. No logic of its own."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fieldmark import terminal, terminal_audit, terminal_compare, terminal_data, terminal_explain
from fieldmark._version import __version__
from fieldmark.base.allocation import keep_memory
from fieldmark.base.console import choose_progress
from fieldmark.base.counting import counted
from fieldmark.base.progress import closing, encodable, printable
from fieldmark.base.stopping import stoppable


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The user pressed Ctrl-C while a verb ran, or the system asked it to end."""


class ReaderGone(Exception):  # noqa: N818 - nothing went wrong
    """Standard output was closed at its other end."""


class _Verbs(TyperGroup):
    """Keeps typer from giving these two an exit code of its own, which differs by its version."""

    def invoke(self, ctx: Any) -> Any:
        keep_memory()
        try:
            with stoppable():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(str(error) or "interrupted") from error
        except BrokenPipeError as error:
            raise ReaderGone from error


app = typer.Typer(
    name="fieldmark",
    cls=_Verbs,
    help="From a folder of labelled photos to an image classifier that you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Photos = Annotated[
    Path,
    typer.Argument(metavar="PHOTOS", help="Folder with one subfolder of photos per class."),
]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, or the bundle 'model' in it.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Change a value of the recipe; repeatable."
    ),
]
SplitFile = Annotated[
    Path | None, typer.Option(metavar="CSV", help="A split already made: columns path, split.")
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX|CSV:COLUMN",
        help="Photos that must stay on one side: a pattern in the path, or a column of a CSV.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Labels put right: the labels.csv of explore, edited."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE", help="Mute a check, such as FM203; repeatable, or FM203,FM204."),
]
Backbone = Annotated[
    str | None, typer.Option(metavar="NAME", help="Any timm name, such as resnet50.")
]


def _version(asked: bool) -> None:  # noqa: FBT001 - the signature is typer's
    if asked:
        typer.echo(f"fieldmark {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """From a folder of labelled photos to an image classifier that you can trust."""


@app.command()
def explore(
    photos: Photos,
    backbone: Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="auto|none|PATH",
            help="Pretrained weights to check labels with; none: seconds instead of minutes.",
        ),
    ] = None,
    split_file: SplitFile = None,
    group_by: GroupBy = None,
    labels: Labels = None,
    ignore: Ignore = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; default: runs/explore-NNN.")
    ] = None,
    sets: Sets = None,
) -> None:
    """Look at a folder of photos and find what is wrong with it."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        exploration = workflow.explore(
            photos,
            backbone=backbone,
            weights=weights,
            split_file=split_file,
            group_by=group_by,
            labels=labels,
            ignore=ignore or [],
            out=out,
            overrides=sets or [],
            progress=progress,
            command=_command(),
        )
    _echo(terminal_audit.exploration(exploration))


@app.command()
def train(
    photos: Photos,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="quick (the default), finetune, scratch, reference, digits, or a TOML file.",
        ),
    ] = None,
    backbone: Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="auto|none|PATH", help="Pretrained weights of the backbone."),
    ] = None,
    split_file: SplitFile = None,
    group_by: GroupBy = None,
    labels: Labels = None,
    ignore: Ignore = None,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Run folder; default: runs/run-NNN.")
    ] = None,
    resume: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--resume", help="Go on with a run that was stopped: RUN, or the last."),
    ] = False,
    sets: Sets = None,
) -> None:
    """Train, evaluate and report a classifier of photos."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        run = workflow.train(
            photos,
            recipe=recipe,
            backbone=backbone,
            weights=weights,
            split_file=split_file,
            group_by=group_by,
            labels=labels,
            ignore=ignore or [],
            out=out,
            overrides=sets or [],
            resume=resume,
            progress=progress,
            command=_command(),
        )
    _echo(terminal.finished_run(run))


@app.command()
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
    _echo(terminal.evaluation(evaluation))
    if out:
        _tell(f"Predictions and numbers written to {out}")


@app.command()
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
        comparison = workflow.compare(runs, out=out, progress=progress, command=_command())
    _echo(terminal_compare.comparison(comparison))


@app.command()
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
        _tell(f"left out: {path}: {reason}")
    text = terminal.predictions(predictions, output_format=output_format)
    if output:
        terminal.save(output, text)
        _tell(f"{counted(len(predictions), 'prediction')} written to {output}")
    else:
        _echo(text)


@app.command()
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
            run, paths, true_class=true_class, out=out, progress=progress, command=_command()
        )
    _echo(terminal_explain.explanation(explanation))


@app.command()
def summary(
    recipe: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="quick, finetune, reference, or a TOML file."),
    ] = "finetune",
    backbone: Backbone = None,
    size: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Side of the input; default: the recipe's or backbone's."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(metavar="N", min=2, help="Number of classes; default: 10; reference: 8."),
    ] = None,
    sets: Sets = None,
) -> None:
    """Show the layers of a network, its parameters and its cost."""
    from fieldmark import workflow

    table = workflow.summary(
        recipe=recipe,
        backbone=backbone,
        size_px=size,
        num_classes=classes,
        overrides=sets or [],
    )
    _echo(terminal.layers(table))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to put photos and run.")] = Path(
        "demo"
    ),
) -> None:
    """Train on 1,797 bundled pictures of digits, without a network."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        run = workflow.demo(out=out, progress=progress, command=_command())
    _echo(terminal.finished_run(run))


@app.command()
def data(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which one; without it, they are listed.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="A folder, new or empty; default: one of that name."),
    ] = None,
    names: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--list", help="List the datasets that can be had by name.")
    ] = False,
) -> None:
    """Download a published dataset by its name."""
    from fieldmark import workflow
    from fieldmark.datasets import PUBLISHED

    if names or name is None:
        _echo(terminal_data.datasets(PUBLISHED))
        return
    with closing(choose_progress(sys.stderr)) as progress:
        fetched = workflow.fetch(name, folder or Path(name), progress=progress)
    _echo(terminal_data.fetched(fetched))


def _echo(text: str) -> None:
    typer.echo(encodable(text, sys.stdout), nl=False)


def _tell(text: str) -> None:
    typer.echo(encodable(printable(text), sys.stderr), err=True)


def _command() -> str:
    return shlex.join(["fieldmark", *sys.argv[1:]])
