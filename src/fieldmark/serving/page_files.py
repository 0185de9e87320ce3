"""The files of the page, read once when a server is started.

In: the folder `page` of this package. Out: each file with its type. Nothing else is ever served.
"""

from dataclasses import dataclass
from importlib import resources

FOLDER = "page"
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
"""The kinds of files that a page may have."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page."""

    content: bytes
    media_type: str


def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their address, `/` for its index; empty without a page."""
    folder = resources.files("fieldmark.serving").joinpath(FOLDER)
    if not folder.is_dir():
        return {}
    found = {}
    for file in folder.iterdir():
        _, dot, ending = file.name.rpartition(".")
        media_type = TYPES.get(f"{dot}{ending}")
        if media_type is not None and file.is_file():
            found[f"/{file.name}"] = PageFile(file.read_bytes(), media_type)
    if f"/{INDEX}" in found:
        found["/"] = found[f"/{INDEX}"]
    return found
