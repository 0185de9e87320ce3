"""What an exported file says of itself: enough to decode photos for it and to read its answers.

In: a classifier's parts, or the metadata of an ONNX file. Out: `ExportedForm`.
Neither torch nor onnx is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from fieldmark._version import __version__
from fieldmark.base.errors import BundleError, RunError
from fieldmark.base.run_folder import check_schema
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.document import from_plain, to_plain

METADATA_KEY = "fieldmark"
"""Under which it stands in the metadata, as JSON."""
SCHEMA_VERSION = 1
IMAGES, PIXELS = "images", "pixels"
"""The names of the inputs."""
PROBABILITIES, LOGITS, UNFAMILIARITY = "probabilities", "logits", "unfamiliarity"
"""The names of the outputs; the last is there where the classifier has such a score."""

InputForm = Literal["any", "fixed"]
"""any: `images` of any one size, or `pixels`. fixed: `pixels` alone, of the network's size."""
INPUT_FORMS: tuple[str, ...] = get_args(InputForm)
ExportPrecision = Literal["fp32", "int8"]
EXPORT_PRECISIONS: tuple[str, ...] = get_args(ExportPrecision)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedForm:
    """An exported classifier, without its network."""

    classes: tuple[str, ...]
    """In the order of the outputs."""
    preprocess: Preprocess
    decision: DecisionRule
    """Its temperature is in the probabilities already."""
    backbone: str
    precision: str
    """One of `EXPORT_PRECISIONS`."""
    takes: str
    """One of `INPUT_FORMS`."""
    data_digest: str
    """Of the photos that it was trained on."""
    weights_sha256: str
    """Of the weights that it was made from."""
    parity: Mapping[str, Any]
    """How far it agrees with the classifier: `evaluation.parity.Parity` as JSON values."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        side = self.preprocess.prescale_px or self.preprocess.size_px
        return {
            "schema_version": SCHEMA_VERSION,
            "fieldmark_version": __version__,
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_json(),
            "reduce_jpeg_to_px": side if self.preprocess.antialias else None,
            "decision": to_plain(self.decision),
            "backbone": self.backbone,
            "precision": self.precision,
            "takes": self.takes,
            "data_digest": self.data_digest,
            "weights_sha256": self.weights_sha256,
            "parity": dict(self.parity),
        }

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Self:
        """Read what `to_json` gave; `where` names the file.

        Raises:
            BundleError: it is malformed, or of a newer Fieldmark.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"The metadata of {where} cannot be read: {error}.") from error
        what = f"The metadata of {where}"
        check_schema(content, what=what, newest=SCHEMA_VERSION, error=BundleError)
        try:
            return cls(
                classes=tuple(str(name) for name in content["classes"]),
                preprocess=Preprocess.from_json(content["preprocess"]),
                decision=_decision(content["decision"]),
                backbone=str(content["backbone"]),
                precision=str(content["precision"]),
                takes=_known(content["takes"]),
                data_digest=str(content["data_digest"]),
                weights_sha256=str(content["weights_sha256"]),
                parity=dict(content["parity"]),
            )
        except (
            ArithmeticError,
            RunError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise BundleError(f"{what} is malformed: {error!r}.") from error


def _decision(plain: Mapping[str, Any]) -> DecisionRule:
    # What a Fieldmark of before knew nothing of is left at its default.
    known = {**to_plain(DecisionRule()), **plain}
    decision: DecisionRule = from_plain(DecisionRule, known, where="decision")
    return decision


def _known(takes: object) -> str:
    if takes not in INPUT_FORMS:
        raise ValueError(f"takes is {takes!r}")
    return str(takes)
