"""A bound on what a description may build, taken from the weights that belong to it.

In: the header of a safetensors file. Out: a block in which no network larger than that file can be
built. A description from elsewhere may ask for a million layers, or for tables that no file holds;
its weights tell how many there can be, and a network that needs more is refused as it grows, not
once memory is gone.
"""

import json
import math
import struct
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, UntypedStorage
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from fieldmark.base.errors import BundleError

MAX_DIMENSIONS = 8
"""Of a tensor; networks for photos have up to five."""
MAX_HEADER_BYTES = 16 << 20
"""Of a safetensors file: some 100,000 tensors, and a tenth of a second to parse."""
SPARE_TENSORS = 1_000
SPARE_BYTES = 256 << 20
SPARE_FACTOR = 2
"""What a constructor may make beyond the weights: a classifier that it drops again, tables of
positions, a first pass to see what sizes come out. None of timm's 1,371 networks takes all of it,
even if nothing that it makes is given back."""
MADE_FACTOR = 4
"""How much may be made in all, as a multiple of what may be there at a time: bounds how long it
takes to fill memory that is given back at once."""
BYTES_A_NUMBER = 4
"""Of weights as they are built, in whatever precision they are kept."""
WITHOUT_MEMORY = {"device": torch.device("meta"), "pin_memory": None, "generator": None}
"""Arguments with which an operation gives the shapes of its results and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be made to build a network."""

    num_tensors: int
    """One after the other."""
    num_bytes: int
    """In memory at a time; one after the other, `MADE_FACTOR` times as many."""


class OverBudgetError(Exception):
    """The network that is being built is larger than its weights."""


def budget_of(weights: bytes, *, where: str) -> Budget:
    """Return what the header of a safetensors file allows, the spare included.

    Raises:
        BundleError: it has no such header; `where` names the file.
    """
    try:
        shapes = _shapes(weights)
        num_elements = sum(math.prod(shape) for shape in shapes)
    except (struct.error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise BundleError(f"{where} does not fit: it is no safetensors file ({error}).") from error
    except RecursionError as error:
        raise BundleError(f"{where} does not fit: its header makes no sense.") from error
    return Budget(
        num_tensors=SPARE_FACTOR * len(shapes) + SPARE_TENSORS,
        num_bytes=SPARE_FACTOR * BYTES_A_NUMBER * min(num_elements, len(weights)) + SPARE_BYTES,
    )


def _shapes(weights: bytes) -> list[list[int]]:
    (length,) = struct.unpack("<Q", weights[:8])
    if length > min(MAX_HEADER_BYTES, len(weights) - 8):
        raise ValueError(f"its header claims {length:,} bytes")
    header = json.loads(weights[8 : 8 + length])
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    if not all(_makes_sense(shape, most=len(weights)) for shape in shapes):
        raise ValueError("a shape in its header makes no sense")
    return shapes


def _makes_sense(shape: object, *, most: int) -> bool:
    """Return whether a shape is a few whole numbers, none beyond the bytes that there are."""
    return (
        isinstance(shape, list)
        and len(shape) <= MAX_DIMENSIONS
        and all(type(length) is int and 0 <= length <= most for length in shape)
    )


@contextmanager
def within(budget: Budget) -> Iterator[None]:
    """Let this thread make no more tensors than the budget allows while the block runs.

    Parameters, buffers and what is needed only for a moment count alike, each before it is made.

    Raises:
        OverBudgetError: from within the constructor that asks for too much.
    """
    with _Counting(budget):
        yield


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of this thread, and refuses those whose results are too much."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._budget = budget
        self._num_tensors = self._num_made = self._num_held = 0
        self._watched: list[weakref.ref[UntypedStorage]] = []

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if not _makes_tensors(func):
            return func(*args, **(kwargs or {}))
        planned = _planned_sizes(func, args, kwargs or {})
        if planned is not None:
            self._admit(planned, at=func)
        made = func(*args, **(kwargs or {}))
        if planned is None:
            self._admit([one.nbytes for one in _tensors(made)], at=func)
        self._watch(made)
        return made

    def _admit(self, sizes: Sequence[int], *, at: OpOverload) -> None:
        self._num_tensors += len(sizes)
        self._num_made += sum(sizes)
        self._num_held += sum(sizes)
        budget = self._budget
        if (
            self._num_tensors > budget.num_tensors
            or self._num_held > budget.num_bytes
            or self._num_made > MADE_FACTOR * budget.num_bytes
        ):
            raise OverBudgetError(f"it is larger than its weights (at {at})")

    def _watch(self, made: object) -> None:
        """Have what was made no longer count as held once nothing refers to its memory."""
        for one in _tensors(made):
            forget = partial(self._forget, one.nbytes)
            self._watched.append(weakref.ref(one.untyped_storage(), forget))

    def _forget(self, num_bytes: int, _gone: object) -> None:
        self._num_held -= num_bytes


@cache
def _makes_tensors(func: OpOverload) -> bool:
    """Return whether an operation gives tensors that are not views of those that it was given."""
    given = func._schema.returns  # noqa: SLF001 - there is no other way to its schema
    return any(one.alias_info is None and "Tensor" in str(one.type) for one in given)


def _planned_sizes(
    func: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[int] | None:
    """Return how many bytes each result will have; None where only the results show."""
    named = dict(kwargs)
    names = {argument.name for argument in func._schema.arguments}  # noqa: SLF001 - as above
    named |= {name: value for name, value in WITHOUT_MEMORY.items() if name in names}
    try:
        blank_args, blank_named = tree_map_only(Tensor, _blank, (args, named))
        return [one.nbytes for one in _tensors(func(*blank_args, **blank_named))]
    except Exception:  # noqa: BLE001 - of each operation that cannot go without numbers, another
        return None


def _blank(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape that has no memory."""
    return torch.empty_strided(
        tensor.size(), tensor.stride(), dtype=tensor.dtype, device=WITHOUT_MEMORY["device"]
    )


def _tensors(made: object) -> list[Tensor]:
    return [one for one in tree_iter(made) if isinstance(one, Tensor)]
