"""The layer table of a recipe's network, without weights and without photos.

In: what is asked for on the command line. Out: `Summary`.
Not covered: the table itself (`models.layers`) and how it is printed (`terminal`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldmark.arguments import recipe_asked
from fieldmark.base.errors import RecipeError
from fieldmark.data.preprocess import DataConfig
from fieldmark.models.layers import Layer, Totals, layer_table, totals
from fieldmark.planning import freeze, layout

NUM_CLASSES = 10
"""Of a summary, where nothing says how many there are."""
NUM_CLASSES_OF = {"reference": 8}
"""Of recipes that belong to certain photos: that of the study has its 8 classes, so that its table
of parameters comes out without a flag. The photos themselves may have any number."""
HEAD = "head"
"""The name of the head's layer in a layer table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The layer table of a recipe's network."""

    backbone: str
    size_px: int
    num_classes: int
    layers: Sequence[Layer]

    @property
    def totals(self) -> Mapping[str, Totals]:
        """The sums over the "backbone", over the "head", and over "both"."""
        head = [layer for layer in self.layers if layer.name == HEAD]
        backbone = [layer for layer in self.layers if layer.name != HEAD]
        parts = {"backbone": backbone, "head": head, "both": self.layers}
        return {name: totals(layers) for name, layers in parts.items()}


def summarise(
    recipe: str,
    *,
    backbone: str | None,
    size_px: int | None,
    num_classes: int | None,
    overrides: Sequence[str],
) -> Summary:
    """Return the layers of the network that a recipe would train; arguments as of the verb.

    Raises:
        RecipeError: the recipe or the backbone is not known.
    """
    if num_classes is None:
        num_classes = NUM_CLASSES_OF.get(recipe, NUM_CLASSES)
    size = _size_asked(size_px)
    asked = recipe_asked(recipe, backbone=backbone, overrides=[*size, *overrides])
    classifier = layout(asked, classes=tuple(str(index) for index in range(num_classes)))
    freeze(classifier, asked.train)
    layers = layer_table(classifier.network, size_px=classifier.preprocess.size_px)
    return Summary(
        backbone=classifier.architecture.backbone,
        size_px=classifier.preprocess.size_px,
        num_classes=num_classes,
        layers=layers,
    )


def _size_asked(size_px: int | None) -> list[str]:
    """Return the size as a change of the recipe, together with which the others are checked.

    Raises:
        RecipeError: it is not allowed; the message names the flag, which is what was given.
    """
    if size_px is None:
        return []
    try:
        DataConfig(size_px=size_px)
    except RecipeError as error:
        raise RecipeError(f"--size: {error}") from error
    return [f"data.size_px={size_px}"]
