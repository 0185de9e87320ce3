import tracemalloc
from importlib import import_module
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fieldmark.audit.folds import fold_of
from fieldmark.audit.suspects import (
    L2,
    Suspect,
    confident_joint,
    estimate_errors,
    find_suspects,
    out_of_fold_probabilities,
    principal_components,
)


@pytest.fixture(scope="module")
def cleanlab() -> Any:
    """Return cleanlab's `count` and `filter`, whose import may warn of other packages."""
    with catch_warnings():
        simplefilter("ignore")
        return import_module("cleanlab.count"), import_module("cleanlab.filter")


def noisy_probabilities(
    seed: int, *, num_photos: int, num_classes: int, share_wrong: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities that favour the true class, and labels some of which are wrong."""
    generator = np.random.default_rng(seed)
    true_N = generator.integers(num_classes, size=num_photos)
    logits_NC = generator.normal(size=(num_photos, num_classes))
    logits_NC[np.arange(num_photos), true_N] += 3.5
    weights_NC = np.exp(logits_NC)
    is_wrong_N = generator.random(num_photos) < share_wrong
    shift_N = is_wrong_N * generator.integers(1, num_classes, num_photos)
    probabilities_NC = weights_NC / weights_NC.sum(axis=1, keepdims=True)
    return probabilities_NC, (true_N + shift_N) % num_classes


def clusters(
    generator: np.random.Generator, labels_N: NDArray[np.int64], *, num_features: int = 30
) -> NDArray[np.float32]:
    """Return features of classes that lie well apart."""
    centres = 3.0 * generator.normal(size=(labels_N.max() + 1, num_features))
    noise = generator.normal(size=(len(labels_N), num_features))
    return (centres[labels_N] + noise).astype(np.float32)


def test_the_confident_joint_of_a_case_worked_by_hand() -> None:
    probabilities = np.array(
        [[0.9, 0.1], [0.7, 0.3], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]]
    )
    labels = np.array([0, 0, 1, 1, 1, 0])
    # Thresholds: (0.9 + 0.7 + 0.4) / 3 = 0.667 for class 0, (0.2 + 0.9 + 0.8) / 3 = 0.633 for 1.
    # The last photo reaches neither.
    assert confident_joint(probabilities, labels).tolist() == [[2, 0], [1, 2]]
    # None of class 0; a third of the three photos of class 1.
    assert estimate_errors(probabilities, labels).tolist() == [0, 1]
    assert find_suspects(probabilities, labels) == [
        Suspect(index=2, given=1, suggested=0, self_confidence=0.2, suggested_confidence=0.8)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_classes", [2, 7])
def test_the_confident_joint_is_that_of_cleanlab(
    cleanlab: Any, seed: int, num_classes: int
) -> None:
    count, _ = cleanlab
    probabilities, labels = noisy_probabilities(
        seed, num_photos=600, num_classes=num_classes, share_wrong=0.1
    )
    expected = count.compute_confident_joint(labels, probabilities, calibrate=False)
    assert confident_joint(probabilities, labels).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share_wrong", [0.0, 0.05, 0.2])
def test_suspects_are_those_of_cleanlab(cleanlab: Any, seed: int, share_wrong: float) -> None:
    _, filter_module = cleanlab
    probabilities, labels = noisy_probabilities(
        seed, num_photos=800, num_classes=5, share_wrong=share_wrong
    )
    mask = filter_module.find_label_issues(
        labels, probabilities, filter_by="prune_by_class", n_jobs=1, min_examples_per_class=1
    )
    found = {suspect.index for suspect in find_suspects(probabilities, labels)}
    expected = set(np.flatnonzero(mask).tolist())
    # Rounding the estimated number of errors of each of the 5 classes may differ by one.
    assert len(found ^ expected) <= 5
    assert len(found & expected) >= 0.9 * len(expected)


@given(seed=st.integers(0, 10_000), num_photos=st.integers(0, 30), num_classes=st.integers(1, 4))
def test_suspects_are_ranked_and_never_agree_with_their_label(
    seed: int, num_photos: int, num_classes: int
) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(num_classes, 0.4), size=num_photos)
    labels = generator.integers(num_classes, size=num_photos)
    found = find_suspects(probabilities, labels)
    margins = [suspect.self_confidence - suspect.suggested_confidence for suspect in found]
    assert margins == sorted(margins)
    assert len({suspect.index for suspect in found}) == len(found)
    for suspect in found:
        assert suspect.given == labels[suspect.index] != suspect.suggested
        assert suspect.self_confidence < suspect.suggested_confidence
        assert suspect.suggested == probabilities[suspect.index].argmax()


def test_a_class_that_the_classifier_did_not_know_is_not_doubted() -> None:
    # The last photo is the only one of its class, and nothing has seen that class.
    probabilities = np.array([[0.9, 0.1, 0], [0.95, 0.05, 0], [0.1, 0.9, 0], [0.99, 0.01, 0]])
    assert find_suspects(probabilities, np.array([0, 0, 1, 2])) == []


def test_a_class_of_which_most_photos_would_be_wrong_is_not_doubted() -> None:
    # All photos of class 1 look like class 0: the classifier cannot tell them apart.
    probabilities = np.array([[0.7, 0.3]] * 9)
    labels = np.array([0] * 6 + [1] * 3)
    assert confident_joint(probabilities, labels).tolist() == [[6, 0], [3, 0]]
    assert estimate_errors(probabilities, labels).tolist() == [0, 0]
    assert find_suspects(probabilities, labels) == []


def test_flipped_labels_are_found_and_their_true_class_is_suggested() -> None:
    generator = np.random.default_rng(0)
    true = generator.integers(4, size=400)
    features = clusters(generator, true)
    flipped = generator.permutation(400)[:20]
    labels = true.copy()
    labels[flipped] = (true[flipped] + generator.integers(1, 4, 20)) % 4
    folds = fold_of([f"{i}" for i in range(400)], num_folds=5, seed=0)
    found = find_suspects(out_of_fold_probabilities(features, labels, folds, num_classes=4), labels)
    right = [suspect for suspect in found if suspect.index in set(flipped.tolist())]
    assert len(right) >= 16
    assert len(right) >= len(found) / 2
    assert all(suspect.suggested == true[suspect.index] for suspect in right)
    # The ranking puts what was flipped before the rest.
    assert {suspect.index for suspect in found[:10]} <= set(flipped.tolist())
    clean = out_of_fold_probabilities(features, true, folds, num_classes=4)
    assert find_suspects(clean, true) == []


def test_a_photo_is_judged_by_a_classifier_that_has_not_seen_its_fold() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(2, size=60)
    # Noise: only a classifier that has seen a photo can tell its class.
    features = generator.normal(size=(60, 300)).astype(np.float32)
    folds = np.arange(60) % 5
    probabilities = out_of_fold_probabilities(features, labels, folds, num_classes=2)
    assert 0.25 < (probabilities.argmax(axis=1) == labels).mean() < 0.75
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_probabilities_are_those_of_scikit_learn_on_the_other_folds() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(3, size=90)
    features = clusters(generator, labels, num_features=6)
    folds = np.arange(90) % 3
    ours = out_of_fold_probabilities(features, labels, folds, num_classes=3)
    # With all components kept, a rotation of the features changes nothing.
    standardised = StandardScaler().fit_transform(features.astype(np.float64))
    for fold in range(3):
        train = folds != fold
        model = LogisticRegression(C=1 / (L2 * train.sum())).fit(standardised[train], labels[train])
        expected = model.predict_proba(standardised[~train])
        assert ours[~train] == pytest.approx(expected, abs=2e-3)


def test_components_span_what_scikit_learn_finds() -> None:
    generator = np.random.default_rng(3)
    features = clusters(generator, generator.integers(3, size=80), num_features=12)
    features[:, 4] = 7.0
    ours = principal_components(features, num_components=3)
    expected = PCA(3).fit_transform(StandardScaler().fit_transform(features.astype(np.float64)))
    assert np.abs(ours) == pytest.approx(np.abs(expected), abs=1e-3)


def test_the_number_of_threads_changes_no_bit() -> None:
    features_NF = np.random.default_rng(0).normal(size=(3000, 600)).astype(np.float32)
    scores = []
    for num_threads in (1, 2):
        with threadpool_limits(limits=num_threads):
            scores.append(principal_components(features_NF, num_components=64))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_components_of_many_photos_take_little_memory_beside_the_features() -> None:
    features_NF = np.random.default_rng(0).normal(size=(4000, 1000)).astype(np.float32)
    principal_components(features_NF[:10], num_components=2)  # imports take memory, too
    tracemalloc.start()
    principal_components(features_NF, num_components=16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * features_NF.nbytes


def test_two_classes_of_three_photos_are_enough() -> None:
    generator = np.random.default_rng(4)
    labels = np.array([0, 0, 0, 1, 1, 1])
    features = clusters(generator, labels)
    folds = np.array([0, 1, 2, 0, 1, 2])
    probabilities = out_of_fold_probabilities(features, labels, folds, num_classes=2)
    assert (probabilities.argmax(axis=1) == labels).all()
    assert find_suspects(probabilities, labels) == []


def test_constant_features_give_the_shares_of_the_classes_and_no_suspect() -> None:
    labels = np.array([0, 0, 1] * 10)
    folds = np.arange(30) // 3 % 5
    features = np.full((30, 8), 2.5, dtype=np.float32)
    probabilities = out_of_fold_probabilities(features, labels, folds, num_classes=2)
    assert probabilities[:, 0] == pytest.approx(2 / 3, abs=1e-3)
    assert find_suspects(probabilities, labels) == []


def test_a_class_with_one_photo_has_probability_zero_for_it_and_is_not_doubted() -> None:
    generator = np.random.default_rng(5)
    labels = np.array([0] * 20 + [1] * 20 + [2])
    features = clusters(generator, labels)
    folds = np.arange(41) % 5
    probabilities = out_of_fold_probabilities(features, labels, folds, num_classes=3)
    assert probabilities[40, 2] == 0
    assert (probabilities[folds != folds[40], 2] > 0).all()
    assert [suspect.index for suspect in find_suspects(probabilities, labels)] == []


def test_folds_that_hold_one_class_only_give_it_all_the_probability() -> None:
    features = np.eye(4, dtype=np.float32)
    probabilities = out_of_fold_probabilities(
        features, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), num_classes=2
    )
    assert probabilities.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]


def test_with_one_fold_nothing_is_known() -> None:
    probabilities = out_of_fold_probabilities(
        np.eye(3, dtype=np.float32), np.array([0, 1, 1]), np.zeros(3, dtype=np.int64), num_classes=2
    )
    assert probabilities.tolist() == [[0.5, 0.5]] * 3
    assert find_suspects(probabilities, np.array([0, 1, 1])) == []


def test_features_that_are_not_finite_are_refused() -> None:
    features = np.eye(4, dtype=np.float32)
    features[2, 1] = np.inf
    with pytest.raises(ValueError, match="finite"):
        out_of_fold_probabilities(
            features, np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), num_classes=2
        )
