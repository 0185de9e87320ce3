"""Why photos were named as they were, from the files to a page; nothing is trained or changed.

In: a finished run and photos. Out: `Explanation`, and `explain.html`, `explain.csv` and a PNG for
each photo and class in a folder of their own; with a bundle's thumbnails of the nearest photos.
Not covered: looking at a photo (`looking`), and what the page says (`report.explain`).
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark import looking
from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_bytes
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import (
    RUNS_FOLDER,
    create_next_run_folder,
    create_run_folder,
    require_free,
    require_outside,
)
from fieldmark.base.run_record import recorded_call
from fieldmark.data.placement import Box
from fieldmark.looking import Looked, Looker
from fieldmark.models.attention import mean_heat, mean_share
from fieldmark.models.prediction import Prediction, predict_files
from fieldmark.nearest import TravellingPhotos
from fieldmark.report.explain import PAGE_NAME, PhotoPictures, photo_pictures, write_page
from fieldmark.report.explained import BorderCue, Explained, ExplainedPhoto, border_cue_of
from fieldmark.report.explained_table import TABLE_NAME, write_table
from fieldmark.run import Run, find_photos, load

PICTURES = "pictures"
STEM = "explain"
MAX_ON_PAGE = 48
"""Photos that the page shows, so that it stays under about 5 MB; the others have their PNGs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What came of explaining photos, and where it is written."""

    path: Path
    """The folder of the files."""
    explained: Explained

    @property
    def photos(self) -> tuple[ExplainedPhoto, ...]:
        """The photos: what each was named, where the evidence lies, what it was likened to."""
        return self.explained.photos

    @property
    def page(self) -> Path:
        """The path of the page."""
        return self.path / PAGE_NAME

    @property
    def table(self) -> Path:
        """The path of the table, a row a photo."""
        return self.path / TABLE_NAME

    @property
    def pictures(self) -> Path:
        """The folder of the pictures."""
        return self.path / PICTURES


def explain(
    run: str | Path | Run,
    paths: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    true_class: str | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> Explanation:
    """Draw what a classifier looks at on photos, and show the training photos nearest to each.

    Args:
        run: a run folder, a bundle, or a loaded run.
        paths: photos, and folders that are searched for photos.
        out: the folder to write to, which must be new or empty; None takes the next
            `runs/explain-NNN`.
        true_class: what the photos show; None takes the folder of each, where that is one of the
            run's classes.
        progress: where progress is shown; None shows nothing.
        command: what to name as the command on the page.

    Raises:
        RunError: the run cannot be read, its backbone cannot be explained, or `out` cannot be used.
        BundleError: the bundle is damaged.
        DataError: a path does not exist, there is no photo, none of them could be read, or
            `true_class` is no class of the run.
    """
    progress = progress or SilentProgress()
    loaded = run if isinstance(run, Run) else load(run)
    given = [Path(path).expanduser() for path in paths]
    place = _free_place(out, given=given)
    files, left_out = find_photos(given)
    looker = looking.prepare(loaded, true_class=true_class, progress=progress)
    predictions = _predictions(looker, files, progress=progress)
    folder = _created(place)
    seen = _look(looker, predictions, folder=folder, progress=progress)
    unread = [(one.path, one.error) for one in predictions if one.error is not None]
    explained = _explained(
        loaded,
        looker,
        seen,
        left_out=(*((str(path), why) for path, why in left_out), *unread),
        progress=progress,
    )
    write_table(folder / TABLE_NAME, explained.photos)
    named = {"true_class": true_class, "out": out}
    progress.start("Page", total=1, unit="page")
    page = write_page(
        folder,
        explained,
        pictures=seen.pictures,
        mean_heat_GG=mean_heat(seen.maps),
        photos=looker.root or folder,  # thumbnails of a bundle lie beside the page
        turn_upright=looker.turns_upright,
        command=command
        or recorded_call("explain", loaded.path or loaded.bundle, *map(str, paths), **named),
    )
    progress.advance()
    progress.finish(str(page))
    return Explanation(path=folder, explained=explained)


@dataclass(slots=True)
class _Seen:
    """What all the photos gave, without more pictures than are needed."""

    photos: list[ExplainedPhoto] = field(default_factory=list)
    maps: list[tuple[NDArray[np.float32], Box]] = field(default_factory=list)
    sample: list[Looked] = field(default_factory=list)
    pictures: dict[str, PhotoPictures] = field(default_factory=dict)


def _free_place(out: str | Path | None, *, given: Sequence[Path]) -> Path | None:
    """Return the folder to write to, refused before anything slow begins; None: the next free one.

    Raises:
        RunError: it holds something, or lies within a folder of photos.
    """
    if out is None:
        return None
    place = Path(out).expanduser()
    require_free(place)
    for folder in given:
        if folder.is_dir():
            require_outside(place, photos=folder)
    return place


def _created(place: Path | None) -> Path:
    if place is None:
        return create_next_run_folder(Path(RUNS_FOLDER), stem=STEM).path
    return create_run_folder(place).path


def _predictions(looker: Looker, files: Sequence[Path], *, progress: Progress) -> list[Prediction]:
    """Return predictions in the order in which they are worth looking at, errors last.

    The known mistakes first, the surest of them on top; then the least sure first.

    Raises:
        DataError: none of the photos could be read.
    """
    progress.start("Prediction", total=len(files), unit="photos")
    predictions = []
    for prediction in predict_files(
        looker.classifier,
        files,
        top_k=len(looker.classifier.classes),
        device=looker.device,
        executor=ThreadExecutor(),
    ):
        predictions.append(prediction)
        progress.advance()
    progress.finish(counted(len(predictions), "photo"))
    if all(prediction.error for prediction in predictions):
        first = predictions[0]
        others = f" Nor could any of the {len(files):,} others." if len(files) > 1 else ""
        raise DataError(f"{first.path} could not be read: {first.error}.{others}")

    def worth(prediction: Prediction) -> tuple[int, float]:
        confidence = prediction.confidence or 0.0
        if prediction.error:
            return 2, 0.0
        is_wrong = looker.truth(Path(prediction.path)) not in (None, prediction.label)
        return (0, -confidence) if is_wrong else (1, confidence)

    return sorted(predictions, key=worth)


def _look(
    looker: Looker, predictions: Sequence[Prediction], *, folder: Path, progress: Progress
) -> _Seen:
    """Look at each photo, write its pictures, and keep what the page shows."""
    readable = [prediction for prediction in predictions if not prediction.error]
    progress.start("Explanation", total=len(readable), unit="photos")
    seen = _Seen()
    for number, prediction in enumerate(readable, start=1):
        stem = f"{PICTURES}/{number:04d}-{_plain(Path(prediction.path).stem)}"
        one = looker.look(prediction, stem=stem, name_of=_plain)
        for picture, image in zip(one.photo.pictures, one.overlays, strict=True):
            _save(image, folder / picture.file)
        for place, content in one.thumbnails.items():
            if not (folder / place).exists():
                write_bytes(folder / place, content)
        if number <= MAX_ON_PAGE:
            seen.pictures[prediction.path] = photo_pictures(one.shown, one.overlays)
        if len(seen.sample) < looking.NUM_COMPARED and np.ptp(one.map_HW) > 0:
            seen.sample.append(one)
        seen.photos.append(one.photo)
        seen.maps.append((one.map_HW, one.box))
        progress.advance()
    progress.finish(counted(len(seen.photos), "photo"))
    return seen


def _save(image: Image.Image, path: Path) -> None:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def _plain(name: str) -> str:
    """Return a name that any file system takes, at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60] or "photo"


def _explained(
    run: Run,
    looker: Looker,
    seen: _Seen,
    *,
    left_out: tuple[tuple[str, str], ...],
    progress: Progress,
) -> Explained:
    training, architecture = looker.training, looker.classifier.architecture
    return Explained(
        run=str(run.path or run.bundle),
        photos=tuple(seen.photos),
        left_out=left_out,
        backbone=architecture.backbone,
        layers=tuple((one.name, one.height, one.width) for one in looker.explainer.layers),
        num_views=architecture.views,
        resize=looker.classifier.preprocess.resize,
        border=mean_share(photo.named.border_share for photo in seen.photos),
        sanity=looking.compare_with_random(looker, seen.sample, progress=progress),
        border_cue=_border_cue(run),
        num_training=len(training) if training else 0,
        num_training_in_all=training.num_in_all if training else 0,
        has_thumbnails=isinstance(training, TravellingPhotos),
    )


def _border_cue(run: Run) -> BorderCue | None:
    audit = run.audit if run.path is not None else None
    return border_cue_of(audit.shortcuts) if audit else None
