"""Counts and times of a server, for Prometheus.

In: what happens. Out: text in Prometheus' format. Each server has a registry of its own.
No content of a photo and no name of a file is ever counted.
"""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldmark._version import __version__
from fieldmark.evaluation.answer import Prediction
from fieldmark.serving.answering import Answerer

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
OTHER = "other"


class Metrics:
    """What is counted."""

    def __init__(self, answerer: Answerer, *, num_admitted: Callable[[], int]) -> None:
        """Begin to count; `num_admitted` gives the photos in the server."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fieldmark_requests",
            "Requests by route and status",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "fieldmark_request_seconds",
            "Seconds from the head of a request to the end of its answer",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._photos = Counter(
            "fieldmark_photos",
            "Photos by what came of them: answered, unsure, unfamiliar or bad",
            ["outcome"],
            registry=self._registry,
        )
        self._predicted = Counter(
            "fieldmark_predicted",
            "Photos by the class that they were named",
            ["class"],
            registry=self._registry,
        )
        self._batch_photos = Histogram(
            "fieldmark_batch_photos",
            "Photos in a batch",
            buckets=BATCHES,
            registry=self._registry,
        )
        self._batch_seconds = Histogram(
            "fieldmark_batch_seconds",
            "Seconds that a batch took",
            buckets=SECONDS,
            registry=self._registry,
        )
        Gauge(
            "fieldmark_photos_admitted", "Photos in the server now", registry=self._registry
        ).set_function(lambda: float(num_admitted()))
        Info("fieldmark_model", "What is served", registry=self._registry).info(
            {
                "name": answerer.name,
                "engine": answerer.engine,
                "backbone": answerer.backbone,
                "fieldmark_version": __version__,
            }
        )

    def saw_batch(self, num_photos: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_photos.observe(num_photos)
        self._batch_seconds.observe(seconds)

    def saw_photo(self, prediction: Prediction) -> None:
        """Count a photo."""
        if prediction.error is not None:
            outcome = "bad"
        elif prediction.is_unfamiliar:
            outcome = "unfamiliar"
        else:
            outcome = "unsure" if prediction.doubt else "answered"
        self._photos.labels(outcome).inc()
        if prediction.label is not None:
            self._predicted.labels(prediction.label).inc()

    def saw_request(self, route: str, *, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in Prometheus' format."""
        return generate_latest(self._registry)


class Measured:
    """An ASGI application whose requests are counted."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: frozenset[str]) -> None:
        """Count what `app` is asked; paths that are no `routes` and match none count as one."""
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted_send)
        finally:
            self._metrics.saw_request(
                self._route(scope), status=status, seconds=time.perf_counter() - began
            )

    def _route(self, scope: Scope) -> str:
        matched = getattr(scope.get("route"), "path", None)
        if matched is not None:
            return str(matched)
        return scope["path"] if scope["path"] in self._routes else OTHER
