"""What was explained, as plain typed data: no HTML, no pictures, no model.

They are filled by `fieldmark.explaining` and shown by `explain`; a terminal can show the same.
"""

from dataclasses import dataclass

from fieldmark.audit.shortcuts import ShortcutTest, is_shortcut
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.entries import Photo

BORDER_CUE = "border"
"""The key of the shortcut test's cue for what explanations look at, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A training photo that lies near a photo in the space of features."""

    photo: Photo
    """Of the run; where there is a bundle alone its thumbnail, relative to the folder that is
    written."""
    label: str
    similarity: float
    """Cosine of the angle between the features of both, -1 to 1."""
    is_same_file: bool
    """Whether it is the very photo, byte for byte; of a thumbnail, whether the photo gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPicture:
    """Where the evidence for one class lies on a photo."""

    name: str
    """The class."""
    probability: float
    """What the classifier gives it, 0 to 1."""
    file: str
    """The PNG, relative to the folder that is written, with forward slashes."""
    border_share: float | None
    """Share of the evidence on the outer tenth of each side, 0 to 1; None where nothing speaks for
    the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPhoto:
    """One photo: what it was named, why, and what it was likened to."""

    path: str
    """As it was given or found."""
    true: str | None
    """What it shows, where that is known."""
    side: str
    """train, validation or test, where the run has met this very file; else nothing."""
    doubt: tuple[str, ...]
    """The classes that the classifier wavers between; empty where it is sure."""
    unfamiliarity: float | None
    """How unlike the training photos it is, higher for stranger ones; None without such a score."""
    is_unfamiliar: bool | None
    """Whether it is unlike anything in training; None without a threshold."""
    pictures: tuple[ClassPicture, ...]
    """For the class that it was named, then for the true one where that is another."""
    neighbours: tuple[Neighbour, ...]
    """The nearest first; empty where the training photos could not be looked at."""

    @property
    def named(self) -> ClassPicture:
        """The class that it was named."""
        return self.pictures[0]

    @property
    def is_wrong(self) -> bool:
        """Whether it is known to show something else than it was named."""
        return self.true is not None and self.true != self.named.name

    @property
    def others(self) -> tuple[Neighbour, ...]:
        """The neighbours that are not this very file."""
        return tuple(neighbour for neighbour in self.neighbours if not neighbour.is_same_file)

    @property
    def num_agreeing(self) -> int:
        """How many of the others are of the class that it was named."""
        return sum(neighbour.label == self.named.name for neighbour in self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sanity:
    """How much the maps are like those of networks that have learned nothing."""

    likeness: float
    """Mean rank correlation, -1 to 1; near 0 the maps show what was learned."""
    num_photos: int
    num_networks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderCue:
    """How far the border alone goes, by the shortcut test of the run."""

    accuracy: Estimate
    chance: Estimate
    is_shortcut: bool


def border_cue_of(test: ShortcutTest | None) -> BorderCue | None:
    """Return how far the border alone goes; None where that was not measured."""
    scores = {score.key: score for score in test.cues} if test else {}
    score = scores.get(BORDER_CUE)
    if test is None or score is None or score.note:
        return None
    return BorderCue(accuracy=score.accuracy, chance=test.chance, is_shortcut=is_shortcut(score))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """All that was explained."""

    run: str
    """The run folder, or the bundle."""
    photos: tuple[ExplainedPhoto, ...]
    """The known mistakes first, the surest of them on top; then the least sure first."""
    left_out: tuple[tuple[str, str], ...]
    """Path and reason of each file that could not be explained."""
    backbone: str
    layers: tuple[tuple[str, int, int], ...]
    """The layers whose maps are drawn: name, places from top to bottom, places from left to
    right."""
    num_views: int
    resize: str
    """squash, crop or pad: how a photo becomes the square that the network sees."""
    border: Estimate | None
    """The mean share of the evidence on the outer tenth of each side, over photos that have any.
    With a single photo the interval has no width."""
    sanity: Sanity | None
    """None where no map had any shape to compare."""
    border_cue: BorderCue | None
    """None where the run has not measured it."""
    num_training: int
    """Training photos among which the neighbours were sought; 0 where that could not be done."""
    num_training_in_all: int
    has_thumbnails: bool = False
    """Whether the training photos are thumbnails that travel with the bundle."""

    @property
    def num_known(self) -> int:
        """Photos of which it is known what they show."""
        return sum(photo.true is not None for photo in self.photos)

    @property
    def num_wrong(self) -> int:
        """Photos that are known to be named wrong."""
        return sum(photo.is_wrong for photo in self.photos)
