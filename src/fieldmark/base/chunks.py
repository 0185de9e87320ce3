"""A stream cut into pieces that fit into memory.

In: items, as many as there are. Out: lists of them.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def in_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items (1 or more), the last one shorter, as they are asked for."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
