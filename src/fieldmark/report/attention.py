"""What a network looks at, as the report tells and draws it.

In: the `Attention` of a run, its shortcut test, and the folder of photos. Out: `AttentionContent`,
and small pictures within a stated room.
Not covered: the maps themselves (`fieldmark.attending`), layout (`templates/attention.html.j2`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fieldmark.audit.shortcuts import ShortcutTest
from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.base.executor import Executor
from fieldmark.data.images import decode
from fieldmark.evaluation.intervals import Estimate
from fieldmark.models.attention import BORDER_AREA, heat_over
from fieldmark.report.attention_document import Attention, SeenPhoto
from fieldmark.report.explain import PhotoPictures, photo_pictures
from fieldmark.report.explained import border_cue_of
from fieldmark.report.explained_wording import border_told, cue_told, leans_on_border
from fieldmark.report.heat import RAMP, overlay
from fieldmark.report.thumbnails import read_photo
from fieldmark.report.wording import percent

SHOWN_PX = 260
"""The longest side of a picture: sharp where it is shown at half of that, enough to see a face."""
MAX_BYTES = 900_000
"""All pictures of the section as data URIs; the photos beyond are left out and counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionContent:
    """What the section says."""

    mistakes: tuple[SeenPhoto, ...]
    typical: tuple[SeenPhoto, ...]
    border: Estimate | None
    """Mean share of the evidence on the outer tenth of each side."""
    border_sentence: str
    """Whether it looks at the border, and over how many photos that is measured."""
    cue_sentence: str
    """What the shortcut test says of the border; nothing where it was not measured."""
    warning: str
    """One sentence where it leans on the border, which alone tells the classes; else nothing."""
    layers: tuple[str, ...]
    why_not: str
    """Why there is no section, where the network cannot be explained."""

    @property
    def photos(self) -> tuple[SeenPhoto, ...]:
        """All photos, the most important first."""
        return (*self.mistakes, *self.typical)

    @property
    def key(self) -> str:
        """The colours of heat from little to most, for a gradient in CSS."""
        return ", ".join(f"rgb{colour} {level:.0%}" for level, colour in RAMP)

    @property
    def shows_part(self) -> bool:
        """Whether the network sees only a part of some photo, which is all that is shown."""
        whole = (0.0, 0.0, 1.0, 1.0)
        return any(one.of_photo.of(1, 1) != whole for one in self.photos)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPictures:
    """The photos of the section, plain and under the evidence for each of their classes."""

    of: Mapping[str, PhotoPictures]
    """By path; photos that could not be read are not there."""
    num_left_out: int
    """Photos for which there was no room."""


NO_PICTURES = AttentionPictures(of={}, num_left_out=0)


def attention_content(
    attention: Attention | None, *, shortcuts: ShortcutTest | None
) -> AttentionContent | None:
    """Put into words what a network looks at; None where the run has not looked."""
    if attention is None:
        return None
    border = attention.border
    cue = border_cue_of(shortcuts)
    sentence = border_told(border, num_photos=attention.num_sampled)
    drawn = counted(attention.num_sampled, "test photo")
    leans = cue is not None and cue.is_shortcut and leans_on_border(border)
    return AttentionContent(
        mistakes=attention.mistakes,
        typical=attention.typical,
        border=border,
        border_sentence=f"{sentence} Measured on {drawn} drawn at random.",
        cue_sentence=cue_told(cue, border=border),
        warning=_warning(border) if border and leans else "",
        layers=attention.layers,
        why_not=attention.why_not,
    )


def _warning(border: Estimate) -> str:
    return (
        f"It looks at the border of photos more than at the rest ({percent(border.value)} of its "
        f"evidence on {percent(BORDER_AREA, decimals=0)} of the area), and the border alone tells "
        "the classes: before another background it may fail."
    )


def draw_attention(
    root: Path | None,
    content: AttentionContent | None,
    *,
    executor: Executor,
    turn_upright: bool = True,
    max_bytes: int = MAX_BYTES,
) -> AttentionPictures:
    """Draw the evidence over the photos, the most important first until the room is used up.

    Photos that are gone or have changed are left out silently: the page counts them elsewhere.

    Args:
        root: the folder of photos; None where it is not known.
        content: what is to be shown; None draws nothing.
        executor: maps over the photos.
        turn_upright: follow the rotation in the metadata, as the run did or did not.
        max_bytes: the room for all pictures together, as data URIs.
    """
    wanted: Sequence[SeenPhoto] = content.photos if content and root and root.is_dir() else ()
    drawn: dict[str, PhotoPictures] = {}
    total = num_left_out = 0
    made = executor.map(partial(_draw, root, turn_upright=turn_upright), wanted)
    for seen, pictures in zip(wanted, made, strict=True):
        if pictures is None:
            continue
        num_bytes = sum(len(one.uri) for one in (pictures.plain, *pictures.overlays))
        if total + num_bytes > max_bytes:
            num_left_out += 1
            continue
        drawn[seen.photo.path] = pictures
        total += num_bytes
    return AttentionPictures(of=drawn, num_left_out=num_left_out)


def _draw(root: Path | None, seen: SeenPhoto, *, turn_upright: bool) -> PhotoPictures | None:
    content = read_photo(root, seen.photo) if root else None
    if content is None:
        return None
    try:
        whole = decode(content, turn_upright=turn_upright, reduce_to_px=SHOWN_PX).image
    except DataError:
        return None
    left, top, right, bottom = seen.of_photo.of(whole.width, whole.height)
    shown = whole.crop((round(left), round(top), round(right), round(bottom)))
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    overlays = [_overlay(shown, seen, index) for index in range(len(seen.heats))]
    return photo_pictures(shown, overlays)


def _overlay(shown: Image.Image, seen: SeenPhoto, index: int) -> Image.Image:
    heat_HW = heat_over(
        seen.heats[index].heat_HW, seen.in_square, width=shown.width, height=shown.height
    )
    return overlay(np.asarray(shown), heat_HW)
