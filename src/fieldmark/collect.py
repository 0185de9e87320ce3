"""The photos of a run or of an audit: read once, their labels put right, divided.

In: a folder, and the files that its user gives beside it. Out: `Gathered`, with catalog, pixels,
cues and copies, and from it `Collected`, with the splits.
Not covered: what is wrong with the photos (`auditing`), and learning from them (`stages`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.duplicates import Duplicates, find_duplicates
from fieldmark.audit.mirrored import mirrored_folders
from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError, SplitError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.progress import Progress
from fieldmark.data.catalog import Catalog
from fieldmark.data.cue_cache import CueCache
from fieldmark.data.cues import Cues
from fieldmark.data.group_by import read_groups
from fieldmark.data.groups import find_groups
from fieldmark.data.label_file import LabelChange, apply_changes, read_changes
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.scan import read_as_stored, scan, turned_paths
from fieldmark.data.splits import SplitConfig, Splits, make_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the user gives beside the folder of photos."""

    split_file: Path | None = None
    """A split already made."""
    labels: Path | None = None
    """Labels to put right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A folder of photos once every file was looked at."""

    before: Catalog
    """As the folder is."""
    catalog: Catalog
    """With the labels put right that the user asked for."""
    changes: tuple[LabelChange, ...]
    """What was put right."""
    store: PixelStore | None
    """Pixels by path; None where none were asked for."""
    cues: Mapping[str, Cues]
    """What was measured of each usable photo."""
    duplicates: Duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The photos of a run: gathered, and divided."""

    gathered: Gathered
    catalog: Catalog
    """Without the photos that the split leaves out."""
    splits: Splits

    @property
    def store(self) -> PixelStore:
        """The pixels."""
        assert self.gathered.store is not None
        return self.gathered.store


def gather(
    root: Path,
    *,
    preprocess: Preprocess | None,
    given: Given,
    progress: Progress,
    storage: Path | None = None,
    without_pixels: frozenset[str] = frozenset(),
) -> Gathered:
    """Read every file of a folder once, put labels right, and find the copies among the photos.

    Args:
        root: the folder.
        preprocess: how photos become pixels; None: no pixels are needed.
        given: the user's files.
        progress: told of each photo.
        storage: where pixels go that are too many for memory.
        without_pixels: SHA-256 of the photos whose pixels nobody needs.

    Raises:
        DataError: the folder cannot be read, or the labels file does not fit it.
    """
    with CueCache() as cue_cache:
        scanned = scan(
            root,
            preprocess=preprocess,
            progress=progress,
            storage=storage,
            cue_cache=cue_cache,
            without_pixels=without_pixels,
        )
    changes = read_changes(given.labels, scanned.catalog) if given.labels else ()
    if given.labels and not changes:
        progress.note(
            f"{given.labels} asks for no change: fill in its column action with relabel or exclude."
        )
    catalog = apply_changes(scanned.catalog, changes)
    progress.start("Copies", total=None, unit="photos")
    duplicates = find_duplicates(catalog, scanned.cues)
    progress.finish(_tell(duplicates))
    return Gathered(
        before=scanned.catalog,
        catalog=catalog,
        changes=changes,
        store=scanned.store,
        cues=scanned.cues,
        duplicates=duplicates,
    )


def groups_of(gathered: Gathered, config: SplitConfig) -> dict[str, str]:
    """Return the group of each usable photo, by path: what no split may tear apart.

    Raises:
        SplitError: `config.group_by` does not fit the folder.
    """
    catalog = gathered.catalog
    return find_groups(
        catalog,
        together=gathered.duplicates.groups,
        grouped_by=read_groups(config.group_by, catalog) if config.group_by else None,
    )


def divide(gathered: Gathered, config: SplitConfig, *, given: Given) -> Collected:
    """Divide the photos into training, validation and test, copies kept together.

    Raises:
        SplitError: the split asked for cannot be made.
    """
    splits, catalog = make_splits(
        gathered.catalog,
        config,
        split_file=given.split_file,
        together=gathered.duplicates.groups,
    )
    if config.validation > 0 and not splits.counts()["validation"]:
        raise SplitError(
            "No photo is left for validation, without which nothing can be chosen. Add photos: at "
            "least one class needs three that are not copies of each other. Or do without, and set "
            "split.validation=0, which not every recipe can."
        )
    return Collected(gathered=gathered, catalog=catalog, splits=splits)


def require_one_dataset(catalog: Catalog) -> None:
    """Refuse a folder whose classes are two copies of one dataset: all photos have two labels.

    Raises:
        DataError: with the folder to give instead.
    """
    mirrored = mirrored_folders(catalog)
    if mirrored is None:
        return
    kept, copy = mirrored
    of_kept = {row.label for row in catalog.usable if row.path.startswith(f"{kept}/")}
    of_copy = {
        row.label
        for row in catalog.usable
        if not row.path.startswith(f"{kept}/") and row.path.startswith(f"{copy}/" if copy else "")
    }
    if of_kept & of_copy:
        return
    raise DataError(
        f"{catalog.root} holds one dataset twice: {copy or 'the folder itself'} has the same "
        f"photos as {kept}, under other labels, so nothing can be learned. "
        f"Give {catalog.root / kept} instead."
    )


def turn_back(gathered: Gathered, preprocess: Preprocess) -> Gathered:
    """Return the same photos read without the rotation in their metadata.

    Args:
        gathered: read with it; the store's pixels are changed in place.
        preprocess: the one that leaves photos as they lie.
    """
    turned = turned_paths(gathered.before)
    if gathered.store is not None:
        put_pixels(
            [path for path in turned if path in gathered.store],
            root=gathered.before.root,
            preprocess=preprocess,
            store=gathered.store,
        )
    return replace(
        gathered,
        before=read_as_stored(gathered.before, gathered.cues),
        catalog=read_as_stored(gathered.catalog, gathered.cues),
    )


def put_pixels(
    paths: Sequence[str], *, root: Path, preprocess: Preprocess, store: PixelStore
) -> None:
    """Read photos and put their pixels into the store.

    Raises:
        DataError: a photo has vanished or changed since the folder was read.
    """

    def read(path: str) -> NDArray[np.uint8]:
        try:
            content = (root / path).read_bytes()
            return preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
        except (OSError, DataError) as error:
            raise DataError(
                f"{path} could be read a moment ago, and no longer: {error}. Leave the folder as "
                "it is while Fieldmark works, and start again."
            ) from error

    for path, pixels_SSC in zip(paths, ThreadExecutor().map(read, paths), strict=True):
        store.put(path, pixels_SSC)


def _tell(duplicates: Duplicates) -> str:
    num_exact = sum(len(group) - 1 for group in duplicates.exact)
    num_grouped = sum(len(group) for group in duplicates.groups)
    if not duplicates.groups:
        return "none found"
    return (
        f"{num_exact:,} exact, {counted(len(duplicates.near), 'pair')} alike; {num_grouped:,} "
        f"photos in {counted(len(duplicates.groups), 'group')} that stay together"
    )
