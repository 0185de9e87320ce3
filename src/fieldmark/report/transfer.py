"""Where the weights came from, how much of the network was trained, and how its head began.

In: the settled recipe, `run.json` and the layers of a run. Out: `Transfer`, plain typed data.
Not covered: the layers one by one (`network`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fieldmark.report.entries import Layer
from fieldmark.training.config import FROZEN

KERAS = "keras_"
"""How the names of Keras' networks begin, whose heads start as Keras' dense layers do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """How the network began and what of it was learned."""

    summary: str
    """In a sentence."""
    rows: tuple[tuple[str, str], ...]
    """Names and values."""
    num_trained: int
    num_frozen: int

    @property
    def num_parameters(self) -> int:
        """All parameters of the network."""
        return self.num_trained + self.num_frozen


def transfer_content(
    resolved: Mapping[str, Any], *, facts: Mapping[str, Any], layers: Sequence[Layer]
) -> Transfer | None:
    """Gather what the section says; None where the recipe names no backbone.

    Args:
        resolved: the settled recipe.
        facts: the content of `run.json`.
        layers: of the network; none where the run did not write them.
    """
    model, train = _table(resolved, "model"), _table(resolved, "train")
    if not (backbone := str(model.get("backbone") or "")):
        return None
    weights = str(model.get("weights") or "auto")
    strategy = str(train.get("strategy") or "")
    trained = sum(layer.trainable_parameters for layer in layers)
    rows = {
        "Network": _network(model, backbone),
        "Its weights at the start": _source(weights, backbone, seed=train.get("seed")),
        "SHA-256 of their file": str(_table(facts, "sha256").get("weights") or ""),
        "What was trained": _trained(strategy, last=train.get("last_stages")),
        "Batch normalisation": _batch_norm(train.get("batch_norm"), layers),
        "The new head": _head(model, strategy=strategy, weights=weights, backbone=backbone),
    }
    return Transfer(
        summary=_summary(weights, strategy),
        rows=tuple((name, value) for name, value in rows.items() if value),
        num_trained=trained,
        num_frozen=sum(layer.parameters for layer in layers) - trained,
    )


def _summary(weights: str, strategy: str) -> str:
    if weights == "none":
        return "It began with random weights: all that it knows comes from these photos."
    if strategy in FROZEN:
        return (
            "The pretrained weights were kept as they are; only the last layer, which names the "
            "classes, was learned from these photos."
        )
    return (
        "It began with pretrained weights and was trained on from there, so what it knows comes "
        "from other pictures and from these."
    )


def _network(model: Mapping[str, Any], backbone: str) -> str:
    heads = {
        "linear": "one dense layer on its features",
        "flatten": "one dense layer on its last maps, place by place",
        "cosine": "the angle to one direction a class",
    }
    head = heads.get(str(model.get("head")))
    return f"{backbone}, and as its head {head}" if head else backbone


def _source(weights: str, backbone: str, *, seed: object) -> str:
    if weights == "none":
        return "random" if seed is None else f"random, drawn with seed {seed}"
    if weights != "auto":
        return f"pretrained, from {weights}"
    if backbone.startswith(KERAS):
        return "pretrained on ImageNet, as published for Keras"
    return f"pretrained, as published for {backbone}"


def _trained(strategy: str, *, last: object) -> str:
    stages = "stage" if last == 1 else f"{last} stages"
    return {
        "probe": "the head alone",
        "head": "the head alone",
        "all": "all of it at once",
        "head-then-all": "the head alone first, then all of it",
        "last-stages": f"the head alone first, then it and the last {stages} of the network",
    }.get(strategy, "")


def _batch_norm(mode: object, layers: Sequence[Layer]) -> str:
    """Say by what layers are normalised; nothing of a network that has no such layers."""
    num = sum(layer.statistics or 0 for layer in layers)
    if not num and all(layer.statistics is not None for layer in layers):
        return ""
    numbers = f" ({num:,} numbers that no gradient changes)" if num else ""
    return {
        "frozen": f"by the means and spreads that came with the weights{numbers}",
        "batch": f"by the means and spreads of each batch, with running averages kept{numbers}",
    }.get(str(mode), "")


def _head(model: Mapping[str, Any], *, strategy: str, weights: str, backbone: str) -> str:
    """Say how the head begins; see `training.strategies` and `models.classifier`."""
    is_cosine = model.get("head") == "cosine"
    if strategy == "probe":
        return "needs no start: its weights are the one best solution on the features"
    if weights != "none" and strategy in {"head-then-all", "last-stages"}:
        if is_cosine:
            return "each class begins at the mean of its training photos' features"
        return "fitted to the features of the pretrained network before anything else moved"
    if is_cosine:
        return "begins with a random direction for each class"
    if backbone.startswith(KERAS) and strategy != "head":
        return "begins with random weights by Glorot's uniform rule and biases of zero"
    return "begins with random weights close to zero and biases of zero"


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = values.get(key)
    return table if isinstance(table, Mapping) else {}
