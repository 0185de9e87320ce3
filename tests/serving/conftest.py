"""What tests of the server share: a classifier of colours that needs no network, and clients."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.answer import Prediction, answer
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.serving.answering import NearPhoto, Pixels, seen
from fieldmark.serving.app import build_app
from fieldmark.serving.batching import BatchConfig
from fieldmark.serving.guards import GuardConfig, guard_config
from fieldmark.serving.lifecycle import Lifecycle
from fieldmark.serving.service import Service, ServiceConfig

SIDE = 8
PNG = b"\x89PNG\r\n\x1a\n"


class Colours:
    """Names the strongest of three channels; sure where it is alone."""

    name = "colours"
    engine = "torch"
    backbone = "none"
    classes = ("red", "green", "blue")
    preprocess = Preprocess(size_px=SIDE)
    decision = DecisionRule(abstain_below=0.6)
    batch_size = 4
    can_explain = can_show_nearest = True

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.before_answer: Callable[[], None] = lambda: None

    def decode(self, content: bytes) -> Pixels:
        return seen(content, self.preprocess)

    def answer(self, pixels: Sequence[Pixels]) -> list[Prediction]:
        self.before_answer()
        self.batches.append(len(pixels))
        return [self._answered(one) for one in pixels]

    def explain(self, content: bytes, *, class_name: str | None = None) -> bytes | None:
        self.decode(content)
        return PNG + (class_name or "").encode()

    def nearest(self, pixels: Pixels, *, most: int) -> list[NearPhoto]:  # noqa: ARG002
        return [NearPhoto(label="red", similarity=0.5, thumbnail=b"jpeg")] * most

    def _answered(self, pixels: Pixels) -> Prediction:
        strength_3 = pixels.reshape(-1, 3).mean(axis=0, dtype=np.float64) + 1e-9
        return answer(
            "",
            strength_3 / strength_3.sum(),
            classes=self.classes,
            rule=self.decision,
            top_k=3,
            unfamiliarity=None,
        )


Serving = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture
def colours() -> Colours:
    """A classifier that names colours."""
    return Colours()


@pytest.fixture
def serving(colours: Colours) -> Serving:
    """Return what serves `colours` in this process: `with serving(...) as client`."""

    @contextmanager
    def serve(
        *,
        guard: GuardConfig | None = None,
        lifecycle: Lifecycle | None = None,
        answerer: Any = None,
        **config: Any,
    ) -> Iterator[TestClient]:
        batch = BatchConfig(
            max_batch=config.pop("max_batch", 4), max_waiting=config.pop("max_waiting", 16)
        )
        service = Service(
            answerer or colours,
            ServiceConfig(batch=batch, **{"max_photos": 8, **config}),
        )
        app = build_app(
            service,
            guard=guard or guard_config("127.0.0.1", token=None),
            lifecycle=lifecycle or Lifecycle(),
        )
        with TestClient(app, base_url="http://127.0.0.1:8000") as client:
            client.app_state["service"] = service
            yield client

    return serve


@pytest.fixture
def client(serving: Serving) -> Iterator[TestClient]:
    """A client of a server of `colours` with small limits."""
    with serving() as one:
        yield one


def encoded(
    colour: tuple[int, int, int], *, size: tuple[int, int] = (20, 10), kind: str = "PNG"
) -> bytes:
    """Return a photo of one colour as the bytes of a file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format=kind)
    return buffer.getvalue()


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Return `encoded`."""
    return encoded


@pytest.fixture
def red() -> bytes:
    """A red photo."""
    return encoded((250, 5, 5))


@pytest.fixture
def blue() -> bytes:
    """A blue photo."""
    return encoded((5, 5, 250))
