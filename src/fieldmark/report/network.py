"""The layers of the network, one by one and gathered into blocks.

In: the table of layers that a run has written. Out: `Layer` and `Block`, plain typed data.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fieldmark.report.entries import Block, Layer
from fieldmark.report.run_files import is_true, read_optional_table, whole

DIVIDED_SHARE = 0.75
"""A top-level name that holds more of the layers than this says little; it is divided once."""
MAX_BLOCKS = 30
"""A table of more is no overview. timm's networks stay below; Keras' have names without dots."""


def read_layers(path: Path) -> tuple[Layer, ...]:
    """Return the layers in the order of the network; none where the run did not write them.

    Runs of earlier versions have written no statistics and no multiply-adds.
    """
    columns = ("name", "type", "output_shape", "parameters", "trainable")
    return tuple(
        Layer(
            name=row["name"],
            type=row["type"],
            output_shape=row["output_shape"],
            parameters=whole(row, "parameters"),
            trainable_parameters=_trainable(row),
            statistics=whole(row, "statistics") if "statistics" in row else None,
            multiply_adds=whole(row, "multiply_adds") if "multiply_adds" in row else None,
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
    may, its next level is used and the top itself is left out of the names. Where that makes too
    many blocks, layers stand together that begin alike: `conv4_block2_1_bn` belongs to `conv4`.
    """
    names = _block_names(layers)
    if len(set(names)) > MAX_BLOCKS:
        names = _stems(names)
    groups: dict[str, list[Layer]] = {}
    for name, layer in zip(names, layers, strict=True):
        groups.setdefault(name, []).append(layer)
    return tuple(_block(name, members) for name, members in groups.items())


def _block_names(layers: Sequence[Layer]) -> list[str]:
    """Return the name of the block of each layer."""
    tops = Counter(layer.name.partition(".")[0] for layer in layers)
    divided = {top for top, times in tops.items() if times > DIVIDED_SHARE * len(layers)}
    names = []
    for layer in layers:
        top, _, below = layer.name.partition(".")
        inner = below.partition(".")[0]
        is_divided = top in divided and inner and inner not in tops
        names.append(inner if is_divided else top)
    return names


def _stems(names: Sequence[str]) -> list[str]:
    """Return each name up to its first underscore, or in full where no other has that stem."""
    stems = [name.partition("_")[0] for name in names]
    kinds = Counter(stem for stem, _ in set(zip(stems, names, strict=True)))
    return [stem if kinds[stem] > 1 else name for stem, name in zip(stems, names, strict=True)]


def _block(name: str, members: Sequence[Layer]) -> Block:
    return Block(
        name=name,
        num_layers=len(members),
        output_shape=members[-1].output_shape,
        parameters=sum(layer.parameters for layer in members),
        trainable_parameters=sum(layer.trainable_parameters for layer in members),
        statistics=known_sum(layer.statistics for layer in members),
        multiply_adds=known_sum(layer.multiply_adds for layer in members),
    )


def known_sum(numbers: Iterable[int | None]) -> int | None:
    """Return the sum of numbers, or None where any of them is not known."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)
