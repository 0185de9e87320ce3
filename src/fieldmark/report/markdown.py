"""A model card as Markdown, which any site and editor shows.

In: a `ModelCard`. Out: text. Names are text, whatever characters they hold: what Markdown or HTML
would take for its own is escaped.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fieldmark.report.card import CardPart, CardTable, ModelCard

SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$])")
BEGINS_A_LIST = re.compile(r"^(\d*)([.)](?=\s|$)|[-+=])")
"""What makes a list or a heading at the beginning of a line only."""


def as_markdown(card: "ModelCard") -> str:
    """Return the whole card; the same card gives the same text."""
    blocks = [f"# {escaped(card.title)}"]
    for part in card.parts:
        blocks += _part(part)
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return a text on one line, with nothing in it that Markdown would take for markup."""
    one_line = SPECIAL.sub(r"\\\1", " ".join(text.splitlines()))
    return BEGINS_A_LIST.sub(r"\1\\\2", one_line)


def _part(part: "CardPart") -> Iterator[str]:
    yield f"## {escaped(part.title)}"
    yield from map(escaped, part.paragraphs)
    if part.bullets:
        yield "\n".join(f"- {escaped(one)}" for one in part.bullets)
    yield from map(_table, part.tables)
    if part.code:
        yield f"```\n{part.code}\n```"


def _table(table: "CardTable") -> str:
    rule = ("---",) * len(table.header)
    body = (tuple(map(escaped, row)) for row in table.rows)
    return "\n".join(map(_row, (tuple(map(escaped, table.header)), rule, *body)))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
