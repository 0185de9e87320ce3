"""One file of a folder, read once: its row in the catalog, its pixels, its cues.

In: a file that was found. Out: `Reading`; what cannot be read becomes a row with the reason.
Not covered: finding the files (`layout`), and what is done with all of them (`scan`).
"""

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cue_cache import CueCache
from fieldmark.data.cues import Cues, Inspected, inspect
from fieldmark.data.formats import EXTENSIONS, UnreadableImage
from fieldmark.data.images import Decoded, decode, repair_of_turn, sides_turned
from fieldmark.data.layout import NOT_IMAGE, FoundFile, extension_of, has_image_name
from fieldmark.data.photo_file import MAX_FILE_BYTES
from fieldmark.data.preprocess import Preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one file gave."""

    row: CatalogRow
    pixels_SSC: NDArray[np.uint8] | None = None
    """None where the file cannot be used, or nobody needs them."""
    cues: Cues | None = None
    """None where the file cannot be used, or nothing was to be measured."""
    found_out: Inspected | None = None
    """What the cache of cues did not know and should be told; None where there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads files, each once; from any thread or process."""

    preprocess: Preprocess | None
    """How a photo becomes pixels; None makes none."""
    cue_cache: CueCache | None
    """What is known of photos already, and only asked here; None measures nothing."""
    without_pixels: Container[str]
    """SHA-256 of the photos whose pixels nobody needs."""

    def read_some(self, files: Sequence[FoundFile]) -> list[Reading]:
        """Read several files, one after another."""
        return [self.read(file) for file in files]

    def read(self, file: FoundFile) -> Reading:
        """Read, hash, decode and measure one file."""
        if file.num_bytes > MAX_FILE_BYTES:
            reason = f"{file.num_bytes / 2**30:.1f} GiB, more than the 1 GiB allowed for one photo"
            return Reading(row=left_out(file, reason=reason))
        try:
            content = file.source.read_bytes()
        except OSError as error:
            return Reading(row=left_out(file, reason=f"cannot be read: {error.strerror}"))
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            return self._look(file, content, sha256=sha256)
        except UnreadableImage as error:
            reason = _reason(str(error), path=file.path)
            return Reading(row=left_out(file, reason=reason, sha256=sha256))

    def _look(self, file: FoundFile, content: bytes, *, sha256: str) -> Reading:
        known = self.cue_cache.get(sha256) if self.cue_cache else None
        if known is not None and known.problem:
            raise UnreadableImage(known.problem)
        decoded = pixels_SSC = None
        if self.preprocess is not None and sha256 not in self.without_pixels:
            decoded = self.preprocess.decode(content)
            pixels_SSC = self.preprocess.to_pixels(decoded.pixels_HW3)
        if self.cue_cache is None:
            row = _row_decoded(file, decoded or decode(content), sha256=sha256)
            return Reading(row=row, pixels_SSC=pixels_SSC)
        found_out = inspect(content, decoded=decoded) if known is None else None
        inspected = known or found_out
        assert inspected is not None
        if inspected.cues is None:
            reason = _reason(inspected.problem, path=file.path)
            row = left_out(file, reason=reason, sha256=sha256)
            return Reading(row=row, found_out=found_out)
        turns = self.preprocess is None or self.preprocess.orientation == "exif"
        row = _row_inspected(file, inspected.cues, inspected.repairs, sha256=sha256, turns=turns)
        return Reading(row=row, pixels_SSC=pixels_SSC, cues=inspected.cues, found_out=found_out)


def left_out(file: FoundFile, *, reason: str = "", sha256: str = "") -> CatalogRow:
    """Return the row of a file that is not used."""
    return CatalogRow(
        path=file.path,
        label=file.label,
        width=None,
        height=None,
        num_bytes=file.num_bytes,
        sha256=sha256,
        status="excluded",
        reason=reason or file.problem,
        layout_split=file.layout_split,
    )


def _row_decoded(file: FoundFile, decoded: Decoded, *, sha256: str) -> CatalogRow:
    repairs = (*_misnamed(decoded.format, path=file.path), *decoded.repairs)
    return _row(file, size=(decoded.width, decoded.height), repairs=repairs, sha256=sha256)


def _row_inspected(
    file: FoundFile, cues: Cues, repairs: Sequence[str], *, sha256: str, turns: bool
) -> CatalogRow:
    size = cues.stored_width, cues.stored_height
    of_turn: tuple[str, ...] = ()
    if turns:
        size, of_turn = sides_turned(size, cues.orientation), repair_of_turn(cues.orientation)
    told = (*_misnamed(cues.format, path=file.path), *repairs, *of_turn)
    return _row(file, size=size, repairs=told, sha256=sha256)


def _row(
    file: FoundFile, *, size: tuple[int, int], repairs: Sequence[str], sha256: str
) -> CatalogRow:
    return CatalogRow(
        path=file.path,
        label=file.label,
        width=size[0],
        height=size[1],
        num_bytes=file.num_bytes,
        sha256=sha256,
        status="repaired" if repairs else "used",
        reason="; ".join(repairs),
        layout_split=file.layout_split,
    )


def _misnamed(format_: str, *, path: str) -> tuple[str, ...]:
    if not has_image_name(path) or extension_of(path) in EXTENSIONS[format_]:
        return ()
    return (f"{format_} file named {PurePosixPath(path).suffix}",)


def _reason(text: str, *, path: str) -> str:
    """Tell what was never meant as a photo (LICENSE, notes.abc) from a photo that is lost."""
    if text.startswith(NOT_IMAGE) and not has_image_name(path):
        return f"{NOT_IMAGE} ({extension_of(path) or 'no extension'})"
    return text
