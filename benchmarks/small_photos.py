"""Photos reduced beforehand to a few pixels, so that a measurement is of what comes after.

In: a folder of photos. Out: `SmallPhotos`: files of one size with a split, and the same as an
array.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallPhotos:
    """Where the files are."""

    photos: Path
    """One subfolder of JPEGs a class."""
    split_file: Path
    """Columns path, label and split."""
    arrays: Path
    """.npz of the train photos: images uint8 (N, S, S, 3), labels int64 (N,)."""


def write_small_photos(
    source: Path, folder: Path, *, num_train: int, num_others: int, size_px: int, seed: int = 0
) -> SmallPhotos:
    """Squash a random sample of `source`, as many of each class, and divide it.

    Args:
        source: one subfolder of photos a class.
        folder: where to write.
        num_train: train photos in all.
        num_others: validation photos in all, and as many test photos.
        size_px: side of the square.
        seed: of the sample.
    """
    small = SmallPhotos(
        photos=folder / "photos", split_file=folder / "split.csv", arrays=folder / "train.npz"
    )
    classes = sorted(path.name for path in source.iterdir() if path.is_dir())
    rows, images, labels = [["path", "label", "split"]], [], []
    for number, label in enumerate(classes):
        (small.photos / label).mkdir(parents=True)
        quotas = (-(-num_train // len(classes)), -(-num_others // len(classes)))
        chosen = _sample(source / label, count=quotas[0] + 2 * quotas[1], seed=seed)
        splits = ["train"] * quotas[0] + ["validation"] * quotas[1] + ["test"] * quotas[1]
        for place, (path, split) in enumerate(zip(chosen, splits, strict=True)):
            target = f"{label}/{place:05}.jpg"
            pixels = _squash(path, small.photos / target, size_px=size_px)
            rows.append([target, label, split])
            if split == "train":
                images.append(pixels)
                labels.append(number)
    with small.split_file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    np.savez(small.arrays, images=np.stack(images), labels=np.array(labels, dtype=np.int64))
    return small


def _sample(folder: Path, *, count: int, seed: int) -> Iterator[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if len(found) < count:
        sys.exit(f"{folder} holds {len(found)} photos, and {count} are asked for: ask for fewer.")
    order = np.random.default_rng(seed).permutation(len(found))
    return (found[place] for place in order[:count])


def _squash(path: Path, target: Path, *, size_px: int) -> np.ndarray:
    with Image.open(path) as image:
        small = image.convert("RGB").resize((size_px, size_px), Image.Resampling.BILINEAR)
    small.save(target, "JPEG", quality=JPEG_QUALITY)
    with Image.open(target) as image:
        return np.asarray(image)
