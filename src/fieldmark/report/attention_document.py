"""Where a network looks on test photos of its own run, as a document.

In: maps of evidence. Out: `Attention`, and `attention.json`. A map is kept as a byte for each place
that the network tells apart, so that the pictures can be drawn whenever the photos are at hand.
Not covered: making the maps (`fieldmark.attending`) and drawing (`attention_pictures`).

Shapes: H height and W width of a map.
"""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder, check_schema
from fieldmark.data.placement import Box
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.entries import Photo

SCHEMA_VERSION = 1
STRONGEST = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassHeat:
    """Where the evidence for one class lies on a photo."""

    name: str
    """The class."""
    border_share: float | None
    """Share of the evidence on the outer tenth of each side, 0 to 1; None where there is none."""
    height: int
    """Places from top to bottom."""
    width: int
    """Places from left to right."""
    levels: str
    """A byte a place, row by row, in base64: 255 where the evidence is strongest, 0 where nothing
    speaks for the class."""

    def __post_init__(self) -> None:
        """Refuse bytes that are not as many as there are places."""
        try:
            content = base64.b64decode(self.levels, validate=True)
        except binascii.Error as error:
            raise ValueError(f"levels is no base64: {error}") from error
        if self.height < 1 or self.width < 1 or len(content) != self.height * self.width:
            raise ValueError(
                f"levels holds {len(content):,} bytes for {self.height} x {self.width} places"
            )

    @classmethod
    def of(
        cls, map_HW: NDArray[np.float32], *, name: str, border_share: float | None
    ) -> "ClassHeat":
        """Keep the positive part of a map over the network's input."""
        positive_HW = np.maximum(map_HW, 0).astype(np.float64)
        strongest = float(positive_HW.max())
        levels_HW = np.rint(positive_HW / strongest * STRONGEST) if strongest else positive_HW
        height, width = map_HW.shape
        return cls(
            name=name,
            border_share=border_share,
            height=height,
            width=width,
            levels=base64.b64encode(levels_HW.astype(np.uint8).tobytes()).decode("ascii"),
        )

    @property
    def heat_HW(self) -> NDArray[np.float32]:
        """The evidence, 0 to 1 where it is strongest."""
        content = np.frombuffer(base64.b64decode(self.levels), dtype=np.uint8)
        return content.reshape(self.height, self.width).astype(np.float32) / np.float32(STRONGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPhoto:
    """A test photo and where the network looks on it."""

    photo: Photo
    true: str
    confidence: float
    """What the classifier gives the class that it named, 0 to 1."""
    of_photo: Box
    """The part of the photo that the network sees."""
    in_square: Box
    """Where that lies in its input, over which the maps are."""
    heats: tuple[ClassHeat, ...]
    """For the class that it was named, then for the true one where that is another."""

    def __post_init__(self) -> None:
        """Refuse a photo without a map."""
        if not self.heats:
            raise ValueError("there is no map for the class named")

    @property
    def predicted(self) -> str:
        """The class that it was named."""
        return self.heats[0].name


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What a network looks at on test photos of its own run."""

    mistakes: tuple[SeenPhoto, ...]
    """The surest first."""
    typical: tuple[SeenPhoto, ...]
    """One a class, named right with the highest odds; the class that is hardest first."""
    border: Estimate | None
    """Mean share of the evidence on the border, over `num_sampled` test photos."""
    num_sampled: int
    """Test photos drawn at random, of groups of copies one each."""
    layers: tuple[str, ...]
    """The layers whose maps were taken."""
    why_not: str
    """Why the network cannot be explained, where that is so; all else is then empty."""

    @property
    def photos(self) -> tuple[SeenPhoto, ...]:
        """All photos, the most important first."""
        return (*self.mistakes, *self.typical)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `attention.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: object, *, where: str = "attention.json") -> "Attention":
        """Read what `to_json` gave.

        Raises:
            RunError: the content is of a newer schema, or not what `to_json` writes.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        attention: Attention = from_plain(cls, content, where=where)
        return attention


def not_explained(why: str) -> Attention:
    """Return the document of a network that cannot be explained."""
    return Attention(mistakes=(), typical=(), border=None, num_sampled=0, layers=(), why_not=why)


def write_attention(folder: Path, attention: Attention) -> None:
    """Write `attention.json` into a run folder, atomically."""
    write_json(RunFolder(folder).attention_json, attention.to_json())


def read_attention(folder: Path) -> Attention | None:
    """Read `attention.json` of a run folder; None for a run that has none.

    Raises:
        RunError: the file is there and is not JSON, is malformed or of a newer schema.
    """
    return read_document(RunFolder(folder).attention_json, Attention.from_json)
