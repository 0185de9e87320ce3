"""Writes the table of networks in docs/reference.md, as the code counts them.

Renew it with `.venv/bin/python docs/generate_networks.py` after a change to a network.
"""  # noqa: INP001 - a script beside the pages that it writes

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import torch

from fieldmark.base.counting import rounded
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Network
from fieldmark.models.extractor import num_features
from fieldmark.models.layers import Layer, layer_table, totals

PAGE = Path(__file__).with_name("reference.md")
BEGIN, END = "<!-- networks: begin -->", "<!-- networks: end -->"
NUM_CLASSES = 1000
"""Those of ImageNet, so that the figures are the published ones."""
SIZES_PX = (224, 50)
WEIGHTED = ("Conv2d", "Linear")
SHORTCUTS: Sequence[str] = (".downsample.", "_0_conv")
"""In names of convolutions that stand in a shortcut, timm's and Keras': the number in the name of a
network does not count these."""
NETWORKS: Mapping[str, str] = {
    "plain18": "plain",
    "resnet18": "residual",
    "plain34": "plain",
    "resnet34": "residual",
    "resnet50": "residual",
    "resnet101": "residual",
    "resnet152": "residual",
    "keras_resnet50": "residual, of Keras",
    "keras_resnet101": "residual, of Keras",
    "keras_resnet152": "residual, of Keras",
}
"""Name, and what kind of network it is."""


def networks_table() -> str:
    """Return the table as Markdown."""
    costs = [f"multiply-adds at {size_px} px" for size_px in SIZES_PX]
    header = ("network", "kind", "layers", "parameters", "statistics", *costs)
    lines = [header, ("---", "---", *["---:"] * (len(header) - 2))]
    lines += [_row(name, kind) for name, kind in NETWORKS.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_table(page: str) -> str:
    """Return the page with the table as it is now."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert all((begin, end)), "the page has lost the marks of the table"
    return f"{before}{begin}\n{networks_table()}{end}{after}"


@cache
def layers_of(name: str) -> Sequence[Sequence[Layer]]:
    """Return the layers of a network for ImageNet, at each size.

    No weights are made, and nothing but shapes is computed.
    """
    with torch.device("meta"):
        extractor = create_extractor(name, args={}, stages=0, power=1.0)
        width = num_features(extractor, size_px=SIZES_PX[0])
        network = Network(extractor, num_features=width, num_classes=NUM_CLASSES)
        return [layer_table(network, size_px=size_px) for size_px in SIZES_PX]


def depth(layers: Sequence[Layer]) -> int:
    """Return how many layers with weights a photo goes through, shortcuts aside."""
    weighted = [layer.name for layer in layers if layer.kind in WEIGHTED]
    return sum(not any(mark in name for mark in SHORTCUTS) for name in weighted)


def _row(name: str, kind: str) -> tuple[str, ...]:
    sums = [totals(layers) for layers in layers_of(name)]
    counts = (depth(layers_of(name)[0]), sums[0].num_parameters, sums[0].num_statistics)
    costs = (rounded(part.num_multiply_adds) for part in sums)
    return (f"`{name}`", kind, *(f"{count:,}" for count in counts), *costs)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), encoding="utf-8")
