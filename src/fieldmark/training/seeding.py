"""Where every draw of a training run begins: a seed and a place in the run.

In: the run's seed, and numbers that name a place, such as epoch and step. Out: a generator.
No state is carried from one place to the next, so a run that goes on after being stopped needs
no generator's state: the place alone gives the same draws.
"""

import hashlib

import torch

ORDER, BATCH, NETWORK, HEAD = range(4)
"""What the draws are for: the order of an epoch's photos; how a batch is changed and mixed; layers
that draw, such as dropout; where a head starts that is trained on features."""


def seed_for(seed: int, *place: int) -> int:
    """Return a seed from 0 to below 2 to the power 63 for one place, unlike that of any other."""
    text = ",".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8]) >> 1


def generator_for(seed: int, *place: int) -> torch.Generator:
    """Return a generator on the CPU that starts from that place's seed."""
    return torch.Generator().manual_seed(seed_for(seed, *place))
