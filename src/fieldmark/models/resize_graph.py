"""Preprocessing as an ONNX graph: photos of any size to the uint8 pixels that the network sees.

In: a `Preprocess`. Out: the nodes that do what its `to_pixels` does, to the bit, on a batch of
photos of one size. Weights are worked out within the graph, since sizes are known only there; all
arithmetic is of whole numbers, in float64, which holds every one of them exactly.
Not covered: decoding, which is the caller's, and turning a photo upright.
Shapes: N photos, H height, W width, L length before, O length after, S size_px; 3 channels.
"""

from dataclasses import dataclass

import numpy as np

from fieldmark.data.preprocess import Preprocess
from fieldmark.data.resampling import weights_for
from fieldmark.models.onnx_graph import DOUBLE, INT64, UINT8, GraphBuilder
from fieldmark.models.resize_weights import antialiased, dense, nearest_four, nearest_two

HEIGHT, WIDTH = 2, 3
"""The axes of planes, (N, 3, H, W)."""


@dataclass(frozen=True, slots=True)
class ResizeGraph:
    """Adds the preprocessing of a classifier to a graph."""

    graph: GraphBuilder
    preprocess: Preprocess

    def to_pixels(self, images: str) -> str:
        """Return the name of uint8 pixels (N, S, S, 3) of uint8 images (N, H, W, 3)."""
        graph, side = self.graph, self.preprocess.prescale_px or self.preprocess.size_px
        planes = graph.cast(graph.add("Transpose", images, perm=[0, 3, 1, 2]), DOUBLE)
        to_square = {"squash": self._squashed, "crop": self._cropped, "pad": self._padded}
        square = to_square[self.preprocess.resize](planes, side)
        if side != self.preprocess.size_px:
            square = self._enlarged(square, side)
        return graph.add("Transpose", graph.cast(square, UINT8), perm=[0, 2, 3, 1])

    def _squashed(self, planes: str, side: int) -> str:
        return self._resized(planes, self.graph.whole(side), self.graph.whole(side))

    def _cropped(self, planes: str, side: int) -> str:
        graph = self.graph
        height, width = self._length(planes, HEIGHT), self._length(planes, WIDTH)
        edge = graph.minimum(height, width)
        for axis, length in ((HEIGHT, height), (WIDTH, width)):
            start = graph.add("Div", graph.add("Sub", length, edge), graph.whole(2))
            bounds = [self._vector(one) for one in (start, graph.add("Add", start, edge))]
            planes = graph.add("Slice", planes, *bounds, graph.whole([axis]))
        return self._squashed(planes, side)

    def _padded(self, planes: str, side: int) -> str:
        graph = self.graph
        lengths = [self._length(planes, axis) for axis in (HEIGHT, WIDTH)]
        longer = graph.cast(graph.maximum(*lengths), DOUBLE)
        scale = graph.add("Div", graph.double(float(side)), longer)
        height, width = (self._scaled(length, scale) for length in lengths)
        colour_311 = np.array(self.preprocess.mean_colour, np.float64).reshape(3, 1, 1)
        colour = graph.double(colour_311)
        # What is laid around is zeros, so the colour of the bars is taken off and put back.
        inner = graph.add("Sub", self._resized(planes, height, width), colour)
        rest = [graph.add("Sub", graph.whole(side), length) for length in (height, width)]
        before = [graph.add("Div", one, graph.whole(2)) for one in rest]
        after = [graph.add("Sub", one, part) for one, part in zip(rest, before, strict=True)]
        bars = graph.add("Concat", *map(self._vector, (*before, *after)), axis=0)
        axes = graph.whole([HEIGHT, WIDTH])
        laid = graph.add("Pad", inner, bars, graph.double(0.0), axes)
        return graph.add("Add", laid, colour)

    def _scaled(self, length: str, scale: str) -> str:
        exact = self.graph.add("Mul", self.graph.cast(length, DOUBLE), scale)
        rounded = self.graph.cast(self.graph.add("Round", exact), INT64)
        return self.graph.maximum(rounded, self.graph.whole(1))

    def _resized(self, planes: str, height: str, width: str) -> str:
        if self._is_opencv:
            return self._as_opencv(planes, height, width)
        across = self._along(planes, width, axis=WIDTH)
        return self._along(across, height, axis=HEIGHT)

    def _along(self, planes: str, wanted: str, *, axis: int) -> str:
        """Return planes with one axis at another length, rounded to whole numbers."""
        graph, length = self.graph, self._length(planes, axis)
        if self.preprocess.antialias:
            is_cubic = self.preprocess.interpolation == "bicubic"
            weights_OL, parts = antialiased(graph, length, wanted, is_cubic=is_cubic)
        else:
            weights_OL, parts = nearest_four(graph, length, wanted)
        return self._averaged(planes, weights_OL, parts, axis=axis)

    def _enlarged(self, square: str, side: int) -> str:
        """Return planes of one known size at the network's; the weights are constants."""
        graph, how = self.graph, self.preprocess
        if self._is_opencv:
            return self._squashed(square, how.size_px)
        weights = weights_for(
            side, how.size_px, interpolation=how.interpolation, antialias=how.antialias
        )
        weights_OL = graph.double(weights.dense(side))
        parts = graph.double(2.0**weights.precision)
        across = self._averaged(square, weights_OL, parts, axis=WIDTH)
        return self._averaged(across, weights_OL, parts, axis=HEIGHT)

    def _averaged(self, planes: str, weights_OL: str, parts: str, *, axis: int) -> str:
        graph = self.graph
        total = self._weighted(planes, weights_OL, axis=axis)
        half = graph.add("Mul", parts, graph.double(0.5))
        rounded = graph.add("Floor", graph.add("Div", graph.add("Add", total, half), parts))
        return graph.add("Clip", rounded, graph.double(0.0), graph.double(255.0))

    def _weighted(self, planes: str, weights_OL: str, *, axis: int) -> str:
        if axis == HEIGHT:
            return self.graph.add("MatMul", weights_OL, planes)
        return self.graph.add("MatMul", planes, self.graph.add("Transpose", weights_OL))

    @property
    def _is_opencv(self) -> bool:
        return self.preprocess.interpolation == "bilinear" and not self.preprocess.antialias

    def _as_opencv(self, planes: str, height: str, width: str) -> str:
        """Do what `resizing` does without antialiasing, dropping bits where it drops them."""
        graph, before = self.graph, self._length(planes, WIDTH)
        across_OL = dense(graph, before, nearest_two(graph, before, width))
        planes = self._floored(self._weighted(planes, across_OL, axis=WIDTH), 16.0)
        rows = nearest_two(graph, self._length(planes, HEIGHT), height)
        parts = []
        for row_O1, weight_O1 in (
            (rows.first_O1, rows.first_weight_O1),
            (rows.second_O1, rows.second_weight_O1),
        ):
            row_O = graph.cast(graph.add("Squeeze", row_O1, graph.whole([1])), INT64)
            taken = graph.add("Gather", planes, row_O, axis=HEIGHT)
            parts.append(self._floored(graph.add("Mul", taken, weight_O1), 65536.0))
        total = graph.add("Add", graph.add("Add", *parts), graph.double(2.0))
        return self._floored(total, 4.0)

    def _floored(self, name: str, divisor: float) -> str:
        return self.graph.add("Floor", self.graph.add("Div", name, self.graph.double(divisor)))

    def _length(self, planes: str, axis: int) -> str:
        """Return the name of a length as a scalar of int64."""
        shape = self.graph.add("Shape", planes, start=axis, end=axis + 1)
        return self.graph.add("Squeeze", shape, self.graph.whole([0]))

    def _vector(self, scalar: str) -> str:
        return self.graph.add("Unsqueeze", scalar, self.graph.whole([0]))
