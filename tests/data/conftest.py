"""Catalogs of photos that are made up: what a split divides, without a file or a picture."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.data.catalog import Catalog, CatalogRow

PhotoRow = Callable[..., CatalogRow]
CatalogOf = Callable[..., Catalog]


@pytest.fixture(scope="session")
def photo_row() -> PhotoRow:
    """Return `photo_row(path, content=..., split=...)`; see `_row`."""
    return _row


@pytest.fixture(scope="session")
def catalog_of() -> CatalogOf:
    """Return `catalog_of(*rows)`, a catalog of these rows."""
    return _catalog


@pytest.fixture(scope="session")
def plain() -> CatalogOf:
    """Return `plain(cat=3, dog=2)`, a catalog of so many photos a class, no two of them alike."""

    def make(**sizes: int) -> Catalog:
        names = [f"{label}/{number}.jpg" for label, size in sizes.items() for number in range(size)]
        return _catalog(*(_row(name) for name in names))

    return make


def _row(path: str, *, content: str | None = None, split: str | None = None) -> CatalogRow:
    """Return a usable photo; `content` is what its bytes are, by default its own."""
    return CatalogRow(
        path=path,
        label=path.split("/")[-2],
        width=1,
        height=1,
        num_bytes=1,
        sha256=hashlib.sha256((content or path).encode()).hexdigest(),
        status="used",
        reason="",
        layout_split=split,
    )


def _catalog(*rows: CatalogRow) -> Catalog:
    return Catalog(root=Path("photos"), rows=tuple(sorted(rows, key=lambda row: row.path)))
