"""One photo under each kind of damage, as small pictures, made just as they were measured.

In: the photos folder, if it is still there, and what was measured. Out: `DamagedPhoto`.
Not covered: choosing the photo (see `evaluation.degradation`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fieldmark.base.errors import DataError
from fieldmark.data.damage import Pixels
from fieldmark.data.degrade import (
    KINDS_BY_KEY,
    at_working_size,
    degrade,
    generator_of,
    working_side,
)
from fieldmark.data.preprocess import Preprocess
from fieldmark.report.degradation import SHOWN_STRENGTHS, DegradationContent
from fieldmark.report.entries import Photo, Picture
from fieldmark.report.thumbnails import as_uri, read_photo

MAX_PX = 200
"""Longest side of a picture, shown at half of that."""
QUALITY = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedPhoto:
    """The photo as it is, and by the key of each kind at each of `SHOWN_STRENGTHS`."""

    path: str
    label: str
    undamaged: Picture
    damaged: Mapping[str, tuple[Picture, ...]]


def damaged_photo(
    root: Path | None, content: DegradationContent | None, *, preprocess: Preprocess | None
) -> DamagedPhoto | None:
    """Damage the sample photo again; None if it cannot be read or has changed, or none is known.

    Args:
        root: the photos folder, or None if it is not known.
        content: what the section says.
        preprocess: of the run's model, which says at which size photos are damaged.
    """
    if root is None or content is None or preprocess is None:
        return None
    sample = content.sample
    file = read_photo(root, Photo(path=sample.path, sha256=sample.sha256))
    if file is None:
        return None
    try:
        whole_HW3 = at_working_size(preprocess.decode(file).pixels_HW3, preprocess)
    except DataError:
        return None
    keys = [card.key for card in content.cards if card.key in KINDS_BY_KEY]
    return DamagedPhoto(
        path=sample.path,
        label=sample.label,
        undamaged=_picture(whole_HW3, like=whole_HW3),
        damaged={
            key: _under(
                whole_HW3,
                key,
                strengths=SHOWN_STRENGTHS,
                side_px=working_side(preprocess),
                sha256=sample.sha256,
                seed=content.seed,
            )
            for key in keys
        },
    )


def _under(
    whole_HW3: Pixels, key: str, *, strengths: Sequence[int], side_px: int, sha256: str, seed: int
) -> tuple[Picture, ...]:
    return tuple(
        _picture(
            degrade(
                whole_HW3,
                key,
                strength=strength,
                side_px=side_px,
                generator=generator_of(sha256, kind=key, seed=seed),
            ),
            like=whole_HW3,
        )
        for strength in strengths
    )


def _picture(pixels_HW3: Pixels, *, like: Pixels) -> Picture:
    """Return pixels as a small picture; a photo of fewer pixels is shown as large as the others."""
    image = Image.fromarray(pixels_HW3)
    height, width = like.shape[:2]
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    image.thumbnail((MAX_PX, MAX_PX))
    return Picture(uri=as_uri(image, quality=QUALITY), width=image.width, height=image.height)
