"""From a photo to what the network sees: the single definition, kept with the model.

In: upright RGB pixels. Out: uint8 pixels of a fixed square size, and from those the normalised
tensor. Training, evaluation, prediction, export and serving all take it from here.
Shapes: N images, C channels (3), H height, W width, S size_px.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import BundleError, RecipeError, nearest_spelling
from fieldmark.data.images import Decoded, decode

if TYPE_CHECKING:
    import torch

Resize = Literal["squash", "crop", "pad"]
"""squash: to a square, whatever the shape. crop: the largest square in the middle. pad: the whole
photo, with bars in the mean colour."""
Orientation = Literal["exif", "stored"]
"""exif: turned upright, as the photo's metadata says. stored: as the pixels lie in the file, for
collections whose metadata is stale."""
Interpolation = Literal["bilinear", "bicubic"]

MIN_SIZE_PX = 8
"""Smaller than this no backbone has anything left to look at."""
MAX_SIZE_PX = 4096
"""Larger than this a single batch no longer fits in the memory of any one device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How photos are brought to one size; None means that the backbone's own way is taken."""

    size_px: int | None = None
    """Side of the square that the network sees, 8 to 4096 pixels."""
    resize: Resize | None = None
    """How a photo that is not square becomes one: squash, crop or pad."""
    prescale_px: int | None = None
    """Reduce to a square of this side first, then enlarge to `size_px`: 8 to `size_px` pixels."""
    interpolation: Interpolation | None = None
    """How pixels between others are found: bilinear or bicubic."""
    antialias: bool = True
    """Average over all pixels when reducing. False looks at the nearest only, as OpenCV does by
    default: for doing again what was done so."""
    orientation: Orientation | None = None
    """Whether a photo is turned as its metadata says (exif, the default) or not (stored)."""

    def __post_init__(self) -> None:
        if self.size_px is not None:
            _check_size(self.size_px, name="data.size_px")
        if self.resize is not None:
            _check_choice(self.resize, allowed=get_args(Resize), name="data.resize")
        if self.orientation is not None:
            _check_choice(self.orientation, allowed=get_args(Orientation), name="data.orientation")
        if self.interpolation is not None:
            allowed = get_args(Interpolation)
            _check_choice(self.interpolation, allowed=allowed, name="data.interpolation")
        _check_antialias(self.antialias)
        _check_prescale(self.prescale_px, size_px=self.size_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How a photo becomes the input of a network."""

    size_px: int
    """Side of the square that the network sees."""
    resize: Resize = "squash"
    """How a photo that is not square becomes one."""
    interpolation: Interpolation = "bilinear"
    """The filter that finds pixels between others."""
    antialias: bool = True
    """Whether it is as wide as the photo is reduced, as Pillow's is; False: 2 or 4 pixels."""
    prescale_px: int | None = None
    """Side of the square to reduce to first; None goes to `size_px` in one step."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of each channel, on a scale of 0 to 1, subtracted from x / 255."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of each channel, on the same scale, to divide by; greater than 0."""
    orientation: Orientation = "exif"
    """Whether the photo is turned upright as its metadata says."""

    def __post_init__(self) -> None:
        _check_size(self.size_px, name="data.size_px")
        _check_choice(self.resize, allowed=get_args(Resize), name="data.resize")
        _check_choice(
            self.interpolation, allowed=get_args(Interpolation), name="data.interpolation"
        )
        _check_choice(self.orientation, allowed=get_args(Orientation), name="data.orientation")
        _check_antialias(self.antialias)
        _check_prescale(self.prescale_px, size_px=self.size_px)
        _check_channels(self.mean, name="the mean", low=0.0)
        _check_channels(self.std, name="the std", low=math.ulp(0.0))

    def decode(self, content: bytes) -> Decoded:
        """Decode a photo's file in the way that this model expects; `to_pixels` comes next.

        A JPEG is decoded at a half, a quarter or an eighth of its size where it is to be reduced to
        less than that anyway: several times as fast for the photos of today's cameras.

        Raises:
            UnreadableImage: for anything but a complete picture in a format that is read.
        """
        return decode(
            content,
            turn_upright=self.orientation == "exif",
            reduce_to_px=(self.prescale_px or self.size_px) if self.antialias else None,
        )

    def to_pixels(self, pixels_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the photo as uint8 of shape (S, S, 3).

        Args:
            pixels_HW3: RGB, uint8, as `decode` gives them; not altered.
        """
        if pixels_HW3.ndim != 3 or pixels_HW3.shape[2] != 3 or pixels_HW3.dtype != np.uint8:
            raise ValueError(
                f"to_pixels takes RGB as uint8 (H, W, 3), not {pixels_HW3.dtype} {pixels_HW3.shape}"
            )
        square_SS3 = self._to_square(pixels_HW3, side=self.prescale_px or self.size_px)
        return self._resized(square_SS3, (self.size_px, self.size_px))

    def normalise(
        self, images_NCHW: "torch.Tensor", *, dtype: "torch.dtype | None" = None
    ) -> "torch.Tensor":
        """Return (x / 255 - mean) / std, on the device and in the memory format of the input.

        Args:
            images_NCHW: uint8, or floating point on the same scale of 0 to 255; three channels.
            dtype: of the result, float32 where None. The arithmetic is in float32 throughout, as
                one multiplication and one addition, and rounds to `dtype` only once.
        """
        import torch

        std = torch.tensor(self.std, dtype=torch.float64)
        scale = (1.0 / (255.0 * std)).float().view(1, 3, 1, 1).to(images_NCHW.device)
        mean = torch.tensor(self.mean, dtype=torch.float64)
        offset = (-mean / std).float().view(1, 3, 1, 1).to(images_NCHW.device)
        return torch.addcmul(offset, images_NCHW.float(), scale).to(dtype or torch.float32)

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The mean as a colour of 8 bits a channel: what the bars of a padded photo show."""
        red, green, blue = (round(255 * value) for value in self.mean)
        return red, green, blue

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BundleError: for a field that is missing, unknown or out of range.
        """
        expected, given = {field.name for field in fields(cls)}, set(values)
        if expected != given | {"antialias"}:  # bundles before it have none
            raise BundleError(
                "The model's preprocessing is not one that this version knows: "
                f"missing {sorted(expected - given)}, unknown {sorted(given - expected)}. "
                "Use the Fieldmark version that wrote the bundle, or train again."
            )
        try:
            triples = {"mean": tuple(values["mean"]), "std": tuple(values["std"])}
            return cls(**(dict(values) | triples))
        except (RecipeError, TypeError) as error:
            raise BundleError(f"The model's preprocessing is not valid: {error}") from error

    def _to_square(self, pixels_HW3: NDArray[np.uint8], *, side: int) -> NDArray[np.uint8]:
        height, width = pixels_HW3.shape[:2]
        if self.resize == "squash":
            return self._resized(pixels_HW3, (side, side))
        if self.resize == "crop":
            edge = min(width, height)
            left, top = (width - edge) // 2, (height - edge) // 2
            return self._resized(pixels_HW3[top : top + edge, left : left + edge], (side, side))
        scale = side / max(width, height)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (side - inner[0]) // 2, (side - inner[1]) // 2
        canvas_SS3 = np.full((side, side, 3), self.mean_colour, dtype=np.uint8)
        canvas_SS3[top : top + inner[0], left : left + inner[1]] = self._resized(pixels_HW3, inner)
        return canvas_SS3

    def _resized(self, pixels_HW3: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the pixels at another height and width."""
        if pixels_HW3.shape[:2] == size:
            return pixels_HW3
        from fieldmark.data.resizing import resized

        return resized(pixels_HW3, size, interpolation=self.interpolation, antialias=self.antialias)


def _check_size(value: object, *, name: str) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not MIN_SIZE_PX <= value <= MAX_SIZE_PX:  # type: ignore[operator]
        raise RecipeError(
            f"{name} is {value!r}: give a whole number of pixels, {MIN_SIZE_PX} to {MAX_SIZE_PX}."
        )


def _check_prescale(value: int | None, *, size_px: int | None) -> None:
    if value is None:
        return
    _check_size(value, name="data.prescale_px")
    if size_px is not None and value > size_px:
        raise RecipeError(
            f"data.prescale_px is {value} and data.size_px is {size_px}: the photo is reduced to "
            "the first and then enlarged to the second, so the first must not be larger."
        )


def _check_antialias(value: object) -> None:
    if not isinstance(value, bool):
        raise RecipeError(f"data.antialias is {value!r}: give true or false.")


def _check_choice(value: object, *, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        hint = nearest_spelling(str(value), allowed)
        raise RecipeError(f"{name} is {value!r}: give one of {', '.join(allowed)}.{hint}")


def _check_channels(values: object, *, name: str, low: float) -> None:
    is_triple = isinstance(values, tuple) and len(values) == 3
    if not is_triple or not all(
        isinstance(value, float | int) and low <= value <= 1
        for value in values  # type: ignore[attr-defined]
    ):
        raise RecipeError(
            f"{name} is {values!r}: give three numbers from 0 to 1, one a channel"
            f"{', and greater than 0' if low > 0 else ''}."
        )
