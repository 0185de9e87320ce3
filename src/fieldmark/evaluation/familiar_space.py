"""How far a photo's features lie from those of the classes that a classifier has learned.

In: features of training photos and their labels. Out: a `FamiliarSpace`, a few small matrices, and
with it the distance of any photo. It is the sum of two logarithms:

- of the distance to the nearest class over that to the middle of all classes, both Mahalanobis', in
  the leading principal components. J. Ren et al., "A simple fix to Mahalanobis distance for
  improving near-OOD detection" (2021), take the difference of their squares. It tells what is like
  the classes but none of them. The plain distance does not do: cluttered photos are far from
  everything, and plain ones near the middle, whatever they show.
- of the distance to the subspace of these components, the residual of H. Wang et al., "ViM:
  out-of-distribution with virtual-logit matching" (2022). It tells what is like nothing in
  training, such as noise, of which the first says only that it is near no class.

What was tried beside it stands in `EXPERIMENTS.md`.
Not covered: from which distance on a photo is unfamiliar (`unfamiliar`).

Shapes: N photos, F features, P leading principal components, K of them that are kept, C classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NUM_COMPONENTS = 128
"""With 256 it did hardly better on any pair of left-out classes of Natural Images, and takes twice
the room."""
NUM_LEADING = 256
"""Of a first reduction. A second one, of the photos of some of the classes, finds their own
`NUM_COMPONENTS` among these, without those that only the left-out classes need."""
PHOTOS_PER_COMPONENT = 4
"""With fewer photos for each component, the spread within classes could not be estimated."""
MAX_PHOTOS_OF_DIRECTIONS = 1500
"""Photos that decide on the directions; all decide on the classes."""
MAX_BYTES = 3 << 20
"""Of the largest matrix, so that the whole stays below 4 MB: wide features get fewer components."""
SHRINKAGE = 0.3
"""Share of the mean variance in the variance of each direction, so that directions of next to no
spread do not decide. Ledoit and Wolf (2004) shrink towards the mean so; 0.1 and 0.5 did alike."""
OVERSAMPLING, POWER_ITERATIONS = 10, 2
"""Of the randomized decomposition, as Halko, Martinsson and Tropp (2011, section 1.6) advise."""
SMALLEST_SPREAD = 1e-6
"""A feature that varies less than this is the same for all photos, and is only centred."""
SMALLEST_REST = 1e-6
"""Of the squared length of standardised features: less beside the subspace is rounding."""
BLOCK = 1024
"""Photos that are multiplied in double precision at a time."""
TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamiliarSpace:
    """Where the classes lie among the features.

    Raises:
        ValueError: the shapes do not fit each other, or a number is not finite.
    """

    centre_F: NDArray[np.float32]
    """The middle of the classes."""
    spread_F: NDArray[np.float32]
    """The standard deviation of each feature, over 0."""
    directions_FK: NDArray[np.float32]
    """Orthonormal: the leading principal components of standardised features."""
    whitening_KK: NDArray[np.float32]
    """Makes photos of a class spread alike in all directions."""
    means_CK: NDArray[np.float32]
    """The mean of each class, whitened, from the middle."""

    def __post_init__(self) -> None:
        """Check shapes and values."""
        num_features, num_kept = np.shape(self.directions_FK)
        for name, shape in (
            ("centre_F", (num_features,)),
            ("spread_F", (num_features,)),
            ("whitening_KK", (num_kept, num_kept)),
            ("means_CK", (len(self.means_CK), num_kept)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have the shape {shape}")
        for name in ("centre_F", "spread_F", "directions_FK", "whitening_KK", "means_CK"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite")
        if not (self.spread_F > 0).all() or not len(self.means_CK):
            raise ValueError("every spread must be over 0, and there must be a class")

    @property
    def num_features(self) -> int:
        """How many features it takes (F)."""
        return len(self.centre_F)

    def distances(self, features_NF: NDArray[np.floating]) -> Floats:
        """Return how far photos lie from all classes, (N,); it has no unit, and no zero point."""
        photos = _project(
            features_NF, self.centre_F, spread_F=self.spread_F, directions_FK=self.directions_FK
        )
        return _distances(photos, self.whitening_KK, self.means_CK)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Photos in a subspace of standardised features."""

    photos_NP: Floats
    rest_N: Floats
    """What lies beside the subspace: the squared distance to it, as a share of F."""

    def take(self, chosen_M: NDArray[np.bool_] | NDArray[np.int64]) -> "Components":
        """Return some of the photos."""
        return Components(photos_NP=self.photos_NP[chosen_M], rest_N=self.rest_N[chosen_M])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reduction:
    """The leading principal components of features, from which spaces are made."""

    mean_F: Floats
    spread_F: Floats
    directions_FP: Floats

    def components(self, features_NF: NDArray[np.floating]) -> Components:
        """Return photos by their components."""
        return _project(
            features_NF, self.mean_F, spread_F=self.spread_F, directions_FK=self.directions_FP
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReducedSpace:
    """Where classes lie among the components of a `Reduction`."""

    middle_P: Floats
    directions_PK: Floats
    whitening_KK: Floats
    means_CK: Floats
    num_features: int

    def distances(self, components: Components) -> Floats:
        """Return what `FamiliarSpace.distances` returns of the features of the same photos."""
        centred_NP = components.photos_NP - self.middle_P
        photos_NK = centred_NP @ self.directions_PK
        beside_N = np.square(centred_NP).sum(axis=1) - np.square(photos_NK).sum(axis=1)
        rest_N = components.rest_N + beside_N / self.num_features
        photos = Components(photos_NP=photos_NK, rest_N=rest_N)
        return _distances(photos, self.whitening_KK, self.means_CK)

    def on_features(self, reduction: Reduction) -> FamiliarSpace:
        """Return the same space as one that takes the features themselves."""
        middle_F = reduction.directions_FP @ self.middle_P
        parts = {
            "centre_F": reduction.mean_F + reduction.spread_F * middle_F,
            "spread_F": reduction.spread_F,
            "directions_FK": reduction.directions_FP @ self.directions_PK,
            "whitening_KK": self.whitening_KK,
            "means_CK": self.means_CK,
        }
        return FamiliarSpace(**{name: part.astype(np.float32) for name, part in parts.items()})


def most_components(num_features: int) -> int:
    """Return how many components are kept at most, so that the matrix stays small; 0 for none."""
    return min(NUM_COMPONENTS, MAX_BYTES // (4 * num_features))


def fit_reduction(features_NF: NDArray[np.float32], *, generator: np.random.Generator) -> Reduction:
    """Find the leading principal components of standardised features.

    Args:
        features_NF: finite, of at least one photo.
        generator: draws the photos that decide and the start of the decomposition.
    """
    num_photos, num_features = features_NF.shape
    chosen_M = np.sort(generator.permutation(num_photos)[:MAX_PHOTOS_OF_DIRECTIONS])
    sample_MF = features_NF[chosen_M].astype(np.float64)
    mean_F, spread_F = sample_MF.mean(axis=0), sample_MF.std(axis=0)
    spread_F[spread_F < SMALLEST_SPREAD] = 1.0
    standardised_MF = ((sample_MF - mean_F) / spread_F).astype(np.float32)
    num = max(1, min(NUM_LEADING, num_photos // PHOTOS_PER_COMPONENT, num_features))
    directions_FP = _directions(standardised_MF, num=num, generator=generator)
    return Reduction(mean_F=mean_F, spread_F=spread_F, directions_FP=directions_FP)


def fit_space(
    photos_NP: Floats, labels_N: NDArray[np.int64], *, num_features: int, most: int
) -> ReducedSpace:
    """Find where the classes lie among the components of their photos.

    Args:
        photos_NP: of training photos, at least one.
        labels_N: their classes; each one that occurs has its mean, in rising order.
        num_features: how many features the components are of.
        most: how many components to keep at most, 1 or more.
    """
    _, rows_N = np.unique(labels_N, return_inverse=True)
    sums_CP = np.zeros((int(rows_N.max()) + 1, photos_NP.shape[1]))
    np.add.at(sums_CP, rows_N, photos_NP)
    means_CP = sums_CP / np.bincount(rows_N)[:, None]
    middle_P = means_CP.mean(axis=0)
    directions_PK = _principal(photos_NP, most=most)
    within_NK = (photos_NP - means_CP[rows_N]) @ directions_PK
    whitening_KK = _whitening(within_NK.T @ within_NK / len(within_NK))
    return ReducedSpace(
        middle_P=middle_P,
        directions_PK=directions_PK,
        whitening_KK=whitening_KK,
        means_CK=(means_CP - middle_P) @ directions_PK @ whitening_KK,
        num_features=num_features,
    )


def _distances(
    photos: Components, whitening_KK: NDArray[np.floating], means_CK: NDArray[np.floating]
) -> Floats:
    white_NK = photos.photos_NP @ whitening_KK.astype(np.float64)
    exact_CK = means_CK.astype(np.float64)
    to_middle_N = np.square(white_NK).sum(axis=1)
    to_means_NC = to_middle_N[:, None] - 2 * white_NK @ exact_CK.T
    nearest_N = (to_means_NC + np.square(exact_CK).sum(axis=1)).min(axis=1)
    ratio_N = np.maximum(nearest_N, TINY) / np.maximum(to_middle_N, TINY)
    distances_N: Floats = 0.5 * np.log(ratio_N * np.maximum(photos.rest_N, SMALLEST_REST))
    return distances_N


def _project(
    features_NF: NDArray[np.floating],
    centre_F: NDArray[np.floating],
    *,
    spread_F: NDArray[np.floating],
    directions_FK: NDArray[np.floating],
) -> Components:
    """Centre, scale and project in double precision, a block of photos at a time."""
    num_photos, num_features = features_NF.shape
    exact_FK = directions_FK.astype(np.float64)
    photos_NK, rest_N = np.empty((num_photos, exact_FK.shape[1])), np.empty(num_photos)
    for start in range(0, num_photos, BLOCK):
        part = slice(start, start + BLOCK)
        standardised_BF = (features_NF[part].astype(np.float64) - centre_F) / spread_F
        photos_NK[part] = standardised_BF @ exact_FK
        inside_B = np.square(photos_NK[part]).sum(axis=1)
        rest_N[part] = (np.square(standardised_BF).sum(axis=1) - inside_B) / num_features
    return Components(photos_NP=photos_NK, rest_N=rest_N)


def _directions(
    standardised_MF: NDArray[np.float32], *, num: int, generator: np.random.Generator
) -> Floats:
    """Return the leading right singular vectors as columns (F, P).

    The randomized method of N. Halko, P.-G. Martinsson and J. Tropp, "Finding structure with
    randomness" (2011), algorithm 4.4.
    """
    num_features = standardised_MF.shape[1]
    width = min(num + OVERSAMPLING, *standardised_MF.shape)
    start_FQ = generator.standard_normal((num_features, width), dtype=np.float32)
    range_MQ = np.linalg.qr(standardised_MF @ start_FQ)[0]
    for _ in range(POWER_ITERATIONS):
        back_FQ = np.linalg.qr(standardised_MF.T @ range_MQ)[0]
        range_MQ = np.linalg.qr(standardised_MF @ back_FQ)[0]
    _, _, rows_QF = np.linalg.svd(range_MQ.T @ standardised_MF, full_matrices=False)
    directions_FP: Floats = rows_QF[:num].T.astype(np.float64)
    return directions_FP


def _principal(photos_NP: Floats, *, most: int) -> Floats:
    """Return the leading principal directions of photos among their components, (P, K)."""
    centred_NP = photos_NP - photos_NP.mean(axis=0)
    _, directions_PP = np.linalg.eigh(centred_NP.T @ centred_NP)
    return directions_PP[:, ::-1][:, :most]


def _whitening(covariance_KK: Floats) -> Floats:
    """Return the matrix that makes a covariance, once shrunk, the identity (K, K)."""
    variances_K, directions_KK = np.linalg.eigh(covariance_KK)
    variances_K = np.maximum(variances_K, 0.0)
    shrunk_K = (1 - SHRINKAGE) * variances_K + SHRINKAGE * variances_K.mean()
    whitening_KK: Floats = directions_KK / np.sqrt(np.maximum(shrunk_K, TINY))
    return whitening_KK
