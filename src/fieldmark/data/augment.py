"""Photos changed at random while the network learns: a whole batch at once, on any device.

In: a batch on the scale of 0 to 255. Out: the batch, changed; `Preprocess.normalise` comes after.
Flips alone move pixels without touching their values; rotation and crop are one resampling.
Shapes: N images, C channels (3), H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from fieldmark.base.errors import RecipeError, nearest_spelling
from fieldmark.data.views import NUM_VIEWS

if TYPE_CHECKING:
    import torch

Policy = Literal["none", "flip", "flip-rotate", "any-side-up", "standard", "trivial"]
"""none: nothing. flip: left to right, half of the time. flip-rotate: that, and turned a little.
any-side-up: flipped both ways and turned far, as in the recipe reference. standard: flip, a random
part of the photo at full size, mild changes of colour. trivial: flip, and one change a photo, of
any kind and strength (see `trivial`)."""

ROTATE_TURNS = 0.1
"""Of the policy flip-rotate: up to 36 degrees either way, as Keras' tutorials have it."""
ANY_TURNS = 0.4
"""Of the policy any-side-up: up to 144 degrees either way, as in the recipe reference."""
CROP_SCALE = (0.5, 1.0)
"""Of the policy standard. The ImageNet recipes begin at 0.08 (Szegedy et al. 2015, section 6);
with the few photos of a small dataset that cuts the object out too often."""
TURNS: Mapping[str, float] = {"flip-rotate": ROTATE_TURNS, "any-side-up": ANY_TURNS}
COLOUR = 0.2
"""Of the policy standard: brightness, contrast and saturation by up to a fifth either way."""
MAX_ALPHA = 10.0
"""Of the Beta distributions of mixing: above this, all shares are near a half, which is of no use;
the papers use 0.1 to 1 (Zhang et al. 2018, section 3; Yun et al. 2019, section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """What may be changed; None takes it from the policy."""

    policy: Policy = "flip"
    """none, flip, flip-rotate, any-side-up, standard or trivial."""
    flip_horizontal: bool | None = None
    """Mirror half of the photos left to right."""
    flip_vertical: bool | None = None
    """Turn half of the photos upside down in a mirror: for views from above, not for everyday."""
    rotate_turns: float | None = None
    """Turn by up to this share of a full turn either way, 0 to 0.5."""
    crop_scale: tuple[float, float] | float | None = None
    """Show a part with this share of the area: (least, most) or least alone, in (0, 1]."""
    colour: float | None = None
    """Change brightness, contrast and saturation each by up to this factor either way, 0 to 1."""
    translate: float | None = None
    """Move by up to this share of the side either way, across and down, 0 to 0.5."""
    erase: float | None = None
    """Probability that a rectangle of a photo is filled with noise, 0 to 1 (see `erasing`)."""
    mixup: float = 0.0
    """Alpha of the Beta distribution by which two photos are laid over each other, 0 to 10; 0 is
    off (see `mixing`)."""
    cutmix: float = 0.0
    """The same for a rectangle of one photo put into the other, 0 to 10; 0 is off."""
    test_views: int = 1
    """Views of each photo to average over after training: 1, 2, 4 or 8 (see `views`)."""

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            allowed = get_args(Policy)
            hint = nearest_spelling(str(self.policy), allowed)
            raise RecipeError(
                f"augment.policy is {self.policy!r}: give one of {', '.join(allowed)}.{hint}"
            )
        for name in ("flip_horizontal", "flip_vertical"):
            if not isinstance(value := getattr(self, name), bool | None):
                raise RecipeError(f"augment.{name} is {value!r}: give true or false.")
        _check_number(self.rotate_turns, name="rotate_turns", high=0.5)
        _check_number(self.colour, name="colour", high=1.0)
        _check_number(self.translate, name="translate", high=0.5)
        _check_number(self.erase, name="erase", high=1.0)
        _check_alpha(self.mixup, name="mixup")
        _check_alpha(self.cutmix, name="cutmix")
        _check_views(self.test_views)
        _check_scale(self.crop_scale)

    def resolved(self) -> "AugmentConfig":
        """Return the same with every field filled in; crop_scale becomes (least, most)."""
        changes = changes_of(self)
        return replace(
            self,
            flip_horizontal=changes.flip_horizontal,
            flip_vertical=changes.flip_vertical,
            rotate_turns=changes.rotate_turns,
            crop_scale=changes.crop_scale,
            colour=changes.colour,
            translate=changes.translate,
            erase=changes.erase,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is done to each photo, with nothing left open."""

    flip_horizontal: bool
    flip_vertical: bool
    rotate_turns: float
    crop_scale: tuple[float, float]
    colour: float
    translate: float = 0.0
    erase: float = 0.0
    one_of_all: bool = False
    """Whether one change of any kind comes on top (see `trivial`)."""

    @property
    def resamples(self) -> bool:
        """Whether pixels of every photo come to lie between others, and must be interpolated."""
        return self.rotate_turns > 0 or self.crop_scale[0] < 1 or self.translate > 0


def changes_of(config: AugmentConfig) -> Changes:
    """Fill in from the policy what the config leaves open."""
    standard = config.policy == "standard"
    turns, scale, colour = config.rotate_turns, config.crop_scale, config.colour
    if turns is None:
        turns = TURNS.get(config.policy, 0.0)
    if scale is None:
        scale = CROP_SCALE if standard else 1.0
    if colour is None:
        colour = COLOUR if standard else 0.0
    flip, upside = config.flip_horizontal, config.flip_vertical
    return Changes(
        flip_horizontal=config.policy != "none" if flip is None else flip,
        flip_vertical=config.policy == "any-side-up" if upside is None else upside,
        rotate_turns=float(turns),
        crop_scale=(float(scale), 1.0) if isinstance(scale, float | int) else _pair(scale),
        colour=float(colour),
        translate=float(config.translate or 0.0),
        erase=float(config.erase or 0.0),
        one_of_all=config.policy == "trivial",
    )


def augment(
    images_NCHW: "torch.Tensor", config: AugmentConfig, generator: "torch.Generator"
) -> "torch.Tensor":
    """Return the batch with each photo changed in its own way.

    Args:
        images_NCHW: uint8, or floating point on the same scale of 0 to 255; three channels. It is
            not altered. Its device and memory format are kept.
        config: what may be changed.
        generator: on the CPU, whatever the device of the batch. It moves on by the same number of
            draws for any config, so that runs which differ in one setting share the others.

    Returns:
        On the scale of 0 to 255. uint8 stays uint8 where only flips were done, and becomes float32
        otherwise; floating point keeps its type.
    """
    from fieldmark.data.apply import apply
    from fieldmark.data.draws import NOISE, Draws, child
    from fieldmark.data.erasing import erase

    changes = changes_of(config)
    draws = Draws.sample(len(images_NCHW), generator=generator)
    changed_NCHW = apply(images_NCHW, changes, draws)
    if changes.erase > 0:
        noise = child(generator, NOISE)
        changed_NCHW = erase(changed_NCHW, draws, probability=changes.erase, generator=noise)
    return changed_NCHW


def _check_number(value: object, *, name: str, high: float) -> None:
    if value is not None and not _is_within(value, low=0.0, high=high):
        raise RecipeError(f"augment.{name} is {value!r}: give a number from 0 to {high:g}.")


def _check_alpha(value: object, *, name: str) -> None:
    if not _is_within(value, low=0.0, high=MAX_ALPHA):
        raise RecipeError(
            f"augment.{name} is {value!r}: give a number from 0 to {MAX_ALPHA:g}; 0 is off."
        )


def _check_views(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value not in NUM_VIEWS:
        allowed = ", ".join(map(str, NUM_VIEWS))
        raise RecipeError(f"augment.test_views is {value!r}: give one of {allowed}.")


def _check_scale(value: object) -> None:
    if value is None:
        return
    bounds = [value, 1.0] if isinstance(value, float | int) else value
    if (
        not isinstance(bounds, tuple | list)
        or len(bounds) != 2
        or not all(_is_within(bound, low=0.0, high=1.0) for bound in bounds)
        or not 0 < bounds[0] <= bounds[1]
    ):
        raise RecipeError(
            f"augment.crop_scale is {value!r}: give the least share of the area to show, above 0 "
            "and up to 1, or the least and the most, such as [0.5, 1.0]."
        )


def _is_within(value: object, *, low: float, high: float) -> bool:
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return is_number and low <= value <= high  # type: ignore[operator]


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
