"""The files of a bundle as bytes, each one read once, bounded and verified before it is parsed.

In: a folder, or one `.fieldmark` file. Out: `BundleFiles`, what the manifest vouches for.
Nothing is unpacked: of a `.fieldmark` file the parts are read into memory (see `zipped`), so no
path in it can lead anywhere.
Not covered: what the files say (`bundle`), and who signed them (`signing`).
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.base.errors import BundleError
from fieldmark.base.run_folder import check_schema
from fieldmark.models.foreign import refuse_foreign
from fieldmark.models.zipped import read_zip

SCHEMA_VERSION = 4
"""2: heads other than linear, and views; before, there was one view and a linear head. 3: a fitted
temperature and the thresholds of a `DecisionRule`; before, nothing was fitted. 4: golden photos and
metrics, and a score for unfamiliar photos; before, nothing was replayed, and nothing said of such
photos."""

WEIGHTS, DESCRIPTION, MANIFEST = "model.safetensors", "model.json", "MANIFEST.json"
GOLDEN, METRICS, FAMILIAR = "golden.safetensors", "metrics.json", "familiar.safetensors"
PHOTOS = "training_photos.safetensors"
CARD, SIGNATURE = "MODEL_CARD.md", "model.sig"
BESIDE = (CARD, SIGNATURE)
"""What the manifest does not vouch for: the card may be edited, the signature is of the rest."""

MIB = 1 << 20
MAX_BESIDE_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """A file that the manifest vouches for."""

    name: str
    since: int
    """The schema version from which on there is such a file."""
    max_bytes: int
    """Larger than this it is refused unread."""
    is_optional: bool = False
    """Whether a bundle may be without it."""


FILES = (
    BundleFile(name=WEIGHTS, since=1, max_bytes=16_384 * MIB),
    BundleFile(name=DESCRIPTION, since=1, max_bytes=16 * MIB),
    BundleFile(name=GOLDEN, since=4, max_bytes=512 * MIB),
    BundleFile(name=METRICS, since=4, max_bytes=256 * MIB, is_optional=True),
    BundleFile(name=FAMILIAR, since=4, max_bytes=512 * MIB, is_optional=True),
    BundleFile(name=PHOTOS, since=4, max_bytes=256 * MIB, is_optional=True),
)
"""All that a manifest may list."""
MAX_MANIFEST_BYTES = MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFiles:
    """The content of each file that the manifest vouches for, verified."""

    place: Path
    """The bundle: a folder, or a `.fieldmark` file."""
    contents: Mapping[str, bytes]
    manifest: bytes
    """The manifest itself."""
    signature: bytes
    """Of manifest and contents; empty where there is none."""

    def path(self, name: str) -> str:
        """Return what a file is called in messages."""
        return str(self.place / name)

    def __contains__(self, name: object) -> bool:
        return name in self.contents

    def __getitem__(self, name: str) -> bytes:
        return self.contents[name]

    def read_json(self, name: str) -> Mapping[str, Any]:
        """Return a JSON file that Fieldmark wrote.

        Raises:
            BundleError: it is not JSON, or of a newer Fieldmark.
        """
        return parse_json(self.contents[name], what=self.path(name))


def read_files(place: Path) -> BundleFiles:
    """Read and verify every file of a bundle.

    Raises:
        BundleError: it is none, or a file is missing, altered, too large or too new.
    """
    refuse_foreign(place)
    if place.exists() and not (place.is_dir() or place.is_file()):
        raise BundleError(f"{place} is no bundle: it is no folder and no plain file.")
    given = _in_folder(place) if place.is_dir() or not place.exists() else _in_zip(place)
    if MANIFEST not in given:
        raise BundleError(
            f"{place} is not a bundle: it has no {MANIFEST}. Give a run folder that finished, "
            "the folder 'model' in it, or a .fieldmark file."
        )
    manifest = parse_json(given[MANIFEST], what=str(place / MANIFEST))
    sums = _sums(manifest, what=str(place / MANIFEST))
    for name, expected in sums.items():
        if name not in given:
            raise BundleError(f"The bundle {place} is incomplete: {name} is missing.")
        if hashlib.sha256(given[name]).hexdigest() != expected:
            raise BundleError(
                f"{place / name} is not the file that was saved: its SHA-256 differs from the "
                "manifest. It was damaged or altered; take a fresh copy of the bundle."
            )
    return BundleFiles(
        place=place,
        contents={name: given[name] for name in sums},
        manifest=given[MANIFEST],
        signature=given.get(SIGNATURE, b""),
    )


@contextmanager
def laid_out(files: BundleFiles) -> Iterator[Path]:
    """Write verified files into a folder of their own, gone at the end, to add to them or sign."""
    with tempfile.TemporaryDirectory(prefix="fieldmark-") as name:
        folder = Path(name)
        for file, content in (*files.contents.items(), (MANIFEST, files.manifest)):
            (folder / file).write_bytes(content)
        yield folder


def parse_json(content: bytes, *, what: str) -> Mapping[str, Any]:
    """Return JSON that Fieldmark wrote.

    Raises:
        BundleError: it is not JSON, or of a newer Fieldmark; `what` names it.
    """
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{what} cannot be read: {error}.") from error
    check_schema(parsed, what=what, newest=SCHEMA_VERSION, error=BundleError)
    return dict(parsed)


def _sums(manifest: Mapping[str, Any], *, what: str) -> Mapping[str, str]:
    sums = manifest.get("sha256")
    known = {file.name: file for file in FILES if file.since <= manifest["schema_version"]}
    needed = [file.name for file in known.values() if not file.is_optional]
    if not isinstance(sums, dict) or not set(needed) <= set(sums) <= set(known):
        raise BundleError(f"{what} must list the sums of {' and '.join(needed)}.")
    return sums


def _limits() -> dict[str, int]:
    limits = {file.name: file.max_bytes for file in FILES}
    return limits | dict.fromkeys(BESIDE, MAX_BESIDE_BYTES) | {MANIFEST: MAX_MANIFEST_BYTES}


def _in_folder(folder: Path) -> dict[str, bytes]:
    contents = {}
    for name, limit in _limits().items():
        path = folder / name
        if path.is_symlink():
            raise BundleError(f"{path} is a link, and a bundle holds plain files only.")
        # Only regular files: reading a pipe would wait for ever.
        if path.is_file():
            contents[name] = _read(path, max_bytes=limit)
    return contents


def _read(path: Path, *, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            # To ask for as much as is allowed would take that much memory at once.
            content = stream.read(min(size, max_bytes) + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size > max_bytes or len(content) > max_bytes:
        raise BundleError(f"{path} is larger than the {max_bytes:,} bytes that it may have.")
    return content


def _in_zip(path: Path) -> dict[str, bytes]:
    return read_zip(path, limits=_limits())
