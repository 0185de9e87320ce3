"""What goes over the wire, as documented in the OpenAPI description."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fieldmark._version import __version__
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Answerer


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ErrorShape(_Shape):
    """What went wrong."""

    error: str


class ClassShape(_Shape):
    """A class and how sure the classifier is of it."""

    class_: str = Field(alias="class")
    confidence: float = Field(ge=0, le=1)


class PhotoShape(_Shape):
    """The answer for one photo, or why there is none."""

    name: str | None
    predicted: str | None
    confidence: float | None
    top: list[ClassShape]
    set: list[str] | None
    abstained: bool | None
    doubt: list[str]
    unfamiliarity: float | None
    is_unfamiliar: bool | None
    words: str
    error: str | None


class PredictShape(_Shape):
    """The answers, in the order of the photos."""

    model: str
    photos: list[PhotoShape]


class NearShape(_Shape):
    """A training photo like the one that was sent."""

    class_: str = Field(alias="class")
    similarity: float
    thumbnail: str


class NearestShape(_Shape):
    """Training photos, the nearest first."""

    photos: list[NearShape]


class LimitsShape(_Shape):
    """What a request may ask for."""

    max_body_bytes: int
    max_photos: int
    max_waiting: int


class AboutShape(_Shape):
    """What is served."""

    name: str
    engine: str
    backbone: str
    classes: list[str]
    size_px: int
    orientation: Literal["exif", "stored"]
    can_explain: bool
    can_show_nearest: bool
    has_unfamiliar: bool
    limits: LimitsShape
    fieldmark_version: str


class LiveShape(_Shape):
    """Whether the server runs."""

    live: bool


class ReadyShape(_Shape):
    """Whether the server should be sent requests."""

    ready: bool


class ServerShape(_Shape):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorShape(_Shape):
    """A tensor's name, type and shape, -1 for any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelShape(_Shape):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorShape]
    outputs: list[TensorShape]


class ModelReadyShape(_Shape):
    """Whether a model should be sent requests."""

    name: str
    ready: bool


class DataShape(TensorShape):
    """A tensor with its values, row by row."""

    data: list[Any]


class InferShape(_Shape):
    """What a model gave."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[DataShape]


def photo_shape(prediction: Prediction, *, name: str | None, top_k: int) -> dict[str, Any]:
    """Return an answer as JSON values, in the keys of `PhotoShape`."""
    ranking = prediction.ranking[:top_k]
    return {
        "name": name,
        "predicted": prediction.label,
        "confidence": prediction.confidence,
        "top": [{"class": label, "confidence": share} for label, share in ranking],
        "set": None if prediction.candidates is None else list(prediction.candidates),
        "abstained": prediction.is_withheld,
        "doubt": list(prediction.doubt),
        "unfamiliarity": prediction.unfamiliarity,
        "is_unfamiliar": prediction.is_unfamiliar,
        "words": prediction.words,
        "error": prediction.error,
    }


def about_shape(
    answerer: Answerer, *, max_body_bytes: int, max_photos: int, max_waiting: int
) -> dict[str, Any]:
    """Return what is served as JSON values, in the keys of `AboutShape`."""
    return {
        "name": answerer.name,
        "engine": answerer.engine,
        "backbone": answerer.backbone,
        "classes": list(answerer.classes),
        "size_px": answerer.preprocess.size_px,
        "orientation": answerer.preprocess.orientation,
        "can_explain": answerer.can_explain,
        "can_show_nearest": answerer.can_show_nearest,
        "has_unfamiliar": answerer.decision.unfamiliar is not None,
        "limits": {
            "max_body_bytes": max_body_bytes,
            "max_photos": max_photos,
            "max_waiting": max_waiting,
        },
        "fieldmark_version": __version__,
    }


def as_json(values: Any) -> bytes:
    """Return values as JSON in UTF-8."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")
