"""Surveys of photos that are made up: what a check looks at, without a file or a picture."""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.audit.duplicates import Duplicates
from fieldmark.audit.survey import Survey
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cues import THUMBNAIL_PX, Cues

OWN = {"content", "status", "reason", "size", "is_readable"}
MakePhoto = Callable[..., "Photo"]
MakeSurvey = Callable[..., Survey]


def textured(seed: int, *, low: int = 20, high: int = 235) -> NDArray[np.uint8]:
    """Return a thumbnail of coloured noise between two levels."""
    shape = (THUMBNAIL_PX, THUMBNAIL_PX, 3)
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One file of a made-up folder."""

    path: str
    content: str = ""
    """Photos with the same content are copies; nothing makes it unlike all others."""
    status: str = "used"
    reason: str = ""
    size: tuple[int, int] = (200, 150)
    is_readable: bool = True
    cues: dict[str, Any] = field(default_factory=dict)
    """What differs from an ordinary photo."""

    def row(self) -> CatalogRow:
        """Return its row in the catalog."""
        content = (self.content or self.path).encode()
        return CatalogRow(
            path=self.path,
            label=self.path.rpartition("/")[0].partition("/")[0],
            width=self.size[0] if self.is_readable else None,
            height=self.size[1] if self.is_readable else None,
            num_bytes=1000,
            sha256=hashlib.sha256(content).hexdigest(),
            status=self.status,  # type: ignore[arg-type]
            reason=self.reason,
        )

    def measured(self) -> Cues:
        """Return its cues."""
        seed = int(self.row().sha256[:8], 16)
        ordinary = Cues(
            format="JPEG",
            mode="RGB",
            camera="",
            orientation=1,
            stored_width=self.size[0],
            stored_height=self.size[1],
            brightness=120.0,
            contrast=55.0,
            sharpness=0.8,
            thumbnail_SSC=textured(seed),
        )
        return replace(ordinary, **self.cues)


@pytest.fixture(scope="session")
def photo() -> MakePhoto:
    """Return `photo(path, ...)`; what is given beyond the fields of `Photo` changes its cues."""

    def make(path: str, **given: Any) -> Photo:
        own = {name: given.pop(name) for name in OWN & given.keys()}
        return Photo(path=path, cues=given, **own)

    return make


@pytest.fixture(scope="session")
def survey_of() -> MakeSurvey:
    """Return `survey_of(photos, near=..., **fields)`; exact copies are found by themselves."""

    def make(photos: list[Photo], *, near: Any = (), **fields: Any) -> Survey:
        rows = tuple(sorted((one.row() for one in photos), key=lambda row: row.path))
        catalog = Catalog(root=Path("photos"), rows=rows)
        copies: dict[str, list[str]] = defaultdict(list)
        for row in catalog.usable:
            copies[row.sha256].append(row.path)
        exact = tuple(tuple(paths) for paths in copies.values() if len(paths) > 1)
        tied = tuple((pair.first, pair.second) for pair in near)
        return Survey(
            catalog=catalog,
            cues={one.path: one.measured() for one in photos if one.row().is_usable},
            duplicates=Duplicates(exact=exact, near=tuple(near), groups=(*exact, *tied)),
            **fields,
        )

    return make
