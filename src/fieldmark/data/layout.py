"""What lies in a folder of photos, and which class and split each file's place gives it.

In: the folder. Out: one `FoundFile` for every file met, sorted by path; none of them opened.
Not covered: how files are met (`walk`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.formats import EXTENSIONS
from fieldmark.data.walk import (
    HIDDEN,
    IN_HIDDEN,
    NEVER_PHOTOS,
    NOT_IMAGE,
    SYSTEM,
    FoundFile,
    extension_of,
    walk,
)

__all__ = [
    "HIDDEN",
    "IN_HIDDEN",
    "NEVER_PHOTOS",
    "NOT_IMAGE",
    "NO_CLASS",
    "SPLIT_FOLDERS",
    "SYSTEM",
    "FoundFile",
    "Layout",
    "detect_layout",
    "extension_of",
    "find_files",
    "has_image_name",
]

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

_IMAGE_EXTENSIONS = frozenset(name for names in EXTENSIONS.values() for name in names)


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
        parts = tuple(path.split("/"))
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
    found = sorted(walk(root.resolve()), key=lambda file: file.path)
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


def detect_layout(photos: Sequence[str]) -> Layout:
    """Tell from the paths of the likely photos which level of folders names the classes.

    A single folder around everything is stepped into where that leads to at least two folders.
    Train, holding class folders, with test or validation beside it is a split already made if no
    other folder is there, or if one of the two holds mostly the classes of train.
    """
    paths = [tuple(photo.split("/")) for photo in photos]
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
