"""Eight bits give nearly the same answers, from fewer bytes."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from fieldmark.models.classifier import Classifier
from fieldmark.models.export import export_fixed
from fieldmark.models.quantise import quantised


@pytest.fixture
def models(
    make_classifier: Callable[..., Classifier], make_pixels: Callable[..., NDArray[np.uint8]]
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    fixed = export_fixed(make_classifier(stages=2, power=0.5))
    return fixed, quantised(fixed, make_pixels(24))


def run(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> Any:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"pixels": pixels})


def test_answers_stay_close_and_convolutions_are_in_eight_bits(
    models: tuple[onnx.ModelProto, onnx.ModelProto],
    make_pixels: Callable[..., NDArray[np.uint8]],
) -> None:
    fixed, packed = models
    pixels = make_pixels(16, seed=9)
    expected_NC, _ = run(fixed, pixels)
    found_NC, _ = run(packed, pixels)
    assert np.abs(found_NC - expected_NC).max() < 0.1
    assert np.abs(found_NC - expected_NC).max() > 1e-6
    assert (found_NC.argmax(1) == expected_NC.argmax(1)).mean() > 0.8
    kinds = Counter(node.op_type for node in packed.graph.node)
    assert kinds["QuantizeLinear"] > 0
    assert "DynamicQuantizeLinear" not in kinds
    assert packed.ByteSize() < 0.6 * fixed.ByteSize()


def test_neither_the_input_nor_the_head_is_rounded(
    models: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    packed = models[1].graph
    makers = {output: node.op_type for node in packed.node for output in node.output}
    (head,) = [node for node in packed.node if node.op_type == "Gemm"]
    assert "DequantizeLinear" not in {makers.get(name) for name in head.input}
    assert {one.name for one in packed.input} == {"pixels"}
    rounded = [node for node in packed.node if node.op_type == "QuantizeLinear"]
    # The first to be rounded is what the first convolution takes: normalised photos.
    first = next(node for node in packed.node if node.op_type == "Conv")
    assert makers[first.input[0]] == "DequantizeLinear"
    assert makers[rounded[0].input[0]] in {"Add", "Mul", "Transpose"}
