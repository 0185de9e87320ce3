"""A network's arithmetic in numbers of 8 bits: smaller files, and faster on most processors.

In: an ONNX model in float32 that takes pixels, and pixels of training photos. Out: the same with
weights and activations of 8 bits between pairs of QuantizeLinear and DequantizeLinear (QDQ), whose
ranges come from those photos ("static"; Jacob et al. 2018, section 2).
Weights have a range for each channel; batch normalisation is folded into them already. The head and
the softmax stay in float32: they cost nothing, and the probabilities are theirs.
Not covered: how much accuracy that costs, which the caller must measure.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

NUM_CALIBRATION = 256
"""Training photos from which ranges are taken, spread over the classes. The usual hundred or two
suffice for the largest and smallest values of a layer to settle."""
BATCH = 8
OPERATIONS = ("Conv", "Add", "Mul", "AveragePool", "MaxPool", "GlobalAveragePool", "Clip", "Relu")


class PixelReader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out pixels a batch at a time."""

    def __init__(self, name: str, pixels_NSS3: NDArray[np.uint8]) -> None:
        self._batches: Iterator[Mapping[str, NDArray[np.uint8]]] = (
            {name: pixels_NSS3[start : start + BATCH]}
            for start in range(0, len(pixels_NSS3), BATCH)
        )

    def get_next(self) -> Any:
        """Return the next batch, None after the last."""
        return next(self._batches, None)


def quantised(fixed: onnx.ModelProto, pixels_NSS3: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return the model in 8 bits.

    Args:
        fixed: takes uint8 pixels (N, S, S, 3) as its only input.
        pixels_NSS3: of training photos, from which the ranges are taken.
    """
    with tempfile.TemporaryDirectory(prefix="fieldmark-") as folder:
        plain, prepared, packed = (Path(folder) / f"{name}.onnx" for name in ("a", "b", "c"))
        onnx.save(fixed, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            packed,
            PixelReader(fixed.graph.input[0].name, pixels_NSS3),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATIONS),
            nodes_to_exclude=_outside(onnx.load(prepared).graph),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(packed)


def _outside(graph: onnx.GraphProto) -> list[str]:
    """Return the operations before the first convolution, and products after the last one.

    The first normalise whole photos and the last scale features: the step from one number of 8
    bits to another would cost more time there than it saves, and accuracy on top.
    """
    after_a_conv: set[str] = set()
    before_a_conv: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" or after_a_conv.intersection(node.input):
            after_a_conv.update(node.output)
    for node in reversed(graph.node):
        if node.op_type == "Conv" or before_a_conv.intersection(node.output):
            before_a_conv.update(node.input)
    return [
        node.name
        for node in graph.node
        if not after_a_conv.intersection(node.output)
        or (node.op_type == "Mul" and not before_a_conv.intersection(node.output))
    ]
