"""Find photos that show the same picture: encoded again, resized, cropped a little, turned.

In: thumbnails. Out: the pairs that are near-duplicates, with how alike they are and how they are
turned against each other. An index gives candidates; each is then laid over the other and compared
pixel by pixel, so that what counts in the end is the picture and not a hash of it.
Not covered: other photos of the same subject, changed colours, pictures without any detail.

Shapes: N photos, K pairs, S THUMBNAIL_PX, C luma and two chroma channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.alignment import Floats
from fieldmark.audit.candidates import close_pairs, describe, luma_chroma
from fieldmark.audit.comparison import FINE_PX, compare, shrink, smoothing

SMALLEST_CONTRAST = 4.0
"""Standard deviation of the smoothed luma, in grey levels; with less, a photo is not compared: in
a plain picture noise and compression are a good part of all there is. The plainest of Natural
Images has 9."""
COARSE_SIDE = 8
"""Side of the pictures on which the best of the eight turns is chosen."""
SMALLEST_COARSE_CORRELATION = 0.6
"""Of the 8x8 pictures, not yet aligned; the copies (see `comparison`) have at least 0.70."""
ENOUGH_PARTNERS = 24
"""Of a photo with as many near-duplicates, pairs within its group are no longer looked for, only
such as join groups: ten thousand frames of one scene would be fifty million pairs. No photo of
Natural Images has more than 11."""
BATCH_PAIRS = 128
"""Compared at once: few enough that their pictures stay in the processor's cache."""
BATCH_PHOTOS = 1024

TURNS = (
    "",
    "mirrored",
    "turned 90",
    "turned 90 and mirrored",
    "turned 180",
    "turned 180 and mirrored",
    "turned 270",
    "turned 270 and mirrored",
)
"""What to do to the second picture so that it shows what the first does: turn it clockwise by so
many degrees, then mirror it left to right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarPair:
    """Two thumbnails that show the same picture."""

    first: int
    """Index of the one."""
    second: int
    """Index of the other, larger than `first`."""
    similarity: float
    """The smaller of both correlations, SMALLEST_DETAIL_SIMILARITY to 1."""
    turn: str
    """One of TURNS; nothing where both stand the same way up."""


def find_similar(thumbnails_NSSC: NDArray[np.uint8]) -> list[SimilarPair]:
    """Return the pairs of near-duplicates among thumbnails.

    All pairs are found that the index proposes, unless a photo has ENOUGH_PARTNERS; also then, the
    pairs connect what belongs together.

    Args:
        thumbnails_NSSC: RGB, squashed to squares whose side is a multiple of MIDDLE_SIDE. They may
            be turned in any of the eight ways.

    Returns:
        Sorted by index. The same thumbnails give the same pairs.
    """
    descriptors_ND, coarse_NSS, contrast_N = _prepare(thumbnails_NSSC)
    compared_N = np.flatnonzero(contrast_N >= SMALLEST_CONTRAST)
    num_partners_N = np.zeros(len(thumbnails_NSSC), dtype=np.intp)
    groups = Groups(len(thumbnails_NSSC))
    pairs: list[SimilarPair] = []
    for close_K2 in close_pairs(descriptors_ND[compared_N]):
        for pairs_K2 in _batches(compared_N[close_K2]):
            settled = np.flatnonzero((num_partners_N[pairs_K2] >= ENOUGH_PARTNERS).all(axis=1))
            if settled.size:
                settled = settled[groups.joined(pairs_K2[settled])]
            found = _compare(thumbnails_NSSC, coarse_NSS, np.delete(pairs_K2, settled, axis=0))
            for pair in found:
                groups.join(pair.first, pair.second)
                num_partners_N[[pair.first, pair.second]] += 1
            pairs += found
    return sorted(pairs, key=lambda pair: (pair.first, pair.second))


class Groups:
    """Which of `size` things belong together; joined in pairs (a union-find forest)."""

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)

    def join(self, one: int, other: int) -> None:
        """Make one group of the groups of both."""
        lower, upper = sorted((self._root(one), self._root(other)))
        self._parents[upper] = lower

    def joined(self, pairs_K2: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return for each pair whether both belong to one group."""
        roots_K2 = self.roots()[pairs_K2]
        is_joined: NDArray[np.bool_] = roots_K2[:, 0] == roots_K2[:, 1]
        return is_joined

    def roots(self) -> NDArray[np.intp]:
        """Return for each thing the smallest one of its group."""
        while not np.array_equal(above := self._parents[self._parents], self._parents):
            self._parents = above
        return self._parents.copy()

    def _root(self, thing: int) -> int:
        parents = self._parents
        while (above := int(parents[thing])) != thing:
            parents[thing] = parents[above]
            thing = above
        return thing


def _prepare(thumbnails_NSSC: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Return descriptors, normed 8x8 pictures and contrasts of all photos."""
    parts = [
        _prepare_batch(thumbnails_NSSC[start : start + BATCH_PHOTOS])
        for start in range(0, max(len(thumbnails_NSSC), 1), BATCH_PHOTOS)
    ]
    descriptors, coarse, contrasts = zip(*parts, strict=True)
    return np.concatenate(descriptors), np.concatenate(coarse), np.concatenate(contrasts)


def _prepare_batch(thumbnails_NSSC: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    pictures_NCSS = luma_chroma(thumbnails_NSSC)
    fine_SS = smoothing(pictures_NCSS.shape[-1], FINE_PX)
    smooth_NSS = fine_SS @ pictures_NCSS[:, 0] @ fine_SS.T
    coarse_NSS = shrink(pictures_NCSS[:, 0], COARSE_SIDE)
    coarse_NSS = coarse_NSS - coarse_NSS.mean(axis=(1, 2), keepdims=True)
    coarse_NSS /= np.maximum(np.linalg.norm(coarse_NSS, axis=(1, 2), keepdims=True), 1e-6)
    return describe(pictures_NCSS), coarse_NSS, smooth_NSS.std(axis=(1, 2))


def _batches(pairs_K2: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    size = 16 * BATCH_PAIRS
    return (pairs_K2[start : start + size] for start in range(0, len(pairs_K2), size))


def _compare(
    thumbnails_NSSC: NDArray[np.uint8], coarse_NSS: Floats, pairs_K2: NDArray[np.intp]
) -> list[SimilarPair]:
    """Return which of the candidates are near-duplicates."""
    turns_K, correlation_K = _best_turns(coarse_NSS, pairs_K2)
    is_likely_K = correlation_K >= SMALLEST_COARSE_CORRELATION
    pairs_K2, turns_K = pairs_K2[is_likely_K], turns_K[is_likely_K]
    found = []
    for start in range(0, len(pairs_K2), BATCH_PAIRS):
        batch = slice(start, start + BATCH_PAIRS)
        similarity_K = _similarities(thumbnails_NSSC, pairs_K2[batch], turns_K[batch])
        found += [
            SimilarPair(
                first=int(first),
                second=int(second),
                similarity=round(float(similarity), 4),
                turn=TURNS[turn],
            )
            for (first, second), turn, similarity in zip(
                pairs_K2[batch], turns_K[batch], similarity_K, strict=True
            )
            if similarity > 0
        ]
    return found


def _best_turns(coarse_NSS: Floats, pairs_K2: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
    """Return for each pair the index of the turn that fits best, and the correlation with it."""
    first_KSS, second_KSS = coarse_NSS[pairs_K2[:, 0]], coarse_NSS[pairs_K2[:, 1]]
    correlation_KT = np.stack(
        [(first_KSS * _turned(second_KSS, turn)).sum(axis=(1, 2)) for turn in range(len(TURNS))],
        axis=1,
    )
    return correlation_KT.argmax(axis=1), correlation_KT.max(axis=1)


def _similarities(
    thumbnails_NSSC: NDArray[np.uint8], pairs_K2: NDArray[np.intp], turns_K: NDArray[np.intp]
) -> Floats:
    """Return how alike the pictures are after the turns, 0 where they are no near-duplicates."""
    second_KCSS = luma_chroma(thumbnails_NSSC[pairs_K2[:, 1]])
    for turn in range(1, len(TURNS)):
        second_KCSS[turns_K == turn] = _turned(second_KCSS[turns_K == turn], turn)
    return compare(luma_chroma(thumbnails_NSSC[pairs_K2[:, 0]]), second_KCSS)


def _turned(pictures: Floats, turn: int) -> Floats:
    """Return pictures (..., S, S) after a turn of TURNS."""
    quarters, is_mirrored = divmod(turn, 2)
    turned = np.rot90(pictures, -quarters, axes=(-2, -1))
    return turned[..., ::-1] if is_mirrored else turned
