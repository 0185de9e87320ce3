"""The layers of the network, one by one and gathered into blocks.

In: the table of layers that a run has written. Out: `Layer` and `Block`, plain typed data.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldmark.report.entries import Block, Layer
from fieldmark.report.run_files import is_true, read_optional_table, whole

DIVIDED_SHARE = 0.75
"""A top-level name that holds more of the layers than this says little; it is divided once."""


def read_layers(path: Path) -> tuple[Layer, ...]:
    """Return the layers in the order of the network; none where the run did not write them."""
    columns = ("name", "type", "output_shape", "parameters", "trainable")
    return tuple(
        Layer(
            name=row["name"],
            type=row["type"],
            output_shape=row["output_shape"],
            parameters=whole(row, "parameters"),
            trainable_parameters=_trainable(row),
        )
        for row in read_optional_table(path, columns=columns)
    )


def _trainable(row: Mapping[str, str]) -> int:
    """Return how many parameters are learned; the column says yes or no, or how many."""
    if is_true(row, "trainable"):
        return whole(row, "parameters")
    return 0 if row["trainable"].lower() in {"false", "no"} else whole(row, "trainable")


def group_layers(layers: Sequence[Layer]) -> tuple[Block, ...]:
    """Group leaf layers by the top of their dotted name, in the order of the network.

    `layer1.0.conv1` belongs to `layer1`. Where one top holds nearly all layers, as `backbone`
    may, its next level is used and the top itself is left out of the names.
    """
    tops = Counter(layer.name.partition(".")[0] for layer in layers)
    divided = {top for top, times in tops.items() if times > DIVIDED_SHARE * len(layers)}
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        top, _, below = layer.name.partition(".")
        inner = below.partition(".")[0]
        is_divided = top in divided and inner and inner not in tops
        groups.setdefault(inner if is_divided else top, []).append(layer)
    return tuple(
        Block(
            name=name,
            num_layers=len(members),
            output_shape=members[-1].output_shape,
            parameters=sum(layer.parameters for layer in members),
            trainable_parameters=sum(layer.trainable_parameters for layer in members),
        )
        for name, members in groups.items()
    )
