"""Training photos that travel with a bundle, small, so that it can show what a photo is like.

In: features, classes and thumbnails of training photos. Out: `PackedPhotos`, the content of the
bundle's file, and back, whoever wrote it. No name, path or metadata of a photo is kept.
Not covered: which photos are packed, and the card that tells of them (`photo_packing`).

Shapes: P photos, F features, B bytes.
"""

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import BundleError
from fieldmark.base.files import sha256_of, write_bytes, write_json
from fieldmark.data.quiet import pillow_warnings_off
from fieldmark.models.bundle_files import MANIFEST, PHOTOS, parse_json, read_files
from fieldmark.models.classifier import Classifier
from fieldmark.models.nearness import nearest, units

SINCE = 4
"""The schema version from which on a bundle may hold them."""
MAX_PHOTOS = 4_000
MAX_NUMBERS = 32_000_000
"""Features of all photos together: 64 MB in the file, which is the bound of networks with more than
8,000 features."""
SIDE_PX = 96
"""The longest side of a thumbnail."""
MAX_BYTES = 1 << 15
"""Of a thumbnail; noise of this size takes a third of it."""
QUALITY = 80
KIND = "JPEG"
SCAN = b"\xff\xda"
"""What a scan begins with. A thumbnail has one; thousands of them would take seconds to decode."""
DTYPES = {
    "features": (np.float16, 2),
    "classes": (np.int64, 1),
    "offsets": (np.int64, 1),
    "thumbnails": (np.uint8, 1),
}
"""The tensors of the file: their types and numbers of dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedPhotos:
    """Training photos as a bundle holds them."""

    units_PF: NDArray[np.float32]
    """Their features, each of length 1."""
    classes_P: NDArray[np.int64]
    """The index of the class that each was trained as."""
    thumbnails: tuple[bytes, ...]
    """Each as JPEG of at most `SIDE_PX` a side."""

    def nearest(self, features_F: NDArray[np.float32], *, most: int) -> list[tuple[int, float]]:
        """Return the positions of the photos nearest to one's features and the cosines."""
        return nearest(self.units_PF, features_F, most=most)


def most_photos(num_features: int) -> int:
    """Return how many photos with so many features each a bundle may hold, 1 or more."""
    return max(1, min(MAX_PHOTOS, MAX_NUMBERS // max(1, num_features)))


def thumbnail(image: Image.Image, *, side_px: int = SIDE_PX) -> bytes:
    """Return a picture as a JPEG of at most `side_px` a side: its pixels, and no metadata."""
    small = Image.fromarray(np.asarray(image.convert("RGB")))
    small.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    small.save(buffer, format=KIND, quality=QUALITY)
    return buffer.getvalue()


def photos_to_bytes(photos: PackedPhotos) -> bytes:
    """Return photos as the content of a safetensors file; features as float16.

    Halves of 16 bits move a cosine by about 0.00001.
    """
    from safetensors.numpy import save

    ends_P = np.cumsum([len(one) for one in photos.thumbnails], dtype=np.int64)
    return save(
        {
            "features": photos.units_PF.astype(np.float16),
            "classes": photos.classes_P.astype(np.int64),
            "offsets": np.concatenate([np.zeros(1, np.int64), ends_P]),
            "thumbnails": np.frombuffer(b"".join(photos.thumbnails), np.uint8),
        }
    )


def add_photos(folder: Path, photos: PackedPhotos) -> str:
    """Add photos to a bundle's folder, in the place of any that it has, and list them.

    Returns:
        The SHA-256 of their file.

    Raises:
        BundleError: the bundle is of a Fieldmark of before there was such a file.
    """
    manifest = parse_json((folder / MANIFEST).read_bytes(), what=str(folder / MANIFEST))
    if manifest["schema_version"] < SINCE:
        raise BundleError(
            "The bundle is of an older Fieldmark, and cannot hold thumbnails. Train the run again."
        )
    write_bytes(folder / PHOTOS, photos_to_bytes(photos))
    digest = sha256_of(folder / PHOTOS)
    sums = {**manifest["sha256"], PHOTOS: digest}
    write_json(folder / MANIFEST, {**manifest, "sha256": sums})
    return digest


def load_photos(place: Path, classifier: Classifier) -> PackedPhotos | None:
    """Return the training photos that travel with a bundle; None where there are none.

    Args:
        place: the bundle's folder, or a `.fieldmark` file.
        classifier: of the bundle.

    Raises:
        BundleError: the bundle is damaged, or its photos are not what they must be.
    """
    files = read_files(place)
    if PHOTOS not in files:
        return None
    return photos_from_bytes(
        files[PHOTOS],
        num_features=classifier.network.head.in_features,
        num_classes=len(classifier.classes),
        where=files.path(PHOTOS),
    )


def photos_from_bytes(
    content: bytes, *, num_features: int, num_classes: int, where: str
) -> PackedPhotos:
    """Return the photos of a safetensors file that may be from anywhere.

    Args:
        content: of the file.
        num_features: that the classifier has.
        num_classes: that it has.
        where: names the file in messages.

    Raises:
        BundleError: it is no such file, it is of another classifier, its numbers make no sense, or
            a thumbnail is no JPEG, or too large.
    """
    try:
        tensors = _tensors(content)
        features_PF, classes_P, offsets = (tensors[name] for name in list(DTYPES)[:3])
        _check_features(features_PF, num_features=num_features)
        _check_classes(classes_P, num_photos=len(features_PF), num_classes=num_classes)
        cut = _cut(tensors["thumbnails"].tobytes(), offsets, num_photos=len(features_PF))
        with pillow_warnings_off():
            for one in cut:
                _check_jpeg(one)
    except ValueError as error:
        raise BundleError(
            f"{where} is malformed: {error}. Take a fresh copy of the bundle, or one without "
            "thumbnails."
        ) from error
    return PackedPhotos(
        units_PF=units(features_PF.astype(np.float32)), classes_P=classes_P, thumbnails=cut
    )


def _tensors(content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found = load(content)
    except (SafetensorError, AttributeError, ImportError, LookupError, TypeError) as error:
        raise ValueError(f"it is no safetensors file ({error!r})") from error
    if set(found) != set(DTYPES):
        raise ValueError(f"it must hold {', '.join(DTYPES)}")
    for name, (dtype, num_dimensions) in DTYPES.items():
        if found[name].dtype != dtype or found[name].ndim != num_dimensions:
            raise ValueError(f"{name} is {found[name].dtype} {found[name].shape}")
    return found


def _check_features(features_PF: NDArray[np.float16], *, num_features: int) -> None:
    num_photos, found = features_PF.shape
    if found != num_features:
        raise ValueError(f"it has {found:,} features a photo, the classifier {num_features:,}")
    if not 1 <= num_photos <= most_photos(num_features):
        raise ValueError(
            f"it has {num_photos:,} photos, where 1 to {most_photos(num_features):,} are allowed"
        )
    if not np.isfinite(features_PF).all():
        raise ValueError("a feature is not finite")


def _check_classes(classes_P: NDArray[np.int64], *, num_photos: int, num_classes: int) -> None:
    if len(classes_P) != num_photos:
        raise ValueError(f"it has {num_photos:,} photos and {len(classes_P):,} classes of them")
    if classes_P.min() < 0 or classes_P.max() >= num_classes:
        raise ValueError("a photo is of a class that the classifier does not have")


def _cut(content: bytes, offsets: NDArray[np.int64], *, num_photos: int) -> tuple[bytes, ...]:
    """Return the thumbnails one by one.

    Raises:
        ValueError: the offsets do not go through the content from its beginning to its end.
    """
    ends = offsets.tolist()
    if len(ends) != num_photos + 1 or ends[0] != 0 or ends[-1] != len(content):
        raise ValueError("its offsets are not those of its thumbnails")
    if not all(0 < end - start <= MAX_BYTES for start, end in pairwise(ends)):
        raise ValueError(f"a thumbnail has no bytes, or more than {MAX_BYTES:,}")
    return tuple(content[start:end] for start, end in pairwise(ends))


def _check_jpeg(content: bytes) -> None:
    """Decode a thumbnail, once its header says that it is a small one.

    Raises:
        ValueError: it is no whole JPEG of at most `SIDE_PX` a side.
    """
    if content.count(SCAN) != 1:
        raise ValueError("a thumbnail is no plain JPEG of one scan")
    try:
        with Image.open(io.BytesIO(content), formats=(KIND,)) as image:
            size = image.size
            if max(size) <= SIDE_PX:
                image.load()
    except Exception as error:  # decoders raise anything on hostile bytes
        raise ValueError(f"a thumbnail is no JPEG ({error})") from error
    if max(size) > SIDE_PX:
        raise ValueError(f"a thumbnail has {size[0]} x {size[1]} pixels, and may have {SIDE_PX}")
