"""Small copies of photos as data URIs, so that the page needs no other file.

In: the photos folder, if it is still there, and which photos to show.
Out: `Thumbnails`: a small picture by path, and what could not be shown. Nothing of a photo is
copied but its pixels: no place, no camera, no time.
Not covered: choosing the photos (see `content`).
"""

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image

from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor
from fieldmark.data.images import decode
from fieldmark.report.entries import Photo

MAX_WIDTH_PX, MAX_HEIGHT_PX = 208, 112
"""Shown at about 80 CSS pixels of height, so sharp enough for a denser screen."""

MIN_SHAPE, MAX_SHAPE = 0.7, 1.5
QUALITY = 78
MAX_TOTAL_BYTES = 2_000_000
"""All data URIs of a page together, each as often as it stands there; photos beyond it are left out
and counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """A small picture as a `data:image/webp` URI, with its size in pixels."""

    uri: str
    width: int
    height: int

    @property
    def shape(self) -> float:
        """Width over height as shown in a row of samples: extremes are cut to keep it even."""
        return round(min(max(self.width / self.height, MIN_SHAPE), MAX_SHAPE), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnails:
    """Small pictures by photo path, and what is missing."""

    images: Mapping[str, Thumbnail]
    moved: bool
    """Whether the whole photos folder is out of reach."""
    num_missing: int
    """Photos that are gone or no longer the same file, the folder being there."""
    num_left_out: int = 0
    """Photos for which the page had no room."""
    num_bytes: int = 0
    """What all of them take up on the page as data URIs, each as often as it stands there."""


def read_thumbnails(
    root: Path | None,
    photos: Iterable[Photo],
    *,
    executor: Executor,
    turn_upright: bool = True,
    max_total_bytes: int = MAX_TOTAL_BYTES,
) -> Thumbnails:
    """Read, decode and reduce photos; what cannot be read is counted, never an error.

    Args:
        root: The photos folder, or None if it is not known.
        photos: What to show, the most important first: they are kept when space runs out, and
            the rest is not even read. A photo that stands in several places comes as often.
        executor: Maps over the photos.
        turn_upright: Follow the orientation in the metadata, as the run did or did not.
        max_total_bytes: The room for all of them together, as data URIs.
    """
    shown = list(photos)
    wanted = list({photo.path: photo for photo in shown}.values())
    times = Counter(photo.path for photo in shown)
    if root is None or not root.is_dir():
        return Thumbnails(images={}, moved=True, num_missing=len(wanted))
    images: dict[str, Thumbnail] = {}
    total = num_missing = 0
    made = executor.map(partial(read_thumbnail, root, turn_upright=turn_upright), wanted)
    for photo, image in zip(wanted, made, strict=False):
        if image is None:
            num_missing += 1
        elif total + times[photo.path] * len(image.uri) > max_total_bytes:
            break
        else:
            images[photo.path] = image
            total += times[photo.path] * len(image.uri)
    return Thumbnails(
        images=images,
        moved=False,
        num_missing=num_missing,
        num_left_out=len(wanted) - len(images) - num_missing,
        num_bytes=total,
    )


def read_thumbnail(root: Path, photo: Photo, *, turn_upright: bool = True) -> Thumbnail | None:
    """Return one photo reduced to at most 208 × 112 px, its shape kept.

    None if the file is gone, cannot be read, lies outside `root`, or has changed since the run.
    """
    content = read_photo(root, photo)
    if content is None:
        return None
    try:
        image = decode(content, turn_upright=turn_upright, reduce_to_px=MAX_WIDTH_PX).image
    except DataError:
        return None
    image.thumbnail((MAX_WIDTH_PX, MAX_HEIGHT_PX))
    return Thumbnail(uri=as_uri(image), width=image.width, height=image.height)


def read_photo(root: Path, photo: Photo) -> bytes | None:
    """Return the content of a photo's file.

    None if the file is gone, cannot be read, lies outside `root`, or has changed since the run.
    """
    place = PurePosixPath(photo.path)
    if place.is_absolute() or ".." in place.parts:
        return None
    try:
        content = (root / place).read_bytes()
    except OSError:
        return None
    if photo.sha256 and hashlib.sha256(content).hexdigest() != photo.sha256:
        return None
    return content


def as_uri(image: Image.Image, *, quality: int = QUALITY, lossless: bool = False) -> str:
    """Return a picture as a `data:image/webp` URI; nothing but its pixels is kept."""
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=quality, lossless=lossless, method=4)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/webp;base64,{code}"
