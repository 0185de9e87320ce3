"""One pass over a folder of photos: each file read once, hashed, decoded, measured and resized.

In: the folder. Out: the catalog of every file met, and the pixels and cues of those that can be
used.
Nothing is written to the folder, and nothing outside it is read.
"""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor
from fieldmark.base.progress import Progress
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cue_cache import CueCache
from fieldmark.data.cues import Cues
from fieldmark.data.images import TURNED
from fieldmark.data.layout import find_files
from fieldmark.data.parallel import read_all
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.reading import Reader, left_out

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one pass over a folder gives."""

    catalog: Catalog
    store: PixelStore | None
    """The pixels, where they were asked for."""
    cues: Mapping[str, Cues]
    """What was measured of each usable photo, by path; empty where that was not asked for."""


def scan(
    root: Path,
    *,
    preprocess: Preprocess | None,
    progress: Progress,
    executor: Executor | None = None,
    storage: Path | None = None,
    cue_cache: CueCache | None = None,
    without_pixels: frozenset[str] = frozenset(),
) -> Scan:
    """Read a folder of photos.

    Args:
        root: the folder with one subfolder of photos per class.
        preprocess: how each photo becomes pixels; None makes the catalog only.
        progress: told of each photo and of what the folder was taken for.
        executor: maps over the files; None takes processes or threads (see `parallel`).
        storage: where to keep the pixels if they are too many for memory; None: in memory always.
        cue_cache: what is known of photos already; None measures nothing.
        without_pixels: SHA-256 of the photos whose pixels nobody will need.

    Raises:
        DataError: where the folder is missing, is not a folder or cannot be listed, where `storage`
            has no room, or where a decoder took its process down.
    """
    require_folder(root)
    found, layout = find_files(root)
    to_read = [file for file in found if not file.problem]
    store = None
    if preprocess is not None:
        store = PixelStore(
            capacity=len(to_read),
            size_px=preprocess.size_px,
            storage=storage,
            reserve=not without_pixels,
            shared=True,
        )
    progress.start("Photos", total=len(to_read), unit="photos")
    rows = {file.path: left_out(file) for file in found if file.problem}
    reader = Reader(preprocess=preprocess, cue_cache=cue_cache, without_pixels=without_pixels)
    cues = {}
    room_NSSC = store.room if store is not None and store.is_shared else None
    readings = read_all(
        to_read, reader=reader, executor=executor, note=progress.note, room_NSSC=room_NSSC
    )
    with closing(readings):
        for reading in readings:
            path = reading.row.path
            rows[path] = reading.row
            if store is not None and reading.pixels_SSC is not None:
                store.add(path, reading.pixels_SSC)
            if reading.cues is not None:
                cues[path] = reading.cues
            if cue_cache is not None and reading.found_out is not None:
                cue_cache.put(reading.row.sha256, reading.found_out)
            progress.advance()
    catalog = Catalog(root=root.resolve(), rows=tuple(rows[path] for path in sorted(rows)))
    progress.finish(summarise(catalog))
    catalog = replace(catalog, notes=layout.notes())
    for note in catalog.notes:
        progress.note(note)
    return Scan(catalog=catalog, store=store, cues=cues)


def summarise(catalog: Catalog) -> str:
    """Say in a few words what the folder holds."""
    counts = catalog.status_counts()
    num_classes = len(catalog.classes)
    return (
        f"{len(catalog.usable):,} photos of {num_classes:,} class{'es' * (num_classes != 1)}, "
        f"{counts['repaired']:,} repaired, {counts['excluded']:,} excluded"
    )


def turned_paths(catalog: Catalog) -> tuple[str, ...]:
    """Return the usable photos that were turned as their metadata says, sorted."""
    return tuple(row.path for row in catalog.usable if TURNED in row.reason)


def read_as_stored(catalog: Catalog, cues: Mapping[str, Cues]) -> Catalog:
    """Return the catalog as if no photo had been turned as its metadata says.

    Args:
        catalog: of photos that were turned.
        cues: of the photos, by path.
    """
    turned = set(turned_paths(catalog))
    rows = tuple(
        _row_as_stored(row, cues[row.path]) if row.path in turned else row for row in catalog.rows
    )
    return replace(catalog, rows=rows)


def _row_as_stored(row: CatalogRow, cues: Cues) -> CatalogRow:
    reasons = [part for part in row.reason.split("; ") if not part.startswith(TURNED)]
    return replace(
        row,
        width=cues.stored_width,
        height=cues.stored_height,
        status="repaired" if reasons else "used",
        reason="; ".join(reasons),
    )


def require_folder(root: Path) -> None:
    """Refuse what cannot be read as a folder of photos.

    Raises:
        DataError: `root` is missing, is a file, or cannot be listed.
    """
    if not root.exists():
        raise DataError(f"The folder {root} does not exist. Check the path for a typing error.")
    if not root.is_dir():
        hint = "Unpack it first, and" if root.suffix.lower() in _ARCHIVES else "Please"
        raise DataError(
            f"{root} is a file. {hint} give the folder that holds one subfolder per class."
        )
    try:
        os.scandir(root).close()
    except OSError as error:
        raise DataError(
            f"The folder {root} cannot be read: {error.strerror}. Check its permissions."
        ) from error
