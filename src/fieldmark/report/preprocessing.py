"""What happens to a photo before the network sees it: in words, and shown on a few photos.

In: the run folder's model, which owns its preprocessing, and the photos where they still are.
Out: `PreprocessContent`, and `View`s made by `Preprocess` itself, so that what is shown is what
the network sees.
Not covered: how training photos are altered at random (see `learning`), except in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fieldmark.base.errors import BundleError, DataError, RunError
from fieldmark.base.executor import Executor
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.images import decode
from fieldmark.data.preprocess import Preprocess
from fieldmark.report.entries import Photo, Picture
from fieldmark.report.photos import pick_evenly
from fieldmark.report.run_files import read_json
from fieldmark.report.thumbnails import as_uri, read_photo
from fieldmark.report.wording import setting

DESCRIPTION = "model.json"
"""The part of the bundle in which the preprocessing stands."""

MAX_VIEWS = 4
BEFORE_PX = 320
"""Longest side of the photo as it is, shown at half of that."""
SHOWN_PX = 160
"""Side in CSS pixels at which the square is shown: smaller ones are enlarged pixel by pixel."""
MAX_AFTER_PX = 384
"""A larger square is shown reduced to this; no page shows more of it."""
LOSSLESS_PX = 128
"""Up to this side the square is kept to the pixel; compression would blur what matters."""
QUALITY = 84
MAX_TOTAL_BYTES = 600_000
"""All these pictures together, as data URIs."""

WAYS = {
    "squash": "squeezed to a square of {size}, whatever its shape",
    "crop": "the largest square in its middle is cut out and brought to {size}",
    "pad": "made to fit into {size} as a whole, with bars in one colour beside it",
}

VIEWS = {
    2: "as it is and mirrored",
    4: "as it is, mirrored, and both upside down",
    8: "in the eight ways that it can be mirrored and turned by quarters",
}

CHANGES = {
    "flip_horizontal": "half of them mirrored left to right",
    "flip_vertical": "half of them mirrored top to bottom",
    "rotate_turns": "turned by up to {degrees} either way",
    "translate": "moved by up to {percent} of the side",
    "colour": "brightness, contrast and saturation changed by up to {percent}",
    "erase": "a rectangle filled with noise in {percent} of them",
    "mixup": "two photos laid over each other",
    "cutmix": "a rectangle of one photo put into another",
}
"""What each setting of augmentation does, but for the crop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done to a photo."""

    name: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessContent:
    """What the section says, and which photos it shows."""

    preprocess: Preprocess | None
    """None where the run's model does not say, or in a way that this version does not know."""
    steps: tuple[Step, ...]
    photos: tuple[tuple[str, Photo], ...]
    """Class and photo: those to show before and after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One photo as it is and as the network sees it."""

    label: str
    path: str
    before: Picture
    size: tuple[int, int]
    """Width and height of the photo as it is, in pixels."""
    after: Picture
    side_px: int
    """Of the square that the network sees."""

    @property
    def is_enlarged(self) -> bool:
        """Whether the square is shown larger than it is, pixel by pixel."""
        return self.side_px < SHOWN_PX


def preprocess_content(
    folder: RunFolder,
    *,
    resolved: Mapping[str, Any],
    samples: Mapping[str, Sequence[Photo]],
) -> PreprocessContent:
    """Gather what the section says.

    Args:
        folder: of the run.
        resolved: its settled recipe.
        samples: a few photos of each class, by its name.
    """
    preprocess = read_preprocess(folder.model_dir / DESCRIPTION)
    firsts = {photos[0]: label for label, photos in samples.items() if photos}
    shown = pick_evenly(list(firsts), num=MAX_VIEWS) if preprocess else ()
    return PreprocessContent(
        preprocess=preprocess,
        steps=tuple(_steps(preprocess)) + tuple(_at_random(resolved)),
        photos=tuple((firsts[photo], photo) for photo in shown),
    )


def read_preprocess(path: Path) -> Preprocess | None:
    """Return the preprocessing of the model that a `model.json` describes; None where it cannot."""
    try:
        return Preprocess.from_json(read_json(path)["preprocess"])
    except (BundleError, RunError, LookupError, TypeError, AttributeError):
        return None


def read_views(
    root: Path | None,
    content: PreprocessContent,
    *,
    executor: Executor,
    max_total_bytes: int = MAX_TOTAL_BYTES,
) -> tuple[View, ...]:
    """Make the pictures before and after; a photo that is gone or has changed gives none.

    Args:
        root: the photos folder, or None if it is not known.
        content: what to show.
        executor: maps over the photos.
        max_total_bytes: the room for all of them together, as data URIs.
    """
    preprocess = content.preprocess
    if root is None or preprocess is None:
        return ()

    def made(shown: tuple[str, Photo]) -> View | None:
        return view_of(root, shown[1], label=shown[0], preprocess=preprocess)

    views = []
    for view in executor.map(made, content.photos):
        if view is None:
            continue
        max_total_bytes -= len(view.before.uri) + len(view.after.uri)
        if max_total_bytes < 0:
            break
        views.append(view)
    return tuple(views)


def view_of(root: Path, photo: Photo, *, label: str, preprocess: Preprocess) -> View | None:
    """Return one photo before and after; None if it cannot be read or has changed."""
    content = read_photo(root, photo)
    if content is None:
        return None
    try:
        turn = preprocess.orientation == "exif"
        whole = decode(content, turn_upright=turn, reduce_to_px=BEFORE_PX)
        seen_SS3 = preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
    except DataError:
        return None
    before, after = whole.image, Image.fromarray(seen_SS3)
    before.thumbnail((BEFORE_PX, BEFORE_PX))
    after.thumbnail((MAX_AFTER_PX, MAX_AFTER_PX))
    return View(
        label=label,
        path=photo.path,
        before=_picture(before, lossless=False),
        size=(whole.width, whole.height),
        after=_picture(after, lossless=after.width <= LOSSLESS_PX),
        side_px=preprocess.size_px,
    )


def _picture(image: Image.Image, *, lossless: bool) -> Picture:
    uri = as_uri(image, quality=QUALITY, lossless=lossless)
    return Picture(uri=uri, width=image.width, height=image.height)


def _steps(preprocess: Preprocess | None) -> Iterator[Step]:
    """Yield what is done to every photo, in its order."""
    if preprocess is None:
        return
    turned = {
        "exif": "turned upright, as its metadata says",
        "stored": "taken as its pixels lie in the file, whatever its metadata says",
    }
    yield Step(name="Read", what=turned[preprocess.orientation])
    first = preprocess.prescale_px or preprocess.size_px
    filtered = "" if preprocess.antialias else ", looking at the nearest pixels alone"
    how = WAYS[preprocess.resize].format(size=_square(first))
    yield Step(name="Brought to one size", what=f"{how} ({preprocess.interpolation}{filtered})")
    if first != preprocess.size_px:
        what = f"to {_square(preprocess.size_px)}, which adds pixels but nothing to see"
        yield Step(name="Enlarged", what=what)
    yield Step(name="Made numbers", what=_numbers(preprocess))


def _numbers(preprocess: Preprocess) -> str:
    told = "each of red, green and blue, 0 to 255, is divided by 255"
    if set(preprocess.mean) == {0.0} and set(preprocess.std) == {1.0}:
        return f"{told}, which makes it 0 to 1"
    mean, spread = (setting([*values]) for values in (preprocess.mean, preprocess.std))
    return f"{told}; then {mean} are taken off and the rest is divided by {spread}"


def _at_random(resolved: Mapping[str, Any]) -> Iterator[Step]:
    """Yield what is done at random to training photos, and how often others are looked at."""
    augment = resolved.get("augment")
    if not isinstance(augment, Mapping):
        return
    changes = list(_changes(augment))
    if "policy" in augment or changes:
        told = f"altered at random each time: {', '.join(changes)}" if changes else "left as it is"
        yield Step(name="In training only", what=told)
    if isinstance(views := augment.get("test_views"), int) and views > 1:
        what = f"looked at {VIEWS.get(views, f'in {views} ways')}, and the answers are averaged"
        yield Step(name="After training", what=what)


def _changes(augment: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what the settings of augmentation do."""
    if augment.get("policy") == "trivial":
        yield "one change of any kind and strength"
    for name, told in CHANGES.items():
        if value := augment.get(name):
            yield told.format(percent=_percent(value), degrees=_degrees(value))
    scale = augment.get("crop_scale")
    least = min(scale) if isinstance(scale, list) and scale else scale
    if isinstance(least, int | float) and least < 1:
        yield f"cut down to a part of {_percent(least)} of the area or more"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _degrees(turns: float) -> str:
    return f"{360 * turns:.0f}°"


def _square(side_px: int) -> str:
    return f"{side_px} × {side_px} pixels"
