"""Photos sorted into folders by what they were named: copied or linked, never moved.

In: predictions, one after another. Out: a folder for each class, and beside them one for the photos
that the classifier is not sure of and one for those unlike anything it was trained on.
Nothing is ever overwritten; a photo that is there already is not put there again, so that the same
command can be given twice.
Not covered: files that could not be read, which stay where they are.
"""

import contextlib
import errno
import filecmp
import hashlib
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from fieldmark.base.errors import DataError, RunError, nearest_spelling
from fieldmark.base.files import TEMPORARY
from fieldmark.evaluation.answer import Prediction

UNSURE = "_not-sure"
UNLIKE = "_unlike-anything"
"""Folders beside those of the classes; the underscore puts them first."""
LINKS = ("hard", "symbolic")
DIGITS = 10
"""Hexadecimal digits of the path's SHA-256 that tell photos of one name apart: of a million photos
of one name in one folder, two would share them once in two."""
LONGEST_NAME_BYTES = 200
"""File systems allow 255, and a name may get digits."""
FORBIDDEN = frozenset('/\\\0<>:"|?*') if os.name == "nt" else frozenset("/\\\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What was put where."""

    folder: Path
    counts: Mapping[str, int]
    """Folder within it, and how many photos it was given."""
    num_there: int
    """Photos that were in their place already."""
    num_gone: int
    """Photos that were gone by the time they were to be sorted."""


class Sorter:
    """Puts photos into folders."""

    def __init__(self, folder: Path, *, classes: Sequence[str], link: str | None = None) -> None:
        """Prepare to sort; nothing is made before the first photo.

        Args:
            folder: in which the folders of the classes are.
            classes: those of the classifier.
            link: "hard" or "symbolic" to make links; None copies.
        """
        self._folder = folder
        self._put: Callable[[Path, Path], None] = _copy
        if link is not None:
            self._put = _link_hard if link == "hard" else _link_symbolic
        *of_classes, self._unsure, self._unlike = folder_names([*classes, UNSURE, UNLIKE])
        self._of_classes = dict(zip(classes, of_classes, strict=True))
        self._counts: Counter[str] = Counter()
        self._num_there = self._num_gone = 0

    def sort(self, prediction: Prediction) -> None:
        """Put a photo into its folder; one that could not be read stays where it is.

        Raises:
            RunError: it cannot be written there.
        """
        if prediction.label is None:
            return
        name = self._name(prediction, label=prediction.label)
        try:
            source = Path(prediction.path).resolve(strict=True)
            (self._folder / name).mkdir(parents=True, exist_ok=True)
            is_new = self._placed(source, self._folder / name, called=Path(prediction.path).name)
        except FileNotFoundError:
            self._num_gone += 1
        except OSError as error:
            raise _not_placed(prediction.path, self._folder / name, error) from error
        else:
            self._counts[name] += is_new
            self._num_there += not is_new

    def summary(self) -> Sorted:
        """Return what was put where so far."""
        return Sorted(
            folder=self._folder,
            counts={name: self._counts[name] for name in sorted(self._counts)},
            num_there=self._num_there,
            num_gone=self._num_gone,
        )

    def _name(self, prediction: Prediction, *, label: str) -> str:
        """Return the name of the folder that a photo goes to."""
        if prediction.is_unfamiliar:
            return self._unlike
        is_unsure = prediction.doubt or prediction.is_withheld
        return self._unsure if is_unsure else self._of_classes[label]

    def _placed(self, source: Path, folder: Path, *, called: str) -> bool:
        """Put a photo into a folder under a free name; return whether it was not there yet."""
        for name in _candidates(called, source):
            target = folder / name
            try:
                self._put(source, target)
            except FileExistsError:
                if _is_same(source, target):
                    return False
            else:
                return True
        raise AssertionError("there is always another number")


def require_sortable(folder: Path, *, link: str | None, photos: Sequence[Path]) -> None:
    """Refuse a folder to sort into that cannot be used.

    Args:
        folder: to sort into.
        link: as of `Sorter`.
        photos: the folders that are searched for photos.

    Raises:
        RunError: it is a file, or lies in a folder that is searched, so that photos that were put
            there would be met again.
        DataError: there is no such kind of link.
    """
    if link is not None and link not in LINKS:
        raise DataError(
            f"--link is '{link}'.{nearest_spelling(link, LINKS)} Allowed: {', '.join(LINKS)}."
        )
    if folder.exists() and not folder.is_dir():
        raise RunError(f"--sort-into {folder} is a file. Give a folder.")
    for place in photos:
        if place.is_dir() and folder.resolve().is_relative_to(place.resolve()):
            raise RunError(
                f"--sort-into {folder} would lie inside {place}, which is searched for photos. "
                "Choose a folder outside."
            )


def folder_names(classes: Sequence[str]) -> list[str]:
    """Return the name of a folder for each class, in order: safe, and no two alike.

    A class from somebody else's model may be called anything, `../..` included.
    """
    names: list[str] = []
    taken: set[str] = set()
    for label in classes:
        plain = name = _safe(label)
        number = 1
        while name.casefold() in taken:  # "Cat" and "cat" are one folder on some systems
            number += 1
            name = f"{plain} ({number})"
        taken.add(name.casefold())
        names.append(name)
    return names


def _safe(label: str) -> str:
    name = "".join("_" if sign in FORBIDDEN or ord(sign) < 32 else sign for sign in label)
    name = _cut(name, LONGEST_NAME_BYTES).rstrip(" .") or "_"
    return f"_{name}" if name.startswith(".") else name


def _cut(text: str, num_bytes: int) -> str:
    encoded = os.fsencode(text)
    return text if len(encoded) <= num_bytes else encoded[:num_bytes].decode(errors="ignore")


def _candidates(called: str, source: Path) -> Iterator[str]:
    """Yield names for a photo: its own, then with digits of its path, then with numbers."""
    yield called
    path = Path(called)
    stem = _cut(path.stem, LONGEST_NAME_BYTES)
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:DIGITS]
    yield f"{stem}-{digest}{path.suffix}"
    # The file at that path was another one when it was sorted before.
    for number in count(2):
        yield f"{stem}-{digest}-{number}{path.suffix}"


def _is_same(source: Path, target: Path) -> bool:
    """Say whether a photo is what lies there, as link or as copy."""
    try:
        if target.samefile(source):
            return True
        return target.is_file() and filecmp.cmp(source, target, shallow=False)
    except OSError:  # a link that leads nowhere
        return False


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its times; whoever looks never sees half of it.

    Raises:
        FileExistsError: there is something already.
    """
    if os.path.lexists(target):  # most clashes show here, before anything is copied
        raise FileExistsError(str(target))
    temporary = target.parent / TEMPORARY.replace("*", secrets.token_hex(8))
    try:
        shutil.copyfile(source, temporary)
        with contextlib.suppress(OSError):
            shutil.copystat(source, temporary)
        _name_anew(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _name_anew(temporary: Path, target: Path) -> None:
    """Give a file its name, which unlike by renaming never replaces another."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(str(target)) from None
        temporary.rename(target)


def _link_hard(source: Path, target: Path) -> None:
    target.hardlink_to(source)


def _link_symbolic(source: Path, target: Path) -> None:
    target.symlink_to(source)


def _not_placed(path: str, folder: Path, error: OSError) -> RunError:
    way_out = "Free some space, or choose another --sort-into."
    if error.errno == errno.EXDEV:
        way_out = "Hard links cannot lead to another disk: use --link symbolic, or copy."
    return RunError(f"{path} cannot be put into {folder}: {error.strerror}. {way_out}")
