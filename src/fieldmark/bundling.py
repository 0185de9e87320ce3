"""The bundle of a run, with what was measured of it and a few of its photos.

In: a trained classifier and what the run has written so far. Out: the bundle in the run folder.
Not covered: its format (`models.bundle`), and the model card, which is written with the report.
"""

import json

import numpy as np

from fieldmark.base.run_folder import RunFolder
from fieldmark.collect import Collected
from fieldmark.data.split_table import TEST
from fieldmark.models.bundle import save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.golden import choose_golden


def write_bundle(folder: RunFolder, classifier: Classifier, collected: Collected) -> None:
    """Save a classifier with the numbers on the test photos and a few of these photos' pixels."""
    paths = collected.splits.paths(TEST)
    labels = {row.path: row.label for row in collected.catalog.usable}
    index = {name: number for number, name in enumerate(classifier.classes)}
    chosen = choose_golden(np.array([index.get(labels[path], -1) for path in paths], np.int64))
    save_bundle(
        classifier,
        folder.model_dir,
        data_digest=collected.catalog.digest,
        golden_GSS3=collected.store.take([paths[place] for place in chosen]),
        metrics=json.loads(folder.evaluation_json.read_text("utf-8")),
    )
