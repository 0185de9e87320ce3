"""Heads: exact logits of every kind, and a cosine head that looks at directions alone."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity
from torch import nn

from fieldmark.models.heads import (
    COSINE_SCALE,
    HEADS,
    CosineHead,
    build_head,
    head_logits,
    imprint,
)

NUM_FEATURES, NUM_CLASSES = 7, 3


def filled(kind: str, *, seed: int = 0) -> nn.Linear:
    """Return a head with random weights."""
    head = build_head(kind, num_features=NUM_FEATURES, num_classes=NUM_CLASSES)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=generator)
    return head


def scale_of(head: nn.Linear) -> float:
    assert isinstance(head, CosineHead)
    return head.scale.item()


def random_features(num_photos: int, *, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(num_photos, NUM_FEATURES)).astype(np.float32)


@pytest.mark.parametrize("kind", HEADS)
def test_a_new_head_is_all_zeros_and_draws_nothing(kind: str) -> None:
    before = torch.get_rng_state()
    head = build_head(kind, num_features=NUM_FEATURES, num_classes=NUM_CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
    assert head.weight.shape == (NUM_CLASSES, NUM_FEATURES)
    assert (head.in_features, head.out_features) == (NUM_FEATURES, NUM_CLASSES)
    assert all(not value.any() for name, value in head.named_parameters() if name != "scale")
    assert all(value.requires_grad and value.is_leaf for value in head.parameters())
    assert not head(torch.ones(2, NUM_FEATURES)).any()


def test_the_tensors_of_each_kind_are_those_of_the_bundles() -> None:
    names = {kind: sorted(filled(kind).state_dict()) for kind in HEADS}
    dense = ["bias", "weight"]
    assert names == {"linear": dense, "flatten": dense, "cosine": ["scale", "weight"]}
    assert scale_of(build_head("cosine", num_features=2, num_classes=2)) == 10


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="head is 'round'"):
        build_head("round", num_features=2, num_classes=2)


@pytest.mark.parametrize("kind", HEADS)
def test_exact_logits_are_those_of_the_module(kind: str) -> None:
    head, features_NF = filled(kind), random_features(20)
    logits_NC = head_logits(head, features_NF)
    assert logits_NC.dtype == np.float32
    with torch.no_grad():
        expected_NC = head(torch.from_numpy(features_NF)).numpy()
    np.testing.assert_allclose(logits_NC, expected_NC, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", HEADS)
def test_a_photos_logits_do_not_depend_on_its_neighbours(kind: str) -> None:
    head, features_NF = filled(kind), random_features(50)
    alone_NC = np.concatenate([head_logits(head, row[None]) for row in features_NF])
    np.testing.assert_array_equal(head_logits(head, features_NF), alone_NC)


@pytest.mark.parametrize("kind", HEADS)
def test_no_photos_have_no_logits(kind: str) -> None:
    assert head_logits(filled(kind), random_features(0)).shape == (0, NUM_CLASSES)


@pytest.mark.parametrize("kind", ["linear", "flatten"])
def test_dense_logits_are_sums_in_float64(kind: str) -> None:
    head, features_NF = filled(kind), random_features(9)
    weight_CF, bias_C = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    expected_NC = (features_NF.astype(np.float64) @ weight_CF.T + bias_C).astype(np.float32)
    np.testing.assert_array_equal(head_logits(head, features_NF), expected_NC)


def test_cosine_logits_are_scaled_cosines() -> None:
    """scikit-learn as the oracle of cosines."""
    head, features_NF = filled("cosine"), random_features(9)
    cosines_NC = cosine_similarity(features_NF, head.weight.detach().numpy())
    expected_NC = scale_of(head) * cosines_NC
    np.testing.assert_allclose(head_logits(head, features_NF), expected_NC, rtol=1e-5, atol=1e-6)


def test_a_right_angle_by_hand() -> None:
    head = build_head("cosine", num_features=2, num_classes=3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1], [-3.0, 0.0]]))
    logits_NC = head_logits(head, np.array([[2.0, 0.0], [3.0, 3.0]], np.float32))
    full, half = COSINE_SCALE, COSINE_SCALE / 2**0.5
    expected_NC = np.array([[full, 0.0, -full], [half, half, -half]])
    np.testing.assert_allclose(logits_NC, expected_NC, rtol=1e-6)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_cosine_logits_know_no_lengths(of_features: float, of_weights: float) -> None:
    head, features_NF = filled("cosine"), random_features(4)
    before_NC = head_logits(head, features_NF)
    with torch.no_grad():
        head.weight.mul_(of_weights)
    after_NC = head_logits(head, (features_NF * of_features).astype(np.float32))
    np.testing.assert_allclose(after_NC, before_NC, rtol=1e-4, atol=1e-5)


def test_the_scale_is_learned() -> None:
    head = filled("cosine")
    head(torch.from_numpy(random_features(4))).sum().backward()
    assert isinstance(head, CosineHead)
    assert head.scale.grad is not None
    assert head.scale.grad != 0
    assert head.weight.grad is not None


def test_imprinting_points_at_the_mean_of_units_whatever_their_lengths() -> None:
    head = filled("cosine")
    third_before = head.weight[2].clone()
    features_NF = np.array([[8, 0], [0, 2], [0, -5]], np.float32).repeat([1, 1, 2], axis=0)
    wide_NF = np.pad(features_NF, ((0, 0), (0, NUM_FEATURES - 2)))
    imprint(head, wide_NF, np.array([0, 0, 1, 1]))
    root = 0.5**0.5
    expected = np.zeros((2, NUM_FEATURES))
    expected[0, :2], expected[1, :2] = (root, root), (0, -1)
    np.testing.assert_allclose(head.weight[:2].detach().numpy(), expected, atol=1e-7)
    # A class of which no photo was seen keeps what it had.
    assert torch.equal(head.weight[2], third_before)
    assert head.weight.requires_grad


def test_an_imprinted_head_tells_separate_classes_apart() -> None:
    generator = np.random.default_rng(3)
    labels_N = np.arange(60) % NUM_CLASSES
    centres_CF = 3 * np.eye(NUM_CLASSES, NUM_FEATURES)
    features_NF = centres_CF[labels_N] + generator.normal(0, 0.3, (60, NUM_FEATURES))
    head = build_head("cosine", num_features=NUM_FEATURES, num_classes=NUM_CLASSES)
    imprint(head, features_NF.astype(np.float32), labels_N)
    found_N = head_logits(head, features_NF.astype(np.float32)).argmax(1)
    np.testing.assert_array_equal(found_N, labels_N)


@pytest.mark.parametrize("kind", ["linear", "flatten"])
def test_only_a_cosine_head_is_imprinted(kind: str) -> None:
    with pytest.raises(ValueError, match="Only a cosine head"):
        imprint(filled(kind), random_features(2), np.array([0, 1]))
    assert not isinstance(filled(kind), CosineHead)
