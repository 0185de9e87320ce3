"""What lies in a folder of photos, and which class and split each file's place gives it.

In: the folder. Out: one `FoundFile` for every file met, sorted by path; none of them opened.
Never leaves the folder: links are followed to files inside it only.
"""

import os
import posixpath
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fieldmark.data.formats import EXTENSIONS

HIDDEN = "hidden file"
IN_HIDDEN = "in a hidden or system folder"
SYSTEM = "system file, not a photo"
NOT_IMAGE = "not an image"
NEVER_PHOTOS = (HIDDEN, IN_HIDDEN, SYSTEM, NOT_IMAGE + " (")
"""How the reasons begin that make a file no loss: nobody meant it as a photo."""
NO_CLASS = "not in a class folder"

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What the sides of a split already made are called, as folders or in a split file, in lower case,
and what each means."""

SHARED_CLASSES = 0.5
"""Share of the class folders of test or validation that train must have as well for other folders
beside them to be no classes: a test may lack classes or have one more. A choice."""
_MIN_TRAIN_CLASSES = 2
_BESIDE_SHOWN = 5

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
_IMAGE_EXTENSIONS = frozenset(name for names in EXTENSIONS.values() for name in names)
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
    """Its class, or nothing."""
    layout_split: str | None = None
    """train, validation or test, where the folder holds a split already made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which level of folders names the classes."""

    wrapper: tuple[str, ...]
    """Folders around everything, such as the one that an archive unpacks to."""
    has_splits: bool
    """Whether the first level within them is train, test..."""
    sides: tuple[str, ...] = ()
    """The folders of a split already made, train first, as they are called."""
    beside: tuple[str, ...] = ()
    """Other folders that lie beside those and hold photos, which have no class."""

    def place(self, path: str) -> tuple[str, str | None]:
        """Return the class (or nothing) and the split (or None) of a file's path."""
        parts = PurePosixPath(path).parts
        if parts[: len(self.wrapper)] != self.wrapper:
            return "", None
        below = parts[len(self.wrapper) :]
        split = None
        if self.has_splits:
            split = SPLIT_FOLDERS.get(below[0].lower())
            below = below[1:] if split else ()
        return (below[0], split) if len(below) > 1 else ("", split)

    def notes(self) -> tuple[str, ...]:
        """Say what was made of the folder, where it is not the plain one folder a class."""
        notes = []
        if self.wrapper:
            notes.append(f"The classes are the folders in {'/'.join(self.wrapper)}/.")
        if self.has_splits:
            notes.append("The folder holds a split already made (train, test...); it is kept.")
        if self.beside:
            notes.append(self._note_beside())
        return tuple(notes)

    def _note_beside(self) -> str:
        more = len(self.beside) - _BESIDE_SHOWN
        named = _joined([*self.beside[:_BESIDE_SHOWN], *([f"{more:,} more"] if more > 0 else [])])
        is_one = len(self.beside) == 1
        folders, lie, their = ("folder", "lies", "its") if is_one else ("folders", "lie", "their")
        return (
            f"The {folders} {named} {lie} beside {_joined(self.sides)}, so {their} photos are left "
            f"out; move them into a class folder of {_joined(self.sides, 'or')}."
        )


def find_files(root: Path) -> tuple[list[FoundFile], Layout]:
    """List every file below `root`, sorted by path, with its class by where it lies."""
    found = sorted(_walk(root.resolve()), key=lambda file: file.path)
    layout = detect_layout(_likely_photos(found))
    placed = []
    for file in found:
        label, split = layout.place(file.path)
        placed.append(
            FoundFile(
                path=file.path,
                source=file.source,
                num_bytes=file.num_bytes,
                problem=file.problem or ("" if label else NO_CLASS),
                label=label,
                layout_split=split,
            )
        )
    return placed, layout


def _likely_photos(found: Sequence[FoundFile]) -> list[str]:
    """Return the paths that may be photos: by their names, or else whatever is not ruled out."""
    possible = [file.path for file in found if not file.problem]
    return [path for path in possible if has_image_name(path)] or possible


def has_image_name(path: str) -> bool:
    """Say whether the file is named like an image in a format that is read."""
    return extension_of(path) in _IMAGE_EXTENSIONS


def extension_of(path: str) -> str:
    """Return ".jpg" of "cats/1.JPG": in lower case, empty where there is none."""
    # Of thousands of files, several times as fast as by pathlib.
    return posixpath.splitext(path)[1].lower()


def detect_layout(photos: Sequence[str]) -> Layout:
    """Tell from the paths of the likely photos which level of folders names the classes.

    A single folder around everything is stepped into where that leads to at least two folders.
    Train, holding class folders, with test or validation beside it is a split already made if no
    other folder is there, or if one of the two holds mostly the classes of train.
    """
    paths = [PurePosixPath(photo).parts for photo in photos]
    wrapper: tuple[str, ...] = ()
    while True:
        below = [parts[len(wrapper) :] for parts in paths]
        tops = {parts[0] for parts in below}
        if _is_split(below):
            return _split_layout(below, wrapper=wrapper)
        if len(tops) != 1 or any(len(parts) < 3 for parts in below):
            leads_to_classes = len(tops) > 1 and all(len(parts) > 1 for parts in below)
            return Layout(wrapper=wrapper if leads_to_classes else (), has_splits=False)
        wrapper = (*wrapper, *tops)


def _is_split(paths: Sequence[tuple[str, ...]]) -> bool:
    sides = {SPLIT_FOLDERS.get(parts[0].lower()) for parts in paths if len(parts) > 1}
    classes: dict[str, set[str]] = {}
    for parts in paths:
        if len(parts) > 2 and (side := SPLIT_FOLDERS.get(parts[0].lower())):
            classes.setdefault(side, set()).add(parts[1])
    train = classes.pop("train", set())
    if not train or None not in sides:
        return bool(train) and len(sides) > 1
    # Of classes that are called train, test and bus, too, each may hold folders of its own.
    return len(train) >= _MIN_TRAIN_CLASSES and any(
        len(of_side & train) >= SHARED_CLASSES * len(of_side) for of_side in classes.values()
    )


def _split_layout(paths: Sequence[tuple[str, ...]], *, wrapper: tuple[str, ...]) -> Layout:
    order = list(dict.fromkeys(SPLIT_FOLDERS.values()))
    folders = sorted({parts[0] for parts in paths if len(parts) > 1})
    sides = [name for name in folders if name.lower() in SPLIT_FOLDERS]
    return Layout(
        wrapper=wrapper,
        has_splits=True,
        sides=tuple(sorted(sides, key=lambda name: order.index(SPLIT_FOLDERS[name.lower()]))),
        beside=tuple(name for name in folders if name not in sides),
    )


def _joined(names: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), names[-1]])


def _walk(root: Path) -> Iterator[FoundFile]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            reason = f"folder cannot be read: {error.strerror}"
            yield _found(folder, root=root, num_bytes=0, problem=reason)
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(folder / entry.name)
            else:
                yield _examine(entry, root=root)


def _examine(entry: os.DirEntry[str], *, root: Path) -> FoundFile:
    path = Path(entry.path)
    try:
        problem = _problem_of_link(path, root=root) if entry.is_symlink() else ""
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


def _found(path: Path, *, root: Path, num_bytes: int, problem: str) -> FoundFile:
    relative = path.relative_to(root).as_posix()
    printable, of_name = _printable(relative), _problem_of_name(relative)
    if printable != relative:
        problem = "file or folder name with characters that cannot be printed: rename it"
    return FoundFile(path=printable, source=path, num_bytes=num_bytes, problem=of_name or problem)


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
