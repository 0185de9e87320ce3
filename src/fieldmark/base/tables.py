"""Tables as text for the terminal, or unfolded for a file or a pipe.

In: names of columns, and cells that may hold anything. Out: text.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fieldmark.base.progress import printable

if TYPE_CHECKING:
    from rich.table import Table

PIPED_WIDTH = 10_000
"""Columns of a table that goes to a file or a pipe: no row is folded there."""


def new_table(first: str, *others: str, right: Sequence[str] | None = None) -> "Table":
    """Return an empty table with these columns; all but the first to the right, or those named."""
    from rich import box
    from rich.table import Table

    # Two blanks between columns, so that the table of classes fits into 80.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for name in others:
        to_right = right is None or name in right
        table.add_column(name, justify="right" if to_right else "left", overflow="fold")
    return table


def add_row(table: "Table", *cells: str) -> None:
    """Add a row of texts, none of which is taken for markup."""
    from rich.text import Text

    # As text, since in a plain string rich would take [bold] or :car: for markup.
    table.add_row(*(Text(printable(cell)) for cell in cells))


def drawn(table: "Table") -> str:
    """Return the table as text, as wide as the terminal; unfolded where it goes elsewhere."""
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else PIPED_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(table)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join(lines).strip("\n") + "\n"
