"""One pass over a folder of photos: each file read once, hashed, decoded and resized.

In: the folder. Out: the catalog of every file met, and the pixels of those that can be used.
Nothing is written to the folder, and nothing outside it is read.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor
from fieldmark.base.progress import Progress
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.formats import EXTENSIONS, UnreadableImage
from fieldmark.data.images import TURNED, Decoded, decode
from fieldmark.data.layout import NOT_IMAGE, FoundFile, find_files, has_image_name
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess

MAX_FILE_BYTES = 1 << 30
"""Above this a file is not read: twice the largest photo allowed, uncompressed."""

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"})


def scan(
    root: Path,
    *,
    preprocess: Preprocess | None,
    executor: Executor,
    progress: Progress,
    storage: Path | None = None,
) -> tuple[Catalog, PixelStore | None]:
    """Read a folder of photos.

    Args:
        root: the folder with one subfolder of photos per class.
        preprocess: how each photo becomes pixels; None makes the catalog only.
        executor: maps over the files; threads suffice, as decoding releases the interpreter.
        progress: told of each photo and of what the folder was taken for.
        storage: where to keep the pixels if they are too many for memory; None: in memory always.

    Raises:
        DataError: where the folder is missing, is not a folder or cannot be listed, or where
            `storage` has no room.
    """
    require_folder(root)
    found, layout = find_files(root)
    to_read = [file for file in found if not file.problem]
    store = None
    if preprocess is not None:
        store = PixelStore(capacity=len(to_read), size_px=preprocess.size_px, storage=storage)
    progress.start("Photos", total=len(to_read), unit="photos")
    rows = {file.path: _row_left_out(file) for file in found if file.problem}
    for row, pixels_SSC in executor.map(partial(_read, preprocess=preprocess), to_read):
        rows[row.path] = row
        if store is not None and pixels_SSC is not None:
            store.add(row.path, pixels_SSC)
        progress.advance()
    catalog = Catalog(root=root.resolve(), rows=tuple(rows[path] for path in sorted(rows)))
    progress.finish(summarise(catalog))
    catalog = replace(catalog, notes=layout.notes())
    for note in catalog.notes:
        progress.note(note)
    return catalog, store


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


def _row_left_out(file: FoundFile) -> CatalogRow:
    return _row(file, sha256="", reason=file.problem)


def _read(
    file: FoundFile, *, preprocess: Preprocess | None
) -> tuple[CatalogRow, NDArray[np.uint8] | None]:
    """Read one file, once; runs on any thread."""
    if file.num_bytes > MAX_FILE_BYTES:
        reason = f"{file.num_bytes / 2**30:.1f} GiB, more than the 1 GiB allowed for one photo"
        return _row(file, sha256="", reason=reason), None
    try:
        content = file.source.read_bytes()
    except OSError as error:
        return _row(file, sha256="", reason=f"cannot be read: {error.strerror}"), None
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        decoded = decode(content) if preprocess is None else preprocess.decode(content)
    except UnreadableImage as error:
        reason = _reason(str(error), path=file.path)
        return _row(file, sha256=sha256, reason=reason), None
    pixels_SSC = None if preprocess is None else preprocess.to_pixels(decoded.image)
    return _row(file, sha256=sha256, decoded=decoded), pixels_SSC


def _row(
    file: FoundFile, *, sha256: str, reason: str = "", decoded: Decoded | None = None
) -> CatalogRow:
    repairs = _repairs(decoded, path=file.path) if decoded else ()
    return CatalogRow(
        path=file.path,
        label=file.label,
        width=decoded.width if decoded else None,
        height=decoded.height if decoded else None,
        num_bytes=file.num_bytes,
        sha256=sha256,
        status="excluded" if decoded is None else "repaired" if repairs else "used",
        reason=reason or "; ".join(repairs),
        layout_split=file.layout_split,
    )


def _repairs(decoded: Decoded, *, path: str) -> Sequence[str]:
    extension = PurePosixPath(path).suffix
    if not has_image_name(path) or extension.lower() in EXTENSIONS[decoded.format]:
        return decoded.repairs
    return (f"{decoded.format} file named {extension}", *decoded.repairs)


def _reason(text: str, *, path: str) -> str:
    """Tell what was never meant as a photo (LICENSE, notes.abc) from a photo that is lost."""
    if text.startswith(NOT_IMAGE) and not has_image_name(path):
        return f"{NOT_IMAGE} ({PurePosixPath(path).suffix.lower() or 'no extension'})"
    return text
