"""Answers of a server as they look, for those who read its description.

In: a route and a status. Out: an answer that may come of it, by a model `run-001` for a cat.jpg.
Not covered: what answers may look like at all (`shapes`); tests hold these against it.
"""

from collections.abc import Mapping
from typing import Any

from fieldmark._version import __version__

NAME, CLASSES = "run-001", ("cat", "dog")
_THUMBNAIL = "data:image/jpeg;base64,<a small photo in base64>"

PREDICTED: dict[str, Any] = {
    "model": NAME,
    "photos": [
        {
            "name": "cat.jpg",
            "predicted": "cat",
            "confidence": 0.75,
            "top": [{"class": "cat", "confidence": 0.75}, {"class": "dog", "confidence": 0.25}],
            "set": ["cat", "dog"],
            "abstained": False,
            "doubt": ["cat", "dog"],
            "unfamiliarity": 0.42,
            "is_unfamiliar": False,
            "words": "not sure: cat or dog",
            "error": None,
        }
    ],
}
EXPLAINED = "<the photo under its evidence: a PNG file>"
NEAREST = {
    "photos": [
        {"class": "cat", "similarity": 0.93, "thumbnail": _THUMBNAIL},
        {"class": "dog", "similarity": 0.71, "thumbnail": _THUMBNAIL},
    ]
}
ABOUT: dict[str, Any] = {
    "name": NAME,
    "engine": "torch",
    "backbone": "mobilenetv2_100",
    "classes": list(CLASSES),
    "size_px": 224,
    "orientation": "exif",
    "can_explain": True,
    "can_show_nearest": False,
    "has_unfamiliar": True,
    "limits": {"max_body_bytes": 33554432, "max_photos": 64, "max_waiting": 128},
    "fieldmark_version": __version__,
}
METRICS = """\
# HELP fieldmark_photos_total Photos by what came of them: answered, unsure, unfamiliar or bad
# TYPE fieldmark_photos_total counter
fieldmark_photos_total{outcome="answered"} 41.0
fieldmark_photos_total{outcome="unsure"} 1.0
# HELP fieldmark_photos_admitted Photos in the server now
# TYPE fieldmark_photos_admitted gauge
fieldmark_photos_admitted 0.0
"""
INFERRED: dict[str, Any] = {
    "model_name": NAME,
    "model_version": "1",
    "id": "1",
    "outputs": [
        {"name": "probabilities", "datatype": "FP64", "shape": [1, 2], "data": [0.75, 0.25]},
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["cat"]},
        {"name": "doubt", "datatype": "BYTES", "shape": [1], "data": ["cat, dog"]},
        {"name": "error", "datatype": "BYTES", "shape": [1], "data": [""]},
        {"name": "unfamiliarity", "datatype": "FP64", "shape": [1], "data": [0.42]},
        {"name": "is_unfamiliar", "datatype": "BOOL", "shape": [1], "data": [False]},
    ],
}
"""Of `protocol.EXAMPLE`."""

_REASONS: Mapping[int, str] = {
    400: "The body is empty. Give a photo's file, or a form with photos.",
    401: "This server wants its token, as the header: Authorization: Bearer TOKEN",
    403: (
        "Pages of https://example.org may not ask this server. Start it with --allow-origin to let "
        "them."
    ),
    404: f"There is no model 'cats', but '{NAME}'.",
    408: "The body did not arrive within 60 s. Send it again.",
    413: "The body is larger than the 33,554,432 bytes that are allowed.",
    415: "The photo cannot be read: not an image in a format that is read.",
    421: (
        "This server is not called 'example.org'. Start it with --allow-host to have it answer to "
        "that name."
    ),
    422: "The photo cannot be read: truncated: the JPEG data ends early.",
    500: "This is a defect of Fieldmark; the server's log says more.",
    503: "All places are taken. Try again in 1 s.",
}
_OF_ROUTE: Mapping[tuple[str, int], str] = {
    ("explain", 404): "This model cannot be explained: it gives no gradients.",
    ("nearest", 404): (
        "Training photos are not shown. Start with --show-training-photos, or serve a bundle that "
        "was exported --with-thumbnails."
    ),
    ("infer", 400): "Inputs must be a list of one: pixels, images or files.",
    ("ready", 503): "This server is being stopped.",
}


def refusal_example(place: str, status: int) -> dict[str, str]:
    """Return what a route answers with a status that is no success.

    Args:
        place: the address of the route, such as "/predict".
        status: one of those that the description names.
    """
    last = place.rpartition("/")[2]
    return {"error": _OF_ROUTE.get((last, status), _REASONS[status])}
