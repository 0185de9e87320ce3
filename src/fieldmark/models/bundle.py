"""The bundle: a trained classifier as a folder that loads anywhere, without pickle.

In: a `Classifier`. Out: `model.safetensors`, `model.json` and `MANIFEST.json` (the SHA-256 of
each file), and the same classifier again. A file that was altered is refused.
Not covered: export to other formats.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fieldmark._version import __version__
from fieldmark.base.errors import BundleError, RecipeError, RunError
from fieldmark.base.files import sha256_of, write_bytes, write_json
from fieldmark.base.run_folder import check_schema
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.views import NUM_VIEWS
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import PRECISIONS, Architecture, Classifier, Network
from fieldmark.models.heads import HEADS

Value = TypeVar("Value")

SCHEMA_VERSION = 3
"""2: heads other than linear, and views; before, there was one view and a linear head. 3: a fitted
temperature and the thresholds of a `DecisionRule`; before, nothing was fitted."""
WEIGHTS, DESCRIPTION, MANIFEST = "model.safetensors", "model.json", "MANIFEST.json"


def save_bundle(classifier: Classifier, folder: Path, *, data_digest: str) -> None:
    """Write a classifier as a bundle into `folder`, which is created if need be."""
    from safetensors.torch import save

    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in classifier.network.state_dict().items()
    }
    write_bytes(folder / WEIGHTS, save(tensors))
    write_json(folder / DESCRIPTION, _description(classifier, data_digest))
    sums = {name: sha256_of(folder / name) for name in (WEIGHTS, DESCRIPTION)}
    write_json(folder / MANIFEST, {"schema_version": SCHEMA_VERSION, "sha256": sums})


def load_bundle(folder: Path) -> Classifier:
    """Return the classifier of a bundle, every file verified against the manifest.

    Raises:
        BundleError: a file is missing, altered, malformed or too new.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _verify(folder)
    content = _read_json(folder / DESCRIPTION)
    try:
        classifier = _from_description(content)
    except RecipeError as error:
        raise BundleError(f"The network of {folder} cannot be built: {error}") from error
    except RunError as error:
        raise BundleError(f"{folder / DESCRIPTION} is malformed: {error}.") from error
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / DESCRIPTION} is malformed: {error!r}.") from error
    try:
        classifier.network.load_state_dict(load_file(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        raise BundleError(f"{folder / WEIGHTS} does not fit {DESCRIPTION}: {error}") from error
    classifier.network.eval()
    return classifier


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
    plain = {"temperature": content["temperature"], **content["decision"]}
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


def _verify(folder: Path) -> None:
    if not (folder / MANIFEST).is_file():
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}. Give a run folder that finished, "
            "or the folder 'model' in it."
        )
    manifest = _read_json(folder / MANIFEST)
    sums = manifest.get("sha256")
    if not isinstance(sums, dict) or set(sums) != {WEIGHTS, DESCRIPTION}:
        raise BundleError(f"{folder / MANIFEST} must list the sums of {WEIGHTS} and {DESCRIPTION}.")
    for name, expected in sums.items():
        if not (folder / name).is_file():
            raise BundleError(f"The bundle {folder} is incomplete: {name} is missing.")
        if _sha256(folder / name) != expected:
            raise BundleError(
                f"{folder / name} is not the file that was saved: its SHA-256 differs from the "
                "manifest. It was damaged or altered; take a fresh copy of the bundle."
            )


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}.") from error
    check_schema(content, what=str(path), newest=SCHEMA_VERSION, error=BundleError)
    return dict(content)
