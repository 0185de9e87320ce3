"""What is on photos that are not part of a run.

In: a finished run or a bundle, and paths. Out: a prediction for every photo, a reason for every
file that is none.
"""

from collections.abc import Sequence
from pathlib import Path

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.models.prediction import Prediction
from fieldmark.run import Run, find_photos, load

SHOWN_FROM = 100
"""Fewer photos than this are named before a bar could be read."""


def predict(
    run: str | Path | Run,
    paths: Sequence[str | Path],
    *,
    top_k: int = 5,
    progress: Progress | None = None,
) -> tuple[list[Prediction], list[tuple[Path, str]]]:
    """Return a prediction for every photo, and the files that are none; see `workflow.predict`.

    Raises:
        RunError: the run cannot be read.
        DataError: a path does not exist, there is no photo, or none of them could be read.
    """
    loaded = run if isinstance(run, Run) else load(run)
    photos, left_out = find_photos([Path(path).expanduser() for path in paths])
    if progress is None or len(photos) < SHOWN_FROM:
        progress = SilentProgress()
    progress.start("Prediction", total=len(photos), unit="photos")
    predictions = []
    for prediction in loaded.iterate_predictions(photos, top_k=top_k):
        predictions.append(prediction)
        progress.advance()
    progress.finish(counted(len(predictions), "photo"))
    _require_some(predictions)
    return predictions, left_out


def _require_some(predictions: Sequence[Prediction]) -> None:
    if not all(prediction.error for prediction in predictions):
        return
    first = predictions[0]
    if len(predictions) == 1:
        raise DataError(f"{first.path} could not be read: {first.error}.")
    raise DataError(
        f"None of the {len(predictions):,} photos could be read, such as {first.path}: "
        f"{first.error}."
    )
