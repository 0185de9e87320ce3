"""Weights that Keras has saved, loaded into a network whose layers carry Keras' names.

In: a file. Out: tensors of the network, which the file covers exactly.
The file is read in a process of its own: on a damaged one HDF5, the library for such files, may
hang or crash, and would take everything else with it.
Not covered: what the files look like (see `keras_files`), and published ones (see `published`).
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fieldmark.base.errors import WeightsError
from fieldmark.models.keras_files import Arrays, Wanted, damaged
from fieldmark.models.weights import WeightsFile, load_tensors

KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
READING_LIMIT_S = 120.0
"""The largest published file takes two seconds; a slow disk a minute."""
PROGRAM = """
import json, sys
asked = json.load(sys.stdin)
sys.path[:] = asked["sys_path"]
from fieldmark.models.keras_files import answer
answer(asked)
"""


def load_keras_into(
    network: nn.Module,
    *,
    file: WeightsFile,
    backbone: str,
    read: Callable[[Path, Wanted], Arrays] | None = None,
) -> None:
    """Load every tensor of `network` from a file of Keras.

    What belongs to a head, to layers that prepare photos, or to an optimizer is left aside.

    Args:
        network: changed in place, unless the file is refused.
        file: to read.
        backbone: its name, for messages.
        read: reads the file; None: `read_apart`.

    Raises:
        WeightsError: h5py is not installed; the file is damaged or of another kind; or lacks a
            tensor, has one twice, of another shape, of other than floating-point numbers, or with
            numbers that are not finite; or has layers that are no part of such a network.
    """
    require_h5py(file.path)
    wanted = _wanted(network)
    arrays = (read or read_apart)(file.path, wanted)
    tensors: dict[str, Tensor] = {
        name: torch.from_numpy(values) for name, values in arrays.fitting.items()
    }
    # Shapes alone: what does not fit was not read.
    tensors |= {name: torch.empty(shape, device="meta") for name, shape in arrays.others.items()}
    load_tensors(network, tensors, path=file.path, backbone=backbone)


def read_apart(path: Path, wanted: Wanted) -> Arrays:
    """Do in another process, within `READING_LIMIT_S`, what `keras_files.read_keras_file` does.

    Raises:
        WeightsError: as there; or the process hangs, or crashes.
    """
    asked = {
        "path": str(path),
        "shapes": wanted.shapes,
        "layers": wanted.layers,
        "sys_path": sys.path,
    }
    try:
        done = subprocess.run(  # noqa: S603  (this very Python, and a constant program)
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(asked).encode(),
            capture_output=True,
            timeout=READING_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it was not read within {READING_LIMIT_S:.0f} s"
        raise WeightsError(damaged(path, reason)) from None
    heading, _, numbers = done.stdout.partition(b"\n")
    if done.returncode or not heading:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        last = said[-1] if said else f"exit code {done.returncode}"
        raise WeightsError(damaged(path, f"the process that read it failed: {last}"))
    return _received(json.loads(heading), numbers)


def require_h5py(path: Path) -> Any:
    """Return the package h5py.

    Raises:
        WeightsError: it is not installed; the message says that `path` needs it.
    """
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(
            f"{path} is a file of Keras, and h5py, which reads it, is not installed. Install it "
            'with: pip install "fieldmark[keras]", or start from random weights with '
            "--weights none."
        ) from error
    return h5py


def _wanted(network: nn.Module) -> Wanted:
    kinds = {"conv2d": nn.Conv2d, "batch_normalization": nn.BatchNorm2d}
    return Wanted(
        shapes={name: tuple(value.shape) for name, value in network.state_dict().items()},
        layers={
            kind: [name for name, part in network.named_modules() if isinstance(part, of_torch)]
            for kind, of_torch in kinds.items()
        },
    )


def _received(heading: dict[str, Any], numbers: bytes) -> Arrays:
    if "refusal" in heading:
        raise WeightsError(heading["refusal"])
    fitting, start = {}, 0
    # In memory of our own, which can be written to.
    values = np.frombuffer(bytearray(numbers), dtype=np.float32)
    for name, shape in heading["fitting"].items():
        size = int(np.prod(shape))
        fitting[name] = values[start : start + size].reshape(shape)
        start += size
    others = {name: tuple(shape) for name, shape in heading["others"].items()}
    return Arrays(fitting=fitting, others=others)
