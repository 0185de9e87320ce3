"""Photos to predict on, met one after another: named, in folders, or listed on standard input.

In: paths, or a stream with a path a line. Out: what was met, in order, however much there is:
nothing is gathered.
Not covered: whether a file is a photo, which shows when it is read.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fieldmark.base.errors import DataError

LIST = "-"
"""The path that stands for a list on standard input."""
LONGEST_LINE_BYTES = 1 << 16
"""A line of a list that is longer is none: systems know paths of 4,096 bytes, or 32,767
characters."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A file that was met."""

    path: Path
    problem: str = ""
    """Why it cannot be a photo, by its place, name or kind; or nothing."""
    is_meant: bool = True
    """Whether somebody may have meant it as a photo; False of notes, tables and system files."""


def require_there(paths: Sequence[str | Path]) -> None:
    """Refuse paths that do not exist, before anything slow begins.

    Raises:
        DataError: it names the first that does not exist.
    """
    for path in paths:
        if str(path) != LIST and not Path(path).expanduser().exists():
            raise DataError(f"There is no file or folder {path}. Check the path.")


def meet(paths: Sequence[str | Path], *, listed: Iterable[str | Path]) -> Iterator[Met]:
    """Yield every file named, in the folders named, or listed where a path is `LIST`.

    Args:
        paths: of files and folders.
        listed: files, taken as they are needed; see `read_list`.
    """
    for path in paths:
        place = Path(path).expanduser()
        if str(path) == LIST:
            yield from (Met(path=Path(file).expanduser()) for file in listed)
        elif place.is_dir():
            yield from _in_folder(place)
        else:
            yield Met(path=place)


def read_list(stream: BinaryIO, *, is_null: bool = False) -> Iterator[Path]:
    """Yield the files that a list names, one a line; empty lines are passed over.

    Args:
        stream: the list, in the encoding of file names.
        is_null: the paths end with a NUL character each, as `find -print0` writes them, so that
            they may hold line ends.

    Raises:
        DataError: a line is longer than any path, or holds a NUL without `is_null`.
    """
    for number, line in enumerate(_split(stream, b"\0" if is_null else b"\n"), start=1):
        name = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        if not is_null:
            name = name.removesuffix(b"\r")
            _require_one_path(name, number=number)
        if name:
            yield Path(os.fsdecode(name))


def _in_folder(folder: Path) -> Iterator[Met]:
    from fieldmark.data.walk import NEVER_PHOTOS, walk

    root = folder.resolve()
    for file in walk(root):
        yield Met(
            path=folder / file.path,
            problem=file.problem,
            is_meant=not file.problem.startswith(NEVER_PHOTOS),
        )


def _split(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """Yield what stands before each `end`; never more than a line and a block is held."""
    held = b""
    # One read of what is there already: a list that comes slowly is worked on as it comes.
    read = getattr(stream, "read1", stream.read)
    while block := read(LONGEST_LINE_BYTES):
        *lines, held = (held + block).split(end)
        yield from lines
        if len(held) > LONGEST_LINE_BYTES:
            raise DataError(
                "The list on standard input has a line that is longer than any path. Give a path "
                "a line, as `find photos -type f` writes them; a photo itself is given by its path."
            )
    if held:
        yield held


def _require_one_path(line: bytes, *, number: int) -> None:
    if b"\0" in line:
        raise DataError(
            f"Line {number:,} of the list on standard input holds a NUL character, which no path "
            "does. Where the paths end with one each (find -print0), add --null."
        )
