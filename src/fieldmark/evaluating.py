"""The numbers of a run: on its own test split, or on another folder of labelled photos.

In: a finished run, and perhaps photos. Out: an `Evaluation`, and the files it derives from.
"""

from pathlib import Path

from fieldmark.arguments import photos_folder
from fieldmark.base.errors import RunError
from fieldmark.base.files import write_json
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import create_run_folder, require_place
from fieldmark.data.catalog import write_catalog
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.evaluation import evaluate as evaluate_predictions
from fieldmark.evaluation.predictions import write_predictions
from fieldmark.new_photos import predict_folder
from fieldmark.run import Run, load


def evaluate(
    run: str | Path | Run,
    photos: str | Path | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Return a run's numbers on its test split, or on another folder of labelled photos.

    With `photos` and `out`, `catalog.csv`, `predictions.csv` and `evaluation.json` are written
    into `out`, which must be new or empty.

    Raises:
        RunError: the run cannot be read, or `out` cannot be used.
        DataError: the photos' classes are not those of the run.
    """
    loaded = run if isinstance(run, Run) else load(run)
    if photos is None:
        if out:
            raise RunError(
                "--out goes with another folder of photos; the run's own numbers are in its "
                "predictions.csv and evaluation.json already."
            )
        return loaded.evaluation
    root, path = photos_folder(photos), Path(out).expanduser() if out else None
    if path:
        require_place(path, photos=root)
    classifier = loaded.classifier
    predictions, catalog = predict_folder(classifier, root, progress=progress or SilentProgress())
    evaluation = evaluate_predictions(predictions, decision=classifier.decision)
    if path:
        folder = create_run_folder(path)
        write_catalog(folder.catalog_csv, catalog)
        write_predictions(folder.predictions_csv, predictions)
        write_json(folder.evaluation_json, evaluation.to_json())
    return evaluation
