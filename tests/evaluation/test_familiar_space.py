"""Photos of the classes lie near, those of other classes farther, and what is like nothing far."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from fieldmark.evaluation import familiar_space as module
from fieldmark.evaluation.familiar_space import (
    FamiliarSpace,
    ReducedSpace,
    Reduction,
    fit_reduction,
    fit_space,
    most_components,
)
from fieldmark.evaluation.unfamiliar import auroc

NUM_FEATURES = 40
Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Drawn = tuple[Features, Labels]


def drawn(num_each: int, *, num_classes: int = 6, seed: int = 0) -> Drawn:
    """Return features of classes whose means lie in ten directions, and labels."""
    centres_CF = np.zeros((num_classes, NUM_FEATURES))
    centres_CF[:, :10] = np.random.default_rng(7).normal(scale=4, size=(num_classes, 10))
    labels_N = np.repeat(np.arange(num_classes), num_each)
    noise_NF = np.random.default_rng(seed).normal(size=(len(labels_N), NUM_FEATURES))
    return (centres_CF[labels_N] + noise_NF).astype(np.float32), labels_N


def fitted(features_NF: Features, labels_N: Labels) -> tuple[Reduction, ReducedSpace]:
    reduction = fit_reduction(features_NF, generator=np.random.default_rng(0))
    photos_NP = reduction.components(features_NF).photos_NP
    return reduction, fit_space(photos_NP, labels_N, num_features=NUM_FEATURES, most=12)


def space_of(features_NF: Features, labels_N: Labels) -> FamiliarSpace:
    reduction, space = fitted(features_NF, labels_N)
    return space.on_features(reduction)


def test_a_distance_is_what_the_definition_says_of_it_by_hand() -> None:
    # Two classes at -2 and 2 on the first of two directions; the third feature lies beside both.
    space = FamiliarSpace(
        centre_F=np.array([1, 0, 0], np.float32),
        spread_F=np.array([1, 2, 1], np.float32),
        directions_FK=np.eye(3, 2, dtype=np.float32),
        whitening_KK=np.diag([1, 0.5]).astype(np.float32),
        means_CK=np.array([[-2, 0], [2, 0]], np.float32),
    )
    # Standardised (4, 2, 3), whitened (4, 1): 4 + 1 to the second class, 17 to the middle, and of
    # the squared length 9 lies beside the plane, a third of it for each feature.
    expected = 0.5 * np.log(5 / 17 * 9 / 3)
    assert space.distances(np.array([[5.0, 4.0, 3.0]])) == pytest.approx([expected])


def test_other_classes_lie_farther_and_noise_farthest() -> None:
    features_NF, labels_N = drawn(60)
    known_N = labels_N < 4
    space = space_of(features_NF[known_N], labels_N[known_N])
    others_NF, others_N = drawn(30, seed=1)
    familiar = space.distances(others_NF[others_N < 4])
    strange = space.distances(others_NF[others_N >= 4])
    noise_NF = np.random.default_rng(2).normal(scale=6, size=(50, NUM_FEATURES))
    assert auroc(familiar, strange) > 0.95
    assert auroc(familiar, space.distances(noise_NF)) == 1.0
    assert len(space.means_CK) == 4


def test_components_are_those_of_a_principal_component_analysis() -> None:
    features_NF, _ = drawn(60)
    reduction = fit_reduction(features_NF, generator=np.random.default_rng(0))
    standardised_NF = (features_NF - features_NF.mean(axis=0)) / features_NF.std(axis=0)
    oracle = PCA(n_components=5).fit(standardised_NF)
    found_NP = reduction.components(features_NF).photos_NP[:, :5]
    np.testing.assert_allclose(
        np.abs(found_NP), np.abs(oracle.transform(standardised_NF)), atol=1e-4
    )


def test_what_lies_beside_the_components_completes_the_length() -> None:
    features_NF, _ = drawn(20, num_classes=3)
    reduction = fit_reduction(features_NF, generator=np.random.default_rng(0))
    assert reduction.directions_FP.shape == (NUM_FEATURES, 15)
    found = reduction.components(features_NF)
    standardised_NF = (features_NF - reduction.mean_F) / reduction.spread_F
    whole_N = np.square(found.photos_NP).sum(axis=1) + NUM_FEATURES * found.rest_N
    np.testing.assert_allclose(whole_N, np.square(standardised_NF).sum(axis=1), rtol=1e-5)
    assert (found.rest_N > 0).all()


def test_distances_by_features_are_those_by_components() -> None:
    features_NF, labels_N = drawn(40)
    reduction, space = fitted(features_NF, labels_N)
    by_features = space.on_features(reduction).distances(features_NF)
    by_components = space.distances(reduction.components(features_NF))
    np.testing.assert_allclose(by_features, by_components, atol=1e-4)


def test_photos_of_a_class_spread_alike_in_all_directions_of_a_space(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHRINKAGE", 0.0)
    features_NF, labels_N = drawn(80)
    reduction, space = fitted(features_NF, labels_N)
    photos_NK = reduction.components(features_NF).photos_NP - space.middle_P
    white_NK = photos_NK @ space.directions_PK @ space.whitening_KK
    within_NK = white_NK - space.means_CK[labels_N]
    np.testing.assert_allclose(within_NK.T @ within_NK / len(within_NK), np.eye(12), atol=1e-8)
    np.testing.assert_allclose(space.means_CK.mean(axis=0), 0, atol=1e-8)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    features_NF, labels_N = drawn(20)
    space = space_of(features_NF, labels_N)
    whole = space.distances(features_NF)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(space.distances(features_NF), whole, rtol=1e-9)
    assert space.distances(features_NF[:0]).shape == (0,)


def test_photos_that_are_all_alike_have_finite_distances() -> None:
    features_NF = np.ones((50, NUM_FEATURES), np.float32)
    space = space_of(features_NF, np.arange(50) % 2)
    assert np.isfinite(space.distances(features_NF)).all()
    assert (space.distances(features_NF + 5) > space.distances(features_NF)).all()


def test_where_nothing_lies_beside_the_components_rounding_does_not_decide() -> None:
    generator = np.random.default_rng(0)
    labels_N = np.repeat([0, 1], 40)
    features_NF = (generator.normal(size=(80, 4)) + 6 * labels_N[:, None]).astype(np.float32)
    reduction = fit_reduction(features_NF, generator=generator)
    space = fit_space(
        reduction.components(features_NF).photos_NP, labels_N, num_features=4, most=12
    ).on_features(reduction)
    near, far = space.distances(np.array([[0.0] * 4, [3.0] * 4]))
    assert near < far
    shaken = space.distances(np.array([[0.0] * 4]) + 1e-7)
    assert shaken == pytest.approx([near], abs=1e-3)


def test_a_space_stays_small_however_many_features_there_are() -> None:
    assert most_components(1280) == 128
    for num_features in (1280, 6145, 50_000):
        size = 4 * num_features * most_components(num_features)
        assert size <= module.MAX_BYTES
    assert most_components(10_000_000) == 0


@pytest.mark.parametrize("name", [field.name for field in fields(FamiliarSpace)])
@pytest.mark.parametrize("fault", ["shape", "nan"])
def test_numbers_that_cannot_be_a_space_are_refused(name: str, fault: str) -> None:
    space = space_of(*drawn(20))
    part = getattr(space, name)
    bad = part[..., :-1] if fault == "shape" else np.full_like(part, np.nan)
    with pytest.raises(ValueError, match=r"must|shape"):
        replace(space, **{name: bad})
    with pytest.raises(ValueError, match="spread"):
        replace(space, spread_F=np.zeros_like(space.spread_F))
