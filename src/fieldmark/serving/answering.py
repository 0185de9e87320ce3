"""What can be asked of a served classifier, whatever runs it: PyTorch or ONNX Runtime.

In: a run folder, a bundle or an exported file. Out: an `Answerer`.
Routes, page and metrics know this protocol alone. Nothing here is about HTTP.

Shapes: N photos, S side of what the network sees, C classes; 3 channels.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.answer import Prediction
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.exported import SUFFIX

Pixels = NDArray[np.uint8]
"""What a network sees of one photo: RGB, uint8, (S, S, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPhoto:
    """A training photo that is like a photo."""

    label: str
    """The class that it was trained as."""
    similarity: float
    """Cosine of the angle between the features of both, -1 to 1."""
    thumbnail: bytes
    """The photo, small, as JPEG."""


class Answerer(Protocol):
    """A classifier ready to answer. Every method may be called by several threads at once."""

    @property
    def name(self) -> str:
        """What it is called in addresses: letters, digits, `.`, `_` and `-`."""
        ...

    @property
    def engine(self) -> str:
        """What computes: "torch" or "onnx"."""
        ...

    @property
    def backbone(self) -> str:
        """The name of its network."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs."""
        ...

    @property
    def preprocess(self) -> Preprocess:
        """How photos are brought to what the network sees; `size_px` is S."""
        ...

    @property
    def decision(self) -> DecisionRule:
        """How probabilities become an answer, and when it says that it does not know."""
        ...

    @property
    def batch_size(self) -> int:
        """How many photos it answers best at a time, in one thread."""
        ...

    @property
    def can_explain(self) -> bool:
        """Whether `explain` can give anything."""
        ...

    @property
    def can_show_nearest(self) -> bool:
        """Whether `nearest` can give anything."""
        ...

    def decode(self, content: bytes) -> Pixels:
        """Return what the network sees of a photo, uint8 (S, S, 3).

        Args:
            content: all bytes of its file.

        Raises:
            UnreadableImage: it is no complete picture in a format that is read; the message is the
                reason, for people.
        """
        ...

    def answer(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        """Return the answer for each photo, with all classes ranked, in order.

        Their `path` is empty, `error` is None.

        Args:
            pixels: of one or more photos, as `decode` gives them.
        """
        ...

    def explain(self, content: bytes, *, class_name: str | None = None) -> bytes | None:
        """Return the photo under the evidence for a class, as PNG; None where it cannot.

        Args:
            content: all bytes of the photo's file.
            class_name: one of `classes`; None takes the one that the photo is named.

        Raises:
            UnreadableImage: as of `decode`.
            ValueError: it has no such class.
        """
        ...

    def nearest(self, pixels: Pixels, *, most: int) -> list[NearPhoto]:
        """Return the training photos most like a photo, the nearest first; none where not known."""
        ...


def open_answerer(
    path: str | Path, *, name: str | None = None, show_training_photos: bool = False
) -> Answerer:
    """Make a run, a bundle or an exported file ready to answer.

    Args:
        path: a run folder that finished, a bundle as folder or file, or an ONNX file that
            `fieldmark export` wrote. For the latter torch is not needed.
        name: what it shall be called in addresses; None takes the name of the folder or file.
        show_training_photos: show training photos like a photo. Off, since they may be of things
            that not everybody who can reach the server should see. It takes the run folder and the
            photos that it was trained on.

    Raises:
        RunError: the run cannot be read.
        BundleError: the bundle or the exported file cannot be read.
    """
    place = Path(path).expanduser()
    if place.suffix.lower() == SUFFIX and place.is_file():
        from fieldmark.serving.onnx_answerer import OnnxAnswerer

        return OnnxAnswerer(place, name=plain_name(name or place.stem))
    from fieldmark.serving.bundle_answerer import BundleAnswerer

    return BundleAnswerer(place, name=name, show_training_photos=show_training_photos)


def warm_up(answerer: Answerer) -> None:
    """Answer blank photos, so that the first who asks does not wait for what is loaded then."""
    buffer = io.BytesIO()
    Image.new("RGB", (2 * answerer.preprocess.size_px, answerer.preprocess.size_px)).save(
        buffer, format="JPEG"
    )
    answerer.answer([answerer.decode(buffer.getvalue())] * answerer.batch_size)


def seen(content: bytes, preprocess: Preprocess) -> Pixels:
    """Return what a network sees of a photo, uint8 (S, S, 3); errors as of `Answerer.decode`."""
    return preprocess.to_pixels(preprocess.decode(content).pixels_HW3)


def plain_name(name: str) -> str:
    """Return a name that stands in an address as it is, at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:60] or "model"
