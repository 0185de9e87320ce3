"""How well two scores for unfamiliar photos do on classes that were left out.

In: features and labels of training and validation photos. Out: a `LeftOutClass` for each class.
Both scores are fitted without the class: the distance anew, and for the energy a linear head on
some of the photos, which stands for the classifier's own in a fraction of the time. Only validation
photos are scored: a network that was trained has drawn its training photos together, also those of
the class that is left out.
Not covered: which score is taken (`unfamiliar`).

Shapes: N photos, F features, C classes.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.familiar_space import (
    Components,
    ReducedSpace,
    Reduction,
    fit_space,
    most_components,
)
from fieldmark.evaluation.unfamiliar import LeftOutClass, energy, separation

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_] | NDArray[np.int64]

MIN_CLASSES = 3
"""With two, leaving one out leaves nothing to tell apart."""
MAX_PARTS = 8
"""Classes are left out one by one, or, where there are more, in so many parts."""
MAX_LEARNED = 1000
"""Photos that a head learns from. From fewer, its energy recognises less."""
L2, MAX_ITERATIONS, TOLERANCE = 0.03, 100, 1e-3
"""Of that head: a penalty as the probe chooses, and an end that is near enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The photos of one side: their features, and their leading components."""

    features_NF: NDArray[np.float32]
    components: Components
    labels_N: NDArray[np.int64]
    reduction: Reduction

    @classmethod
    def of(
        cls, features_NF: NDArray[np.float32], labels_N: NDArray[np.int64], reduction: Reduction
    ) -> "Side":
        """Look at photos by the components of a reduction."""
        return cls(
            features_NF=features_NF,
            components=reduction.components(features_NF),
            labels_N=labels_N,
            reduction=reduction,
        )

    def standardised(self, chosen_M: Rows) -> NDArray[np.float32]:
        """Return features of some photos, centred and scaled, (M, F)."""
        mean_F = self.reduction.mean_F.astype(np.float32)
        standardised_MF = self.features_NF[chosen_M] - mean_F
        standardised_MF /= self.reduction.spread_F.astype(np.float32)
        return standardised_MF

    def space(self, without: Sequence[int] = ()) -> ReducedSpace:
        """Return where the classes of these photos lie, as if some of them were not there."""
        num_features = self.features_NF.shape[1]
        known_N = ~np.isin(self.labels_N, without)
        return fit_space(
            self.components.photos_NP[known_N],
            self.labels_N[known_N],
            num_features=num_features,
            most=most_components(num_features),
        )


def leave_out(
    train: Side,
    held: Side,
    classes: Sequence[str],
    *,
    rate: float,
    generator: np.random.Generator,
) -> tuple[LeftOutClass, ...]:
    """Return how both scores do on each class, as if it had not been among the classes.

    A class without validation photos, or without others to hold it against, is not among them.

    Args:
        train: photos to learn from.
        held: photos that were held back.
        classes: the names of all classes, in the order of the labels.
        rate: the share of familiar photos that may be called unfamiliar.
        generator: draws the parts in which many classes are left out, and what a head learns from.
    """
    num_parts = min(MAX_PARTS, len(classes))
    part_C = generator.permutation(len(classes)) % num_parts
    found: dict[str, LeftOutClass] = {}
    for part in range(num_parts):
        out = np.flatnonzero(part_C == part).tolist()
        without = _Without(train=train, held=held, out=out, rate=rate)
        if without.can_be_judged:
            found |= {one.name: one for one in without.judge(classes, generator=generator)}
    return tuple(found[name] for name in classes if name in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Without:
    """The photos, when some classes are not known."""

    train: Side
    held: Side
    out: Sequence[int]
    rate: float

    @property
    def can_be_judged(self) -> bool:
        known = set(self.train.labels_N.tolist()) - set(self.out)
        return len(known) >= MIN_CLASSES - 1 and bool(set(self.held.labels_N) - set(self.out))

    def judge(
        self, classes: Sequence[str], *, generator: np.random.Generator
    ) -> Iterator[LeftOutClass]:
        """Yield how both scores do on each of the classes that are not known."""
        space = self.train.space(without=self.out)
        known_N = ~np.isin(self.train.labels_N, self.out)
        head = _Head.fitted(self.train, np.flatnonzero(known_N), generator=generator)
        familiar_N = ~np.isin(self.held.labels_N, self.out)
        distances_N = space.distances(self.held.components.take(familiar_N))
        energies_N = head.energies(self.held, familiar_N)
        for label in self.out:
            strange_N = self.held.labels_N == label
            if strange_N.any():
                far_N = space.distances(self.held.components.take(strange_N))
                yield LeftOutClass(
                    name=classes[label],
                    num_images=len(far_N),
                    distance=separation(distances_N, far_N, rate=self.rate),
                    energy=separation(
                        energies_N, head.energies(self.held, strange_N), rate=self.rate
                    ),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A linear head on standardised features, as the probe fits one."""

    weight_CF: NDArray[np.floating]
    bias_C: NDArray[np.floating]

    @classmethod
    def fitted(
        cls, train: Side, known_M: NDArray[np.int64], *, generator: np.random.Generator
    ) -> "_Head":
        from sklearn.linear_model import LogisticRegression

        chosen = known_M[_in_turn(train.labels_N[known_M], most=MAX_LEARNED, generator=generator)]
        model = LogisticRegression(C=1 / (L2 * len(chosen)), max_iter=MAX_ITERATIONS, tol=TOLERANCE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it need not have settled to the last digit
            model.fit(train.standardised(chosen), train.labels_N[chosen])
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:
            # With two classes there is one row, the log-odds of the second; split it evenly.
            weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return cls(weight_CF=weight, bias_C=bias)

    def energies(self, side: Side, chosen_M: Rows) -> Floats:
        return energy(side.standardised(chosen_M) @ self.weight_CF.T + self.bias_C)


def _in_turn(
    labels_M: NDArray[np.int64], *, most: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return up to `most` rows drawn at random, of each class in turn, so that none is missing."""
    order_M = generator.permutation(len(labels_M))
    met: dict[int, int] = {}
    turn_M = []
    for label in labels_M[order_M].tolist():
        met[label] = met.get(label, 0) + 1
        turn_M.append(met[label])
    return order_M[np.argsort(turn_M, kind="stable")[: max(most, len(met))]]
