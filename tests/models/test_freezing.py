"""Training mode: what moves, and what stays as it is."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from fieldmark.models.classifier import Classifier, Network
from fieldmark.models.freezing import norms_with_statistics, set_training

MakeClassifier = Callable[..., Classifier]


@pytest.fixture
def network(make_classifier: MakeClassifier) -> Network:
    return make_classifier().network.eval()


def statistics(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def moved(network: Network, *, batch_norm: str, frozen: Sequence[nn.Module] = ()) -> set[str]:
    """Run a batch in training mode; return the names of the statistics that it changed."""
    set_training(network, batch_norm=batch_norm, frozen=frozen)
    before = statistics(network)
    network(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    return {name for name, value in statistics(network).items() if not value.equal(before[name])}


def test_frozen_norms_keep_their_statistics_while_the_rest_trains(network: Network) -> None:
    assert moved(network, batch_norm="frozen") == set()
    norms = list(norms_with_statistics(network))
    assert norms
    assert not any(norm.training for norm in norms)
    assert network.training
    assert network.head.training
    assert network.extractor.backbone.get_submodule("layer1.0.conv1").training


def test_frozen_norms_compute_as_in_evaluation(network: Network) -> None:
    images_NCHW = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected_NC = network.eval()(images_NCHW)
        set_training(network, batch_norm="frozen", frozen=())
        assert torch.equal(network(images_NCHW), expected_NC)
        set_training(network, batch_norm="batch", frozen=())
        assert not torch.allclose(network(images_NCHW), expected_NC)


def test_frozen_norms_still_learn_their_scale_and_shift(network: Network) -> None:
    set_training(network, batch_norm="frozen", frozen=())
    network(torch.randn(2, 3, 32, 32)).square().sum().backward()
    for norm in norms_with_statistics(network):
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.weight.grad is not None


def test_norms_of_batches_move_all_their_statistics(network: Network) -> None:
    assert moved(network, batch_norm="batch") == set(statistics(network))


def test_what_is_frozen_stays_whatever_the_others_do(network: Network) -> None:
    backbone = network.extractor.backbone
    frozen = [backbone.get_submodule(name) for name in ("conv1", "bn1", "layer1", "layer2")]
    changed = moved(network, batch_norm="batch", frozen=frozen)
    kept = set(statistics(network)) - changed
    assert {name.split(".")[2] for name in kept} == {"bn1", "layer1", "layer2"}
    assert {name.split(".")[2] for name in changed} == {"layer3", "layer4"}
    assert not any(module.training for part in frozen for module in part.modules())


def test_setting_it_again_forgets_what_was_frozen_before(network: Network) -> None:
    set_training(network, batch_norm="frozen", frozen=[network.extractor])
    set_training(network, batch_norm="batch", frozen=())
    assert all(module.training for module in network.modules())


def test_dropout_within_what_is_frozen_is_off(make_classifier: MakeClassifier) -> None:
    network = make_classifier(
        name="vit_tiny_patch16_224",
        args={"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2, "proj_drop_rate": 0.5},
    ).network
    images_NCHW = torch.randn(2, 3, 32, 32)
    set_training(network, batch_norm="batch", frozen=[network.extractor])
    with torch.no_grad():
        assert torch.equal(network(images_NCHW), network(images_NCHW))
        set_training(network, batch_norm="frozen", frozen=())
        assert not torch.equal(network(images_NCHW), network(images_NCHW))


def test_norms_without_statistics_train_even_where_norms_are_frozen() -> None:
    layers = nn.Sequential(
        nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.BatchNorm2d(4, track_running_stats=False)
    )
    assert list(norms_with_statistics(layers)) == [layers[0]]


def test_another_behaviour_is_refused(network: Network) -> None:
    with pytest.raises(ValueError, match="batch_norm is 'auto'; allowed: frozen, batch"):
        set_training(network, batch_norm="auto", frozen=())
