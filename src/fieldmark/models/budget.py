"""A bound on what a description may build, taken from the weights that belong to it.

In: the header of a safetensors file. Out: a block in which no network larger than that file can be
built. A description from elsewhere may ask for a million layers; its weights tell how many
there can be, and a network that needs more is refused as it grows, not once memory is gone.
"""

import json
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from fieldmark.base.errors import BundleError

MAX_DIMENSIONS = 8
"""Of a tensor; networks for photos have up to five."""
MAX_HEADER_BYTES = 16 << 20
"""Of a safetensors file: some 100,000 tensors, and a tenth of a second to parse."""
SPARE_TENSORS = 1_000
SPARE_ELEMENTS = 16_000_000
SPARE_FACTOR = 2
"""What a constructor may make beyond what is kept, such as a classifier that it drops again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How many tensors with how many numbers in all a network may have."""

    num_tensors: int
    num_elements: int


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
        num_elements=SPARE_FACTOR * min(num_elements, len(weights)) + SPARE_ELEMENTS,
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
    """Let this thread build no more parameters than the budget allows while the block runs.

    Raises:
        OverBudgetError: from within the constructor that asks for too many.
    """
    thread, num_tensors, num_elements = threading.get_ident(), 0, 0

    def count(_module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal num_tensors, num_elements
        if parameter is None or threading.get_ident() != thread:
            return
        num_tensors += 1
        num_elements += parameter.numel()
        if num_tensors > budget.num_tensors or num_elements > budget.num_elements:
            raise OverBudgetError(f"it is larger than its weights (at {name})")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
