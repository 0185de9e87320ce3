"""A bundle as one file: a zip archive of a few files by fixed names, read into memory only.

In: a bundle's folder, or a `.fieldmark` file from anywhere. Out: the file, or its parts as bytes.
The archive's directory is looked at before anything else, so that what is hostile costs nothing:
names that lead elsewhere, links, parts that are too large, packed, encrypted or there twice.
"""

import io
import stat
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from fieldmark.base.errors import BundleError
from fieldmark.base.files import write_bytes

SUFFIX = ".fieldmark"

MAX_PARTS = 32
MAX_DIRECTORY_BYTES = 1 << 16
"""A directory of that many parts with plain names takes a twentieth of this."""
_END = struct.Struct("<4s4H2LH")
"""The end of a zip archive (APPNOTE 6.3.10, section 4.3.16), up to its comment."""
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_LARGER, _LARGER_BYTES = b"PK\x06\x06", 56
"""Zip64's locator, which stands right before the end, and the record that it locates."""
_MAGIC = b"PK\x05\x06"
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The date of every part, so that the same bundle gives the same file."""
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16


def write_zipped(folder: Path, file: Path, *, names: Sequence[str]) -> None:
    """Write files of a bundle's folder as one archive, atomically and the same every time.

    Args:
        folder: the bundle.
        file: to write.
        names: those of the folder's files to take; those that are not there are left out.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            if (folder / name).is_file():
                part = zipfile.ZipInfo(name, date_time=_EARLIEST)
                part.external_attr = _PLAIN_FILE
                archive.writestr(part, (folder / name).read_bytes())
    write_bytes(file, buffer.getvalue())


def read_zip(path: Path, *, limits: Mapping[str, int]) -> dict[str, bytes]:
    """Return the parts of an archive by name.

    Args:
        path: of the archive.
        limits: how many bytes each part may have, by name; no other part may be there.

    Raises:
        BundleError: it is no archive, it is damaged, or something in it is not allowed.
    """
    try:
        with path.open("rb") as stream:
            _check_size(stream, path)
            with zipfile.ZipFile(stream) as archive:
                for part in archive.infolist():
                    _check(part, path=path, limits=limits)
                _check_unique(archive.namelist(), path)
                return {part.filename: _read(archive, part, path) for part in archive.infolist()}
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"{path} is no bundle: it is no zip archive, or a damaged one ({error}). Take a fresh "
            "copy of it."
        ) from error


def _check_size(stream: BinaryIO, path: Path) -> None:
    """Look at the end of the archive for how large its directory is, before that is read."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - (1 << 16) - _END.size))
    tail = stream.read()
    place = tail.rfind(_MAGIC)
    if place < 0 or len(tail) < place + _END.size:
        raise BundleError(
            f"{path} is no bundle: it is no zip archive, or the end of it is missing."
        )
    _, _, _, _, num_parts, num_bytes, _, _ = _END.unpack_from(tail, place)
    if (larger := _larger_end(tail, place, begin=size - len(tail))) is not None:
        num_parts, num_bytes = larger
    if num_parts > MAX_PARTS or num_bytes > MAX_DIRECTORY_BYTES:
        raise BundleError(
            f"{path} is no bundle: it has {num_parts:,} parts, and a bundle at most {MAX_PARTS}."
        )
    stream.seek(0)


def _larger_end(tail: bytes, place: int, *, begin: int) -> tuple[int, int] | None:
    """Return the parts and bytes of the directory by zip64's record, which zipfile believes more.

    Args:
        tail: of the archive, with the plain end record at `place`.
        place: as it says.
        begin: where in the archive the tail begins.

    Raises:
        ValueError: there is such a record, but not where the archive says.
    """
    locator = tail[max(0, place - _LOCATOR_BYTES) : place]
    if locator[:4] != _LOCATOR:
        return None
    record = tail[max(0, place - _LOCATOR_BYTES - _LARGER_BYTES) : place - _LOCATOR_BYTES]
    (at,) = struct.unpack_from("<Q", locator, 8)
    if record[:4] != _LARGER or at != begin + place - _LOCATOR_BYTES - _LARGER_BYTES:
        raise ValueError("its end makes no sense")
    num_parts, num_bytes = struct.unpack_from("<QQ", record, 32)
    return num_parts, num_bytes


def _check(part: zipfile.ZipInfo, *, path: Path, limits: Mapping[str, int]) -> None:
    name = part.orig_filename
    if name not in limits or part.filename != name:
        raise BundleError(
            f"{path} is no bundle: it holds {name!r}, and a bundle only {', '.join(limits)}."
        )
    kind = stat.S_IFMT(part.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise BundleError(f"{path} is no bundle: {name} in it is a link, or no plain file.")
    if part.flag_bits & 1 or part.compress_type != zipfile.ZIP_STORED:
        raise BundleError(
            f"{path} is no bundle: {name} in it is encrypted or compressed, and weights hardly get "
            "smaller. Pack it with 'fieldmark export', or with zip -0."
        )
    if part.file_size > limits[name]:
        raise BundleError(
            f"{path} is no bundle: {name} in it has {part.file_size:,} bytes, and may have "
            f"{limits[name]:,}."
        )


def _check_unique(names: Sequence[str], path: Path) -> None:
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise BundleError(f"{path} is no bundle: it holds {twice[0]} more than once.")


def _read(archive: zipfile.ZipFile, part: zipfile.ZipInfo, path: Path) -> bytes:
    with archive.open(part) as stream:
        content = stream.read(part.file_size + 1)
    if len(content) != part.file_size:
        raise BundleError(f"{path} is damaged: {part.filename} in it is longer than it says.")
    return content
