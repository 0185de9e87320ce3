"""The command line: the verbs as one program. No logic of its own."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fieldmark import verbs_learn, verbs_use
from fieldmark._version import __version__
from fieldmark.base.allocation import keep_memory
from fieldmark.base.stopping import stoppable

VERBS = (
    verbs_learn.explore,
    verbs_learn.train,
    verbs_learn.study,
    verbs_use.evaluate,
    verbs_use.compare,
    verbs_use.predict,
    verbs_use.explain,
    verbs_use.degrade,
    verbs_use.export,
    verbs_use.verify,
    verbs_use.serve,
    verbs_learn.summary,
    verbs_learn.demo,
    verbs_learn.data,
)
"""In the order in which they are needed, and listed."""


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


for _verb in VERBS:
    app.command()(_verb)
