"""Writes the page that explains photos: what a classifier looks at, and what it likens them to.

In: what was explained, and pictures of it. Out: `explain.html`, one HTML file that needs nothing
else, runs no scripts and asks for nothing.
Not covered: explaining (`fieldmark.explaining`) and drawing (`heat`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark._version import __version__
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.evaluation.unfamiliar import UNLIKE
from fieldmark.models.attention import BORDER_AREA
from fieldmark.report.entries import Photo, Picture
from fieldmark.report.environment import render_page
from fieldmark.report.explained import Explained, ExplainedPhoto
from fieldmark.report.explained_wording import border_verdict, cue_sentence, sanity_sentence
from fieldmark.report.heat import RAMP, plain_heat
from fieldmark.report.thumbnails import Thumbnails, as_uri, read_thumbnails

PAGE_NAME = "explain.html"
SECTIONS = (
    ("overview", "Overview"),
    ("photos", "Photo by photo"),
    ("method", "How it was made"),
)
"""Id and title; each id has a template of its name."""
SHORT_TITLES = {"photos": "Photos", "method": "Method"}
PICTURE_PX = 340
"""The longest side of a picture on the page."""
MEAN_PX = 200
"""Side of the picture of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoPictures:
    """A photo as the page shows it: plain, and under the evidence for each of its classes."""

    plain: Picture
    overlays: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainContent:
    """Everything that the page shows."""

    title: str
    command: str
    explained: Explained
    shown: tuple[ExplainedPhoto, ...]
    """Those with pictures on the page."""
    pictures: Mapping[str, PhotoPictures]
    mean: Picture | None
    """Where the evidence lies on average; None where there is none."""
    border_verdict: str
    cue_sentence: str
    sanity_sentence: str

    @property
    def agreeing(self) -> float | None:
        """The share of all other neighbours that are of the class named; None without any."""
        photos = self.explained.photos
        num_neighbours = sum(len(photo.others) for photo in photos)
        if not num_neighbours:
            return None
        return sum(photo.num_agreeing for photo in photos) / num_neighbours

    def photos_shown(self) -> Iterator[Photo]:
        """Yield the training photos that the page shows, the most important first."""
        for photo in self.shown:
            yield from (neighbour.photo for neighbour in photo.neighbours)


def photo_pictures(shown: Image.Image, overlays: Sequence[Image.Image]) -> PhotoPictures:
    """Return a photo and its overlays as the page shows them."""
    return PhotoPictures(plain=_picture(shown), overlays=tuple(map(_picture, overlays)))


def write_page(
    folder: Path,
    explained: Explained,
    *,
    pictures: Mapping[str, PhotoPictures],
    mean_heat_GG: NDArray[np.float32],
    photos: Path | None,
    turn_upright: bool = True,
    command: str = "",
) -> Path:
    """Write `explain.html` into a folder.

    Args:
        folder: where to write; it is made if it is missing.
        explained: what to tell.
        pictures: of the photos that the page shows, by path.
        mean_heat_GG: where the evidence lies on average, 0 or more.
        photos: the folder of the training photos; None where it is not known.
        turn_upright: show training photos turned as their metadata say.
        command: the command that was given, for the page to tell.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder cannot be written to.
    """
    content = explain_content(
        explained, pictures=pictures, mean_heat_GG=mean_heat_GG, command=command
    )
    thumbnails = read_thumbnails(
        photos, content.photos_shown(), executor=ThreadExecutor(), turn_upright=turn_upright
    )
    page = folder / PAGE_NAME
    write_text(page, render(content, thumbnails=thumbnails))
    return page


def explain_content(
    explained: Explained,
    *,
    pictures: Mapping[str, PhotoPictures],
    mean_heat_GG: NDArray[np.float32],
    command: str = "",
) -> ExplainContent:
    """Gather what the page shows; the arguments are those of `write_page`."""
    mean = None
    if mean_heat_GG.any():
        enlarged = plain_heat(mean_heat_GG).resize((MEAN_PX, MEAN_PX), Image.Resampling.BICUBIC)
        mean = _picture(enlarged)
    return ExplainContent(
        title=Path(explained.run).resolve().name,
        command=command,
        explained=explained,
        shown=tuple(photo for photo in explained.photos if photo.path in pictures),
        pictures=pictures,
        mean=mean,
        border_verdict=border_verdict(explained),
        cue_sentence=cue_sentence(explained),
        sanity_sentence=sanity_sentence(explained),
    )


def render(content: ExplainContent, *, thumbnails: Thumbnails) -> str:
    """Return the whole page; the same content and pictures give the same text."""
    stops = [f"rgb{colour} {level:.0%}" for level, colour in RAMP]
    return render_page(
        "explain.html.j2",
        content=content,
        thumbnails=thumbnails,
        sections=SECTIONS,
        short_titles=SHORT_TITLES,
        section_folder="explain/",
        version=__version__,
        border_area=BORDER_AREA,
        unlike=UNLIKE,
        ramp=", ".join(stops),
    )


def _picture(image: Image.Image) -> Picture:
    small = image.copy()
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    return Picture(uri=as_uri(small), width=small.width, height=small.height)
