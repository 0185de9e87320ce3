"""PyTorch's own random state, borrowed for as long as something draws from it, and put back.

In: a seed. Out: a block of code whose draws from the global generators derive from it.
The starts of timm's networks and layers such as dropout take no generator of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, *, device: torch.device = CPU) -> Iterator[None]:
    """Seed the global generators of the CPU and of `device`; afterwards they are as before."""
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        # Not torch.manual_seed: it would reseed every GPU, also those that are not put back.
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
