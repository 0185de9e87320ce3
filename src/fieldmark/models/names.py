"""What is known of a backbone by its name.

In: a name, of timm's or our own. Out: whether there is such a backbone, what input it expects, and
where its weights are published.
Not covered: building it (see `backbones`).
"""

from collections.abc import Mapping
from typing import Any

import timm

from fieldmark.base.errors import RecipeError, nearest_spelling
from fieldmark.models.own_networks import OWN_NETWORKS, OwnNetwork


def untagged(name: str) -> str:
    """Return "resnet18" of "resnet18.a1_in1k": the network without the name of its weights."""
    return name.partition(".")[0]


def known_of(name: str) -> Mapping[str, Any]:
    """Return what is known of a backbone, under the names of timm's pretrained configurations.

    Raises:
        RecipeError: there is no such backbone, or its name has a tag and there are no such weights.
    """
    architecture = untagged(name)
    if architecture in OWN_NETWORKS:
        return _known_of_own(name, OWN_NETWORKS[architecture])
    if not timm.is_model(architecture):
        hint = nearest_spelling(architecture, [*OWN_NETWORKS, *timm.list_models()])
        raise RecipeError(
            f"There is no backbone '{name}'.{hint} Any timm name is allowed, such as resnet18, "
            "resnet50, mobilenetv2_100 or convnext_tiny, and Fieldmark's own: "
            f"{', '.join(OWN_NETWORKS)}."
        )
    try:
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError as error:
        raise _no_such_weights(name, timm.list_pretrained(f"{architecture}.*")) from error
    return dict(config.to_dict()) if config is not None else {}


def _known_of_own(name: str, network: OwnNetwork) -> Mapping[str, Any]:
    if name not in OWN_NETWORKS:
        raise _no_such_weights(name, [])
    return {
        "input_size": (3, network.size_px, network.size_px),
        "mean": network.mean,
        "std": network.std,
        "interpolation": network.interpolation,
    }


def _no_such_weights(name: str, known: list[str]) -> RecipeError:
    return RecipeError(
        f"There are no published weights '{name}'.{nearest_spelling(name, known)} "
        f"Allowed: {untagged(name)} alone{''.join(f', {other}' for other in known)}."
    )
