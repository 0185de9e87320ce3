"""Photos made worse on purpose: nine kinds of damage at five strengths each.

In: a photo at the working side (`at_working_size`), a kind, a strength and a generator. Out: the
photo damaged, uint8, before any preprocessing. Constants are those of D. Hendrycks and T.
Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations" (ICLR
2019), as in their code for 224 pixels, where a kind is theirs; `Kind.source` says so.
Not covered: the arithmetic (`damage`); damage that depends on the scene, as fog and motion do;
several kinds at once.
Shapes: H height, W width; 3 channels.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldmark.data.damage import (
    Pixels,
    blurred,
    brightened,
    compressed,
    covered,
    darkened,
    flattened,
    noisy,
    reduced,
    turned,
)
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.resizing import resized

NUM_STRENGTHS = 5
REFERENCE_PX = 224
"""The side at which strengths in pixels are given; at others they are scaled with the side."""
MAX_ASPECT = 4
"""A photo longer than this many working sides is reduced further, so that it stays small."""

_HENDRYCKS = "Hendrycks and Dietterich 2019"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of damage, and how strong it is at each of the five strengths."""

    key: str
    """How it is called on the command line and in tables."""
    title: str
    what: str
    """What is done to the photo, as a clause."""
    amounts: tuple[float, ...]
    """How much of it at strength 1 to 5, in the unit that `told` writes."""
    told: tuple[str, ...]
    """The same in words, each with its unit."""
    source: str
    """Where the amounts come from."""


KINDS = (
    Kind(
        key="noise",
        title="Noise",
        what="Gaussian noise is added to each pixel and channel",
        amounts=(0.08, 0.12, 0.18, 0.26, 0.38),
        told=tuple(f"standard deviation {part} % of the range" for part in (8, 12, 18, 26, 38)),
        source=f"{_HENDRYCKS}, Gaussian noise",
    ),
    Kind(
        key="blur",
        title="Blur",
        what="a Gaussian blur, as of a lens out of focus",
        amounts=(1.0, 2.0, 3.0, 4.0, 6.0),
        told=tuple(f"standard deviation {part} px of 224" for part in (1, 2, 3, 4, 6)),
        source=f"{_HENDRYCKS}, Gaussian blur",
    ),
    Kind(
        key="resolution",
        title="Resolution",
        what="the photo is reduced and comes with fewer pixels",
        amounts=(0.5, 0.35, 0.25, 0.175, 0.125),
        told=tuple(f"{part} % of the side" for part in (50, 35, 25, 17.5, 12.5)),
        source="chosen: from a half to an eighth, halved every second step",
    ),
    Kind(
        key="jpeg",
        title="JPEG compression",
        what="saved as a JPEG of low quality",
        amounts=(25.0, 18.0, 15.0, 10.0, 7.0),
        told=tuple(f"quality {part}" for part in (25, 18, 15, 10, 7)),
        source=f"{_HENDRYCKS}, JPEG compression",
    ),
    Kind(
        key="brightness",
        title="Brightness",
        what="made brighter, hue and saturation kept",
        amounts=(0.1, 0.2, 0.3, 0.4, 0.5),
        told=tuple(f"{part} % of the range added" for part in (10, 20, 30, 40, 50)),
        source=f"{_HENDRYCKS}, brightness",
    ),
    Kind(
        key="darkness",
        title="Darkness",
        what="made darker, as by too short an exposure",
        amounts=(1.0, 2.0, 3.0, 4.0, 5.0),
        told=("1 stop less light", *(f"{part} stops less light" for part in (2, 3, 4, 5))),
        source="chosen: photographic stops, each half the light, at a gamma of 2.2",
    ),
    Kind(
        key="contrast",
        title="Contrast",
        what="each channel is drawn towards its mean",
        amounts=(0.4, 0.3, 0.2, 0.1, 0.05),
        told=tuple(f"{part} % of the contrast left" for part in (40, 30, 20, 10, 5)),
        source=f"{_HENDRYCKS}, contrast",
    ),
    Kind(
        key="rotation",
        title="Rotation",
        what="turned one way or the other, the corners filled with the photo mirrored",
        amounts=(5.0, 10.0, 20.0, 30.0, 45.0),
        told=tuple(f"{part} degrees" for part in (5, 10, 20, 30, 45)),
        source="chosen: to the 30 degrees of Engstrom et al. 2019, and half a right angle",
    ),
    Kind(
        key="occlusion",
        title="Occlusion",
        what="a grey rectangle of the photo's shape covers a part of it",
        amounts=(0.05, 0.1, 0.2, 0.3, 0.4),
        told=tuple(f"{part} % of the photo covered" for part in (5, 10, 20, 30, 40)),
        source="chosen: to the 40 % of Zhong et al. 2020 (random erasing)",
    ),
)
"""In the order in which they are shown."""

KINDS_BY_KEY: Mapping[str, Kind] = {kind.key: kind for kind in KINDS}


def at_working_size(pixels_HW3: Pixels, preprocess: Preprocess) -> Pixels:
    """Bring a photo to the size at which it is damaged: the shorter side as the network takes it.

    That is `working_side`; where the whole photo is fitted into a square (pad) it is the longer
    side. Smaller photos are enlarged, so that damage is the same to the network whatever the size
    of the file. The shape is kept.

    Args:
        pixels_HW3: RGB, uint8, as `preprocess.decode` gives them; not altered.
        preprocess: of the classifier; its filter is used.
    """
    height, width = pixels_HW3.shape[:2]
    side = working_side(preprocess)
    if preprocess.resize == "pad":
        scale = side / max(height, width)
    else:
        scale = min(side / min(height, width), MAX_ASPECT * side / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if size == (height, width):
        return pixels_HW3
    return resized(
        pixels_HW3, size, interpolation=preprocess.interpolation, antialias=preprocess.antialias
    )


def working_side(preprocess: Preprocess) -> int:
    """Return the side in pixels to which the preprocessing reduces a photo."""
    return preprocess.prescale_px or preprocess.size_px


def generator_of(sha256: str, *, kind: str, seed: int) -> np.random.Generator:
    """Return the generator for a photo under a kind of damage.

    It depends on nothing else: neither on which photos and kinds are damaged, too, nor on the
    strength, so that at each strength the same noise, place or direction is taken.

    Args:
        sha256: of the photo's file, hexadecimal.
        kind: the key of the kind.
        seed: 0 or more.
    """
    return np.random.default_rng([seed, zlib.crc32(kind.encode()), int(sha256[:16] or "0", 16)])


def num_versions(kinds: Sequence[Kind]) -> int:
    """Return how many versions of a photo there are, the undamaged one among them."""
    return 1 + NUM_STRENGTHS * len(kinds)


def degrade_all(
    pixels_HW3: Pixels, kinds: Sequence[Kind], *, side_px: int, sha256: str, seed: int
) -> Iterator[Pixels]:
    """Yield a photo under each kind at each strength, kind after kind; arguments as elsewhere."""
    for kind in kinds:
        for strength in range(1, NUM_STRENGTHS + 1):
            generator = generator_of(sha256, kind=kind.key, seed=seed)
            yield degrade(
                pixels_HW3, kind.key, strength=strength, side_px=side_px, generator=generator
            )


def degrade(
    pixels_HW3: Pixels,
    kind: str,
    *,
    strength: int,
    side_px: int,
    generator: np.random.Generator,
) -> Pixels:
    """Return a photo damaged; "resolution" makes it smaller, all others keep its size.

    Args:
        pixels_HW3: RGB, uint8, at the working size; not altered.
        kind: the key of one of `KINDS`.
        strength: 1 to 5.
        side_px: the working side, by which strengths in pixels are scaled.
        generator: for what is random; a new one of the same seed gives the same photo.

    Raises:
        ValueError: no such kind or strength, or pixels of another form.
    """
    if pixels_HW3.ndim != 3 or pixels_HW3.shape[2] != 3 or pixels_HW3.dtype != np.uint8:
        raise ValueError(
            f"degrade takes RGB as uint8 (H, W, 3), not {pixels_HW3.dtype} {pixels_HW3.shape}"
        )
    if kind not in KINDS_BY_KEY or not 1 <= strength <= NUM_STRENGTHS:
        raise ValueError(
            f"degrade knows {', '.join(KINDS_BY_KEY)} at strength 1 to {NUM_STRENGTHS}, not "
            f"{kind!r} at {strength}"
        )
    amount = KINDS_BY_KEY[kind].amounts[strength - 1]
    if kind == "blur":
        return blurred(pixels_HW3, amount * side_px / REFERENCE_PX)
    if kind in _RANDOM:
        return _RANDOM[kind](pixels_HW3, amount, generator)
    return _PLAIN[kind](pixels_HW3, amount)


def _turned_at_random(pixels_HW3: Pixels, degrees: float, generator: np.random.Generator) -> Pixels:
    return turned(pixels_HW3, degrees if generator.random() < 0.5 else -degrees)


def _covered_at_random(pixels_HW3: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    return covered(pixels_HW3, share, across=generator.random(), down=generator.random())


_PLAIN: Mapping[str, Callable[[Pixels, float], Pixels]] = {
    "resolution": reduced,
    "jpeg": compressed,
    "brightness": brightened,
    "darkness": darkened,
    "contrast": flattened,
}
_RANDOM: Mapping[str, Callable[[Pixels, float, np.random.Generator], Pixels]] = {
    "noise": noisy,
    "rotation": _turned_at_random,
    "occlusion": _covered_at_random,
}
