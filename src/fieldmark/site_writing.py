"""A site that classifies in the visitor's own browser: what `exporting` does for the format "web".

In: a checked ONNX model, and ONNX Runtime's files for browsers. Out: a folder that any host of
static files serves: the page of `fieldmark serve` with another `asker.js`, the model, what is known
of it (`model.json`), and licences.
Not covered: making the model (`onnx_writing`); sending the files with HTTPS, which is the host's.
"""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path

from fieldmark.base.errors import ExportError
from fieldmark.base.files import TEMPORARY, write_bytes, write_json
from fieldmark.onnx_writing import Prepared

PAGE, IN_BROWSER = "page", "browser"
"""Folders of `fieldmark.serving`: the page, and within it what takes the place of a server."""
MODEL, DESCRIPTION = "model.onnx", "model.json"
RUNTIME = "onnxruntime"
"""The installed package, whose licence is that of its files for browsers, too."""
LICENCES = {
    "LICENSE": "onnxruntime-licence.txt",
    "ThirdPartyNotices.txt": "onnxruntime-notices.txt",
}
"""Of that package, and what they are called on the site."""


def page_of_site() -> Mapping[str, bytes]:
    """Return the content of the page's files and of licences, by name, as they are installed.

    Raises:
        ExportError: one of them is missing.
    """
    page = resources.files("fieldmark.serving").joinpath(PAGE)
    found: dict[str, bytes] = {}
    try:
        # What is in `browser` comes last, since it takes the place of what asks a server.
        for source in (page, page.joinpath(IN_BROWSER)):
            found |= {file.name: file.read_bytes() for file in source.iterdir() if file.is_file()}
        found |= _licences()
    except OSError as error:
        raise ExportError(
            f"{error.filename or page}, which every site needs, cannot be read: "
            f"{error.strerror or error}. Install Fieldmark and {RUNTIME} anew."
        ) from error
    return found


def write_site(place: Path, prepared: Prepared, *, name: str, files: Mapping[str, bytes]) -> None:
    """Write a site.

    Args:
        place: the folder, new or empty.
        prepared: the model, which takes photos of any size.
        name: what it is called on the page.
        files: the content of the page's files and of ONNX Runtime's for browsers, by name.

    Raises:
        ExportError: the folder cannot be written.
    """
    known = {key: value for key, value in prepared.form.to_json().items() if key != "parity"}
    try:
        with _becoming(place) as folder:
            for file_name, content in files.items():
                write_bytes(folder / file_name, content)
            write_json(folder / DESCRIPTION, {"name": name, **known})
            write_bytes(folder / MODEL, prepared.model.SerializeToString())
    except OSError as error:
        which = f" ({Path(str(error.filename)).name})" if error.filename else ""
        raise ExportError(
            f"{place} cannot be written: {error.strerror or error}{which}. Choose another --out."
        ) from error


def size_of(place: Path) -> int:
    """Return the bytes of all files of a site."""
    return sum(file.stat().st_size for file in place.iterdir())


def _licences() -> dict[str, bytes]:
    return {
        LICENCES[file.name]: Path(str(file.locate())).read_bytes()
        for file in metadata.files(RUNTIME) or ()
        if file.parent.name == RUNTIME and file.name in LICENCES
    }


@contextmanager
def _becoming(place: Path) -> Iterator[Path]:
    """Yield a folder beside `place` that takes its place once all is written, else goes away."""
    staging = place.parent / TEMPORARY.replace("*", secrets.token_hex(8))
    staging.mkdir(parents=True)
    try:
        yield staging
        if place.is_dir():
            place.rmdir()
        staging.rename(place)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
