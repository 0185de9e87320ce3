"""The routes of a server: requests in, answers out.

In: a `Service`. Out: an ASGI application, with its description for programs.
Bodies are read and checked here and not by the framework, so that every refusal is worded as
`{"error": ...}`, and so that no photo is copied more often than it must be.
Not covered: who may ask (`guards`), and how photos become answers (`service`).
"""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from fieldmark._version import __version__
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving import protocol, shapes
from fieldmark.serving.guards import Guard, GuardConfig
from fieldmark.serving.lifecycle import Lifecycle
from fieldmark.serving.metrics import CONTENT_TYPE, Measured
from fieldmark.serving.openapi import describe
from fieldmark.serving.page_files import PageFile, page_files
from fieldmark.serving.refusals import Refused, busy, error_response
from fieldmark.serving.service import BadPhoto, Service, pixels_or_refusal, refusal
from fieldmark.serving.uploads import Upload, files_of

logger = logging.getLogger(__name__)

TOP_K = 5
NEAREST, MAX_NEAREST = 6, 24
HEAVY = ("/predict", "/explain", "/nearest")
INFER = "/infer"


def build_app(service: Service, *, guard: GuardConfig, lifecycle: Lifecycle) -> ASGIApp:
    """Return the application of a server.

    Args:
        service: what answers; it is started and stopped with the application.
        guard: who may ask.
        lifecycle: is told when it can answer, and asked whether it shall stop.
    """
    page = page_files()
    routes = Routes(service, lifecycle)
    api = FastAPI(
        title="Fieldmark",
        summary=f"{service.answerer.name}: what is on photos",
        version=__version__,
        docs_url=None,  # they load scripts from another host
        redoc_url=None,
        lifespan=partial(_lifespan, service, lifecycle),
        exception_handlers={
            Refused: _on_refused,
            HTTPException: _on_http,
            RequestValidationError: _on_invalid,
            Exception: _on_defect,
        },
    )
    describe(api, routes, service)
    for path, file in page.items():
        api.add_route(path, partial(_give, file), methods=["GET"], include_in_schema=False)
    known = frozenset(getattr(route, "path", "") for route in api.routes)
    guarded = Guard(
        api,
        config=guard,
        refuse=partial(_refuse_when_full, service),
        is_stopping=lambda: lifecycle.is_stopping,
        open_paths=frozenset(page) | {"/"},
    )
    return Measured(guarded, metrics=service.metrics, routes=known)


class Routes:
    """What each route does."""

    def __init__(self, service: Service, lifecycle: Lifecycle) -> None:
        self._service = service
        self._answerer = service.answerer
        self._lifecycle = lifecycle

    async def predict(self, request: Request) -> Response:
        """Name what is on one photo or several."""
        top_k = _whole(request, "top_k", default=TOP_K, low=1, high=None)
        async with self._service.bodies.read(request) as body:
            uploads = await self._uploads(request, body)
            answers = await self._service.answer_photos([one.content for one in uploads])
        if len(answers) == 1 and isinstance(answers[0], BadPhoto):
            raise refusal(answers[0])
        return _json(
            {
                "model": self._answerer.name,
                "photos": [
                    shapes.photo_shape(_prediction(answer), name=upload.name, top_k=top_k)
                    for upload, answer in zip(uploads, answers, strict=True)
                ],
            }
        )

    async def explain(self, request: Request) -> Response:
        """Draw the evidence for a class over a photo."""
        class_name = request.query_params.get("class")
        if class_name is not None and class_name not in self._answerer.classes:
            raise Refused(
                400,
                f"There is no class '{class_name[:100]}'. Allowed: "
                f"{', '.join(self._answerer.classes)}.",
            )
        async with self._service.bodies.read(request) as body:
            upload = _only(await self._uploads(request, body))
            if not self._answerer.can_explain:
                raise Refused(404, "This model cannot be explained: it gives no gradients.")
            with self._service.admitted_slow():
                decoded = await self._service.on_thread(self._service.decoded, upload.content)
                pixels_or_refusal(decoded)
                drawn = await self._service.on_slow_thread(
                    partial(self._answerer.explain, upload.content, class_name=class_name)
                )
        if drawn is None:
            raise Refused(404, "There is nothing to draw for this photo.")
        return Response(drawn, media_type="image/png")

    async def nearest(self, request: Request) -> Response:
        """Show training photos like a photo."""
        most = _whole(request, "most", default=NEAREST, low=1, high=MAX_NEAREST)
        async with self._service.bodies.read(request) as body:
            upload = _only(await self._uploads(request, body))
            if not self._answerer.can_show_nearest:
                raise Refused(
                    404,
                    "Training photos are not shown. Start with --show-training-photos, or serve a "
                    "bundle that was exported --with-thumbnails.",
                )
            with self._service.admitted_slow():
                decoded = await self._service.on_thread(self._service.decoded, upload.content)
                found = await self._service.on_slow_thread(
                    partial(self._answerer.nearest, pixels_or_refusal(decoded), most=most)
                )
        return _json(
            {
                "photos": [
                    {
                        "class": one.label,
                        "similarity": one.similarity,
                        "thumbnail": "data:image/jpeg;base64,"
                        + base64.b64encode(one.thumbnail).decode("ascii"),
                    }
                    for one in found
                ]
            }
        )

    async def about(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """Say what is served."""
        config = self._service.config
        return _json(
            shapes.about_shape(
                self._answerer,
                max_body_bytes=config.max_body_bytes,
                max_photos=config.max_photos,
                max_waiting=config.batch.max_waiting,
            )
        )

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """Give counts and times in Prometheus' format."""
        return Response(self._service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def server(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """Say what the server is."""
        return _json(protocol.SERVER)

    async def live(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """Say that the server runs."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:  # noqa: ARG002 - the framework's
        """Say whether the server should be sent requests."""
        self._check_ready()
        return _json({"ready": True})

    async def model(self, request: Request) -> Response:
        """Say what the model takes and gives."""
        self._check_name(request)
        return _json(protocol.model_metadata(self._answerer))

    async def model_ready(self, request: Request) -> Response:
        """Say whether the model should be sent requests."""
        self._check_name(request)
        self._check_ready()
        return _json({"name": self._answerer.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Answer photos that come as tensors."""
        self._check_name(request)
        async with self._service.bodies.read(request) as body:
            asked = await self._service.on_thread(self._parsed, body)
            with self._service.admitted(asked.num_photos):
                answers = await self._answers(asked)
        return _json(protocol.response(asked, answers, self._answerer))

    def _parsed(self, body: bytes) -> protocol.InferRequest:
        most = self._service.config.max_photos
        return protocol.parse_request(body, self._answerer, max_photos=most)

    async def _answers(self, asked: protocol.InferRequest) -> Sequence[Prediction | BadPhoto]:
        service = self._service
        if asked.images_NHW3 is None:
            return await asyncio.gather(*map(service.answer_photo, asked.files))
        pixels = list(asked.images_NHW3)
        if asked.kind == protocol.IMAGES:
            to_pixels = self._answerer.preprocess.to_pixels
            pixels = [await service.on_thread(to_pixels, one) for one in pixels]
        return await asyncio.gather(*map(service.answer_pixels, pixels))

    async def _uploads(self, request: Request, body: bytes) -> list[Upload]:
        kind = request.headers.get("content-type", "")
        most = self._service.config.max_photos
        if not body:
            raise Refused(400, "The body is empty. Give a photo's file, or a form with photos.")
        return await self._service.on_thread(partial(files_of, kind, body, max_files=most))

    def _check_name(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != self._answerer.name:
            raise Refused(404, f"There is no model '{name[:100]}', but '{self._answerer.name}'.")
        if version not in (None, protocol.VERSION):
            raise Refused(404, f"There is no version '{version[:100]}', but {protocol.VERSION}.")

    def _check_ready(self) -> None:
        if not self._lifecycle.is_ready:
            raise Refused(503, "This server is being stopped.", headers={"Retry-After": "5"})


@asynccontextmanager
async def _lifespan(service: Service, lifecycle: Lifecycle, _app: FastAPI) -> AsyncGenerator[None]:
    service.start()
    lifecycle.is_started = True
    yield
    lifecycle.is_started = False
    service.stop()


async def _give(file: PageFile, request: Request) -> Response:  # noqa: ARG001 - the framework's
    return Response(file.content, headers={"content-type": file.media_type})


async def _on_refused(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, Refused)
    return error.response()


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    reasons = {
        404: f"There is nothing at {path}.",
        405: f"{path} does not take {request.method[:20]}.",
    }
    reason = reasons.get(error.status_code, str(error.detail))
    return error_response(error.status_code, reason, headers=error.headers)


async def _on_invalid(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return error_response(400, f"{place}: {first['msg']}.")


async def _on_defect(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, "This is a defect of Fieldmark; the server's log says more.")


def _refuse_when_full(service: Service, scope: Scope) -> Refused | None:
    path = scope["path"]
    if scope["method"] != "POST" or not (path in HEAVY or path.endswith(INFER)):
        return None
    return busy(service.batcher.wait_s) if service.batcher.is_full else None


def _whole(request: Request, name: str, *, default: int, low: int, high: int | None) -> int:
    """Return a whole number of the query.

    Raises:
        Refused: it is none, or out of its range (400).
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    allowed = f"{low} or more" if high is None else f"{low} to {high}"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refused(400, f"{name} is '{text[:50]}'; allowed: a whole number, {allowed}.")
    value = int(text)
    if value < low or (high is not None and value > high):
        raise Refused(400, f"{name} is {value}; allowed: {allowed}.")
    return value


def _only(uploads: Sequence[Upload]) -> Upload:
    if len(uploads) != 1:
        raise Refused(400, f"This takes one photo at a time, not {len(uploads):,}.")
    return uploads[0]


def _prediction(answer: Prediction | BadPhoto) -> Prediction:
    if isinstance(answer, BadPhoto):
        return Prediction(path="", ranking=(), error=answer.reason)
    return answer


def _json(values: Any) -> Response:
    return Response(shapes.as_json(values), media_type="application/json")
