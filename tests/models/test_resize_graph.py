"""The graph's preprocessing is Python's to the bit, for photos of any size."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from fieldmark.data.preprocess import Preprocess
from fieldmark.models.onnx_graph import UINT8, GraphBuilder
from fieldmark.models.resize_graph import ResizeGraph

WAYS: list[dict[str, Any]] = [
    {"interpolation": interpolation, "antialias": antialias}
    for interpolation in ("bilinear", "bicubic")
    for antialias in (True, False)
]
SIZES = [(1, 1), (1, 40), (40, 1), (7, 300), (23, 24), (24, 23), (24, 24), (25, 24), (301, 199)]


def session_of(preprocess: Preprocess) -> Any:
    builder = GraphBuilder("x_")
    pixels = ResizeGraph(builder, preprocess).to_pixels("images")
    graph = helper.make_graph(
        builder.nodes,
        "resize",
        [helper.make_tensor_value_info("images", UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info(pixels, UINT8, ["N", "S", "S", 3])],
        builder.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def photo(size: tuple[int, int], *, seed: int, is_harsh: bool = False) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    if is_harsh:
        return generator.integers(0, 2, (*size, 3), dtype=np.uint8) * np.uint8(255)
    return generator.integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("prescale_px", [None, 15])
def test_photos_of_every_shape_become_the_pixels_that_python_makes(
    resize: Any, way: dict[str, Any], prescale_px: int | None
) -> None:
    preprocess = Preprocess(
        size_px=24, resize=resize, prescale_px=prescale_px, mean=(0.1, 0.5, 0.9), **way
    )
    session = session_of(preprocess)
    for seed, size in enumerate(SIZES):
        batch = np.stack([photo(size, seed=seed, is_harsh=harsh) for harsh in (False, True)])
        (found,) = session.run(None, {"images": batch})
        expected = np.stack([preprocess.to_pixels(one) for one in batch])
        np.testing.assert_array_equal(found, expected, strict=True)


SQUASH = [Preprocess(size_px=33, **way) for way in WAYS]
SESSIONS: dict[int, Any] = {}


@settings(max_examples=60, deadline=None)
@given(
    way=st.integers(0, 3),
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_size_is_an_exception(way: int, height: int, width: int, seed: int) -> None:
    session = SESSIONS.setdefault(way, None) or session_of(SQUASH[way])
    SESSIONS[way] = session
    image = photo((height, width), seed=seed)
    (found,) = session.run(None, {"images": image[None]})
    np.testing.assert_array_equal(found[0], SQUASH[way].to_pixels(image))
