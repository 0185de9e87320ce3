"""A bundle with thumbnails of its training photos, made only where that was asked for.

In: a finished run with its photos. Out: its bundle with them, in a folder that is there for as long
as it takes to write it as one file. The run's own bundle is left without.
Not covered: the file in the bundle (`models.bundle_photos`), and showing them (`serving`).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError, ExportError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.progress import Progress
from fieldmark.data.catalog import CatalogRow
from fieldmark.models.bundle_files import CARD, PHOTOS, laid_out, read_files
from fieldmark.models.bundle_photos import (
    SIDE_PX,
    PackedPhotos,
    add_photos,
    most_photos,
)
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor, choose_device
from fieldmark.nearest import TrainingPhotos, small_copy, training_photos
from fieldmark.report.markdown import escaped
from fieldmark.run import Run

TITLE = "Training photos in this file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A bundle with thumbnails."""

    folder: Path
    num_photos: int
    num_in_all: int
    """All photos that the run learned from."""

    @property
    def told(self) -> str:
        """Say what travels with the bundle."""
        photos = counted(self.num_photos, "training photo")
        some = f" (of {self.num_in_all:,})" if self.num_photos < self.num_in_all else ""
        return f"thumbnails of {photos}{some} travel with it"


@contextmanager
def bundle_with_photos(run: Run, *, root: Path, progress: Progress) -> Iterator[Packed]:
    """Lay out a run's bundle with thumbnails of its training photos, gone at the end.

    Photos that are gone or have changed since the run are left out.

    Args:
        run: with its folder.
        root: where its photos are.
        progress: told of the photos.

    Raises:
        ExportError: not one of the photos is at hand.
        BundleError: the bundle is damaged, or of an older Fieldmark.
    """
    classifier, device = run.classifier, choose_device()
    training = training_photos(
        run,
        classifier,
        predictor=Predictor(classifier, device=device),
        device=device,
        progress=progress,
        root=root,
        most=most_photos(classifier.network.head.in_features),
    )
    photos = _packed(training, classifier, root=root, progress=progress) if training else None
    if training is None or photos is None:
        raise ExportError(
            f"None of the run's training photos is in {root} as it was. Name the folder where they "
            "are with --photos, or export without --with-thumbnails."
        )
    with laid_out(read_files(run.bundle)) as folder:
        digest = add_photos(folder, photos)
        packed = Packed(
            folder=folder, num_photos=len(photos.thumbnails), num_in_all=training.num_in_all
        )
        _add_to_card(run.bundle / CARD, folder / CARD, packed, digest=digest)
        yield packed


def _packed(
    training: TrainingPhotos, classifier: Classifier, *, root: Path, progress: Progress
) -> PackedPhotos | None:
    """Return the photos whose files are at hand, each with its thumbnail; None without any."""
    turns_upright = classifier.preprocess.orientation == "exif"
    progress.start("Thumbnails", total=len(training.rows), unit="photos")
    made: list[bytes | None] = []
    small = partial(_thumbnail, root=root, turns_upright=turns_upright)
    for one in ThreadExecutor().map(small, training.rows):
        made.append(one)
        progress.advance()
    kept = [place for place, one in enumerate(made) if one is not None]
    progress.finish(counted(len(kept), "thumbnail"))
    if not kept:
        return None
    index = {name: number for number, name in enumerate(classifier.classes)}
    return PackedPhotos(
        units_PF=training.units_NF[kept],
        classes_P=np.array([index[training.rows[place].label] for place in kept], dtype=np.int64),
        thumbnails=tuple(one for one in made if one is not None),
    )


def _thumbnail(row: CatalogRow, *, root: Path, turns_upright: bool) -> bytes | None:
    """Return a photo's thumbnail; None where its file is not what it was."""
    try:
        content = (root / row.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != row.sha256:
            return None
        return small_copy(content, turn_upright=turns_upright)
    except (OSError, DataError):
        return None


def _add_to_card(given: Path, card: Path, packed: Packed, *, digest: str) -> None:
    """Write the card with a part about the photos at its end."""
    text = given.read_text("utf-8", errors="replace") if given.is_file() else "# Model card\n"
    told = (
        f"{packed.told.capitalize()}, each of at most {SIDE_PX} pixels a side, with the class that "
        "it was trained as and without its name or metadata. Whoever has the file can look at them."
    )
    table = f"| What | Value |\n| --- | --- |\n| {escaped(PHOTOS)} (SHA-256) | {digest} |"
    parts = (text.rstrip("\n"), f"## {TITLE}", escaped(told), table)
    card.write_text("\n\n".join(parts) + "\n", "utf-8")
