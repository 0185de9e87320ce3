"""A folder that holds the same photos a second time in another folder, as archives do.

In: the catalog. Out: the two folders, and a sentence that says which one to give.
Not covered: copies that lie here and there (`checks_duplicates`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, islice

from fieldmark.data.catalog import Catalog

MIRRORED_SHARE = 0.9
"""Share of the distinct photos that must lie in both folders, in the same place below each."""
MIN_DEPTH = 2
"""Names in a photo's path within a folder of classes: at least the class and the file."""
MAX_COPIES = 8
"""Copies of one photo that are compared with each other: more say nothing new."""

Parts = tuple[str, ...]


def mirrored_folders(catalog: Catalog) -> tuple[str, str] | None:
    """Return the folder to give and the one that repeats it, relative to the folder of photos.

    Of two folders of which one lies in the other, the inner one is to be given, since the outer
    one holds both; else the one with more photos, the one less deep, the first by name. The folder
    of photos itself is named by nothing, and is always second.
    """
    below: dict[tuple[Parts, Parts], list[Parts]] = defaultdict(list)
    num_distinct = 0
    for copies in _copies(catalog):
        num_distinct += 1
        for one, other in combinations(islice(copies, MAX_COPIES), 2):
            place = _common_end(one, other)
            if len(place) >= MIN_DEPTH:
                folders = one[: len(one) - len(place)], other[: len(other) - len(place)]
                below[min(folders), max(folders)].append(place)
    if not below:
        return None
    (first, second), places = min(below.items(), key=lambda item: (-len(item[1]), item[0]))
    shared = _shared_start(places)
    holds_classes = len({place[len(shared)] for place in places}) > 1
    if len(set(places)) < MIRRORED_SHARE * num_distinct or not holds_classes:
        return None
    give, repeated = _ordered((*first, *shared), (*second, *shared), catalog)
    return "/".join(give), "/".join(repeated)


def describe_mirrored(catalog: Catalog, folders: tuple[str, str]) -> str:
    """Say which folder repeats which, and which one to give."""
    keep, other = folders
    num_photos = len({row.sha256 for row in catalog.usable if row.path.startswith(f"{keep}/")})
    where = other or "The folder of photos itself"
    return f"{where} holds the same {num_photos:,} photos as {keep}. Give PHOTOS/{keep}."


def _copies(catalog: Catalog) -> Iterator[list[Parts]]:
    """Yield the paths of each distinct photo, split at the slashes."""
    by_content: dict[str, list[Parts]] = defaultdict(list)
    for row in catalog.usable:
        by_content[row.sha256].append(tuple(row.path.split("/")))
    yield from by_content.values()


def _ordered(one: Parts, other: Parts, catalog: Catalog) -> tuple[Parts, Parts]:
    outer, inner = sorted((one, other), key=len)
    if inner[: len(outer)] == outer:
        return inner, outer
    give, repeated = sorted((one, other), key=lambda folder: _rank(folder, catalog))
    return give, repeated


def _rank(folder: Parts, catalog: Catalog) -> tuple[int, int, Parts]:
    start = "/".join((*folder, ""))
    num_photos = sum(row.path.startswith(start) for row in catalog.usable)
    return -num_photos, len(folder), folder


def _common_end(one: Parts, other: Parts) -> Parts:
    """Return the last names that two paths share."""
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _shared_start(places: Sequence[Parts]) -> Parts:
    """Return the folders around all classes: an archive's own, within both folders."""
    start: Parts = ()
    while all(len(place) > len(start) + MIN_DEPTH for place in places):
        tops = Counter(place[len(start)] for place in places)
        if len(tops) > 1:
            break
        start = (*start, *tops)
    return start
