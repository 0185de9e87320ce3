"""Tensors in one safetensors file, written without a copy in memory and read back bit for bit.

In: tensors by name and a text. Out: the file, and the same tensors on the CPU, with the strides
they had: a network's bits depend on the memory format of its tensors too.
The file is written here, not by safetensors: that copies everything twice before the first byte
reaches the disk, and orders its header at random, so that equal contents have unequal digests.
Not covered: tensors that share memory come back apart.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fieldmark.base.files import TEMPORARY, sync_folder

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""The kinds of numbers that a network or an optimizer holds, as safetensors names them."""

HEADER_ALIGNMENT = 8
"""The header is filled up with blanks to a multiple of so many bytes, as safetensors does."""
METADATA_KEY = "fieldmark"


class MalformedFileError(Exception):
    """A file that is not one of those written here."""


def write_tensors(
    tensors: Mapping[str, Tensor], folder: Path, *, stem: str, content: Mapping[str, Any]
) -> Path:
    """Write `<stem>-<16 digits of its SHA-256>.safetensors` into `folder`; return its path.

    The file appears under its name only once it is complete and safe on the disk.

    Args:
        tensors: of the kinds in `DTYPES`, on any device.
        folder: made if need be.
        stem: what the name begins with.
        content: plain JSON that is kept in the header.

    Raises:
        OSError: the folder cannot be written to; nothing is left there.
        TypeError: a tensor of another kind, or a content that is not JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / TEMPORARY.replace("*", secrets.token_hex(8))
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as stream:
            for chunk in _chunks(tensors, content):
                digest.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        path = folder / f"{stem}-{digest.hexdigest()[:16]}.safetensors"
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a file, by name and on the CPU, and the JSON kept with them.

    Raises:
        MalformedFileError: the file is not one of those written here.
        OSError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {})[METADATA_KEY]
            described = json.loads(text)
            strided = described["strided"]
            tensors = {
                name: _as_it_was(file.get_tensor(name), strided.get(name))
                for name in described["names"]
            }
        return tensors, described["content"]
    except (LookupError, SafetensorError, TypeError, ValueError, AttributeError) as error:
        raise MalformedFileError(f"it is malformed ({error})") from error


def _chunks(
    tensors: Mapping[str, Tensor], content: Mapping[str, Any]
) -> Iterator[bytes | memoryview]:
    """Yield the header and then the bytes of each tensor, one at a time in the CPU's memory."""
    # The widest numbers first, so that each stands at a multiple of its width, as readers of the
    # format that map files into memory want it.
    names = sorted(tensors, key=lambda name: -tensors[name].element_size())
    values = {name: _dense(tensors[name]) for name in names}
    strided = {
        name: [list(value.shape), list(value.stride())]
        for name, value in values.items()
        if value.stride() != torch.empty(value.shape, device="meta").stride()
    }
    described = {"names": list(tensors), "strided": strided, "content": content}
    yield _header(values, strided=strided, described=json.dumps(described))
    for value in values.values():
        yield _in_memory_order(value).cpu().view(torch.uint8).numpy().data


def _header(values: Mapping[str, Tensor], *, strided: Mapping[str, Any], described: str) -> bytes:
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: described}}
    end = 0
    for name, value in values.items():
        start, end = end, end + value.numel() * value.element_size()
        shape = [value.numel()] if name in strided else list(value.shape)
        dtype = _dtype_name(name, value)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _dtype_name(name: str, value: Tensor) -> str:
    if value.dtype not in DTYPES:
        raise TypeError(f"Tensor '{name}' is {value.dtype}; allowed: {', '.join(map(str, DTYPES))}")
    return DTYPES[value.dtype]


def _dense(value: Tensor) -> Tensor:
    """Return `value` itself where it fills its memory without gap or overlap, else a copy."""
    return value if _outermost_first(value).is_contiguous() else value.contiguous()


def _in_memory_order(value: Tensor) -> Tensor:
    return _outermost_first(value).reshape(-1)


def _outermost_first(value: Tensor) -> Tensor:
    strides = value.stride()
    return value.permute(sorted(range(value.dim()), key=lambda axis: -strides[axis]))


def _as_it_was(found: Tensor, strided: Sequence[Sequence[int]] | None) -> Tensor:
    """Return a tensor with memory of its own, aligned as torch aligns it."""
    if strided is None:
        return found.clone()
    shape, strides = strided
    value = torch.empty_strided(tuple(shape), tuple(strides), dtype=found.dtype)
    _in_memory_order(value).copy_(found)
    return value
