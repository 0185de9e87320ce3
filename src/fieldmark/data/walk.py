"""Every file below a folder, met one after another: what it is by its name and its kind.

In: a folder. Out: a `FoundFile` for every file, none of them opened. However many there are, no
more than a part of one folder's names is held at a time.
Never leaves the folder: links are followed to files inside it only.
Not covered: which folders are classes (`layout`).
"""

import os
import posixpath
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

HIDDEN = "hidden file"
IN_HIDDEN = "in a hidden or system folder"
SYSTEM = "system file, not a photo"
NOT_IMAGE = "not an image"
NEVER_PHOTOS = (HIDDEN, IN_HIDDEN, SYSTEM, NOT_IMAGE + " (")
"""How the reasons begin that make a file no loss: nobody meant it as a photo."""

FOLDER_BLOCK = 10_000
"""Entries of one folder that are held and put in order at a time: 3 MB."""

_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "icon\r"})
_SYSTEM_FOLDERS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information"})
_NOT_IMAGES = frozenset(
    """
    .7z .avi .bz2 .c .cfg .cpp .css .csv .db .doc .docx .exe .feather .gz .h .h5 .hdf5 .htm .html
    .ini .ipynb .js .json .jsonl .log .lst .m4a .m4v .mat .md .mkv .mov .mp3 .mp4 .mpg .npy .npz
    .onnx .parquet .pdf .pkl .ppt .pptx .pt .pth .py .pyc .r .rar .rst .rtf .safetensors .sh .sql
    .sqlite .tar .tgz .toml .tsv .txt .url .wav .webm .wmv .xls .xlsx .xml .xz .yaml .yml .zip
    """.split()  # noqa: SIM905 - as a list it would take seventy lines
)
_UNREAD_IMAGES = frozenset(
    ".ai .arw .cr2 .cr3 .dng .eps .heic .heif .jxl .nef .orf .psd .raf .rw2 .svg .wmf".split()  # noqa: SIM905
)
"""Photos and drawings in formats that are not read, some of which begin like a TIFF."""
_UNPRINTABLE = frozenset({"Cc", "Cs"})
"""Unicode's control characters, and surrogates: bytes of a name that are not UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file, by what can be said of it without opening it."""

    path: str
    """Relative to the folder, with forward slashes; what cannot be printed in it is escaped."""
    source: Path
    """Where to read it."""
    num_bytes: int
    problem: str
    """Why it is left out, or nothing."""
    label: str = ""
    """Its class, or nothing; of a walk alone none is known."""
    layout_split: str | None = None
    """train, validation or test, where the folder holds a split already made."""


def extension_of(path: str) -> str:
    """Return ".jpg" of "cats/1.JPG": in lower case, empty where there is none."""
    # Of thousands of files, several times as fast as by pathlib.
    return posixpath.splitext(path)[1].lower()


def walk(root: Path) -> Iterator[FoundFile]:
    """Yield every file below `root`, in the order of their paths.

    Of a folder with more than `FOLDER_BLOCK` entries, that many at a time are put in order.

    Args:
        root: a folder, resolved.
    """
    waiting = [_entries(root, root=root)]
    while waiting:
        met = next(waiting[-1], None)
        if met is None:
            waiting.pop()
        elif isinstance(met, FoundFile):
            yield met
        else:
            waiting.append(_entries(met, root=root))


def _entries(folder: Path, *, root: Path) -> Iterator[FoundFile | Path]:
    """Yield the files of a folder, and the folders in it as paths."""
    try:
        for block in _blocks(folder):
            for entry in sorted(block, key=_order):
                is_folder = entry.is_dir(follow_symlinks=False)
                yield folder / entry.name if is_folder else _examine(entry, root=root)
    except OSError as error:
        reason = f"folder cannot be read: {error.strerror}"
        yield _found(str(folder), root=root, num_bytes=0, problem=reason)


def _blocks(folder: Path) -> Iterator[list[os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        while len(block := list(islice(entries, FOLDER_BLOCK))) == FOLDER_BLOCK:
            yield block
    # After the folder is closed: of nested ones there may be more than can be open at a time.
    yield block


def _order(entry: os.DirEntry[str]) -> str:
    # As whole paths are ordered: "a-b/1.png" stands before "a/1.png".
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _examine(entry: os.DirEntry[str], *, root: Path) -> FoundFile:
    path = entry.path
    try:
        problem = _problem_of_link(Path(path), root=root) if entry.is_symlink() else ""
        status = entry.stat(follow_symlinks=not problem)
    except OSError as error:
        return _found(path, root=root, num_bytes=0, problem=f"cannot be read: {error.strerror}")
    if not problem and not stat.S_ISREG(status.st_mode):
        problem = "not a regular file"
    return _found(path, root=root, num_bytes=status.st_size, problem=problem)


def _problem_of_link(link: Path, *, root: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:
        return "link to a file that does not exist"
    except (OSError, RuntimeError):  # RuntimeError up to Python 3.12
        return "link that goes round in a circle"
    if not target.is_relative_to(root):
        return "link that leads out of the folder"
    if link.is_relative_to(target):
        return "link that goes round in a circle"
    if target.is_dir():
        return "link to a folder whose files are met where they lie"
    return ""


def _found(path: str, *, root: Path, num_bytes: int, problem: str) -> FoundFile:
    # As texts: of thousands of files, several times as fast as by pathlib.
    relative = path[len(str(root).rstrip(os.sep)) + 1 :].replace(os.sep, "/") or "."
    printable, of_name = _printable(relative), _problem_of_name(relative)
    if printable != relative:
        problem = "file or folder name with characters that cannot be printed: rename it"
    return FoundFile(
        path=printable, source=Path(path), num_bytes=num_bytes, problem=of_name or problem
    )


def _problem_of_name(relative: str) -> str:
    *folders, name = relative.lower().split("/")
    if name in _SYSTEM_FILES:
        return SYSTEM
    for folder in folders:
        if folder.startswith(".") or folder in _SYSTEM_FOLDERS:
            return IN_HIDDEN
    if name.startswith("."):
        return HIDDEN
    extension = extension_of(name)
    if extension in _NOT_IMAGES:
        return f"{NOT_IMAGE} ({extension})"
    if extension in _UNREAD_IMAGES:
        return f"in a format that is not read ({extension}): export it as JPEG or PNG"
    return ""


def _printable(path: str) -> str:
    """Escape what a CSV or a terminal cannot hold: control characters and stray bytes."""
    if path.isascii() and path.isprintable():
        return path
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE
        else character
        for character in path
    )
