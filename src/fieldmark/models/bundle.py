"""The bundle: a trained classifier as a folder or one file that loads anywhere, without pickle.

In: a `Classifier`. Out: weights, description, golden photos, metrics, what is familiar, and
`MANIFEST.json` (the SHA-256 of each), and the same classifier again. A file that was altered is
refused, and so is a network that no longer gives the logits of its golden photos.
Not covered: the files as such (`bundle_files`, `zipped`), and export to other formats (`export`).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fieldmark._version import __version__
from fieldmark.base.errors import BundleError, RecipeError, RunError
from fieldmark.base.files import sha256_of, write_bytes, write_json
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.views import NUM_VIEWS
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.models.backbones import create_extractor
from fieldmark.models.budget import OverBudgetError, budget_of, within
from fieldmark.models.bundle_files import (
    BESIDE,
    DESCRIPTION,
    FAMILIAR,
    GOLDEN,
    MANIFEST,
    METRICS,
    SCHEMA_VERSION,
    WEIGHTS,
    BundleFiles,
    read_files,
)
from fieldmark.models.classifier import PRECISIONS, Architecture, Classifier, Network
from fieldmark.models.familiarity import check_space, space_from_bytes, space_to_bytes
from fieldmark.models.golden import Golden, check_golden, drawn_pixels, golden_of, replay
from fieldmark.models.heads import HEADS
from fieldmark.models.zipped import write_zipped

__all__ = [
    "SCHEMA_VERSION",
    "WEIGHTS",
    "load_bundle",
    "load_golden",
    "save_bundle",
    "zip_bundle",
]

Value = TypeVar("Value")


def save_bundle(
    classifier: Classifier,
    folder: Path,
    *,
    data_digest: str,
    golden_GSS3: NDArray[np.uint8] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a classifier as a bundle into `folder`, which is created if need be.

    Args:
        classifier: is not changed.
        folder: of the bundle.
        data_digest: the digest of the photos that it was made from.
        golden_GSS3: pixels of a few photos, as its preprocessing gives them, to be kept in the
            bundle; None keeps drawn patterns instead.
        metrics: what was measured of it, as JSON values; None leaves the file out.
    """
    from safetensors.torch import save

    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in classifier.network.state_dict().items()
    }
    write_bytes(folder / WEIGHTS, save(tensors))
    write_json(folder / DESCRIPTION, _description(classifier, data_digest))
    _write_golden(folder / GOLDEN, classifier, golden_GSS3)
    written = [WEIGHTS, DESCRIPTION, GOLDEN]
    if metrics is not None:
        write_json(folder / METRICS, {"schema_version": SCHEMA_VERSION, "test": metrics})
        written.append(METRICS)
    if classifier.familiar is not None:
        write_bytes(folder / FAMILIAR, space_to_bytes(classifier.familiar))
        written.append(FAMILIAR)
    sums = {name: sha256_of(folder / name) for name in written}
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "sha256": sums})


def load_bundle(place: Path) -> Classifier:
    """Return the classifier of a bundle, verified against its manifest and a golden photo.

    Args:
        place: the bundle's folder, or a `.fieldmark` file.

    Raises:
        BundleError: a file is missing, altered, malformed or too new, or the network does not give
            the logits that it was saved with.
    """
    files = read_files(place)
    classifier = _classifier(files)
    if GOLDEN in files:
        replay(classifier, _golden(files, classifier), where=str(place))
    return classifier


def load_golden(place: Path) -> Golden | None:
    """Return the golden photos of a bundle; None for one of before there were any.

    Raises:
        BundleError: as `load_bundle` does for what is wrong with its files.
    """
    files = read_files(place)
    return _read_golden(files) if GOLDEN in files else None


def zip_bundle(folder: Path, file: Path) -> None:
    """Write a bundle's folder as one `.fieldmark` file, the model card and a signature included.

    Raises:
        BundleError: the folder is no bundle, or damaged.
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is a bundle in one file already; copy it.")
    files = read_files(folder)
    write_zipped(folder, file, names=[MANIFEST, *files.contents, *BESIDE])


def _classifier(files: BundleFiles) -> Classifier:
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = files.read_json(DESCRIPTION)
    budget = budget_of(files[WEIGHTS], where=files.path(WEIGHTS))
    try:
        with within(budget):
            classifier = _from_description(content)
    except RecipeError as error:
        raise BundleError(f"The network of {files.place} cannot be built: {error}") from error
    except RunError as error:
        raise BundleError(f"{files.path(DESCRIPTION)} is malformed: {error}.") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OverBudgetError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise BundleError(f"{files.path(DESCRIPTION)} is malformed: {error!r}.") from error
    try:
        classifier.network.load_state_dict(load(files[WEIGHTS]))
    except (RuntimeError, SafetensorError) as error:
        raise BundleError(f"{files.path(WEIGHTS)} does not fit {DESCRIPTION}: {error}") from error
    classifier.network.eval()
    _add_familiar(classifier, files)
    return classifier


def _add_familiar(classifier: Classifier, files: BundleFiles) -> None:
    """Give the classifier what its score for unfamiliar photos goes by."""
    where = files.path(FAMILIAR)
    if FAMILIAR in files:
        classifier.familiar = space_from_bytes(files[FAMILIAR], where=where)
    check_space(
        classifier.familiar,
        classifier.decision.unfamiliar,
        num_features=classifier.network.head.in_features,
        num_classes=len(classifier.classes),
        where=where,
    )


def _write_golden(
    path: Path, classifier: Classifier, pixels_GSS3: NDArray[np.uint8] | None
) -> None:
    from safetensors.numpy import save

    if pixels_GSS3 is None or not len(pixels_GSS3):
        pixels_GSS3 = drawn_pixels(classifier.preprocess.size_px)
    golden = golden_of(classifier, np.ascontiguousarray(pixels_GSS3))
    write_bytes(path, save({"pixels": golden.pixels_GSS3, "logits": golden.logits_GC}))


def _golden(files: BundleFiles, classifier: Classifier) -> Golden:
    golden = _read_golden(files)
    check_golden(
        golden,
        size_px=classifier.preprocess.size_px,
        num_classes=len(classifier.classes),
        where=files.path(GOLDEN),
    )
    return golden


def _read_golden(files: BundleFiles) -> Golden:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(files[GOLDEN])
        pixels, logits = np.array(tensors["pixels"]), np.array(tensors["logits"])
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise BundleError(f"{files.path(GOLDEN)} is malformed: {error!r}.") from error
    return Golden(pixels_GSS3=pixels, logits_GC=logits)


def _description(classifier: Classifier, data_digest: str) -> Mapping[str, Any]:
    architecture = classifier.architecture
    return {
        "schema_version": SCHEMA_VERSION,
        "fieldmark_version": __version__,
        "architecture": {
            "backbone": architecture.backbone,
            "backbone_args": dict(architecture.backbone_args),
            "stages": architecture.stages,
            "feature_power": architecture.feature_power,
            "precision": architecture.precision,
            "views": architecture.views,
            "head": {
                "kind": architecture.head,
                "num_features": classifier.network.head.in_features,
            },
        },
        "preprocess": classifier.preprocess.to_json(),
        "classes": list(classifier.classes),
        **_decision(classifier.decision),
        "data_digest": data_digest,
    }


def _decision(decision: DecisionRule) -> Mapping[str, Any]:
    rest = to_plain(decision)
    return {"temperature": rest.pop("temperature"), "decision": rest}


def _decision_from(content: Mapping[str, Any]) -> DecisionRule:
    if "decision" not in content:
        return DecisionRule()
    before = {"unfamiliar": None}  # what bundles of before there was such a rule leave out
    plain = {**before, "temperature": content["temperature"], **content["decision"]}
    decision: DecisionRule = from_plain(DecisionRule, plain, where="decision")
    return decision


def _from_description(content: Mapping[str, Any]) -> Classifier:
    described = content["architecture"]
    architecture = Architecture(
        backbone=described["backbone"],
        backbone_args=described["backbone_args"],
        stages=described["stages"],
        feature_power=described["feature_power"],
        precision=_known(described["precision"], PRECISIONS, name="precision"),
        head=_known(described["head"]["kind"], HEADS, name="head.kind"),
        views=_known(described.get("views", 1), NUM_VIEWS, name="views"),
    )
    classes = tuple(str(name) for name in content["classes"])
    if not classes or len(set(classes)) < len(classes):
        raise ValueError("classes are missing, or one stands there twice")
    extractor = create_extractor(
        architecture.backbone,
        args=architecture.backbone_args,
        stages=architecture.stages,
        power=architecture.feature_power,
        flatten=architecture.head == "flatten",
    )
    network = Network(
        extractor,
        num_features=int(described["head"]["num_features"]),
        num_classes=len(classes),
        head=architecture.head,
    )
    preprocess = Preprocess.from_json(content["preprocess"])
    return Classifier(
        network=network,
        architecture=architecture,
        preprocess=preprocess,
        classes=classes,
        decision=_decision_from(content),
    )


def _known(value: Value, allowed: Collection[Value], *, name: str) -> Value:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}")
    return value
