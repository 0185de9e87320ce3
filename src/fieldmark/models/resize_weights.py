"""The weights of resizing, worked out within an ONNX graph from a photo's height or width.

In: names of a length before and one after, both scalars of int64. Out: names of weights.
What `data.resampling` and `data.resizing` work out in NumPy, step by step the same, in float64.
Shapes: L length before, O length after.
"""

from dataclasses import dataclass

from fieldmark.data.resampling import CUBIC, CUBIC_ANTIALIASED, MAX_PRECISION, MAX_WEIGHT
from fieldmark.data.resizing import WEIGHT_BITS
from fieldmark.models.onnx_graph import DOUBLE, FLOAT, INT64, GraphBuilder


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPixels:
    """The two pixels that each pixel after resizing lies between, and what both weigh."""

    first_O1: str
    second_O1: str
    first_weight_O1: str
    second_weight_O1: str


def antialiased(
    graph: GraphBuilder, length: str, wanted: str, *, is_cubic: bool
) -> tuple[str, str]:
    """Return the names of whole-number weights (O, L), and of what they add up to."""
    before, scale = graph.cast(length, DOUBLE), _scale(graph, length, wanted)
    grown = graph.maximum(scale, graph.double(1.0))
    support = graph.add("Mul", grown, graph.double(2.0 if is_cubic else 1.0))
    centre_O1 = _centres(graph, wanted, scale)
    half, zero = graph.double(0.5), graph.double(0.0)
    low_O1 = graph.add("Add", graph.add("Sub", centre_O1, support), half)
    high_O1 = graph.add("Add", graph.add("Add", centre_O1, support), half)
    first_O1 = graph.maximum(graph.add("Floor", low_O1), zero)
    end_O1 = graph.minimum(graph.add("Floor", high_O1), before)
    place_L = _places(graph, before)
    off_OL = graph.add("Add", graph.add("Sub", place_L, centre_O1), half)
    shrunk_OL = graph.add("Mul", off_OL, graph.add("Div", graph.double(1.0), grown))
    distance_OL = graph.add("Abs", shrunk_OL)
    if is_cubic:
        share_OL = _cubic(graph, distance_OL, CUBIC_ANTIALIASED)
    else:
        share_OL = graph.maximum(graph.add("Sub", graph.double(1.0), distance_OL), zero)
    is_after_OL = graph.add("Not", graph.add("Less", place_L, first_O1))
    is_inside_OL = graph.add("And", is_after_OL, graph.add("Less", place_L, end_O1))
    share_OL = graph.add("Where", is_inside_OL, share_OL, zero)
    share_OL = graph.add("Div", share_OL, graph.add("ReduceSum", share_OL, graph.whole([1])))
    return _whole(graph, share_OL, _largest(graph, share_OL))


def nearest_four(graph: GraphBuilder, length: str, wanted: str) -> tuple[str, str]:
    """Return the names of whole-number weights (O, L), and of what they add up to."""
    before, scale = graph.cast(length, DOUBLE), _scale(graph, length, wanted)
    last = graph.add("Sub", before, graph.double(1.0))
    place_O1 = graph.add("Sub", _centres(graph, wanted, scale), graph.double(0.5))
    below_O1 = graph.minimum(graph.add("Floor", place_O1), last)
    beyond_O1 = _between(graph, graph.add("Sub", place_O1, below_O1), graph.double(1.0))
    place_L, total_OL, largest = _places(graph, before), "", graph.double(0.0)
    for tap in range(-1, 3):
        at_O1 = _between(graph, graph.add("Add", below_O1, graph.double(tap)), last)
        distance_O1 = graph.add("Abs", graph.add("Sub", graph.double(tap), beyond_O1))
        share_O1 = _cubic(graph, distance_O1, CUBIC)
        taken_OL = _at(graph, place_L, at_O1, share_O1)
        total_OL = graph.add("Add", total_OL, taken_OL) if total_OL else taken_OL
        largest = graph.maximum(largest, _largest(graph, total_OL))
    return _whole(graph, total_OL, largest)


def nearest_two(graph: GraphBuilder, length: str, wanted: str) -> TwoPixels:
    """Return what OpenCV's bilinear resizing of bytes looks at; weights in 2^`WEIGHT_BITS`ths."""
    last = graph.add("Sub", graph.cast(length, DOUBLE), graph.double(1.0))
    centre_O1 = _centres(graph, wanted, _scale(graph, length, wanted))
    place_O1 = graph.add("Sub", centre_O1, graph.double(0.5))
    rounded_O1 = graph.cast(graph.cast(place_O1, FLOAT), DOUBLE)
    rounded_O1 = _between(graph, rounded_O1, last)
    first_O1 = graph.add("Floor", rounded_O1)
    share_O1 = graph.add("Sub", rounded_O1, first_O1)
    unit, one = graph.double(float(1 << WEIGHT_BITS)), graph.double(1.0)
    rest_O1 = graph.add("Sub", one, share_O1)
    return TwoPixels(
        first_O1=first_O1,
        second_O1=graph.minimum(graph.add("Add", first_O1, one), last),
        first_weight_O1=graph.add("Round", graph.add("Mul", rest_O1, unit)),
        second_weight_O1=graph.add("Round", graph.add("Mul", share_O1, unit)),
    )


def dense(graph: GraphBuilder, length: str, two: TwoPixels) -> str:
    """Return the name of the weights of two pixels as a matrix (O, L)."""
    place_L = _places(graph, graph.cast(length, DOUBLE))
    return graph.add(
        "Add",
        _at(graph, place_L, two.first_O1, two.first_weight_O1),
        _at(graph, place_L, two.second_O1, two.second_weight_O1),
    )


def _scale(graph: GraphBuilder, length: str, wanted: str) -> str:
    return graph.add("Div", graph.cast(length, DOUBLE), graph.cast(wanted, DOUBLE))


def _centres(graph: GraphBuilder, wanted: str, scale: str) -> str:
    """Return the middle of each pixel after resizing, measured in pixels before, as a column."""
    steps_O = _places(graph, graph.cast(wanted, DOUBLE))
    return graph.column(graph.add("Mul", graph.add("Add", steps_O, graph.double(0.5)), scale))


def _places(graph: GraphBuilder, count: str) -> str:
    return graph.add("Range", graph.double(0.0), count, graph.double(1.0))


def _between(graph: GraphBuilder, name: str, high: str) -> str:
    return graph.minimum(graph.maximum(name, graph.double(0.0)), high)


def _at(graph: GraphBuilder, place_L: str, at_O1: str, weight_O1: str) -> str:
    """Return (O, L): the weight where a place is the one looked for, 0 elsewhere."""
    is_there_OL = graph.add("Equal", place_L, at_O1)
    return graph.add("Where", is_there_OL, weight_O1, graph.double(0.0))


def _cubic(graph: GraphBuilder, distance: str, a: float) -> str:
    def shifted(name: str, by: float) -> str:
        return graph.add("Add", name, graph.double(by))

    near = shifted(graph.add("Mul", distance, graph.double(a + 2)), -(a + 3))
    near = shifted(graph.add("Mul", graph.add("Mul", near, distance), distance), 1.0)
    far = shifted(graph.add("Mul", shifted(distance, -5.0), distance), 8.0)
    far = graph.add("Mul", graph.add("Mul", far, distance), graph.double(a))
    far = shifted(far, -4 * a)
    is_near = graph.add("Less", distance, graph.double(1.0))
    is_far = graph.add("Less", distance, graph.double(2.0))
    beyond = graph.add("Where", is_far, far, graph.double(0.0))
    return graph.add("Where", is_near, near, beyond)


def _largest(graph: GraphBuilder, name: str) -> str:
    return graph.add("ReduceMax", name, keepdims=0)


def _whole(graph: GraphBuilder, share_OL: str, largest: str) -> tuple[str, str]:
    powers = [2.0**bits for bits in range(MAX_PRECISION + 1)]
    reached = graph.add("Mul", largest, graph.double(powers[1:]))
    reached = graph.add("Floor", graph.add("Add", reached, graph.double(0.5)))
    fits = graph.cast(graph.add("Less", reached, graph.double(float(MAX_WEIGHT))), INT64)
    precision = graph.add("ReduceSum", fits, keepdims=0)
    parts = graph.add("Gather", graph.double(powers), precision)
    size_OL = graph.add("Mul", graph.add("Abs", share_OL), parts)
    rounded_OL = graph.add("Floor", graph.add("Add", size_OL, graph.double(0.5)))
    return graph.add("Mul", graph.add("Sign", share_OL), rounded_OL), parts
