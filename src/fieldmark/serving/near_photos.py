"""Training photos like a photo, to be shown: from the run's folder, or from the bundle itself.

In: a run or a bundle. Out: `NearPhotos`, where there is something to show.
From the folder they are shown only where that was asked for. Thumbnails in a bundle are shown
always: who packed them there has asked for it.

Shapes: F features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import FieldmarkError, RunError
from fieldmark.base.progress import SilentProgress
from fieldmark.data.images import decode
from fieldmark.models.bundle_photos import PackedPhotos, load_photos, thumbnail
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.nearest import TrainingPhotos, training_photos
from fieldmark.run import Run
from fieldmark.serving.answering import NearPhoto

THUMBNAIL_PX = 160
"""The longest side of a thumbnail of a photo in the folder."""


class NearPhotos(Protocol):
    """Training photos, ready to be looked through; by several threads at once."""

    def nearest(self, features_F: NDArray[np.float32], *, most: int) -> list[NearPhoto]:
        """Return those most like a photo with these features, the nearest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FromFolder:
    """Training photos whose files are read when they are shown."""

    training: TrainingPhotos
    root: Path
    turns_upright: bool

    def nearest(self, features_F: NDArray[np.float32], *, most: int) -> list[NearPhoto]:
        """See `NearPhotos.nearest`; photos that are gone by now are left out."""
        found = []
        for row, similarity in self.training.nearest(features_F, most=most):
            small = self._thumbnail(self.root / row.path)
            if small is not None:
                found.append(NearPhoto(label=row.label, similarity=similarity, thumbnail=small))
        return found

    def _thumbnail(self, path: Path) -> bytes | None:
        try:
            content = path.read_bytes()
            image = decode(
                content, turn_upright=self.turns_upright, reduce_to_px=THUMBNAIL_PX
            ).image
        except (OSError, FieldmarkError):  # gone or changed since the server was started
            return None
        return thumbnail(image, side_px=THUMBNAIL_PX)


@dataclass(frozen=True, slots=True, kw_only=True)
class FromBundle:
    """Training photos that travel with a bundle."""

    photos: PackedPhotos
    classes: tuple[str, ...]

    def nearest(self, features_F: NDArray[np.float32], *, most: int) -> list[NearPhoto]:
        """See `NearPhotos.nearest`."""
        return [
            NearPhoto(
                label=self.classes[self.photos.classes_P[place]],
                similarity=similarity,
                thumbnail=self.photos.thumbnails[place],
            )
            for place, similarity in self.photos.nearest(features_F, most=most)
        ]


def near_photos(
    run: Run,
    classifier: Classifier,
    *,
    predictor: Predictor,
    device: torch.device,
    from_folder: bool,
) -> NearPhotos | None:
    """Return the training photos to show; None where there are none that may be shown.

    Args:
        run: a run, or a bundle alone.
        classifier: of it.
        predictor: of the classifier.
        device: on which it predicts.
        from_folder: whether those in the run's folder of photos shall be shown.

    Raises:
        RunError: that was asked for, and there are none, nor any in the bundle.
        BundleError: the bundle is damaged.
    """
    if from_folder and run.path is not None:
        return _from_folder(run, classifier, predictor=predictor, device=device)
    photos = load_photos(run.bundle, classifier)
    if photos is not None:
        return FromBundle(photos=photos, classes=classifier.classes)
    if from_folder:
        raise _not_at_hand(run)
    return None


def _from_folder(
    run: Run, classifier: Classifier, *, predictor: Predictor, device: torch.device
) -> NearPhotos:
    training = training_photos(
        run, classifier, predictor=predictor, device=device, progress=SilentProgress()
    )
    if training is None:
        raise _not_at_hand(run)
    return FromFolder(
        training=training,
        root=Path(str(run.record.get("photos"))),
        turns_upright=classifier.preprocess.orientation == "exif",
    )


def _not_at_hand(run: Run) -> RunError:
    return RunError(
        f"The training photos of {run.path or run.bundle} are not at hand, so they cannot be "
        "shown. Give the run folder, and put its photos where they were, or a bundle that was "
        "exported --with-thumbnails; or serve without --show-training-photos."
    )
