"""Studies that can be had by a word: `fieldmark study PHOTOS --preset reference`.

In: a name. Out: what the study varies, on which recipe.
Not covered: what came of it (`conclusions`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fieldmark.base.errors import RecipeError, nearest_spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A study as flags would ask for it."""

    name: str
    about: str
    """In a sentence."""
    recipe: str
    overrides: tuple[str, ...]
    """`section.key=value`, before any `--set` of the user."""
    vary: tuple[str, ...]
    """As `--vary` takes them."""
    num_seeds: int


REFERENCE = Preset(
    name="reference",
    about=(
        "The questions of the study that the recipe reference comes from: learning rate, "
        "augmentation, optimizer, and how many epochs."
    ),
    recipe="reference",
    overrides=(
        # Left to the policy, which is what is varied.
        "augment.flip_horizontal=none",
        "augment.flip_vertical=none",
        "augment.rotate_turns=none",
        # The recipe has no validation photos and watches those of the test.
        "split.validation=0.15",
        "train.watch_test=false",
    ),
    vary=(
        "optim.lr=1e-3,1e-4",
        "augment.policy=none,any-side-up",
        "optim.name=sgd,adam",
    ),
    num_seeds=3,
)

PRESETS: Mapping[str, Preset] = {REFERENCE.name: REFERENCE}


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in PRESETS:
        hint = nearest_spelling(name, PRESETS)
        raise RecipeError(
            f"There is no preset '{name}'.{hint} Allowed: {', '.join(PRESETS)}. Without one, say "
            "what to vary, such as --vary optim.lr=1e-4,1e-3."
        )
    return PRESETS[name]
