"""The table of the last figures in README.md: rows in, each in the place of the one it renews.

In: rows of text and the name of a table. Out: Markdown, between that table's two markers.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent / "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresTable:
    """One table of README.md."""

    name: str
    """Stands in the table's markers."""
    header: tuple[str, ...]
    num_keys: int
    """The leading columns that tell what was measured; a new row replaces one that shares them."""

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """Return the lines of a Markdown table."""
        lines = (self.header, ("---",) * len(self.header), *rows)
        return [f"| {' | '.join(cells)} |" for cells in lines]

    def record(self, rows: Sequence[tuple[str, ...]], *, path: Path = README) -> None:
        """Put rows into the table; exits where its markers are lost."""
        lines = [line for line in recorded_text(self.name, path).splitlines() if line[:1] == "|"]
        kept = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
        by_key = {row[: self.num_keys]: row for row in (*kept, *rows)}
        record_text(self.name, "\n".join(self.lines(list(by_key.values()))), path=path)


def recorded_text(name: str, path: Path = README) -> str:
    """Return what stands between two markers; exits where they are lost."""
    return _around(name, path)[1]


def record_text(name: str, text: str, *, path: Path = README) -> None:
    """Put a text between two markers; exits where they are lost."""
    before, _, after = _around(name, path)
    path.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
    print(f"Recorded in {path}", file=sys.stderr)


def _around(name: str, path: Path) -> tuple[str, str, str]:
    """Return what stands before, between and after two markers; these stay with the outer two."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = path.read_text("utf-8").partition(begin)
    text, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        sys.exit(f"{path} has lost its markers {begin} and {end}; put them back.")
    return before + begin, text, end + after
