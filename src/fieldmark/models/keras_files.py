"""Files of Keras: the arrays in them by the layers of a network, without Keras or torch.

In: a file, and the names and shapes of the arrays that are wanted. Out: those that are there.
Three kinds of file are read: `.h5` as Keras up to version 2 saves it (a whole model, or weights
alone; with today's names of layers or the old ones), `.weights.h5` and `.keras` of Keras 3.
The library for such files, HDF5, may hang or crash on a damaged one. So this module is made to run
in a process of its own, started by `keras_weights`, and imports nothing heavy.
Not covered: Keras' shards (`.weights.json`) and quantised weights.
"""

import io
import json
import math
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import WeightsError

WEIGHTS_IN_ARCHIVE = "model.weights.h5"
"""What the weights are called within a `.keras` file, which is a ZIP archive."""
MAX_EXPANSION = 100
"""Keras stores archives as they are, and numbers that look random hardly shrink: what grows more
than this as it is unpacked is made to fill the memory."""
MAX_ENTRIES, MAX_DEPTH = 100_000, 16
"""Of a file. A ResNet-152 with the state of its optimizer has 4,000 entries, 5 deep; a file whose
groups contain each other has no end."""
OF_OPTIMIZERS = ("optimizer", "optimizer_weights")

ATTRIBUTES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Keras' names of a layer's variables, and torch's."""
OLD_VARIABLES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    # A misnomer of Keras 1: it holds the variance.
    "running_std": "moving_variance",
}
NUMBERED_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
    "seed_generator": ("seed_generator_state",),
}
"""Keras 3 numbers the variables of a layer, and names groups by the kind of layer."""
BESIDE_BACKBONE = {
    **dict.fromkeys(("bias", "gamma", "beta", "moving_mean", "moving_variance"), 1),
    "kernel": 2,
    **dict.fromkeys(("mean", "variance", "count"), 4),
    **dict.fromkeys(("seed_generator_state", "StateVar"), 1),
}
"""Variables of heads (dense layers, normalisations) and of layers that prepare photos, with the
most dimensions that they have. A kernel of four is one of a convolution: part of a backbone."""
LIKE_BACKBONE = re.compile(r"conv\d+_(block\d+_\d_)?(conv|bn)")
OLD_LAYER = re.compile(r"(res|bn)(\d)(?:([a-z])|b(\d+))_branch(1|2[abc])")
OLD_PARTS = {"1": 0, "2a": 1, "2b": 2, "2c": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The arrays of a network, as it names and orders them."""

    shapes: Mapping[str, tuple[int, ...]]
    """By name: layer and variable in torch's words, such as "conv1_conv.weight"."""
    layers: Mapping[str, Sequence[str]]
    """Keras' kinds of layers ("conv2d", "batch_normalization"), and the names of those of each
    kind in Keras' order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """What a file holds of them."""

    fitting: Mapping[str, NDArray[np.float32]]
    """By name; kernels in torch's order (out, in, height, width)."""
    others: Mapping[str, tuple[int, ...]]
    """Shapes of arrays that are of another shape than wanted, or not wanted at all; not those of
    heads, of layers that prepare photos, and of optimizers, which are left aside."""


def read_keras_file(path: Path, wanted: Wanted) -> Arrays:
    """Return what a file of Keras holds of the arrays of a network.

    Raises:
        WeightsError: it is damaged or of another kind, has an array twice, or has one that is not
            of floating-point numbers or lies elsewhere.
    """
    import h5py

    try:
        with h5py.File(_opened(path), "r") as content:
            return _arrays(_stored(content, wanted, h5py=h5py), wanted)
    except WeightsError as error:
        raise WeightsError(f"{path} is not read: {error}") from error
    except Exception as error:  # h5py and zipfile raise almost anything on damaged files
        reason = f"{type(error).__name__}: {str(error).rstrip('.')}"
        raise WeightsError(damaged(path, reason)) from error


def damaged(path: Path, reason: str) -> str:
    """Return the message for a file that cannot be read."""
    return (
        f"{path} cannot be read as a file of Keras ({reason}). It is damaged, cut short or of "
        "another kind: take a fresh copy, or save the model again with Keras as .weights.h5."
    )


def answer(asked: Mapping[str, Any]) -> None:
    """Read a file for another process, and write to standard output what came of it.

    A line of JSON with either the refusal or the names and shapes, then the numbers as they lie in
    memory, array by array.
    """
    shapes = {name: tuple(shape) for name, shape in asked["shapes"].items()}
    output = sys.stdout.buffer
    try:
        found = read_keras_file(Path(asked["path"]), Wanted(shapes=shapes, layers=asked["layers"]))
    except WeightsError as error:
        output.write(json.dumps({"refusal": str(error)}).encode() + b"\n")
        return
    fitting = {name: values.shape for name, values in found.fitting.items()}
    output.write(json.dumps({"fitting": fitting, "others": found.others}).encode() + b"\n")
    for values in found.fitting.values():
        output.write(values.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """An array of a file that has not been read yet, by its layer and variable in today's names."""

    layer: str
    variable: str
    dataset: Any


def _opened(path: Path) -> Path | io.BytesIO:
    """Return what h5py opens: the file itself, or what lies in the archive that it is."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if WEIGHTS_IN_ARCHIVE not in archive.namelist():
            raise WeightsError(f"it is an archive without {WEIGHTS_IN_ARCHIVE}, so not of Keras.")
        entry = archive.getinfo(WEIGHTS_IN_ARCHIVE)
        if entry.file_size > MAX_EXPANSION * entry.compress_size:
            raise WeightsError(
                f"{WEIGHTS_IN_ARCHIVE} in it would grow from {entry.compress_size:,} to "
                f"{entry.file_size:,} bytes, which weights never do."
            )
        return io.BytesIO(archive.read(entry))


def _stored(content: Any, wanted: Wanted, *, h5py: Any) -> list[_Stored]:
    datasets = dict(_datasets(content, h5py=h5py))
    placed = _placed_by_order(datasets, wanted.layers)
    return [
        _of_keras_3(path, dataset, placed=placed)
        if path[-2:-1] == ("vars",)
        else _of_older_keras(path, dataset)
        for path, dataset in datasets.items()
    ]


def _datasets(root: Any, *, h5py: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the handle of every array but those of optimizers."""
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    num_met = 0
    while pending:
        path, group = pending.pop()
        for name in group:
            num_met += 1
            if num_met > MAX_ENTRIES or len(path) >= MAX_DEPTH:
                raise WeightsError("it has more entries, or deeper ones, than any network.")
            inner = (*path, name)
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(f"{'/'.join(inner)} in it is a link, which Keras never writes.")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                yield inner, item
            elif name not in OF_OPTIMIZERS:
                pending.append((inner, item))


def _of_older_keras(path: tuple[str, ...], dataset: Any) -> _Stored:
    """Place ".../conv1_conv/kernel:0", or "conv1/conv1_W_1:0" as Keras 1 wrote it."""
    layer = path[-2] if len(path) > 1 else ""
    name = path[-1].partition(":")[0].removeprefix(f"{layer}_")
    bare = re.sub(r"_\d+$", "", name)
    return _Stored(
        layer=_todays_layer(layer), variable=OLD_VARIABLES.get(bare, bare), dataset=dataset
    )


def _todays_layer(name: str) -> str:
    """Return "conv2_block1_1_conv" for "res2a_branch2a"; other names as they are."""
    if name in ("conv1", "bn_conv1"):
        return f"conv1_{'bn' if name.startswith('bn') else 'conv'}"
    if (match := OLD_LAYER.fullmatch(name)) is None:
        return name
    kind, stage, letter, number, branch = match.groups()
    block = int(number) + 1 if number else ord(letter) - ord("a") + 1
    return f"conv{stage}_block{block}_{OLD_PARTS[branch]}_{'bn' if kind == 'bn' else 'conv'}"


def _of_keras_3(
    path: tuple[str, ...], dataset: Any, *, placed: Mapping[tuple[str, ...], str]
) -> _Stored:
    """Place ".../conv2d_5/vars/0" by the name that is noted there, or by its order."""
    group = path[:-2]
    kind, _ = _kind_and_number(group)
    known = NUMBERED_VARIABLES.get(kind, ())
    index = int(path[-1]) if path[-1].isdecimal() else len(known)
    variable = known[index] if index < len(known) else f"{kind}/{path[-1]}"
    named = dataset.parent.attrs.get("name")
    layer = str(named) if named is not None else placed.get(group, "/".join(group))
    return _Stored(layer=layer, variable=variable, dataset=dataset)


def _placed_by_order(
    paths: Mapping[tuple[str, ...], Any], layers: Mapping[str, Sequence[str]]
) -> dict[tuple[str, ...], str]:
    """Return which layer each numbered group is, for files in which no names are noted.

    Earlier versions of Keras 3 wrote such. Layers of a kind are numbered in the order of layers.
    """
    groups = {path[:-2] for path in paths if path[-2:-1] == ("vars",)}
    with_convolutions = {group[:-1] for group in groups if _kind_and_number(group)[0] == "conv2d"}
    placed = {}
    for group in groups:
        kind, number = _kind_and_number(group)
        if group[:-1] in with_convolutions and number < len(layers.get(kind, ())):
            placed[group] = layers[kind][number]
    return placed


def _kind_and_number(group: tuple[str, ...]) -> tuple[str, int]:
    """Return ("conv2d", 5) of (..., "conv2d_5")."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", group[-1] if group else "", re.DOTALL)
    assert match is not None
    return match[1], int(match[2] or 0)


def _arrays(stored: Sequence[_Stored], wanted: Wanted) -> Arrays:
    fitting: dict[str, NDArray[np.float32]] = {}
    others: dict[str, tuple[int, ...]] = {}
    for item in stored:
        name = f"{item.layer}.{ATTRIBUTES.get(item.variable, item.variable)}"
        if name not in wanted.shapes and _is_beside_backbone(item):
            continue
        if name in fitting or name in others:
            raise WeightsError(f"{name} is in it twice, so it is not clear which one is meant.")
        is_kernel = item.variable == "kernel" and item.dataset.ndim == 4
        order = (3, 2, 0, 1) if is_kernel else tuple(range(item.dataset.ndim))
        shape = tuple(item.dataset.shape[axis] for axis in order)
        if wanted.shapes.get(name) == shape:
            fitting[name] = np.ascontiguousarray(_numbers(item.dataset, name).transpose(order))
        else:
            others[name] = shape
    return Arrays(fitting=fitting, others=others)


def _is_beside_backbone(item: _Stored) -> bool:
    most = BESIDE_BACKBONE.get(item.variable, -1)
    return item.dataset.ndim <= most and LIKE_BACKBONE.fullmatch(item.layer) is None


def _numbers(dataset: Any, name: str) -> NDArray[np.float32]:
    """Read an array, whose shape is known to be one that is wanted."""
    if dataset.dtype.kind != "f":
        raise WeightsError(f"{name} holds numbers of the kind {dataset.dtype}, not floating-point.")
    if dataset.external or dataset.is_virtual:
        raise WeightsError(f"{name} lies in another file, which Keras never does.")
    if dataset.chunks and math.prod(dataset.chunks) > max(dataset.size, 1):
        raise WeightsError(
            f"{name} is packed in pieces larger than itself, which Keras never does."
        )
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return np.asarray(dataset[()], dtype=np.float32)
