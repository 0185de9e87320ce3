"""The Open Inference Protocol, version 2, over REST: what a model takes and gives, as tensors.

In: the JSON of a request. Out: the pixels or files in it, and the answers as JSON values.
A photo comes as `pixels` (what the network sees), `images` (decoded, of any one size) or `files`
(the bytes of a file, base64). Not covered: the protocol's binary extension.

Shapes: N photos, H height, W width, S side, C classes; 3 channels.
"""

import base64
import binascii
import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark._version import __version__
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Answerer
from fieldmark.serving.refusals import Refused
from fieldmark.serving.service import BadPhoto

VERSION = "1"
"""Of every model: a server has one of each."""
PIXELS, IMAGES, FILES = "pixels", "images", "files"
PROBABILITIES, LABEL, WORDS = "probabilities", "label", "doubt"
UNFAMILIARITY, IS_UNFAMILIAR, ERROR = "unfamiliarity", "is_unfamiliar", "error"
MAX_VALUE = 255
MAX_DIMENSIONS, MAX_LENGTH = 4, 1 << 24
"""Of a shape: [photos, height, width, 3], none of them beyond what a body could hold."""
PLATFORMS = {"torch": "pytorch_fieldmark", "onnx": "onnxruntime_onnx"}

SERVER = {"name": "fieldmark", "version": __version__, "extensions": []}

EXAMPLE = {
    "id": "1",
    "inputs": [
        {"name": FILES, "shape": [1], "datatype": "BYTES", "data": ["<a photo's file in base64>"]}
    ],
}

REQUEST_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string", "enum": [PIXELS, IMAGES, FILES]},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                    "datatype": {"type": "string", "enum": ["UINT8", "BYTES"]},
                    "parameters": {"type": "object"},
                    "data": {"type": "array"},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
            },
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """What a request asks for."""

    id: str | None
    kind: str
    """`PIXELS`, `IMAGES` or `FILES`."""
    images_NHW3: NDArray[np.uint8] | None
    """Of the first two kinds."""
    files: tuple[bytes, ...]
    """Of the last."""
    outputs: tuple[str, ...] | None
    """The outputs wanted; None for all."""

    @property
    def num_photos(self) -> int:
        """How many photos it holds."""
        return len(self.files) if self.images_NHW3 is None else len(self.images_NHW3)


def model_metadata(answerer: Answerer) -> dict[str, Any]:
    """Return what a model takes and gives, in the protocol's words."""
    side = answerer.preprocess.size_px
    inputs = [
        {"name": PIXELS, "datatype": "UINT8", "shape": [-1, side, side, 3]},
        {"name": IMAGES, "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        {"name": FILES, "datatype": "BYTES", "shape": [-1]},
    ]
    outputs = [
        {"name": name, "datatype": datatype, "shape": [-1, *rest]}
        for name, datatype, rest in _outputs(answerer)
    ]
    return {
        "name": answerer.name,
        "versions": [VERSION],
        "platform": PLATFORMS[answerer.engine],
        "inputs": inputs,
        "outputs": outputs,
    }


def parse_request(body: bytes, answerer: Answerer, *, max_photos: int) -> InferRequest:
    """Return what the JSON of a request asks for.

    Raises:
        Refused: it is malformed (400), or holds too many photos (413).
    """
    content = _object(_json(body), what="The body")
    identity = content.get("id")
    if identity is not None and not isinstance(identity, str):
        raise _bad("id must be a string")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise _bad(f"inputs must be a list of one: {PIXELS}, {IMAGES} or {FILES}")
    given = _object(inputs[0], what="inputs[0]")
    name = given.get("name")
    shape = _shape(given.get("shape"))
    if shape and shape[0] > max_photos:
        raise Refused(413, f"A request may hold {max_photos:,} photos at most.")
    images: NDArray[np.uint8] | None = None
    files: tuple[bytes, ...] = ()
    if name == FILES:
        files = _files(given, shape)
    elif name in (PIXELS, IMAGES):
        images = _images(given, shape, side=answerer.preprocess.size_px if name == PIXELS else None)
    else:
        raise _bad(f"an input is called {PIXELS}, {IMAGES} or {FILES}")
    return InferRequest(
        id=identity,
        kind=str(name),
        images_NHW3=images,
        files=files,
        outputs=_wanted(content.get("outputs"), answerer),
    )


def response(
    request: InferRequest, answers: Sequence[Prediction | BadPhoto], answerer: Answerer
) -> dict[str, Any]:
    """Return the answers as the protocol has them.

    A photo that could not be read has zeros and nothing for an answer, and its reason as `error`.
    """
    columns: Mapping[str, list[Any]] = {
        PROBABILITIES: [value for one in answers for value in _row(one, answerer.classes)],
        LABEL: [(_said(one).label or "") for one in answers],
        WORDS: [", ".join(_said(one).doubt) for one in answers],
        UNFAMILIARITY: [_said(one).unfamiliarity or 0.0 for one in answers],
        IS_UNFAMILIAR: [bool(_said(one).is_unfamiliar) for one in answers],
        ERROR: [one.reason if isinstance(one, BadPhoto) else "" for one in answers],
    }
    wanted = request.outputs
    return {
        "model_name": answerer.name,
        "model_version": VERSION,
        **({"id": request.id} if request.id is not None else {}),
        "outputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": [len(answers), *rest],
                "data": columns[name],
            }
            for name, datatype, rest in _outputs(answerer)
            if wanted is None or name in wanted
        ],
    }


def _outputs(answerer: Answerer) -> list[tuple[str, str, list[int]]]:
    """Return the name, the type and the shape (without N) of each output."""
    found: list[tuple[str, str, list[int]]] = [
        (PROBABILITIES, "FP64", [len(answerer.classes)]),
        (LABEL, "BYTES", []),
        (WORDS, "BYTES", []),
        (ERROR, "BYTES", []),
    ]
    if answerer.decision.unfamiliar is not None:
        found += [(UNFAMILIARITY, "FP64", []), (IS_UNFAMILIAR, "BOOL", [])]
    return found


def _said(one: Prediction | BadPhoto) -> Prediction:
    return Prediction(path="", ranking=()) if isinstance(one, BadPhoto) else one


def _row(one: Prediction | BadPhoto, classes: Sequence[str]) -> list[float]:
    shares = dict(_said(one).ranking)
    return [shares.get(name, 0.0) for name in classes]


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _bad(f"the body is no JSON: {error}") from error


def _object(value: object, *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(f"{what} must be an object")
    return value


def _shape(value: object) -> list[int]:
    is_whole = isinstance(value, list) and all(
        isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= MAX_LENGTH
        for length in value[: MAX_DIMENSIONS + 1]
    )
    if not is_whole or len(value) > MAX_DIMENSIONS:  # type: ignore[arg-type]
        raise _bad(
            f"shape must be a list of at most {MAX_DIMENSIONS} whole numbers, 1 to {MAX_LENGTH:,}"
        )
    return list(value)  # type: ignore[call-overload,no-any-return]


def _files(given: Mapping[str, Any], shape: Sequence[int]) -> tuple[bytes, ...]:
    data = given.get("data")
    if given.get("datatype") != "BYTES" or len(shape) != 1:
        raise _bad(f"{FILES} must be of datatype BYTES and shape [N]")
    if not isinstance(data, list) or len(data) != shape[0]:
        raise _bad(f"data must be a list of {shape[0]:,} strings, as shape says")
    return tuple(_bytes(value) for value in data)


def _bytes(value: object) -> bytes:
    try:
        if not isinstance(value, str):
            raise _bad("each of files must be a string: the file in base64")
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise _bad(f"a file is no base64: {error}") from error


def _images(
    given: Mapping[str, Any], shape: Sequence[int], *, side: int | None
) -> NDArray[np.uint8]:
    if given.get("datatype") != "UINT8":
        raise _bad("pixels and images must be of datatype UINT8")
    if len(shape) != 4 or shape[3] != 3:
        raise _bad("shape must be [photos, height, width, 3]")
    if side is not None and tuple(shape[1:3]) != (side, side):
        raise _bad(f"{PIXELS} must be of shape [N, {side}, {side}, 3]; photos of others: {IMAGES}")
    values = array("B")
    _take(given.get("data"), into=values, shape=shape, most=math.prod(shape))
    if len(values) != math.prod(shape):
        raise _bad(f"data has {len(values):,} values, but shape says {math.prod(shape):,}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _take(data: object, *, into: "array[int]", shape: Sequence[int], most: int) -> None:
    """Append data that may be nested as `shape` says, or be one value after the other.

    Every value is looked at by itself: numpy would first make room for what it takes them for.
    """
    if not isinstance(data, list):
        raise _bad("data must be a list")
    if not data or not isinstance(data[0], list):
        if len(into) + len(data) > most:
            raise _bad(f"data has more values than the {most:,} that shape says")
        if not all(type(value) is int and 0 <= value <= MAX_VALUE for value in data):
            raise _bad(f"data must be whole numbers, 0 to {MAX_VALUE}")
        into.extend(data)
        return
    if len(shape) < 2 or len(data) != shape[0]:
        raise _bad("data must be numbers, nested as shape says or one after the other")
    for part in data:
        _take(part, into=into, shape=shape[1:], most=most)


def _wanted(outputs: object, answerer: Answerer) -> tuple[str, ...] | None:
    if outputs is None:
        return None
    if not isinstance(outputs, list):
        raise _bad("outputs must be a list")
    names = tuple(str(_object(one, what="an output").get("name")) for one in outputs)
    known = [name for name, _, _ in _outputs(answerer)]
    for name in names:
        if name not in known:
            raise _bad(f"outputs are {', '.join(known)}; there is no other")
    return names


def _bad(why: str) -> Refused:
    return Refused(400, f"{why[0].upper()}{why[1:]}.")
