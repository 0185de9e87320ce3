"""Verbs that start from a folder of photos: flags in, workflow called, results printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fieldmark import terminal, terminal_audit, terminal_data, terminal_repeats, terminal_study
from fieldmark.base.console import choose_progress
from fieldmark.base.progress import closing
from fieldmark.flags import (
    Backbone,
    GroupBy,
    Ignore,
    Labels,
    Photos,
    Sets,
    SplitFile,
    command_line,
    echo,
)
from fieldmark.run import Run


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
            command=command_line(),
        )
    echo(terminal_audit.exploration(exploration))


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
    folds: Annotated[
        int | None,
        typer.Option(metavar="K", help="Train K times, each time testing another part."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train N times with other seeds, on the same split."),
    ] = None,
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
            folds=folds,
            seeds=seeds,
            out=out,
            overrides=sets or [],
            resume=resume,
            progress=progress,
            command=command_line(),
        )
    if isinstance(run, Run):
        echo(terminal.finished_run(run))
    else:
        echo(terminal_repeats.repeats(run))


def study(
    photos: Photos,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SECTION.KEY=A,B,...",
            help="Values to try, or with --search a range such as 1e-5..1e-2:log; repeatable.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="A study by name, instead: reference.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Trials of each setting; default: 3, of a search 1."),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most N settings, chosen to tell effects apart best."),
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(metavar="N", help="Look for the best among N settings, not for effects."),
    ] = None,
    halving: Annotated[
        bool | None,
        typer.Option(
            "--halving/--no-halving", help="Stop trials far behind early; default: in searches."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="What is varied; default: by what is varied."),
    ] = None,
    backbone: Backbone = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="auto|none|PATH", help="Pretrained weights of the backbone."),
    ] = None,
    split_file: SplitFile = None,
    group_by: GroupBy = None,
    labels: Labels = None,
    engine: Annotated[
        str, typer.Option(metavar="local|ray", help="Who computes the trials.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Ray cluster; default: here.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of a search that several machines work on."),
    ] = None,
    final: Annotated[
        bool | None,
        typer.Option(
            "--final/--no-final",
            help="Train the best recipe in full, and test it; default: yes, or as begun.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="STUDY", help="Folder; default: runs/study-NNN.")
    ] = None,
    resume: Annotated[  # noqa: FBT002 - a flag
        bool,
        typer.Option("--resume", help="Go on with a study that was stopped: STUDY, or the last."),
    ] = False,
    sets: Sets = None,
) -> None:
    """Find out what the learning rate and other settings do."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        result = workflow.study(
            photos,
            vary=vary or [],
            preset=preset,
            seeds=seeds,
            runs=runs,
            search=search,
            halving=halving,
            recipe=recipe,
            backbone=backbone,
            weights=weights,
            split_file=split_file,
            group_by=group_by,
            labels=labels,
            engine=engine,
            address=address,
            storage=storage,
            final=final,
            out=out,
            resume=resume,
            overrides=sets or [],
            progress=progress,
            command=command_line(),
        )
    echo(terminal_study.finished_study(result))


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
    echo(terminal.layers(table))


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to put photos and run.")] = Path(
        "demo"
    ),
) -> None:
    """Train on 1,797 bundled pictures of digits, without a network."""
    from fieldmark import workflow

    with closing(choose_progress(sys.stderr)) as progress:
        run = workflow.demo(out=out, progress=progress, command=command_line())
    echo(terminal.finished_run(run))


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
        echo(terminal_data.datasets(PUBLISHED))
        return
    with closing(choose_progress(sys.stderr)) as progress:
        fetched = workflow.fetch(name, folder or Path(name), progress=progress)
    echo(terminal_data.fetched(fetched))
