"""A trained classifier on a folder of labelled photos that it has never met.

In: a classifier and a folder. Out: `Predictions` under the name of the test split, and the
catalog of the folder. Classes are those of the run; a folder may hold only some of them.
"""

from pathlib import Path

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError, nearest_spelling
from fieldmark.base.progress import Progress
from fieldmark.data.catalog import Catalog
from fieldmark.data.scan import scan
from fieldmark.evaluation.predictions import Predictions
from fieldmark.models.classifier import Classifier
from fieldmark.models.familiarity import scores_of
from fieldmark.models.inference import Predictor, choose_device


def predict_folder(
    classifier: Classifier, root: Path, *, progress: Progress
) -> tuple[Predictions, Catalog]:
    """Return predictions for every usable photo of a folder with one subfolder a class.

    Raises:
        DataError: there is no photo, or a folder's name is not a class of the run.
    """
    scanned = scan(root, preprocess=classifier.preprocess, progress=progress)
    catalog, store = scanned.catalog, scanned.store
    assert store is not None
    _require_known(catalog, classifier.classes)
    progress.start("Prediction", total=len(store), unit="photos")
    predictor = Predictor(classifier, device=choose_device())
    features_NF = predictor.features(store.array, on_batch=progress.advance)
    logits_NC = predictor.logits_of_features(features_NF)
    progress.finish(counted(len(store), "photo"))
    labels = {row.path: row.label for row in catalog.usable}
    index = {name: number for number, name in enumerate(classifier.classes)}
    predictions = Predictions(
        paths=store.paths,
        splits=np.array(["test"] * len(store)),
        labels_N=np.array([index[labels[path]] for path in store.paths], dtype=np.int64),
        classes=classifier.classes,
        logits_NC=logits_NC,
        temperature=classifier.temperature,
        unfamiliarity_N=scores_of(classifier, features_NF=features_NF, logits_NC=logits_NC),
    )
    return predictions, catalog


def _require_known(catalog: Catalog, classes: tuple[str, ...]) -> None:
    if not catalog.usable:
        raise DataError(
            f"There is no usable photo in the class folders of {catalog.root}. "
            "Give a folder with one subfolder of photos per class."
        )
    unknown = [name for name in catalog.classes if name not in classes]
    if unknown:
        hint = nearest_spelling(unknown[0], classes)
        raise DataError(
            f"{catalog.root} has folders that are no classes of this run: "
            f"{', '.join(unknown[:5])}.{hint} The run knows: {', '.join(classes)}."
        )
