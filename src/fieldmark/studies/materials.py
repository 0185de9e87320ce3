"""What trials learn from, in files: labels, sides, groups, and per recipe features and pixels.

In: arrays of the train and validation photos. Out: a folder that every process of a study maps into
its memory. Test photos are never in it.
Not covered: how the arrays are made (see `studying.photos`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import check_schema

SCHEMA_VERSION = 1
INDEX = "index.json"
CHUNK = 64
"""Photos written at a time."""

# Legend for shape suffixes: M photos of train and validation, N photos of one of them, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the photos are seen by the recipes with one [data] and one [model]."""

    orientation: str
    """How rotations in their metadata are read: "exif" or "stored"."""
    pixels: str | None
    """The file of the pixels; None where no trial needs them."""
    features: str | None
    """The file of the features by the backbone as it comes; None where no trial needs them, or the
    weights are random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The photos of a study's trials, in the order train, validation."""

    folder: Path
    data_digest: str
    splits_digest: str
    """Of which photo is on which side, and in which group."""
    classes: tuple[str, ...]
    num_train: int
    labels_M: NDArray[np.int64]
    groups_M: NDArray[np.int64]
    """Numbers that are the same for photos which belong together."""
    readings: Mapping[str, Reading]
    """By `basis.reading_key` of the recipe."""

    @property
    def rows(self) -> dict[str, NDArray[np.int64]]:
        """Return the places of each split's photos; there are none to test."""
        places_M = np.arange(len(self.labels_M))
        return {
            "train": places_M[: self.num_train],
            "validation": places_M[self.num_train :],
            "test": places_M[:0],
        }

    def pixels_MHWC(self, key: str) -> NDArray[np.uint8]:
        """Return the pixels for the recipes with this key, mapped from the disk."""
        return self._mapped(self.readings[key].pixels)

    def features_MF(self, key: str) -> NDArray[np.float32] | None:
        """Return the features for the recipes with this key; None where there are none."""
        file = self.readings[key].features
        return None if file is None else self._mapped(file)

    def _mapped(self, file: str | None) -> NDArray[Any]:
        assert file is not None
        mapped: NDArray[Any] = np.load(self.folder / file, mmap_mode="r")
        return mapped


def write_materials(materials: Materials) -> None:
    """Write all but pixels and features, which lie in the folder already."""
    write_array(materials.folder / "labels.npy", materials.labels_M)
    write_array(materials.folder / "groups.npy", materials.groups_M)
    content = {
        "schema_version": SCHEMA_VERSION,
        "data_digest": materials.data_digest,
        "splits_digest": materials.splits_digest,
        "classes": materials.classes,
        "num_train": materials.num_train,
        "readings": {key: asdict(reading) for key, reading in materials.readings.items()},
    }
    write_json(materials.folder / INDEX, content)


def read_materials(folder: Path) -> Materials:
    """Return what `write_materials` wrote.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        content = json.loads((folder / INDEX).read_text("utf-8"))
        check_schema(content, what=str(folder / INDEX), newest=SCHEMA_VERSION)
        return Materials(
            folder=folder,
            data_digest=content["data_digest"],
            splits_digest=content["splits_digest"],
            classes=tuple(content["classes"]),
            num_train=content["num_train"],
            labels_M=np.load(folder / "labels.npy"),
            groups_M=np.load(folder / "groups.npy"),
            readings={key: Reading(**values) for key, values in content["readings"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{folder}, which holds what the trials learn from, cannot be read: {error}. Start "
            "the same study again, which makes it anew."
        ) from error


def write_array(path: Path, array: NDArray[Any], rows: Sequence[int] | None = None) -> None:
    """Write an array, or some of its rows, as .npy; a file that is there is complete.

    Row by row, so that an array which is larger than the memory can be written, and a disk without
    room is an OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    num_rows = len(array) if rows is None else len(rows)
    try:
        with temporary.open("wb") as stream:
            _write_header(stream, array, num_rows)
            for chunk in _chunks(array, rows):
                stream.write(np.ascontiguousarray(chunk).data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_header(stream: BinaryIO, array: NDArray[Any], num_rows: int) -> None:
    header = np.lib.format.header_data_from_array_1_0(array)
    header |= {"shape": (num_rows, *array.shape[1:]), "fortran_order": False}
    np.lib.format.write_array_header_1_0(stream, header)


def _chunks(array: NDArray[Any], rows: Sequence[int] | None) -> Iterator[NDArray[Any]]:
    places = range(len(array)) if rows is None else rows
    for start in range(0, len(places), CHUNK):
        yield array[list(places[start : start + CHUNK])]
