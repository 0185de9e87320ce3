"""A trained classifier on labelled photos that it has never met."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fieldmark.base.errors import DataError
from fieldmark.base.progress import SilentProgress
from fieldmark.evaluation.predictions import Predictions
from fieldmark.new_photos import predict_folder
from fieldmark.run import Run


def predicted(run: Run, root: Path) -> Predictions:
    return predict_folder(run.classifier, root, progress=SilentProgress())[0]


def test_the_runs_own_test_photos_get_their_saved_logits(finished_quick: Run, photos: Path) -> None:
    saved = finished_quick.predictions.of_split("test")
    anew = predicted(finished_quick, photos)
    places = [anew.paths.index(path) for path in saved.paths]
    assert np.array_equal(anew.logits_NC[places], saved.logits_NC)


def test_a_folder_may_hold_only_some_of_the_classes(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos / "sky", tmp_path / "new" / "sky")
    predictions = predicted(finished_quick, tmp_path / "new")
    assert predictions.classes == ("cherry", "leaf", "sky")
    assert set(predictions.labels_N.tolist()) == {2}
    assert set(predictions.splits.tolist()) == {"test"}


def test_photos_that_cannot_be_read_are_in_the_catalog_only(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    root = tmp_path / "new"
    shutil.copytree(photos / "sky", root / "sky")
    (root / "sky" / "empty.png").write_bytes(b"")
    predictions, catalog = predict_folder(
        finished_quick.classifier, root, progress=SilentProgress()
    )
    assert predictions.num_images == 12
    assert [row.path for row in catalog.rows if row.status == "excluded"] == ["sky/empty.png"]


def test_a_folder_that_is_no_class_of_the_run_is_refused_with_the_nearest_one(
    finished_quick: Run, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos / "sky", tmp_path / "new" / "skies")
    shutil.copytree(photos / "leaf", tmp_path / "new" / "leaf")
    with pytest.raises(DataError) as refused:
        predicted(finished_quick, tmp_path / "new")
    message = str(refused.value)
    assert "no classes of this run: skies" in message
    assert "The run knows: cherry, leaf, sky." in message


def test_photos_without_class_folders_are_refused(finished_quick: Run, photos: Path) -> None:
    with pytest.raises(DataError, match="no usable photo in the class folders"):
        predicted(finished_quick, photos / "sky")


def test_progress_counts_every_photo(
    finished_quick: Run, write_photos: Callable[..., Path], tmp_path: Path
) -> None:
    class Counter(SilentProgress):
        def __init__(self) -> None:
            self.done: dict[str, int] = {}

        def start(self, stage: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002
            self.stage = stage

        def advance(self, count: int = 1, *, detail: str | None = None) -> None:  # noqa: ARG002
            self.done[self.stage] = self.done.get(self.stage, 0) + count

    counter = Counter()
    root = write_photos(tmp_path / "new", count=5)
    predict_folder(finished_quick.classifier, root, progress=counter)
    assert counter.done["Prediction"] == 15
