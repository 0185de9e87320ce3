"""Checks of the files themselves: readable, whole, rightly named, of usual colours and shapes.

In: a `Survey`. Out: one finding for each check, or None where there is nothing to say.
Thresholds were tried on the 6,899 photos of Natural Images: how many each flags stands with it.
Not covered: what the photos show (`checks_appearance`).
"""

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np

from fieldmark.audit.findings import Finding, Severity
from fieldmark.audit.survey import Survey, make_finding, severity_of, single, tally
from fieldmark.base.counting import counted
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.colour import REDUCED
from fieldmark.data.cues import Cues
from fieldmark.data.layout import NO_CLASS, has_image_name
from fieldmark.data.metadata import UPRIGHT

TRUNCATED = "truncated"
"""How the reason begins with which a photo that ends early is left out."""
MAX_GREY_SPREAD = 2
"""Difference between the channels, 0 to 255, up to which a photo shows no colour: JPEG stores a
grey photo with rounding errors of one or two. Flags 17 of 6,899, all of them grey."""
TELLING_SHARE = 0.05
"""Share of a class from which an unusual kind of colours marks the class."""
NEARLY_ALL = 0.9
"""Share of the photos of a kind that lie in one class where the kind marks it."""
CHANCE = 0.01
"""Odds below which that is no accident."""
MIN_SIDE_PX = 32
"""Shorter side below which there is little to see: the size of the pictures in CIFAR-10, of which
one practised person got about 6 % wrong (Karpathy, "Lessons learned from manually classifying
CIFAR-10", 2011). A choice; folders of such pictures throughout are taken as they are."""
MAX_AREA_RATIO = 64
"""Times the median area above which a photo is extreme: eight times as wide and high. 2 of 6,899;
at 16 it would be 61, all of them ordinary photos."""
MAX_ASPECT = 5.0
"""Longer over shorter side above which a photo is extreme: squashed to a square it is distorted
fivefold. 13 of 6,899, narrow cuts of airplanes; at 4 it would be 93."""

_MISNAMED = re.compile(r"^\w+ file named \.\w+")
_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_GREY = frozenset({"1", "L"})
_DEEP = ("I", "F")
COLOUR = "plain colour"


def unreadable(survey: Survey) -> Finding | None:
    """FM101: files meant as photos that cannot be read; every one is listed."""
    lost = [row for row in _lost(survey) if not row.reason.startswith(TRUNCATED)]
    if not lost:
        return None
    they = "it" if len(lost) == 1 else "they"
    return _of_lost("FM101", f"left out because {they} cannot be used", lost)


def truncated(survey: Survey) -> Finding | None:
    """FM102: photos whose data stop before their end; every one is listed."""
    lost = [row for row in _lost(survey) if row.reason.startswith(TRUNCATED)]
    if not lost:
        return None
    return _of_lost("FM102", "left out because the data stop before the end", lost)


def wrong_extension(survey: Survey) -> Finding | None:
    """FM103: photos whose content is of another format than their name says."""
    found = {
        row.path: match[0]
        for row in survey.catalog.usable
        if (match := _MISNAMED.match(row.reason))
    }
    if not found:
        return None
    summary = f"{_photos_are(len(found))} not what the name says: {tally(found.values())}."
    return make_finding("FM103", "info", summary, single(found))


def odd_mode(survey: Survey) -> Finding | None:
    """FM104: photos that hold their colours in another way than most of the folder.

    Plain colour is odd only where it marks a class, as where all other photos are grey.
    """
    kinds = {row.path: _kind(row, survey.cues[row.path]) for row in survey.catalog.usable}
    counts = Counter(kinds.values())
    if len(counts) < 2:
        return None
    usual = counts.most_common(1)[0][0]
    telling = _telling(survey, kinds, usual=usual)
    shown = {kind for kind in counts if kind != usual and (kind != COLOUR or kind in telling)}
    odd = [path for path, kind in kinds.items() if kind in shown]
    if not odd:
        return None
    odd.sort(key=lambda path: (kinds[path] not in telling, -counts[kinds[path]], kinds[path], path))
    of = tally(kinds[path] for path in odd)
    summary = f"{_photos_are(len(odd))} not like the rest, which is {usual}: {of}."
    summary = " ".join([summary, *telling.values()])
    severity: Severity = "warning" if telling else "info"
    return make_finding("FM104", severity, summary, single({path: kinds[path] for path in odd}))


def extreme_size(survey: Survey) -> Finding | None:
    """FM105: photos far smaller or larger than the rest."""
    sizes = {path: (cues.stored_width, cues.stored_height) for path, cues in survey.judged()}
    areas = {path: width * height for path, (width, height) in sizes.items()}
    usual_side = np.median([min(size) for size in sizes.values()]) if sizes else 0
    usual_area = np.median(list(areas.values())) if sizes else 0
    small = [path for path, size in sizes.items() if min(size) < MIN_SIDE_PX <= usual_side / 2]
    large = [path for path, area in areas.items() if area > MAX_AREA_RATIO * usual_area]
    if not small and not large:
        return None
    told = []
    if small:
        told.append(f"{counted(len(small), 'photo')} with a side below {MIN_SIDE_PX} pixels")
    if large:
        told.append(f"{counted(len(large), 'photo')} over {MAX_AREA_RATIO} times the median size")
    small.sort(key=lambda path: (min(sizes[path]), path))
    large.sort(key=lambda path: (-areas[path], path))
    evidence = single({path: "{} × {}".format(*sizes[path]) for path in (*small, *large)})
    summary = f"{' and '.join(told)}: extreme next to the rest."
    return make_finding("FM105", severity_of(len(small), survey), summary, evidence)


def extreme_aspect(survey: Survey) -> Finding | None:
    """FM106: photos many times as wide as high, or as high as wide."""
    odd = {}
    for path, cues in survey.judged():
        short, long = sorted((cues.stored_width, cues.stored_height))
        if long > MAX_ASPECT * short:
            odd[path] = long / short
    if not odd:
        return None
    summary = f"{_photos_are(len(odd))} over {MAX_ASPECT:g} times as long as wide."
    ordered = sorted(odd, key=lambda path: (-odd[path], path))
    evidence = single({path: f"{odd[path]:.1f} to 1" for path in ordered})
    return make_finding("FM106", severity_of(len(odd), survey), summary, evidence)


def rotation_overruled(survey: Survey) -> Finding | None:
    """FM107: photos whose metadata note a rotation that their pixels do not need."""
    if not survey.num_rotations_ignored:
        return None
    noted = {
        path: f"EXIF orientation {cues.orientation}"
        for path, cues in survey.judged()
        if cues.orientation != UPRIGHT
    }
    summary = (
        f"The metadata of {counted(survey.num_rotations_ignored, 'photo')} note a rotation that "
        "the pixels do not need; the photos are read as they lie."
    )
    return make_finding("FM107", "warning", summary, single(noted))


def _lost(survey: Survey) -> list[CatalogRow]:
    """Return the files that somebody will miss, commonest reason first.

    A file in no class folder, which was not opened, is a photo only if its name says so.
    """
    lost = [
        row
        for row in survey.catalog.rows
        if row.is_lost_photo and (row.reason != NO_CLASS or has_image_name(row.path))
    ]
    counts = Counter(row.reason for row in lost)
    return sorted(lost, key=lambda row: (-counts[row.reason], row.reason, row.path))


def _of_lost(code: str, what: str, lost: list[CatalogRow]) -> Finding:
    are = "is" if len(lost) == 1 else "are"
    summary = f"{counted(len(lost), 'file')} {are} {what}: {tally(row.reason for row in lost)}."
    evidence = single({row.path: row.reason for row in lost})
    return make_finding(code, "warning", summary, evidence, max_evidence=None)


def _photos_are(number: int) -> str:
    return f"{counted(number, 'photo')} {'is' if number == 1 else 'are'}"


def _kind(row: CatalogRow, cues: Cues) -> str:
    """Name the way in which a photo holds its colours."""
    if cues.mode.startswith(_DEEP) or REDUCED in row.reason:
        return "16 bits a channel"
    if cues.mode in _ALPHA:
        return "transparency"
    if cues.mode == "P":
        return "palette"
    if cues.mode in _GREY or _shows_no_colour(cues):
        return "grey"
    return COLOUR if cues.mode == "RGB" else cues.mode


def _shows_no_colour(cues: Cues) -> bool:
    # A sixteenth of the pixels tells most photos, which do show colour, at a fifth of the time.
    return all(
        int((part_SSC.max(axis=2) - part_SSC.min(axis=2)).max()) <= MAX_GREY_SPREAD
        for part_SSC in (cues.thumbnail_SSC[::4, ::4], cues.thumbnail_SSC)
    )


def _telling(survey: Survey, kinds: Mapping[str, str], *, usual: str) -> dict[str, str]:
    """Say which class each unusual kind marks, where it marks one.

    Nearly all photos of the kind are in that class, and that is no accident: were classes and
    kinds unrelated, the number there would follow a binomial distribution.
    """
    from scipy.special import bdtrc

    counts, sizes = Counter(kinds.values()), survey.catalog.counts()
    together = Counter((kinds[row.path], row.label) for row in survey.catalog.usable)
    total = sum(sizes.values())
    return {
        kind: f"'{name}' holds {count:,} of {counts[kind]:,} × {kind}."
        for (kind, name), count in sorted(together.items())
        if kind != usual
        and count >= NEARLY_ALL * counts[kind]
        and count >= TELLING_SHARE * sizes[name]
        and bdtrc(count - 1, counts[kind], sizes[name] / total) < CHANCE
    }
