"""What the verbs of the command line have in common: options, and how results are printed."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from fieldmark.base.progress import encodable, printable

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


def echo(text: str) -> None:
    """Print a result to standard output, in what it can show."""
    typer.echo(encodable(text, sys.stdout), nl=False)


def tell(text: str) -> None:
    """Print a remark to standard error, where it does not get into a result."""
    typer.echo(encodable(printable(text), sys.stderr), err=True)


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join(["fieldmark", *sys.argv[1:]])
