"""Training mode, with what shall not move left out of it.

In: a network and what of it is frozen. Out: the same network, each module in its mode.
Not covered: which weights get gradients (see `depth`).
"""

from collections.abc import Iterator, Sequence

from torch import nn

from fieldmark.models.classifier import Network

BATCH_NORM = ("frozen", "batch")
"""What normalises while training: the statistics kept, or those of each batch."""


def set_training(network: Network, *, batch_norm: str, frozen: Sequence[nn.Module]) -> None:
    """Put a network into training mode, all but what is frozen.

    With `batch_norm` "frozen" every normalisation with running statistics uses and keeps those it
    has; with "batch" it uses those of each batch and moves its own. The modules of `frozen`, with
    all that is inside them, stay in evaluation mode whatever `batch_norm` says: their dropout is
    off, and their statistics stay.

    Raises:
        ValueError: `batch_norm` is neither of the two.
    """
    if batch_norm not in BATCH_NORM:
        raise ValueError(f"batch_norm is {batch_norm!r}; allowed: {', '.join(BATCH_NORM)}.")
    network.train()
    for module in frozen:
        module.eval()
    if batch_norm == "frozen":
        for norm in norms_with_statistics(network):
            norm.eval()


def norms_with_statistics(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the normalisations that keep running statistics: batch norms, as a rule.

    Layer norms and group norms keep none, and behave in training as in evaluation.
    """
    return (
        module for module in network.modules() if getattr(module, "running_mean", None) is not None
    )
