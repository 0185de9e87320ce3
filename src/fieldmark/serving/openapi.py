"""The routes as programs are told of them: addresses, bodies, answers and examples.

In: routes and what they serve. Out: the same in the application's OpenAPI description.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from fieldmark.serving import openapi_examples as examples
from fieldmark.serving import protocol, shapes
from fieldmark.serving.service import Service

Route = Callable[[Request], Awaitable[Response]]

BINARY = {"schema": {"type": "string", "format": "binary"}}
WHYS = {
    400: "The request is malformed",
    401: "The token is missing or wrong",
    403: "Pages of that site may not ask",
    404: "There is no such thing",
    408: "The body came too slowly",
    413: "The body is too large, or holds too many photos",
    415: "No picture in a format that is read",
    421: "The server has another name",
    422: "A damaged picture",
    500: "A defect",
    503: "All places are taken, or the server is being stopped",
}
GUARDED = (401, 403, 421)
"""What any route may answer."""
BODIES = (400, 408, 413, 503)
"""What routes with a body may answer."""
PHOTO_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["photos"],
                "properties": {
                    "photos": {"type": "array", "minItems": 1, "items": BINARY["schema"]}
                },
            }
        },
        "image/*": BINARY,
        "application/octet-stream": BINARY,
    },
}


def describe(api: FastAPI, routes: Any, service: Service) -> None:
    """Give an application its routes, with their description."""
    _photos(api, routes, service)
    _plain(api, routes)
    _protocol(api, routes, service)
    _keep_nulls(api)


def _keep_nulls(api: FastAPI) -> None:
    """Have the example of an answer whole: the framework drops each null that is in it."""
    generate = api.openapi

    def described() -> dict[str, Any]:
        content = generate()
        good = content["paths"]["/predict"]["post"]["responses"]["200"]
        good["content"]["application/json"]["example"] = examples.PREDICTED
        return content

    api.openapi = described  # type: ignore[method-assign]


def _photos(api: FastAPI, routes: Any, service: Service) -> None:
    tags = ["Photos"]
    _add(
        api,
        "POST",
        "/predict",
        routes.predict,
        shape=shapes.PredictShape,
        example=examples.PREDICTED,
        statuses=(*BODIES, 415, 422),
        body=PHOTO_BODY,
        parameters=[
            _query(
                "top_k",
                "How many classes to give.",
                {"type": "integer", "minimum": 1, "maximum": 999_999_999, "default": 5},
            )
        ],
        tags=tags,
    )
    _add(
        api,
        "POST",
        "/explain",
        routes.explain,
        content={"image/png": {**BINARY, "example": examples.EXPLAINED}},
        statuses=(*BODIES, 404, 415, 422),
        body=PHOTO_BODY,
        parameters=[
            _query(
                "class",
                "The class whose evidence to draw; default: the one that the photo is named.",
                {"type": "string", "enum": list(service.answerer.classes)},
            )
        ],
        tags=tags,
    )
    _add(
        api,
        "POST",
        "/nearest",
        routes.nearest,
        shape=shapes.NearestShape,
        example=examples.NEAREST,
        statuses=(*BODIES, 404, 415, 422),
        body=PHOTO_BODY,
        parameters=[
            _query(
                "most",
                "How many photos to give.",
                {"type": "integer", "minimum": 1, "maximum": 24, "default": 6},
            )
        ],
        tags=tags,
    )


def _plain(api: FastAPI, routes: Any) -> None:
    _add(
        api,
        "GET",
        "/about",
        routes.about,
        shape=shapes.AboutShape,
        example=examples.ABOUT,
        tags=["Server"],
    )
    _add(
        api,
        "GET",
        "/metrics",
        routes.metrics,
        content={"text/plain": {"schema": {"type": "string"}, "example": examples.METRICS}},
        tags=["Server"],
    )


def _protocol(api: FastAPI, routes: Any, service: Service) -> None:
    tags = ["Open Inference Protocol"]
    _add(api, "GET", "/v2", routes.server, shape=shapes.ServerShape, tags=tags)
    _add(api, "GET", "/v2/health/live", routes.live, shape=shapes.LiveShape, tags=tags)
    _add(
        api,
        "GET",
        "/v2/health/ready",
        routes.ready,
        shape=shapes.ReadyShape,
        statuses=(503,),
        tags=tags,
    )
    name = service.answerer.name
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        path = [_path("name", name)]
        if place.endswith("{version}"):
            path.append(_path("version", protocol.VERSION))
        _add(
            api,
            "GET",
            place,
            routes.model,
            shape=shapes.ModelShape,
            statuses=(404,),
            parameters=path,
            tags=tags,
        )
        _add(
            api,
            "GET",
            f"{place}/ready",
            routes.model_ready,
            shape=shapes.ModelReadyShape,
            statuses=(404, 503),
            parameters=path,
            tags=tags,
        )
        _add(
            api,
            "POST",
            f"{place}/infer",
            routes.infer,
            shape=shapes.InferShape,
            example=examples.INFERRED,
            statuses=(*BODIES, 404),
            body={
                "required": True,
                "content": {
                    "application/json": {
                        "schema": protocol.REQUEST_SCHEMA,
                        "example": protocol.EXAMPLE,
                    }
                },
            },
            parameters=path,
            tags=tags,
        )


def _add(
    api: FastAPI,
    method: str,
    place: str,
    route: Route,
    *,
    shape: type[BaseModel] | None = None,
    content: Mapping[str, Any] | None = None,
    example: Any = None,
    statuses: tuple[int, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: Mapping[str, Any] | None = None,
    tags: list[str],
) -> None:
    extra: dict[str, Any] = {} if parameters is None else {"parameters": parameters}
    if body is not None:
        extra["requestBody"] = dict(body)
    api.add_api_route(
        place,
        route,
        methods=[method],
        tags=tags,  # type: ignore[arg-type]  # a list of strings is one of those that it takes
        operation_id=_operation(method.lower(), place),
        response_model=None,
        response_class=JSONResponse if shape is not None else Response,
        responses={
            200: _answer(shape, content=content, example=example),
            **_refusals(place, (*statuses, *GUARDED)),
        },
        openapi_extra=extra or None,
    )


def _answer(
    shape: type[BaseModel] | None, *, content: Mapping[str, Any] | None, example: Any
) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "The answer"}
    if shape is not None:
        good["model"] = shape
        if example is not None:
            good["content"] = {"application/json": {"example": example}}
    if content is not None:
        good["content"] = dict(content)
    return good


def _refusals(place: str, statuses: tuple[int, ...]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "model": shapes.ErrorShape,
            "description": WHYS[status],
            "content": {"application/json": {"example": examples.refusal_example(place, status)}},
        }
        for status in sorted(set(statuses))
    }


def _query(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": dict(schema)}


def _path(name: str, only: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": [only]},
    }


def _operation(verb: str, place: str) -> str:
    words = place.replace("{", "").replace("}", "").split("/")
    return "-".join([verb, *(word for word in words if word)])
