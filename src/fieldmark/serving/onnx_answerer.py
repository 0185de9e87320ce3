"""An exported file as an `Answerer`: ONNX Runtime alone, without torch.

In: an ONNX file that `fieldmark export` wrote. Out: what `answering.Answerer` says.
Not covered: explanations, which take gradients, and training photos, which the file does not hold.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.answer import Prediction, answer
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.exported import load_exported
from fieldmark.serving.answering import NearPhoto, Pixels, seen

BATCH_SIZE = 8
"""Photos a batch. Each thread has its own, and small ones stay in a processor's caches."""


class OnnxAnswerer:
    """An exported file, ready to answer."""

    engine = "onnx"
    batch_size = BATCH_SIZE
    can_explain = can_show_nearest = False

    def __init__(self, path: Path, *, name: str) -> None:
        """Open the file.

        Raises:
            BundleError: it cannot be read, or is none that Fieldmark wrote.
            ExportError: ONNX Runtime is not installed.
        """
        self.name = name
        self._model = load_exported(path)

    @property
    def backbone(self) -> str:
        """The name of its network."""
        return self._model.form.backbone

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs."""
        return self._model.classes

    @property
    def preprocess(self) -> Preprocess:
        """How photos are brought to what the network sees."""
        return self._model.form.preprocess

    @property
    def decision(self) -> DecisionRule:
        """How probabilities become an answer."""
        return self._model.form.decision

    def decode(self, content: bytes) -> Pixels:
        """Return what the network sees of a photo; see `Answerer.decode`."""
        return seen(content, self.preprocess)

    def answer(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        """Return the answer for each photo; see `Answerer.answer`."""
        said = self._model.of_pixels(np.stack(pixels))
        scores = said.unfamiliarity_N
        return [
            answer(
                "",
                probabilities_C,
                classes=self.classes,
                rule=self.decision,
                top_k=len(self.classes),
                unfamiliarity=None if scores is None else float(scores[index]),
            )
            for index, probabilities_C in enumerate(said.probabilities_NC)
        ]

    def explain(self, content: bytes, *, class_name: str | None = None) -> bytes | None:  # noqa: ARG002 - the protocol's
        """Return None: an exported file has no gradients."""
        return None

    def nearest(self, pixels: Pixels, *, most: int) -> list[NearPhoto]:  # noqa: ARG002 - the protocol's
        """Return none: an exported file knows no training photos."""
        return []
