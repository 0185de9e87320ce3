import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import empirical_covariance

from fieldmark.audit.outliers import (
    MIN_PHOTOS,
    SHRINKAGE,
    THRESHOLD,
    find_outliers,
    outlier_scores,
    relative_distances,
)

NUM_FEATURES = 60
NUM_CLASSES = 5


def folder(
    seed: int, *, num_photos: int, num_odd: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return photos of classes that lie apart, and at the end some that lie in no class."""
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(NUM_CLASSES, size=num_photos + num_odd)
    centres = 4.0 * generator.normal(size=(NUM_CLASSES, NUM_FEATURES))
    noise = generator.normal(size=(num_photos + num_odd, NUM_FEATURES))
    features_NF = centres[labels_N] + noise
    features_NF[num_photos:] = 4.0 * generator.normal(size=(num_odd, NUM_FEATURES))
    return features_NF.astype(np.float32), labels_N


@pytest.mark.parametrize("seed", range(4))
def test_photos_of_no_class_rank_first_whatever_they_are_labelled(seed: int) -> None:
    features, labels = folder(seed, num_photos=600, num_odd=10)
    found = find_outliers(features, labels, seed=seed)
    assert {outlier.index for outlier in found[:10]} == set(range(600, 610))
    scores = [outlier.score for outlier in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= THRESHOLD


def test_a_photo_labelled_wrong_is_no_outlier() -> None:
    features, labels = folder(7, num_photos=600, num_odd=10)
    labels[:10] = (labels[:10] + 1) % NUM_CLASSES
    found = {outlier.index for outlier in find_outliers(features, labels, seed=0)}
    assert set(range(600, 610)) <= found
    assert not found & set(range(10))


def test_a_small_class_that_is_unlike_the_others_is_no_outlier() -> None:
    features, labels = folder(8, num_photos=600, num_odd=10)
    generator = np.random.default_rng(8)
    centre = 4.0 * generator.normal(size=NUM_FEATURES)
    features[:6] = centre + generator.normal(size=(6, NUM_FEATURES))
    labels[:6] = NUM_CLASSES
    assert not {outlier.index for outlier in find_outliers(features, labels)} & set(range(6))


def test_relative_distances_are_those_of_the_inverse_covariance() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(50) % 3
    photos = generator.normal(size=(50, 4)) * [1, 2, 3, 4] + 5 * np.eye(3, 4)[labels]
    photos -= photos.mean(axis=0)
    means = np.array([photos[labels == label].mean(axis=0) for label in range(3)])
    covariance = empirical_covariance(photos - means[labels], assume_centered=True)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 4 * np.eye(4)

    def squared(over: NDArray[np.float64]) -> NDArray[np.float64]:
        distances: NDArray[np.float64] = np.einsum("nd,de,ne->n", over, np.linalg.inv(shrunk), over)
        return distances

    to_classes = np.array([squared(photos - mean) for mean in means])
    expected = np.log(np.sqrt(to_classes.min(axis=0) / squared(photos)))
    assert relative_distances(photos, labels) == pytest.approx(expected)


def test_the_order_and_the_scale_of_features_do_not_matter() -> None:
    features, labels = folder(3, num_photos=300, num_odd=5)
    changed = features[:, ::-1] * np.linspace(0.5, 20, NUM_FEATURES, dtype=np.float32) + 3
    assert outlier_scores(changed, labels) == pytest.approx(
        outlier_scores(features, labels), abs=0.02
    )


def test_the_same_photos_and_seed_give_the_same_outliers() -> None:
    features, labels = folder(5, num_photos=400, num_odd=6)
    assert find_outliers(features, labels, seed=2) == find_outliers(features, labels, seed=2)


@given(num_photos=st.integers(0, MIN_PHOTOS - 1))
def test_a_few_photos_have_no_outliers(num_photos: int) -> None:
    features, labels = folder(0, num_photos=num_photos, num_odd=0)
    assert find_outliers(features, labels) == []


@pytest.mark.parametrize("labels", [np.zeros(60, dtype=np.int64), np.arange(60) % 2])
def test_photos_that_are_all_alike_have_no_outliers(labels: NDArray[np.int64]) -> None:
    assert find_outliers(np.full((60, 5), 0.3, dtype=np.float32), labels) == []


def test_features_that_are_not_finite_are_refused() -> None:
    features, labels = folder(0, num_photos=50, num_odd=0)
    features[3, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        find_outliers(features, labels)
