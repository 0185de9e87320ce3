"""One photo at a time: where the evidence for a class lies on it, and what it is likened to.

In: a finished run, and files with their predictions. Out: `Looked`.
Not covered: writing anything (see `explaining`).

Shapes: H height and W width of a map or a picture, S side of what the network sees.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import DataError, nearest_spelling
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.catalog import CatalogRow, read_catalog
from fieldmark.data.images import decode
from fieldmark.data.placement import Box, placement
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.splits import TRAIN, read_splits
from fieldmark.models.attention import border_share, heat_over, likeness
from fieldmark.models.classifier import Classifier
from fieldmark.models.explain import Explainer, randomised
from fieldmark.models.inference import Predictor, choose_device
from fieldmark.models.prediction import Prediction
from fieldmark.nearest import (
    TrainingPhotos,
    TravellingPhoto,
    TravellingPhotos,
    training_photos,
    travelling_photos,
)
from fieldmark.report.entries import Photo
from fieldmark.report.explained import ClassPicture, ExplainedPhoto, Neighbour, Sanity
from fieldmark.report.heat import overlay
from fieldmark.run import Run

SHOWN_PX = 640
"""The longest side of a picture that is written; a smaller photo is not enlarged."""
NUM_NEIGHBOURS = 6
NUM_RANDOM_NETWORKS, NUM_COMPARED = 3, 8
"""How many networks with random weights are held against how many photos' maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one photo gave."""

    photo: ExplainedPhoto
    shown: Image.Image
    """The photo, or the part of it that the network sees."""
    overlays: tuple[Image.Image, ...]
    """The same under the evidence, for each of the photo's classes."""
    map_HW: NDArray[np.float32]
    """The evidence for the class that it was named, signed, over the network's input."""
    box: Box
    """Where in that input the photo lies."""
    pixels_SSC: NDArray[np.uint8]
    """What the network saw."""
    thumbnails: Mapping[str, bytes]
    """JPEGs of the nearest training photos by path, where those travel with the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looker:
    """A finished run made ready to look at photos."""

    classifier: Classifier
    explainer: Explainer
    predictor: Predictor
    device: torch.device
    training: TrainingPhotos | TravellingPhotos | None
    true_class: str | None
    """What all the photos show, if that was said."""
    root: Path | None
    """The folder of the run's own photos, in full; None where it is not known."""
    known: Mapping[str, CatalogRow]
    """The run's own photos by path within that folder."""
    sides: Mapping[str, str]
    """Their sides, by the SHA-256 of the file."""

    def truth(self, path: Path) -> str | None:
        """Return what a photo shows: as was said, as the run has it, or as its folder says."""
        if self.true_class is not None:
            return self.true_class
        place = path.resolve()
        if self.root is not None and place.is_relative_to(self.root):
            row = self.known.get(place.relative_to(self.root).as_posix())
            if row is not None and row.label in self.classifier.classes:
                return row.label
        name = place.parent.name
        return name if name in self.classifier.classes else None

    @property
    def turns_upright(self) -> bool:
        """Whether photos are turned as their metadata say."""
        return self.classifier.preprocess.orientation == "exif"

    def look(self, prediction: Prediction, *, stem: str, name_of: Callable[[str], str]) -> Looked:
        """Look at a photo that was read a moment ago.

        Args:
            prediction: of the photo, with a probability for every class.
            stem: with what the names of its pictures begin.
            name_of: gives what a class is called in the name of a file.

        Raises:
            DataError: it can no longer be read.
        """
        content = _read(Path(prediction.path))
        preprocess, classes = self.classifier.preprocess, self.classifier.classes
        pixels_SSC = preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
        named, true = str(prediction.label), self.truth(Path(prediction.path))
        asked = list(dict.fromkeys([named, true or named]))
        indices = [classes.index(name) for name in asked]
        maps_KHW = self.explainer.maps(pixels_SSC, classes=indices)
        shown, box = seen_part(content, preprocess)
        shares = dict(prediction.ranking)
        sha256 = hashlib.sha256(content).hexdigest()
        neighbours, thumbnails = self._neighbours(pixels_SSC, content=content)
        was_learned = any(one.is_same_file for one in neighbours)
        photo = ExplainedPhoto(
            path=prediction.path,
            true=true,
            side=self.sides.get(sha256, TRAIN if was_learned else ""),
            doubt=prediction.doubt,
            unfamiliarity=prediction.unfamiliarity,
            is_unfamiliar=prediction.is_unfamiliar,
            pictures=tuple(
                ClassPicture(
                    name=name,
                    probability=shares[name],
                    file=f"{stem}-{name_of(name)}.png",
                    border_share=border_share(map_HW, box),
                )
                for name, map_HW in zip(asked, maps_KHW, strict=True)
            ),
            neighbours=neighbours,
        )
        return Looked(
            photo=photo,
            shown=shown,
            overlays=tuple(under_evidence(shown, map_HW, box) for map_HW in maps_KHW),
            map_HW=maps_KHW[0],
            box=box,
            pixels_SSC=pixels_SSC,
            thumbnails=thumbnails,
        )

    def _neighbours(
        self, pixels_SSC: NDArray[np.uint8], *, content: bytes
    ) -> tuple[tuple[Neighbour, ...], dict[str, bytes]]:
        """Return the nearest training photos, and thumbnails of those that lie in the bundle."""
        if self.training is None:
            return (), {}
        (features_F,) = self.predictor.features(pixels_SSC[None])
        found = self.training.nearest(features_F, most=NUM_NEIGHBOURS)
        own = self.training.digest_of(content)
        neighbours = tuple(
            Neighbour(
                photo=Photo(path=one.path, sha256=one.sha256),
                label=one.label,
                similarity=cosine,
                is_same_file=one.sha256 == own,
            )
            for one, cosine in found
        )
        return neighbours, {
            one.path: one.content for one, _ in found if isinstance(one, TravellingPhoto)
        }


def prepare(run: Run, *, true_class: str | None, progress: Progress) -> Looker:
    """Make a run ready: its network, its training photos, what it knows of its own photos.

    Raises:
        DataError: `true_class` is no class of the run.
        RunError: the run's backbone cannot be explained, or a file of the run is missing.
        BundleError: the bundle's thumbnails are damaged.
    """
    classifier, device = run.classifier, choose_device()
    if true_class is not None and true_class not in classifier.classes:
        raise DataError(
            f"--true-class is '{true_class}', which is no class of this run."
            f"{nearest_spelling(true_class, classifier.classes)} Allowed: "
            f"{', '.join(classifier.classes)}."
        )
    explainer = Explainer(classifier, device=device)
    predictor = Predictor(classifier, device=device)
    training = travelling_photos(run, classifier, progress=progress) or training_photos(
        run, classifier, predictor=predictor, device=device, progress=progress
    )
    root, known, sides = _own_photos(run)
    return Looker(
        classifier=classifier,
        explainer=explainer,
        predictor=predictor,
        device=device,
        training=training,
        true_class=true_class,
        root=root,
        known=known,
        sides=sides,
    )


def seen_part(content: bytes, preprocess: Preprocess) -> tuple[Image.Image, Box]:
    """Return the part of a photo that the network sees, and where in its input that lies.

    Args:
        content: all bytes of the photo's file.
        preprocess: of the classifier.

    Raises:
        UnreadableImage: it is no complete picture in a format that is read.
    """
    turns_upright = preprocess.orientation == "exif"
    whole = decode(content, turn_upright=turns_upright, reduce_to_px=SHOWN_PX).image
    where = placement(preprocess, width=whole.width, height=whole.height)
    left, top, right, bottom = where.of_photo.of(whole.width, whole.height)
    shown = whole.crop((round(left), round(top), round(right), round(bottom)))
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    return shown, where.in_square


def under_evidence(shown: Image.Image, map_HW: NDArray[np.float32], box: Box) -> Image.Image:
    """Return what `seen_part` gave under the evidence of a map over the network's input."""
    heat_HW = heat_over(map_HW, box, width=shown.width, height=shown.height)
    return overlay(np.asarray(shown), heat_HW)


def compare_with_random(
    looker: Looker, looked: Sequence[Looked], *, progress: Progress
) -> Sanity | None:
    """Return how much the maps are like those of networks with random weights.

    The test of Adebayo et al. 2018 (section 4): a map that does not change when all weights are
    drawn anew does not show what was learned. None without photos; a flat map is like no other.
    """
    if not looked:
        return None
    classes, found = looker.classifier.classes, []
    progress.start("Random weights", total=NUM_RANDOM_NETWORKS, unit="networks")
    for seed in range(NUM_RANDOM_NETWORKS):
        blind = Explainer(randomised(looker.classifier, seed=seed), device=looker.device)
        for one in looked:
            index = classes.index(one.photo.named.name)
            (map_HW,) = blind.maps(one.pixels_SSC, classes=[index])
            found.append(likeness(one.map_HW, map_HW))
        progress.advance()
    mean = float(np.mean(found))
    progress.finish(f"their maps have a rank correlation of {mean:.2f} with these")
    return Sanity(likeness=mean, num_photos=len(looked), num_networks=NUM_RANDOM_NETWORKS)


def _own_photos(run: Run) -> tuple[Path | None, dict[str, CatalogRow], dict[str, str]]:
    """Return the folder of the run's photos, their rows by path, their sides by digest."""
    if run.path is None:
        return None, {}, {}
    folder = RunFolder(run.path)
    root = Path(str(run.record.get("photos"))).resolve()
    known = {row.path: row for row in read_catalog(folder.catalog_csv, root=root).usable}
    sides = read_splits(folder.splits_csv).sides()
    return root, known, {row.sha256: sides[path] for path, row in known.items() if path in sides}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} could be read a moment ago, and no longer: {error.strerror}. Leave it where "
            "it is while Fieldmark works, and start again."
        ) from error
