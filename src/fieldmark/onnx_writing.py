"""An ONNX file made and checked: what `exporting` does for the format "onnx".

In: a finished run, and its photos where they are at hand. Out: `Prepared`: a model and how far it
agrees with the run's classifier, each photo taken from its file by both.

Shapes: N photos, S side in pixels, C classes; 3 channels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.base.errors import ExportError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_bytes, write_json
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.document import to_plain
from fieldmark.evaluation.metrics import softmax
from fieldmark.evaluation.parity import Parity, agreement, distance_to_run, measure_parity
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import UnfamiliarRule
from fieldmark.exported import CHUNK, ExportedModel, Outputs, joined
from fieldmark.models.bundle import WEIGHTS, load_golden
from fieldmark.models.bundle_files import DESCRIPTION, read_files
from fieldmark.models.classifier import Classifier
from fieldmark.models.export import describe, export_fixed, taking_images
from fieldmark.models.exported_form import ExportedForm
from fieldmark.models.familiarity import scores_of
from fieldmark.models.golden import choose_golden, drawn_pixels, golden_of
from fieldmark.models.inference import Predictor
from fieldmark.run import Run
from fieldmark.run_photos import RunPhotos

CPU = torch.device("cpu")
"""Where the file is compared: graphics processors round products of float32 to 10 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model that is ready to be written."""

    model: onnx.ModelProto
    form: ExportedForm
    parity: Parity

    def write(self, place: Path) -> Path:
        """Write the model, and the record of its check beside it, whose path is returned."""
        record = place.with_suffix(".parity.json")
        write_json(record, {"file": place.name, **self.form.to_json()})
        write_bytes(place, self.model.SerializeToString())
        return record


def prepare(
    run: Run,
    photos: RunPhotos | None,
    *,
    precision: str,
    takes: str,
    progress: Progress,
) -> Prepared:
    """Make the model and run it beside the classifier.

    Args:
        run: finished, or a bundle.
        photos: of the run; None compares on the golden photos of its bundle.
        precision: "fp32", or "int8", which takes photos.
        takes: "any" or "fixed".
        progress: where progress is shown.

    Raises:
        ExportError: the network cannot be exported.
        DataError: a photo is missing or has changed.
        EvaluationError: the predictions that the run saved are malformed.
    """
    # The file computes in float32, whatever was fastest on the machine of the run.
    classifier = run.classifier
    architecture, saved = classifier.architecture, _saved(run)
    plain = replace(architecture, precision="float32")
    classifier = replace(classifier, architecture=plain)
    model = _graph(classifier, photos, precision=precision, takes=takes, progress=progress)
    files = read_files(run.bundle)
    form = ExportedForm(
        classes=classifier.classes,
        preprocess=classifier.preprocess,
        decision=classifier.decision,
        backbone=classifier.architecture.backbone,
        precision=precision,
        takes=takes,
        data_digest=str(files.read_json(DESCRIPTION)["data_digest"]),
        weights_sha256=hashlib.sha256(files[WEIGHTS]).hexdigest(),
        parity={},
    )
    describe(model, form)
    exported = ExportedModel(model.SerializeToString(), path=Path("the exported model"))
    if photos is None:
        parity = _on_golden(classifier, exported, run.bundle)
    else:
        parity = _on_test_photos(
            classifier,
            exported,
            photos,
            saved=saved,
            runs_in=architecture.precision,
            progress=progress,
        )
    form = replace(form, parity=to_plain(parity))
    describe(model, form)
    return Prepared(model=model, form=form, parity=parity)


def _graph(
    classifier: Classifier,
    photos: RunPhotos | None,
    *,
    precision: str,
    takes: str,
    progress: Progress,
) -> onnx.ModelProto:
    progress.start("Graph", total=1, unit="network")
    try:
        fixed = export_fixed(classifier)
    except Exception as error:  # the exporter raises what each network makes of it
        raise ExportError(
            f"The backbone '{classifier.architecture.backbone}' cannot be exported to ONNX: {error}"
        ) from error
    progress.advance()
    progress.finish(f"{len(fixed.graph.node):,} operations")
    if precision == "int8":
        assert photos is not None
        from fieldmark.models.quantise import quantised

        pixels_NSS3 = _calibration(classifier, photos)
        progress.start("Quantisation", total=1, unit="network")
        fixed = quantised(fixed, pixels_NSS3)
        progress.advance()
        progress.finish(f"ranges from {counted(len(pixels_NSS3), 'training photo')}")
    return taking_images(fixed, classifier) if takes == "any" else fixed


def _calibration(classifier: Classifier, photos: RunPhotos) -> NDArray[np.uint8]:
    """Return pixels of training photos drawn at random, as many of each class as can be."""
    from fieldmark.models.quantise import NUM_CALIBRATION

    index = {name: number for number, name in enumerate(classifier.classes)}
    paths = np.random.default_rng(0).permutation(photos.splits["train"]).tolist()
    chosen = choose_golden([index[photos.labels[path]] for path in paths], NUM_CALIBRATION)
    decoded = _decoded(classifier, photos, [paths[place] for place in chosen])
    return np.stack([classifier.preprocess.to_pixels(image) for image in decoded])


def _on_golden(classifier: Classifier, exported: ExportedModel, bundle: Path) -> Parity:
    golden = load_golden(bundle) or golden_of(
        classifier, drawn_pixels(classifier.preprocess.size_px)
    )
    expected_GC = softmax(golden.logits_GC.astype(np.float64) / classifier.temperature)
    found_GC = exported.of_pixels(golden.pixels_GSS3).probabilities_NC
    names = tuple(f"golden photo {number}" for number in range(1, len(found_GC) + 1))
    return agreement(expected_GC, found_GC, paths=names)


def _saved(run: Run) -> Predictions | None:
    """Return what the run predicted as it was trained, in its own precision."""
    if run.path is None or not RunFolder(run.path).predictions_csv.is_file():
        return None
    return run.predictions


def _on_test_photos(
    classifier: Classifier,
    exported: ExportedModel,
    photos: RunPhotos,
    *,
    saved: Predictions | None,
    runs_in: str,
    progress: Progress,
) -> Parity:
    """Take each test photo from its file to its probabilities, once by torch and once by ONNX."""
    paths = photos.splits["test"]
    predictor = Predictor(classifier, device=CPU)
    progress.start("Comparison", total=len(paths), unit="photos")
    expected: list[Outputs] = []
    found: list[Outputs] = []
    for start in range(0, len(paths), CHUNK):
        images = _decoded(classifier, photos, paths[start : start + CHUNK])
        expected.append(_by_classifier(classifier, predictor, images))
        found += ThreadExecutor().map(exported.of_images, [image[None] for image in images])
        progress.advance(len(images))
    ours, theirs = joined(expected), joined(found)
    found_NC, told = theirs.probabilities_NC, _as_predictions(classifier, photos, theirs)
    parity = measure_parity(
        _as_predictions(classifier, photos, ours), told, found_NC, groups=photos.groups
    )
    rule = classifier.decision.unfamiliar
    parity = replace(
        parity,
        num_unfamiliar=_num_unfamiliar(rule, ours),
        num_unfamiliar_exported=_num_unfamiliar(rule, theirs),
        to_run=(
            distance_to_run(saved, told, found_NC, precision=runs_in) if saved is not None else None
        ),
    )
    progress.finish(f"{parity.num_agreeing:,} of {counted(len(paths), 'photo')} named the same")
    return parity


def _by_classifier(
    classifier: Classifier, predictor: Predictor, images: Sequence[NDArray[np.uint8]]
) -> Outputs:
    pixels_NSS3 = np.stack([classifier.preprocess.to_pixels(image) for image in images])
    features_NF = predictor.features(pixels_NSS3)
    logits_NC = predictor.logits_of_features(features_NF)
    exact_NC = logits_NC.astype(np.float64)
    return Outputs(
        probabilities_NC=softmax(exact_NC / classifier.temperature),
        logits_NC=exact_NC,
        unfamiliarity_N=scores_of(classifier, features_NF=features_NF, logits_NC=logits_NC),
    )


def _num_unfamiliar(rule: UnfamiliarRule | None, said: Outputs) -> int | None:
    if rule is None or rule.threshold is None or said.unfamiliarity_N is None:
        return None
    return int((~(said.unfamiliarity_N <= rule.threshold)).sum())


def _decoded(
    classifier: Classifier, photos: RunPhotos, paths: Sequence[str]
) -> list[NDArray[np.uint8]]:
    def decode(path: str) -> NDArray[np.uint8]:
        return classifier.preprocess.decode(photos.read(path)).pixels_HW3

    return list(ThreadExecutor().map(decode, paths))


def _as_predictions(classifier: Classifier, photos: RunPhotos, said: Outputs) -> Predictions:
    index = {name: number for number, name in enumerate(classifier.classes)}
    paths = tuple(photos.splits["test"])
    return Predictions(
        paths=paths,
        splits=np.array(["test"] * len(paths)),
        labels_N=np.array([index[photos.labels[path]] for path in paths], dtype=np.int64),
        classes=classifier.classes,
        logits_NC=said.logits_NC.astype(np.float32),
        temperature=classifier.temperature,
    )
