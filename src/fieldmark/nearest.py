"""The training photos nearest to a photo: what its answer rests on, to be looked at.

In: a finished run and features of photos. Out: `TrainingPhotos`, and the nearest of them; for a
bundle alone, `TravellingPhotos`, where it holds thumbnails.
Nearness is that of `models.nearness`, by features that the run's own backbone gives. Those of a
frozen backbone were computed by the run; those of a trained one are computed once for each bundle.
Both are kept in the user's cache, photo by photo.

Shapes: N photos, F features.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import sha256_of
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.catalog import CatalogRow, read_catalog
from fieldmark.data.images import decode
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.splits import TRAIN, read_splits
from fieldmark.models.bundle import WEIGHTS
from fieldmark.models.bundle_photos import SIDE_PX, PackedPhotos, load_photos, thumbnail
from fieldmark.models.classifier import Classifier
from fieldmark.models.features import FeatureCache, features_key
from fieldmark.models.golden import choose_golden
from fieldmark.models.inference import Predictor
from fieldmark.models.nearness import nearest, units
from fieldmark.run import Run
from fieldmark.training.config import FROZEN

MAX_COMPUTED = 10_000
"""Training photos whose features are computed at most: minutes on a CPU. What is kept from before
comes on top."""
CHUNK_BYTES = 1 << 27
"""Pixels that lie in memory at a time."""
NAME = "nearest/{:04d}.jpg"
"""What thumbnails of a bundle are called, by their place in it: their names stayed behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPhotos:
    """What a classifier has learned from, in the space of its features."""

    rows: tuple[CatalogRow, ...]
    units_NF: NDArray[np.float32]
    """Their features, each of length 1."""
    num_in_all: int
    """All training photos, also those that could not be looked at."""

    def __len__(self) -> int:
        return len(self.rows)

    def digest_of(self, content: bytes) -> str:
        """Return the `sha256` that a training photo with this content has."""
        return hashlib.sha256(content).hexdigest()

    def nearest(
        self, features_F: NDArray[np.float32], *, most: int
    ) -> list[tuple[CatalogRow, float]]:
        """Return the rows nearest to a photo's features and the cosines, the nearest first."""
        found = nearest(self.units_NF, features_F, most=most)
        return [(self.rows[index], cosine) for index, cosine in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class TravellingPhoto:
    """What a bundle holds of a training photo besides its features."""

    path: str
    """What it is called; nothing lies there unless it is written there."""
    label: str
    content: bytes
    """The thumbnail, a JPEG."""

    @property
    def sha256(self) -> str:
        """Of the thumbnail, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class TravellingPhotos:
    """What a classifier has learned from, as far as it travels with the bundle."""

    photos: PackedPhotos
    classes: tuple[str, ...]
    turns_upright: bool
    """Whether photos are turned as their metadata say."""

    def __len__(self) -> int:
        return len(self.photos.thumbnails)

    def digest_of(self, content: bytes) -> str:
        """Return the `sha256` that a training photo with this content has: of its thumbnail.

        Raises:
            UnreadableImage: it is no photo.
        """
        small = small_copy(content, turn_upright=self.turns_upright)
        return hashlib.sha256(small).hexdigest()

    @property
    def num_in_all(self) -> int:
        """All photos in the bundle, which does not say how many there were."""
        return len(self)

    def nearest(
        self, features_F: NDArray[np.float32], *, most: int
    ) -> list[tuple[TravellingPhoto, float]]:
        """Return those nearest to a photo's features and the cosines, the nearest first."""
        return [
            (self._at(place), cosine)
            for place, cosine in self.photos.nearest(features_F, most=most)
        ]

    def _at(self, place: int) -> TravellingPhoto:
        return TravellingPhoto(
            path=NAME.format(place),
            label=self.classes[self.photos.classes_P[place]],
            content=self.photos.thumbnails[place],
        )


def travelling_photos(
    run: Run, classifier: Classifier, *, progress: Progress
) -> TravellingPhotos | None:
    """Return the training photos that travel with a bundle; None where there are none.

    Args:
        run: one with its folder gives None: its photos themselves can be shown.
        classifier: of the run.
        progress: told of the photos.

    Raises:
        BundleError: the bundle is damaged, or its photos are not what they must be.
    """
    photos = load_photos(run.bundle, classifier) if run.path is None else None
    if photos is None:
        return None
    found = TravellingPhotos(
        photos=photos,
        classes=classifier.classes,
        turns_upright=classifier.preprocess.orientation == "exif",
    )
    progress.start("Training photos", total=len(found), unit="photos")
    progress.advance(len(found))
    progress.finish(f"{counted(len(found), 'thumbnail')} in the bundle")
    return found


def small_copy(content: bytes, *, turn_upright: bool) -> bytes:
    """Return the thumbnail with which a photo travels with a bundle; the same each time.

    Args:
        content: of the photo's file.
        turn_upright: turn it as its metadata say.

    Raises:
        UnreadableImage: it is no complete picture in a format that is read.
    """
    return thumbnail(decode(content, turn_upright=turn_upright, reduce_to_px=SIDE_PX).image)


def training_photos(
    run: Run,
    classifier: Classifier,
    *,
    predictor: Predictor,
    device: torch.device,
    progress: Progress,
    root: Path | None = None,
    most: int | None = None,
) -> TrainingPhotos | None:
    """Return the training photos of a run with their features; None where there are none at hand.

    Photos that are gone or have changed since the run are left out.

    Args:
        run: a bundle without its run gives None.
        classifier: of the run.
        predictor: of the classifier.
        device: on which it predicts.
        progress: told of each photo, and why there are none.
        root: where the run's photos are now; None is where `run.json` says.
        most: how many to look at, drawn at random, as many of each class as can be; None: all.

    Raises:
        RunError: a file of the run is missing or malformed.
    """
    if run.path is None:
        progress.note("This is a bundle without its run, so no training photos are shown.")
        return None
    folder = RunFolder(run.path)
    root = root or Path(str(run.record.get("photos")))
    catalog = read_catalog(folder.catalog_csv, root=root)
    wanted = set(read_splits(folder.splits_csv).paths(TRAIN))
    rows = [row for row in catalog.usable if row.path in wanted]
    if most is not None:
        rows = _drawn(rows, classifier.classes, most=most)
    cache = FeatureCache(_key(run, classifier, device=device))
    unknown = sorted((row for row in rows if row.sha256 not in cache), key=lambda row: row.sha256)
    num_kept = len(rows) - len(unknown)
    progress.start("Training photos", total=num_kept + len(unknown[:MAX_COMPUTED]), unit="photos")
    progress.advance(num_kept)
    for pixels_MSSC, sha256s in _chunks(unknown[:MAX_COMPUTED], root, classifier.preprocess):
        cache.features(predictor, pixels_MSSC, sha256s=sha256s, on_batch=progress.advance)
    rows = [row for row in rows if row.sha256 in cache]
    progress.finish(f"features of {len(rows):,} photos, {num_kept:,} of them from the cache")
    if not rows:
        progress.note(f"No training photo could be read in {root}, so none are shown.")
        return None
    blank = np.empty((0, 1, 1, 3), dtype=np.uint8)
    sha256s = [row.sha256 for row in rows]
    cached = cache.features(predictor, blank, sha256s=sha256s, on_batch=lambda _: None)
    return TrainingPhotos(
        rows=tuple(rows), units_NF=units(cached.features_NF), num_in_all=len(wanted)
    )


def _drawn(rows: Sequence[CatalogRow], classes: Sequence[str], *, most: int) -> list[CatalogRow]:
    """Return some rows of the classes, as many of each as can be, in the order that they had."""
    index = {name: number for number, name in enumerate(classes)}
    known = [row for row in rows if row.label in index]
    mixed = np.random.default_rng(0).permutation(len(known))
    chosen = choose_golden([index[known[place].label] for place in mixed], most)
    return [known[place] for place in sorted(mixed[chosen])]


def _key(run: Run, classifier: Classifier, *, device: torch.device) -> str:
    """Return the name of the features: that of the run's own where its backbone was not trained."""
    record: dict[str, Any] = dict(run.record)
    published = record.get("sha256", {}).get("weights")
    is_frozen = record.get("strategy") in FROZEN and published
    weights = published if is_frozen else sha256_of(run.bundle / WEIGHTS)
    return features_key(classifier, weights_sha256=weights, device=device)


def _chunks(
    rows: Sequence[CatalogRow], root: Path, preprocess: Preprocess
) -> Iterator[tuple[NDArray[np.uint8], list[str]]]:
    """Yield pixels (M, S, S, 3) and digests of the photos that are still as they were."""

    def read(row: CatalogRow) -> NDArray[np.uint8] | None:
        try:
            content = (root / row.path).read_bytes()
            if hashlib.sha256(content).hexdigest() != row.sha256:
                return None
            return preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
        except (OSError, DataError):
            return None

    size = max(1, CHUNK_BYTES // (3 * preprocess.size_px**2))
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        read_M = zip(chunk, ThreadExecutor().map(read, chunk), strict=True)
        good = [(row.sha256, pixels) for row, pixels in read_M if pixels is not None]
        if good:
            yield np.stack([pixels for _, pixels in good]), [sha256 for sha256, _ in good]
