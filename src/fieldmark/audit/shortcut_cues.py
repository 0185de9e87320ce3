"""What can be known of a photo without looking at its subject: numbers for small models.

In: catalog rows and cues. Out: one matrix of numbers for each of `CUE_SETS`, and sentences about
sizes that tell a class by themselves.
Not covered: how far they go (see `shortcuts`).

Shapes: N photos, D numbers, S side of the thumbnail, P side of a smaller one.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cues import Cues

MAX_VALUES = 20
"""A word such as the camera's gets a column for each of its commonest values; the rest share
having none."""
COLOUR_LEVELS = 4
"""Of each channel in the histogram: 64 colours in all."""
LAYOUT_PX = 8
BORDER_PX = 16
"""Side of the picture of which the border is the outermost pixel: a sixteenth of the photo's."""

TELLING_RECALL, TELLING_PRECISION = 0.8, 0.9
"""A size tells classes that have at least this share of their photos at it, if they make up at
least this share of the photos of that size."""
MIN_OF_SIZE = 10
"""Photos of one size; fewer are chance."""
MAX_NAMED = 8
"""Classes named in a sentence; the rest are counted."""

FILE, PICTURE = "file", "picture"
"""A cue of the file is never the subject; one of the picture may be part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """Photos that are measured together: catalog rows and cues, in the same order."""

    rows: Sequence[CatalogRow]
    cues: Sequence[Cues]


@dataclass(frozen=True, slots=True, kw_only=True)
class CueSet:
    """Numbers of one kind, and how to say so."""

    key: str
    """Stable."""
    title: str
    """Singular, so that `"<title> alone names..."` is English."""
    description: str
    kind: str
    """`FILE` or `PICTURE`."""
    measure: Callable[[Photos], NDArray[np.float32]]
    """Gives values_ND."""


def size(photos: Photos) -> NDArray[np.float32]:
    """Return width, height and their ratio."""
    width_N, height_N = _sides(photos)
    return _columns(width_N, height_N, width_N / height_N)


def file(photos: Photos) -> NDArray[np.float32]:
    """Return bytes, bytes per pixel, and a column for each format and colour mode."""
    bytes_N = np.array([row.num_bytes for row in photos.rows], dtype=np.float64)
    width_N, height_N = _sides(photos)
    return np.hstack(
        [
            _columns(bytes_N, bytes_N / (width_N * height_N)),
            one_hot([cues.format for cues in photos.cues]),
            one_hot([cues.mode for cues in photos.cues]),
        ]
    )


def camera(photos: Photos) -> NDArray[np.float32]:
    """Return a column for each of the common cameras and for each rotation noted."""
    return np.hstack(
        [
            one_hot([cues.camera for cues in photos.cues]),
            one_hot([str(cues.orientation) for cues in photos.cues]),
        ]
    )


def metadata(photos: Photos) -> NDArray[np.float32]:
    """Return all that is known of the file."""
    return np.hstack([size(photos), file(photos), camera(photos)])


def mean_colour(photos: Photos) -> NDArray[np.float32]:
    """Return the mean of each channel, 0 to 255."""
    mean_NC: NDArray[np.float32] = _thumbnails(photos).mean(axis=(1, 2), dtype=np.float32)
    return mean_NC


def colour_histogram(photos: Photos) -> NDArray[np.float32]:
    """Return the share of the pixels in each of 64 boxes of equal size in RGB."""
    thumbnails_NSSC = _thumbnails(photos)
    levels_NSSC = thumbnails_NSSC.astype(np.int64) * COLOUR_LEVELS // 256
    weights_C = COLOUR_LEVELS ** np.arange(2, -1, -1)
    boxes_NK = (levels_NSSC @ weights_C).reshape(len(thumbnails_NSSC), -1)
    num_boxes = COLOUR_LEVELS**3
    # One count over all photos at once: each has its own range of boxes.
    boxes_NK += num_boxes * np.arange(len(boxes_NK))[:, None]
    counts = np.bincount(boxes_NK.ravel(), minlength=num_boxes * len(boxes_NK))
    return (counts.reshape(-1, num_boxes) / boxes_NK.shape[1]).astype(np.float32)


def thumbnail(photos: Photos) -> NDArray[np.float32]:
    """Return the pixels at 8x8."""
    return reduce(_thumbnails(photos), to_px=LAYOUT_PX).reshape(len(photos.rows), -1)


def border(photos: Photos) -> NDArray[np.float32]:
    """Return the outermost pixels at 16x16."""
    reduced_NPPC = reduce(_thumbnails(photos), to_px=BORDER_PX)
    is_border_PP = np.ones((BORDER_PX, BORDER_PX), dtype=np.bool_)
    is_border_PP[1:-1, 1:-1] = False
    return reduced_NPPC[:, is_border_PP].reshape(len(photos.rows), -1)


CUE_SETS = (
    CueSet(
        key="size",
        title="Image size",
        description="Width, height and their ratio. A network sees them in how much a photo was "
        "squashed and blurred on the way to its input.",
        kind=FILE,
        measure=size,
    ),
    CueSet(
        key="file",
        title="File size",
        description="Bytes, bytes for each pixel, format and colour mode: how and how strongly the "
        "photo was compressed. A network sees it in the traces of compression.",
        kind=FILE,
        measure=file,
    ),
    CueSet(
        key="camera",
        title="Camera and rotation",
        description="The camera and the rotation that the metadata note.",
        kind=FILE,
        measure=camera,
    ),
    CueSet(
        key="metadata",
        title="File metadata",
        description="Image size, file size, camera and rotation together, without a look at the "
        "picture.",
        kind=FILE,
        measure=metadata,
    ),
    CueSet(
        key="mean_colour",
        title="Mean colour",
        description="One colour for the whole photo.",
        kind=PICTURE,
        measure=mean_colour,
    ),
    CueSet(
        key="colour_histogram",
        title="Colour histogram",
        description="How much of each of 64 colours there is, wherever it stands.",
        kind=PICTURE,
        measure=colour_histogram,
    ),
    CueSet(
        key="thumbnail",
        title="Tiny thumbnail",
        description="The photo at 8x8 pixels: rough layout, and often enough of the subject, so it "
        "is a mark to measure others against and no shortcut by itself.",
        kind=PICTURE,
        measure=thumbnail,
    ),
    CueSet(
        key="border",
        title="Border",
        description="The outermost sixteenth on each side: mostly background.",
        kind=PICTURE,
        measure=border,
    ),
)
"""The order in which they are told."""


def one_hot(words: Sequence[str]) -> NDArray[np.float32]:
    """Return 1 where a photo (N) has a value and 0 elsewhere, for the `MAX_VALUES` commonest.

    Equally common values are taken in alphabetical order.
    """
    counted = Counter(words)
    common = sorted(counted, key=lambda word: (-counted[word], word))[:MAX_VALUES]
    return np.array([[word == value for value in common] for word in words], dtype=np.float32)


def reduce(thumbnails_NSSC: NDArray[np.uint8], *, to_px: int) -> NDArray[np.float32]:
    """Return pictures with `to_px` pixels a side, each the mean of a square; `to_px` divides S."""
    num, side_px, _, channels = thumbnails_NSSC.shape
    step = side_px // to_px
    blocks = thumbnails_NSSC.reshape(num, to_px, step, to_px, step, channels)
    reduced_NPPC: NDArray[np.float32] = blocks.mean(axis=(2, 4), dtype=np.float32)
    return reduced_NPPC


def telling_sizes(rows: Sequence[CatalogRow]) -> list[str]:
    """Say which sizes in pixels tell their classes by themselves, the commonest first.

    Such as "All photos of car and fruit, and hardly any other (0.2 %), are 100x100 pixels."

    Args:
        rows: of the usable photos.
    """
    totals = Counter(row.label for row in rows)
    by_size: dict[tuple[int, int], Counter[str]] = {}
    for row in rows:
        if row.width and row.height:
            by_size.setdefault((row.width, row.height), Counter())[row.label] += 1
    ordered = sorted(by_size.items(), key=lambda item: (-item[1].total(), item[0]))
    return [
        sentence
        for size_px, counted in ordered
        if counted.total() >= MIN_OF_SIZE
        if (sentence := _telling_size(size_px, counted, totals))
    ]


def _telling_size(size_px: tuple[int, int], counted: Counter[str], totals: Counter[str]) -> str:
    """Return what a size tells, or nothing; `counted` holds its photos by class."""
    told = [name for name in sorted(counted) if counted[name] >= TELLING_RECALL * totals[name]]
    num_told = sum(counted[name] for name in told)
    num_within = sum(totals[name] for name in told)
    num_others = totals.total() - num_within
    others_share = (counted.total() - num_told) / num_others if num_others else 1.0
    # A size that other classes have nearly as often tells nothing, however large the classes are.
    if num_told < TELLING_PRECISION * counted.total() or others_share > 1 - TELLING_RECALL:
        return ""
    opening = "All" if num_told == num_within else f"{percent(num_told / num_within)} of the"
    others = f"hardly any other ({percent(others_share)})" if others_share else "no other"
    width, height = size_px
    return f"{opening} photos of {listed(told)}, and {others}, are {width}x{height} pixels."


def percent(share: float) -> str:
    """Return a share in 0..1 as `"71.3 %"`, never rounded to 0 or 100 unless it is."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def listed(names: Sequence[str]) -> str:
    """Return `"car, fruit and person"`, or the first `MAX_NAMED` of many and how many more."""
    if len(names) > MAX_NAMED:
        names = [*names[:MAX_NAMED], f"{len(names) - MAX_NAMED} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _thumbnails(photos: Photos) -> NDArray[np.uint8]:
    return np.stack([cues.thumbnail_SSC for cues in photos.cues])


def _sides(photos: Photos) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return widths and heights; 1 where they are not known, which no photo in use has."""
    width_N = np.array([row.width or 1 for row in photos.rows], dtype=np.float64)
    height_N = np.array([row.height or 1 for row in photos.rows], dtype=np.float64)
    return width_N, height_N


def _columns(*columns_N: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.stack(columns_N, axis=1).astype(np.float32)
