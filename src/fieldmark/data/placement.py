"""Which part of a photo a network sees, and where it lies in the square that it is given.

In: how photos are brought to a square, and the sides of one. Out: two boxes, as shares.
The counterpart of `Preprocess.to_pixels`, for drawing on a photo what was found in the square.
"""

from dataclasses import dataclass

from fieldmark.data.preprocess import Preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in shares of a side, 0 to 1, from the left and from the top."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    def of(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom within a picture of these sides."""
        return self.left * width, self.top * height, self.right * width, self.bottom * height


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What the network sees of a photo, and where."""

    of_photo: Box
    """The part that it sees: all of it, or the square in the middle (crop)."""
    in_square: Box
    """Where that lies in its input: everywhere, or between bars (pad)."""


def placement(preprocess: Preprocess, *, width: int, height: int) -> Placement:
    """Return where a photo of these sides, in pixels, is seen."""
    if preprocess.resize == "squash":
        return Placement(of_photo=Box(), in_square=Box())
    if preprocess.resize == "crop":
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        seen = Box(
            left=left / width,
            top=top / height,
            right=(left + edge) / width,
            bottom=(top + edge) / height,
        )
        return Placement(of_photo=seen, in_square=Box())
    side = preprocess.prescale_px or preprocess.size_px
    scale = side / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - inner_width) // 2, (side - inner_height) // 2
    between = Box(
        left=left / side,
        top=top / side,
        right=(left + inner_width) / side,
        bottom=(top + inner_height) / side,
    )
    return Placement(of_photo=Box(), in_square=between)
