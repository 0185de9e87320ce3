"""A run or a bundle as an `Answerer`: PyTorch, with explanations and training photos.

In: a run folder that finished, or a bundle. Out: what `answering.Answerer` says.

Shapes: N photos, C classes, F features; H height and W width of a map; 3 channels.
"""

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fieldmark.base.errors import RunError
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.answer import Prediction, answer
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.metrics import softmax
from fieldmark.looking import seen_part, under_evidence
from fieldmark.models.explain import Explainer
from fieldmark.models.familiarity import scores_of
from fieldmark.models.inference import Predictor, choose_device
from fieldmark.run import Run, load
from fieldmark.serving.answering import NearPhoto, Pixels, plain_name, seen
from fieldmark.serving.near_photos import near_photos


class BundleAnswerer:
    """A trained classifier, ready to answer."""

    engine = "torch"

    def __init__(
        self, path: Path, *, name: str | None = None, show_training_photos: bool = False
    ) -> None:
        """Load the classifier and verify it.

        Raises:
            RunError: the run cannot be read, or training photos are asked for and not at hand.
            BundleError: the bundle cannot be read.
        """
        run = load(path)
        self.name = plain_name(name or _called(run))
        self._classifier = run.classifier
        self._device = choose_device()
        self._predictor = Predictor(self._classifier, device=self._device)
        self.batch_size = self._predictor.batch_size
        self._lock = threading.Lock()
        self._explainer: Explainer | None = None
        try:
            self._explainer = Explainer(self._classifier, device=self._device)
        except RunError:  # its backbone has no places that can be told apart
            self._explainer = None
        self._near = near_photos(
            run,
            self._classifier,
            predictor=self._predictor,
            device=self._device,
            from_folder=show_training_photos,
        )

    @property
    def backbone(self) -> str:
        """The name of its network."""
        return self._classifier.architecture.backbone

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs."""
        return self._classifier.classes

    @property
    def preprocess(self) -> Preprocess:
        """How photos are brought to what the network sees."""
        return self._classifier.preprocess

    @property
    def decision(self) -> DecisionRule:
        """How probabilities become an answer."""
        return self._classifier.decision

    @property
    def can_explain(self) -> bool:
        """Whether the network has places that can be told apart."""
        return self._explainer is not None

    @property
    def can_show_nearest(self) -> bool:
        """Whether training photos were asked for, or travel with the bundle."""
        return self._near is not None

    def decode(self, content: bytes) -> Pixels:
        """Return what the network sees of a photo; see `Answerer.decode`."""
        return seen(content, self.preprocess)

    def answer(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        """Return the answer for each photo; see `Answerer.answer`."""
        self._one_thread()
        features_NF = self._predictor.features(np.stack(pixels))
        logits_NC = self._predictor.logits_of_features(features_NF)
        scores_N = scores_of(self._classifier, features_NF=features_NF, logits_NC=logits_NC)
        probabilities_NC = softmax(logits_NC.astype(np.float64) / self._classifier.temperature)
        return [
            answer(
                "",
                probabilities_C,
                classes=self.classes,
                rule=self.decision,
                top_k=len(self.classes),
                unfamiliarity=None if scores_N is None else float(scores_N[index]),
            )
            for index, probabilities_C in enumerate(probabilities_NC)
        ]

    def explain(self, content: bytes, *, class_name: str | None = None) -> bytes | None:
        """Return the photo under the evidence for a class; see `Answerer.explain`."""
        if class_name is not None and class_name not in self.classes:
            raise ValueError(f"there is no class '{class_name}'")
        if self._explainer is None:
            return None
        pixels_SS3 = self.decode(content)
        if class_name is None:
            class_name = str(self.answer([pixels_SS3])[0].label)
        self._one_thread()
        index = self.classes.index(class_name)
        with self._lock:  # gradients take much memory: one photo's at a time
            (map_HW,) = self._explainer.maps(pixels_SS3, classes=[index])
        buffer = io.BytesIO()
        shown, box = seen_part(content, self.preprocess)
        under_evidence(shown, map_HW, box).save(buffer, format="PNG")
        return buffer.getvalue()

    def nearest(self, pixels: Pixels, *, most: int) -> list[NearPhoto]:
        """Return the training photos most like a photo; see `Answerer.nearest`."""
        if self._near is None:
            return []
        self._one_thread()
        (features_F,) = self._predictor.features(pixels[None])
        return self._near.nearest(features_F, most=most)

    def _one_thread(self) -> None:
        # Threads that share a batch wait for each other at every layer; each has its own.
        if self._device.type == "cpu":
            torch.set_num_threads(1)


def _called(run: Run) -> str:
    place = (run.path or run.bundle).resolve()
    return place.name if place.is_dir() else place.stem
