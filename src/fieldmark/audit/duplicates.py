"""Which photos are there more than once: byte for byte, or nearly the same picture.

In: a catalog and the cues of its photos. Out: `Duplicates`.
Not covered: how pictures are compared (`similarity`); what it means for the folder (`checks`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from fieldmark.audit.similarity import Groups, SimilarPair, find_similar
from fieldmark.base.cache import remembered
from fieldmark.data.catalog import Catalog
from fieldmark.data.cue_cache import CUES_VERSION
from fieldmark.data.cues import Cues

SIMILARITY_VERSION = 1
"""Raised whenever the same pictures would give other pairs."""
LIBRARIES = ("numpy", "scipy", "pillow")
"""Another version of these may give other pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two photos of different content that show nearly the same picture."""

    first: str
    """Path of the one; of photos with the same bytes, the first by path stands for all."""
    second: str
    """Path of the other, after `first` in the order of strings."""
    similarity: float
    """Correlation of the two pictures once one is laid over the other, close to 1."""
    turn: str
    """What to do to the second so that it shows what the first does, such as "mirrored" or
    "turned 90" (clockwise); nothing where both stand the same way up, as they lie in the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What is there more than once in a folder; all of it sorted by path."""

    exact: tuple[tuple[str, ...], ...]
    """Groups of at least two photos with the same bytes."""
    near: tuple[NearPair, ...]
    """Pairs of photos that show nearly the same picture."""
    groups: tuple[tuple[str, ...], ...]
    """Groups of at least two photos that are tied together by either, directly or over others."""


def find_duplicates(catalog: Catalog, cues: Mapping[str, Cues]) -> Duplicates:
    """Find the photos that are there more than once.

    Args:
        catalog: the photos; only those that can be used are looked at.
        cues: what is measured of each of them, by path.

    Raises:
        KeyError: a photo has no cues.
    """
    paths_by_content: defaultdict[str, list[str]] = defaultdict(list)
    for path, content in sorted((row.path, row.sha256) for row in catalog.usable):
        paths_by_content[content].append(path)
    copies = sorted(paths_by_content.values())
    first_paths = [paths[0] for paths in copies]
    near = tuple(_near(first_paths, _pairs(first_paths, catalog, cues)))
    return Duplicates(
        exact=tuple(tuple(paths) for paths in copies if len(paths) > 1),
        near=near,
        groups=_tied_together(copies, near),
    )


def _pairs(
    paths: Sequence[str], catalog: Catalog, cues: Mapping[str, Cues]
) -> Sequence[SimilarPair]:
    """Return the similar pairs among photos of different content, remembered by their content."""
    if not paths:
        return ()
    sha256s = {row.path: row.sha256 for row in catalog.usable}
    depends_on = {
        "photos": [sha256s[path] for path in paths],
        "version": [SIMILARITY_VERSION, CUES_VERSION],
        "libraries": {name: version(name) for name in LIBRARIES},
    }

    def compute() -> dict[str, Any]:
        pairs = find_similar(np.stack([cues[path].thumbnail_SSC for path in paths]))
        return {"pairs": [asdict(pair) for pair in pairs]}

    return remembered(
        "copies",
        depends_on,
        compute,
        read=lambda known: [SimilarPair(**pair) for pair in known["pairs"]],
    )


def _near(paths: Sequence[str], pairs: Iterable[SimilarPair]) -> Iterator[NearPair]:
    for pair in pairs:
        yield NearPair(
            first=paths[pair.first],
            second=paths[pair.second],
            similarity=pair.similarity,
            turn=pair.turn,
        )


def _tied_together(
    copies: list[list[str]], near: tuple[NearPair, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the groups that copies (each a list of paths with the same bytes) and pairs form."""
    index = {paths[0]: number for number, paths in enumerate(copies)}
    groups = Groups(len(copies))
    for pair in near:
        groups.join(index[pair.first], index[pair.second])
    members: defaultdict[int, list[str]] = defaultdict(list)
    for paths, root in zip(copies, groups.roots().tolist(), strict=True):
        members[root] += paths
    return tuple(sorted(tuple(sorted(paths)) for paths in members.values() if len(paths) > 1))
