"""A small builder of ONNX graphs: one call an operation, names made up as it goes.

In: operations. Out: the nodes and constants of a graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

DOUBLE, FLOAT = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
INT64, UINT8 = onnx.TensorProto.INT64, onnx.TensorProto.UINT8


@dataclass(slots=True)
class GraphBuilder:
    """Collects nodes and constants; every name begins with `prefix`."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add an operation with one output, and return the output's name."""
        name = f"{self.prefix}{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: object, dtype: type[np.generic]) -> str:
        """Return the name of a constant; equal ones are kept once."""
        array: NDArray[Any] = np.asarray(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"{self.prefix}constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def double(self, values: float | Sequence[float] | NDArray[np.float64]) -> str:
        """Return the name of a constant of float64."""
        return self.constant(values, np.float64)

    def whole(self, values: int | Sequence[int]) -> str:
        """Return the name of a constant of int64."""
        return self.constant(values, np.int64)

    def cast(self, name: str, kind: int) -> str:
        """Return a tensor as another type."""
        return self.add("Cast", name, to=kind)

    def minimum(self, one: str, other: str) -> str:
        """Return the smaller of each two values."""
        return self.add("Min", one, other)

    def maximum(self, one: str, other: str) -> str:
        """Return the larger of each two values."""
        return self.add("Max", one, other)

    def column(self, name: str) -> str:
        """Return a vector as a matrix of one column."""
        return self.add("Unsqueeze", name, self.whole([1]))
