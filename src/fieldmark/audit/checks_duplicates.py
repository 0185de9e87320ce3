"""Checks of photos that are there more than once, alone or in two places that should differ.

In: a `Survey`. Out: one finding for each check, or None; and the folder that is there twice.
Not covered: finding duplicates (`duplicates`); keeping them on one side (`data.splits`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from fieldmark.audit.duplicates import NearPair
from fieldmark.audit.findings import Evidence, Finding, Severity
from fieldmark.audit.mirrored import describe_mirrored, mirrored_folders
from fieldmark.audit.survey import Survey, make_finding, severity_of
from fieldmark.base.counting import counted
from fieldmark.data.groups import United, crossing
from fieldmark.data.split_table import TEST, TRAIN, VALIDATION

TWICE_SHARE = 0.9
"""Share of the distinct photos that must be there at least twice for the dataset to be: an archive
that holds a folder twice, from which a few files were lost, but no folder that merely has many
copies. The published archive of natural-images has all of its 6,899 twice."""
NUM_EXAMPLES = 20
"""Copies shown where all photos are copies."""
MAX_COMPANIONS = 5
"""Companions on earlier sides listed with a photo: of a patient with a thousand photos on each of
two sides they would be a million paths, and one tells what the leak is."""
EARLIER = {TRAIN: "training", VALIDATION: "validation"}
"""The sides that a later one must not share photos with, in words."""


def copies_within(survey: Survey) -> Finding | None:
    """FM301: the same bytes several times in one class."""
    labels = _labels(survey)
    groups = _largest_first(
        group for group in survey.duplicates.exact if len(_labels_of(group, labels)) == 1
    )
    if not groups or is_contained_twice(survey):
        return None
    surplus = sum(len(group) - 1 for group in groups)
    summary = (
        f"{counted(surplus, 'photo')} {'repeats' if surplus == 1 else 'repeat'} another of the "
        f"same class byte for byte, in {counted(len(groups), 'group')}."
    )
    evidence = [Evidence(paths=group, detail=f"{len(group)} copies") for group in groups]
    return make_finding("FM301", severity_of(surplus, survey), summary, evidence)


def copies_under_two_labels(survey: Survey) -> Finding | None:
    """FM302: the same bytes in two classes."""
    labels = _labels(survey)
    groups = _largest_first(
        group for group in survey.duplicates.exact if len(_labels_of(group, labels)) > 1
    )
    if not groups or mirrored_folders(survey.catalog):
        return None
    lie = "photo lies" if len(groups) == 1 else "photos lie"
    summary = f"{len(groups):,} {lie} under two labels or more, byte for byte the same."
    evidence = [Evidence(paths=group, detail=_named(group, labels)) for group in groups]
    return make_finding("FM302", "error", summary, evidence)


def near_within(survey: Survey) -> Finding | None:
    """FM303: nearly the same picture several times in one class."""
    labels = _labels(survey)
    pairs = [pair for pair in survey.duplicates.near if labels[pair.first] == labels[pair.second]]
    if not pairs:
        return None
    clusters = _clusters(pairs)
    num_photos = sum(len(paths) for paths, _ in clusters)
    summary = (
        f"{counted(num_photos, 'photo')} in {counted(len(clusters), 'group')} show nearly the "
        "same picture within one class."
    )
    evidence = [Evidence(paths=paths, detail=_likeness(of)) for paths, of in clusters]
    severity = severity_of(num_photos - len(clusters), survey)
    return make_finding("FM303", severity, summary, evidence)


def near_under_two_labels(survey: Survey) -> Finding | None:
    """FM304: nearly the same picture in two classes."""
    labels = _labels(survey)
    pairs = [pair for pair in survey.duplicates.near if labels[pair.first] != labels[pair.second]]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: (-pair.similarity, pair.first, pair.second))
    show = "pair of photos shows" if len(pairs) == 1 else "pairs of photos show"
    summary = f"{len(pairs):,} {show} nearly the same picture under two labels."
    evidence = [
        Evidence(
            paths=(pair.first, pair.second),
            detail=f"{_likeness([pair])}; {_named((pair.first, pair.second), labels)}",
        )
        for pair in pairs
    ]
    return make_finding("FM304", "warning", summary, evidence)


def across_the_split(survey: Survey) -> Finding | None:
    """FM305: photos of a later side whose group also stands on an earlier one."""
    groups = {row.path: survey.group(row.path) for row in survey.catalog.usable}
    sides = {path: side for path, side in survey.sides.items() if path in groups}
    leaked = {side: crossing(sides, groups, side=side) for side in (TEST, VALIDATION)}
    if not any(leaked.values()):
        return None
    told = [
        f"{len(companions):,} of "
        + counted(sum(given == side for given in sides.values()), f"{side} photo")
        for side, companions in leaked.items()
        if companions
    ]
    have = "has" if sum(map(len, leaked.values())) == 1 else "have"
    met = {sides[path] for companions in leaked.values() for of in _once(companions) for path in of}
    earlier = _in_words(met)
    kept = survey.split.leaks == "keep"
    what = "kept, so the accuracy flatters" if kept else "left out"
    summary = (
        f"{' and '.join(told)} {have} a copy, a near-duplicate or a photo of the same group "
        f"in {earlier}; the copies there are {what}."
    )
    severity: Severity = "error" if kept else "warning"
    return make_finding("FM305", severity, summary, _torn(survey, sides, leaked))


def contained_twice(survey: Survey) -> Finding | None:
    """FM306: nearly every photo is there at least twice."""
    if not is_contained_twice(survey):
        return None
    groups = _largest_first(survey.duplicates.exact)
    num_files, num_distinct = len(survey.catalog.usable), _num_distinct(survey)
    summary = (
        f"{len(groups):,} of {counted(num_distinct, 'different photo')} are there at least "
        f"twice: {counted(num_files, 'file')} in all."
    )
    if folders := mirrored_folders(survey.catalog):
        summary = describe_mirrored(survey.catalog, folders)
    examples = [Evidence(paths=group, detail="for example") for group in groups[:NUM_EXAMPLES]]
    return make_finding("FM306", "error", summary, examples)


def is_contained_twice(survey: Survey) -> bool:
    """Say whether nearly every photo is there at least twice, byte for byte."""
    num_twice = len(survey.duplicates.exact)
    return num_twice > 1 and num_twice >= TWICE_SHARE * _num_distinct(survey)


def _num_distinct(survey: Survey) -> int:
    return len({row.sha256 for row in survey.catalog.usable})


def _labels(survey: Survey) -> dict[str, str]:
    return {row.path: row.label for row in survey.catalog.usable}


def _labels_of(paths: Sequence[str], labels: Mapping[str, str]) -> list[str]:
    return sorted({labels[path] for path in paths})


def _named(paths: Sequence[str], labels: Mapping[str, str]) -> str:
    return " and ".join(f"'{label}'" for label in _labels_of(paths, labels))


def _largest_first(groups: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return sorted(groups, key=lambda group: (-len(group), group))


def _clusters(pairs: Sequence[NearPair]) -> list[tuple[tuple[str, ...], list[NearPair]]]:
    """Return the photos tied together by pairs, and those pairs, the largest clusters first."""
    united = United()
    for pair in pairs:
        united.unite(pair.first, pair.second)
    tied: dict[str, list[NearPair]] = defaultdict(list)
    for pair in pairs:
        tied[united.smallest(pair.first)].append(pair)
    clusters = [
        (tuple(sorted({path for pair in of for path in (pair.first, pair.second)})), of)
        for of in tied.values()
    ]
    return sorted(clusters, key=lambda cluster: (-len(cluster[0]), cluster[0]))


def _likeness(pairs: Sequence[NearPair]) -> str:
    """Return `"mirrored, 98 % alike"`, or the range over several pairs."""
    alike = sorted(round(100 * pair.similarity) for pair in pairs)
    low, high = alike[0], alike[-1]
    percent = f"{low} % alike" if low == high else f"{low} to {high} % alike"
    turns = sorted({pair.turn for pair in pairs} - {""})
    return ", ".join([*turns, percent])


def _torn(
    survey: Survey, sides: Mapping[str, str], leaked: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[Evidence]:
    """Return each photo with those of its group on earlier sides, exact copies first.

    Photos of one group share their companions, so that these are looked through once a group.
    """
    digests = {row.path: row.sha256 for row in survey.catalog.usable}
    copies: list[Evidence] = []
    others: list[Evidence] = []
    for side, companions in leaked.items():
        by_content = {
            id(of): {digests[path]: path for path in reversed(of)} for of in _once(companions)
        }
        for path, of in companions.items():
            copy = by_content[id(of)].get(digests[path])
            piece = _piece(path, of, copy=copy, side=side, sides=sides)
            (copies if copy else others).append(piece)
    return [*copies, *others]


def _piece(
    path: str, of: Sequence[str], *, copy: str | None, side: str, sides: Mapping[str, str]
) -> Evidence:
    """Return a photo with its first companions, the one with the same bytes before all."""
    first = [copy] if copy else []
    rest = [other for other in of[: MAX_COMPANIONS + 1] if other != copy]
    shown = [*first, *rest][:MAX_COMPANIONS]
    where = _in_words({sides[other] for other in first or shown})
    what = "with the same bytes in" if copy else "the rest of its group is in"
    detail = f"the first is a {side} photo, {what} {where}"
    if more := len(of) - len(shown):
        detail += f"; {more:,} more of its group are not listed"
    return Evidence(paths=(path, *shown), detail=detail)


def _once(companions: Mapping[str, Sequence[str]]) -> Collection[Sequence[str]]:
    """Return each sequence of companions once, however many photos share it."""
    return {id(of): of for of in companions.values()}.values()


def _in_words(sides: Collection[str]) -> str:
    """Return `"training and validation"`, or the one of them that there is."""
    return " and ".join(word for side, word in EARLIER.items() if side in sides)
