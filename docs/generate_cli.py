"""Writes docs/cli.md: the help text of every command, as the command line prints it.

Renew it with `.venv/bin/python docs/generate_cli.py` after a change to the verbs.
"""  # noqa: INP001 - a script beside the pages that it writes

from pathlib import Path

from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from fieldmark.cli import app

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 80
INTRODUCTION = """\
# The command line

`fieldmark` and `python -m fieldmark` are the same. Progress goes to standard error, results go to
standard output, so that a pipe carries results only.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a defect of Fieldmark: please report it with the trace |
| 2 | bad input or usage; the message says what to do |
| 130 | interrupted by Ctrl-C or by the system; the last line says how to go on |

`--set` takes any field of [the recipe](recipes.md) and may be given several times.

This page is written by `docs/generate_cli.py`.
"""


def cli_page() -> str:
    """Return the page as Markdown."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    sections = [f"## fieldmark\n\n{_fenced(_help())}"]
    sections += [f"## fieldmark {name}\n\n{_fenced(_help(name))}" for name in group.commands]
    return "\n".join([INTRODUCTION, *sections])


def _help(*command: str) -> str:
    result = CliRunner().invoke(
        app, [*command, "--help"], prog_name="fieldmark", terminal_width=WIDTH
    )
    assert result.exit_code == 0, result.output
    return result.output.strip("\n")


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
