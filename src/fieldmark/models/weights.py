"""Pretrained weights: found, read without pickle, and checked tensor by tensor.

In: a path, or a repository on the model hub. Out: tensors loaded into a network that they cover
exactly. Not covered: which weights belong to which backbone (see `backbones`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fieldmark.base.errors import WeightsError
from fieldmark.base.files import sha256_of

SAFETENSORS = ".safetensors"
HUB_TIMEOUT_S = 5.0
"""How long the hub may take to answer the first question; a person waits this long at most."""
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A weights file on this machine, its SHA-256, and where it comes from in words."""

    path: Path
    sha256: str
    source: str


def weights_file(path: Path, *, suffixes: Sequence[str] = (SAFETENSORS,)) -> WeightsFile:
    """Return the weights file at `path`.

    Args:
        path: of the file; it is read for its digest only.
        suffixes: of the files that are allowed.

    Raises:
        WeightsError: it does not exist, cannot be read, or is of another kind.
    """
    if not path.is_file():
        raise WeightsError(
            f"There are no weights at {path}. Give a folder with config.json and "
            f"model.safetensors, a {' or '.join(suffixes)} file, 'auto' or 'none'."
        )
    if path.suffix.lower() not in suffixes:
        raise WeightsError(
            f"{path} is not a {' or '.join(suffixes)} file, and no other kind is read for this "
            "backbone: a pickle can run code when it is opened, and a Keras file goes with Keras' "
            "networks only, such as --backbone keras_resnet50. Convert it with "
            "safetensors.torch.save_file."
        )
    try:
        return WeightsFile(path=path, sha256=sha256_of(path), source=f"weights from {path}")
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_folder_config(path: Path) -> Mapping[str, Any]:
    """Return the config.json of a weights folder in timm's form, which names its architecture.

    Raises:
        WeightsError: there is none, it cannot be read, or names no architecture.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent} has no config.json, so it is not a weights folder in timm's form "
            "(config.json and model.safetensors). Give such a folder or a .safetensors file."
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("architecture"), str):
        raise WeightsError(f"{path} names no architecture, so the backbone is not known.")
    return content


def table_of(content: Mapping[str, Any], key: str, *, path: Path) -> Mapping[str, Any]:
    """Return a table of such a file, empty where there is none.

    Raises:
        WeightsError: it is something other than a table.
    """
    values = content.get(key) or {}
    if not isinstance(values, Mapping):
        raise WeightsError(f"In {path}, {key} must be a table of names and values.")
    return values


def locate_on_hub(repository: str, *, file_name: str, backbone: str) -> WeightsFile:
    """Return a file of a hub repository from the hub's cache, downloading it if it is not there.

    Raises:
        WeightsError: it is not cached and the hub cannot be reached, within seconds.
    """
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    if not file_name.endswith(".safetensors"):
        raise WeightsError(
            f"The published weights of '{backbone}' ({repository}) are not in safetensors form, "
            "and no other is read. Choose another --backbone or give --weights PATH."
        )
    source = f"pretrained weights {repository}"
    cached = try_to_load_from_cache(repository, file_name)
    if isinstance(cached, str):
        return WeightsFile(path=Path(cached), sha256=sha256_of(Path(cached)), source=source)
    try:
        # One question with a time limit first: the download itself retries for most of a minute.
        get_hf_file_metadata(hf_hub_url(repository, file_name), timeout=HUB_TIMEOUT_S)
        path = Path(hf_hub_download(repository, file_name))
    except Exception as error:
        raise WeightsError(_unreachable(repository, file_name, backbone, error)) from error
    return WeightsFile(path=path, sha256=sha256_of(path), source=source)


def load_into(
    network: nn.Module, *, file: WeightsFile, backbone: str, head_names: Sequence[str]
) -> None:
    """Load every tensor of `network` from a file.

    Tensors of the file's own classifier (`head_names` are its module names) are left aside.

    Raises:
        WeightsError: the file is unreadable, lacks a tensor, has one of another shape or with
            numbers that are not finite, or has tensors for which the network has no place.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file.path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file.path} cannot be read as safetensors: {error}.") from error
    load_tensors(network, tensors, path=file.path, backbone=backbone, head_names=head_names)


def load_tensors(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    path: Path,
    backbone: str,
    head_names: Sequence[str] = (),
) -> None:
    """Load every tensor of `network` from those of a file, all of them or none.

    Tensors of a wrong shape, or without a place, are not looked into.

    Raises:
        WeightsError: as `load_into` does.
    """
    wanted = network.state_dict()
    _check_cover(wanted, tensors, backbone=backbone, path=path, head_names=head_names)
    network.load_state_dict({name: tensors.get(name, value) for name, value in wanted.items()})


def _check_cover(
    wanted: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    *,
    backbone: str,
    path: Path,
    head_names: Sequence[str],
) -> None:
    # Counters of batches seen do not enter the forward pass, and older files lack them.
    required = {name for name in wanted if not name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name in required and name not in found]
    misshapen = [
        f"{name} {list(found[name].shape)} instead of {list(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    heads = tuple(f"{name}." for name in head_names)
    extra = [name for name in sorted(found) if name not in wanted and not name.startswith(heads)]
    broken = [
        name
        for name, value in wanted.items()
        if name in found and found[name].shape == value.shape and not found[name].isfinite().all()
    ]
    faults = [
        _fault("missing", missing, of=len(required)),
        _fault("of another shape", misshapen, of=len(required)),
        _fault("without a place in the backbone", extra, of=len(found)),
        _fault("with infinite values or NaN", broken, of=len(found)),
    ]
    if any(faults):
        raise WeightsError(
            f"The weights in {path} do not fit the backbone '{backbone}': "
            f"{'; '.join(fault for fault in faults if fault)}. Nothing was loaded. "
            "Give weights of this very backbone, or the --backbone that these weights are of."
        )


def _fault(what: str, names: Sequence[str], *, of: int) -> str:
    if not names:
        return ""
    return f"{len(names)} of {of} tensors {what} ({_listed(names)})"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - NAMES_SHOWN} more" if len(shown) > NAMES_SHOWN else ""
    return ", ".join(shown[:NAMES_SHOWN]) + more


def _unreachable(repository: str, file_name: str, backbone: str, error: Exception) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    cause = str(error).strip().splitlines()
    return (
        f"The pretrained weights of '{backbone}' ({repository}) are not on this machine and could "
        f"not be fetched ({type(error).__name__}: {cause[0] if cause else 'no answer'}). "
        f"Connect to the network and run again, or fetch {file_name} and config.json of "
        f"{repository} elsewhere and give their folder with --weights PATH, or copy the hub's "
        f"cache of a machine that has them to {HF_HUB_CACHE}, or start from random weights with "
        "--recipe finetune --weights none."
    )
