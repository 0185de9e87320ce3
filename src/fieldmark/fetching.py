"""A published dataset as a folder of photos, checked before anybody trains on it.

In: a name and a folder that is new or empty. Out: that folder with one subfolder per class, or,
where anything goes wrong, nothing. The archive stays in the cache of the host's client.
Not covered: whether the photos can be read (`explore` looks at that); a power cut.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.counting import counted, listed
from fieldmark.base.errors import DataError
from fieldmark.base.files import TEMPORARY
from fieldmark.base.progress import Progress
from fieldmark.base.stopping import Stopped, told_of
from fieldmark.data.layout import has_image_name
from fieldmark.datasets import Dataset, published
from fieldmark.kaggle import cached, download

Sizes = Mapping[str, Mapping[str, int]]
"""The photos of each class: file names and how many bytes they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A published dataset that lies in a folder."""

    dataset: Dataset
    folder: Path
    """It holds one subfolder per class and nothing else."""
    counts: Mapping[str, int]
    """How many photos each class has there: those that the dataset is published with."""
    differences: tuple[str, ...] = ()
    """Sentences on where further copies in the archive differ from the one that was taken."""

    @property
    def num_photos(self) -> int:
        """How many photos it has in all."""
        return sum(self.counts.values())


def fetch(name: str, folder: Path, *, progress: Progress) -> Fetched:
    """Download a published dataset and put one copy of its photos into a folder.

    Args:
        name: of the dataset (see `datasets.PUBLISHED`).
        folder: new or empty. One that holds the dataset already is left as it is, and no network
            is needed.
        progress: shows the stages Download and Photos, and notes on the terms and differences.

    Raises:
        DataError: no such dataset, the folder cannot be used, the download fails, or what came is
            not what was published; the message says how to get it by hand.
        Stopped: Ctrl-C or a request to end; nothing was written to the folder.
    """
    dataset = published(name)
    place = folder.expanduser().resolve()
    if _is_there(place, dataset):
        progress.note(f"{folder} holds {name} already.")
        return Fetched(dataset=dataset, folder=folder, counts=dataset.counts)
    progress.note(f"{name}, {dataset.page}. {dataset.licence}")
    try:
        with _becoming(place) as staging:
            differences = _bring(dataset, staging, progress=progress)
    except KeyboardInterrupt as stop:
        raise Stopped(
            f"{str(stop) or told_of('SIGINT')}; nothing was written to {folder}. "
            "Run the same again: a download goes on where it stopped"
        ) from stop
    except OSError as error:
        raise DataError(
            f"The photos cannot be written to {folder}: {error.strerror or error} "
            f"({error.filename2 or error.filename}). Give a folder that you may write to, on a "
            "disk with room for them."
        ) from error
    return Fetched(dataset=dataset, folder=folder, counts=dataset.counts, differences=differences)


def _is_there(place: Path, dataset: Dataset) -> bool:
    """Say whether the dataset lies in the folder already.

    Raises:
        DataError: something else does.
    """
    if place.exists() and not place.is_dir():
        raise DataError(f"{place} is a file. Give a folder that is new or empty.")
    try:
        if not place.exists() or not any(place.iterdir()):
            return False
        found = _survey(place)
    except OSError as error:
        raise DataError(f"The folder {place} cannot be read: {error.strerror}.") from error
    if _counts(found) == dataset.counts:
        return True
    raise DataError(
        f"The folder {place} already holds something other than {dataset.name}, and nothing is "
        "ever overwritten. Give a folder that is new or empty."
    )


def _bring(dataset: Dataset, staging: Path, *, progress: Progress) -> tuple[str, ...]:
    """Download the dataset, check it, and copy its photos; return what is odd about it."""
    try:
        source = download(dataset.handle, progress=progress)
        first, photos = _first_copy(source, dataset)
    except DataError as error:
        raise DataError(f"{error} {dataset.by_hand}") from error
    differences = tuple(
        told
        for copy in dataset.copies
        if (source / copy).is_dir()
        if (told := _difference(photos, _survey(source / copy), names=(first, copy)))
    )
    for told in differences:
        progress.note(told)
    _copy(source / first, staging, photos=photos, progress=progress)
    return differences


def _first_copy(source: Path, dataset: Dataset) -> tuple[str, Sizes]:
    """Return the first folder of the archive that holds the classes, and the photos in it.

    Raises:
        DataError: there is none, or its classes and counts are not those that were published.
    """
    again = (
        "It may be damaged, or changed by those who publish it. Delete "
        f"{cached(dataset.handle)} and run it again to download it afresh."
    )
    for place in (dataset.folder, *dataset.copies):
        if (source / place).is_dir():
            break
    else:
        raise DataError(f"The archive of {dataset.name} has no folder {dataset.folder}. {again}")
    photos = _survey(source / place)
    if wrong := _wrong_counts(_counts(photos), dataset.counts):
        raise DataError(
            f"The archive of {dataset.name} is not what was published ({wrong}). Nothing was "
            f"written. {again}"
        )
    return place, photos


def _survey(folder: Path) -> Sizes:
    """Return the photos of each subfolder that has any, by their names."""
    found = {}
    for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = (path for path in sorted(subfolder.iterdir()) if _is_photo(path.name))
        found[subfolder.name] = {path.name: path.stat().st_size for path in files}
    return {name: photos for name, photos in found.items() if photos}


def _is_photo(name: str) -> bool:
    return has_image_name(name) and not name.startswith(".")


def _counts(photos: Sizes) -> dict[str, int]:
    return {name: len(of_class) for name, of_class in photos.items()}


def _wrong_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> str:
    """Return in words which classes have other counts than expected; nothing where none has."""
    return listed(
        [
            f"{name} has {counted(number, 'photo')} instead of {expected.get(name, 0):,}"
            for name in sorted({*found, *expected})
            if (number := found.get(name, 0)) != expected.get(name, 0)
        ]
    )


def _difference(one: Sizes, other: Sizes, *, names: tuple[str, str]) -> str:
    """Return as a sentence how two copies of the photos differ; nothing where they do not."""
    sizes_one, sizes_other = (
        {
            f"{name}/{file}": size
            for name, of_class in copy.items()
            for file, size in of_class.items()
        }
        for copy in (one, other)
    )
    kinds = {
        f"lacks {{}} of {names[0]}": sizes_one.keys() - sizes_other.keys(),
        "has {} more": sizes_other.keys() - sizes_one.keys(),
        "has {} of another size": {
            path
            for path in sizes_one.keys() & sizes_other.keys()
            if sizes_one[path] != sizes_other[path]
        },
    }
    told = [
        f"{kind.format(counted(len(paths), 'photo'))} ({listed(sorted(paths))})"
        for kind, paths in kinds.items()
        if paths
    ]
    if not told:
        return ""
    return (
        f"The archive holds the photos twice, and {names[1]} differs: it {'; it '.join(told)}. "
        f"Those of {names[0]} were taken."
    )


def _copy(source: Path, target: Path, *, photos: Sizes, progress: Progress) -> None:
    """Copy the photos class by class; not as links, so that no edit of one changes the cache."""
    total = sum(_counts(photos).values())
    progress.start("Photos", total=total, unit="photos")
    for name, of_class in photos.items():
        (target / name).mkdir()
        for file in of_class:
            shutil.copyfile(source / name / file, target / name / file)
            progress.advance()
    progress.finish(f"{total:,} of {len(photos):,} classes")


@contextmanager
def _becoming(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose content is that of `folder` once the block has ended.

    It lies beside the folder, or within it where that is there already: a rename then stays on
    one disk also where `folder` is a mount point. Where the block fails, nothing stays, folders
    above that were made for it included.
    """
    is_there = folder.is_dir()
    parent = folder if is_there else folder.parent
    above = [path for path in (parent, *parent.parents) if not path.exists()]
    staging = parent / TEMPORARY.replace("*", secrets.token_hex(8))
    moved: list[Path] = []
    try:
        staging.mkdir(parents=True)
        yield staging
        if is_there:
            for path in sorted(staging.iterdir()):
                moved.append(path.rename(folder / path.name))  # noqa: PERF401 - undone one by one
            staging.rmdir()
        else:
            staging.rename(folder)
    except BaseException:
        for path in (staging, *moved):
            shutil.rmtree(path, ignore_errors=True)
        for path in above:
            with suppress(OSError):
                path.rmdir()
        raise
