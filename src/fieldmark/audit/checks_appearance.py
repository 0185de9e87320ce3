"""Checks of what can be seen in a photo at all: too dark, too bright, blurred, nothing.

In: a `Survey`. Out: one finding for each check, or None where there is nothing to say. A photo is
found by one of these checks only.
Thresholds were chosen on the 6,899 photos of Natural Images, eight classes with faces and fruit on
white among them, looking at those nearest to each, and on copies of them made darker, brighter and
blurred.

Shapes: B photos in a block, N photos, S side of a thumbnail.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.findings import Finding
from fieldmark.audit.survey import Survey, make_finding, severity_of, single
from fieldmark.base.counting import counted
from fieldmark.data.cues import Cues, laplacian

PLAIN_SPREAD = 4.0
"""Standard deviation, 0 to 127.5, of luma and of each channel up to which a picture is of a single
colour: 1.5 % of the range. The flattest of the 6,899 photos has 18.7."""
FLAT_CONTRAST = 32.0
"""Contrast up to which a dark or bright photo is one: an eighth of the range. Above it there is
something to see on the black or white, such as a cell or a star."""
DARK_LEVEL = 64
"""Of 255: the lowest quarter, in which nearly all of a dark photo lies. None of the 6,899 does."""
BRIGHT_LEVEL = 192
"""Of 255: the highest quarter, in which nearly all of a bright photo lies. None of the 6,899
does, not even on white: in each the weakest channel of a twentieth lies at 128 or below."""
NEARLY_ALL = 95.0
"""Percent of a photo that must lie there; the rest may be a lamp, or a frame."""
MAX_DETAIL = 0.03
"""Detail below which a photo may be blurred. A Gaussian blur with a radius of 1.6 % of the longer
side leaves less in 99 % of photos, one of 2.3 % in all; of sound photos 1 % have less, nearly all
of them portraits (75 of 77)."""
MAX_DEVIATIONS = 3.5
"""Robust standard deviations below the median of its class from which a photo is blurred, the
threshold of Iglewicz and Hoaglin (1993) for outliers. With MAX_DETAIL it flags 4 of 6,899."""
MIN_DEVIATION = 0.1
"""Least standard deviation of the logarithm of detail, for classes of look-alikes."""
MIN_COARSE = 1e-6
"""Least sharpness of a thumbnail, so that detail stays finite."""
ROUNDING_VARIANCE = 20 / 12
"""Variance of the Laplacian of rounding errors: those are uniform, with a variance of 1/12, and the
squares of the Laplacian's five weights add up to 20."""
MIN_CLASS = 20
"""A class with fewer photos is measured against the whole folder."""
TO_STANDARD_DEVIATION = 1.4826
"""What makes a standard deviation of the median deviation, for a normal distribution."""

BLOCK = 1024
"""Thumbnails held as floating point at a time: 12 MiB."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue (ITU-R BT.601), as in Pillow's conversion to grey."""


def very_dark(survey: Survey) -> Finding | None:
    """FM201: photos nearly all of which is black."""
    found = {path: cues.brightness for path, cues in survey.judged() if is_dark(cues)}
    ordered = sorted(found, key=lambda path: (found[path], path))
    told = {path: f"mean brightness {found[path]:.0f} of 255" for path in ordered}
    return _found("FM201", "nearly black all over", survey, told)


def very_bright(survey: Survey) -> Finding | None:
    """FM202: photos nearly all of which is white."""
    found = {path: cues.brightness for path, cues in survey.judged() if is_bright(cues)}
    ordered = sorted(found, key=lambda path: (-found[path], path))
    told = {path: f"mean brightness {found[path]:.0f} of 255" for path in ordered}
    return _found("FM202", "nearly white all over", survey, told)


def blurred(survey: Survey) -> Finding | None:
    """FM203: photos that lack the fine detail that the others of their class have."""
    details, labels = _details(survey), {row.path: row.label for row in survey.catalog.usable}
    usual = _usual_details(details, labels)
    shares = {path: detail / usual[labels[path]][0] for path, detail in details.items()}
    found = [
        path
        for path, detail in details.items()
        if detail < min(MAX_DETAIL, usual[labels[path]][1])
        and not is_dark(survey.cues[path])
        and not is_bright(survey.cues[path])
    ]
    found.sort(key=lambda path: (shares[path], path))
    told = {
        path: f"{shares[path]:.1%} of the detail usual in '{labels[path]}'".replace("%", " %")
        for path in found
    }
    return _found("FM203", "blurred next to the others of their class", survey, told)


def single_coloured(survey: Survey) -> Finding | None:
    """FM204: pictures of one colour."""
    told = {}
    for path, cues in survey.judged():
        if is_plain(cues):
            red, green, blue = (round(mean) for mean in cues.thumbnail_SSC.mean(axis=(0, 1)))
            told[path] = f"red {red}, green {green}, blue {blue}"
    return _found("FM204", "of a single colour", survey, told)


def is_plain(cues: Cues) -> bool:
    """Say whether a picture shows one colour and nothing else."""
    if cues.contrast >= PLAIN_SPREAD:
        return False
    return bool(cues.thumbnail_SSC.std(axis=(0, 1)).max() < PLAIN_SPREAD)


def is_dark(cues: Cues) -> bool:
    """Say whether a photo lies in the lowest quarter of the range, in its strongest channel."""
    if cues.contrast >= FLAT_CONTRAST or cues.brightness >= BRIGHT_LEVEL or is_plain(cues):
        return False
    strongest_SS = cues.thumbnail_SSC.max(axis=2)
    return bool(np.percentile(strongest_SS, NEARLY_ALL) < DARK_LEVEL)


def is_bright(cues: Cues) -> bool:
    """Say whether a photo lies in the highest quarter of the range, in its weakest channel."""
    if cues.contrast >= FLAT_CONTRAST or cues.brightness < DARK_LEVEL or is_plain(cues):
        return False
    weakest_SS = cues.thumbnail_SSC.min(axis=2)
    return bool(np.percentile(weakest_SS, 100 - NEARLY_ALL) > BRIGHT_LEVEL)


def _found(code: str, what: str, survey: Survey, told: Mapping[str, str]) -> Finding | None:
    if not told:
        return None
    are = "is" if len(told) == 1 else "are"
    summary = f"{counted(len(told), 'photo')} {are} {what}."
    severity = "warning" if code == "FM204" else severity_of(len(told), survey)
    return make_finding(code, severity, summary, single(told))


def _details(survey: Survey) -> dict[str, float]:
    """Return how much fine detail each photo has, by path; those of one colour have no entry.

    It is the sharpness of the photo times its quotient by that of the thumbnail. Smooth subjects
    are smooth in both; blur takes from the photo and spares the thumbnail, which is four times
    coarser, unless it is so strong that the sharpness itself is next to nothing.
    """
    judged = [
        (path, cues) for path, cues in survey.judged() if cues.sharpness and not is_plain(cues)
    ]
    details = {}
    for start in range(0, len(judged), BLOCK):
        block = judged[start : start + BLOCK]
        thumbnails_BSSC = np.stack([cues.thumbnail_SSC for _, cues in block])
        coarse_B = _sharpness(thumbnails_BSSC)
        for (path, cues), coarse in zip(block, coarse_B.tolist(), strict=True):
            # Texture too fine for the thumbnail leaves that plain, and is the opposite of blur.
            details[path] = _beyond_rounding(cues) ** 2 / max(coarse, MIN_COARSE)
    return details


def _beyond_rounding(cues: Cues) -> float:
    """Return the sharpness without what rounding to whole levels puts into any picture."""
    variance = (cues.sharpness * cues.contrast) ** 2 - ROUNDING_VARIANCE
    return math.sqrt(max(variance, ROUNDING_VARIANCE * MIN_COARSE)) / cues.contrast


def _sharpness(thumbnails_BSSC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the spread of the Laplacian of each thumbnail's luma over that of the luma."""
    luma_BSS = thumbnails_BSSC.astype(np.float32) @ LUMA
    spread_B = luma_BSS.std(axis=(1, 2))
    laplacian_B = laplacian(luma_BSS).std(axis=(1, 2))
    sharpness_B: NDArray[np.float32] = laplacian_B / np.maximum(spread_B, MIN_COARSE)
    return sharpness_B


def _usual_details(
    details: Mapping[str, float], labels: Mapping[str, str]
) -> dict[str, tuple[float, float]]:
    """Return the median of each class and the limit below which a photo of it stands apart."""
    by_class: dict[str, list[float]] = defaultdict(list)
    for path, detail in details.items():
        by_class[labels[path]].append(detail)
    everything = list(details.values())
    return {
        label: _median_and_limit(of if len(of) >= MIN_CLASS else everything)
        for label, of in by_class.items()
    }


def _median_and_limit(details: Sequence[float]) -> tuple[float, float]:
    """Return the median and what lies MAX_DEVIATIONS below it.

    The deviation is that of the photos above the median, since blurred ones, if they are many,
    widen the spread below it: with 30 % of photos blurred 91 % are found, and 52 % otherwise.
    """
    logs_N = np.log(np.asarray(details))
    median = float(np.median(logs_N))
    above_M = logs_N[logs_N >= median] - median
    deviation = max(TO_STANDARD_DEVIATION * float(np.median(above_M)), MIN_DEVIATION)
    return float(np.exp(median)), float(np.exp(median - MAX_DEVIATIONS * deviation))
