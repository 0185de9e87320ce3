"""Keras' ResNets held against Keras itself: layer by layer, number by number, step by step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.models.backbones import create_extractor
from fieldmark.models.keras_files import read_keras_file
from fieldmark.models.keras_resnet import KerasBatchNorm
from fieldmark.models.keras_weights import KERAS_SUFFIXES, load_keras_into
from fieldmark.models.layers import layer_table
from fieldmark.models.own_networks import OWN_NETWORKS
from fieldmark.models.weights import weights_file
from fieldmark.recipe import load_recipe
from fieldmark.training.optim import epsilon_at

# Of Keras' own variables, as NumPy makes arrays of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

SIZE_PX, NUM_CLASSES, BATCH = 50, 8, 2
TORCH_NAMES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}

# Legend for shape suffixes: N photos, C classes, F features.


def saved(model: Any, path: Path) -> Path:
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


def loaded(path: Path) -> nn.Module:
    extractor = create_extractor("keras_resnet50", args={}, stages=0, power=1, flatten=True, seed=3)
    file = weights_file(path, suffixes=KERAS_SUFFIXES)
    load_keras_into(extractor.backbone, file=file, backbone="keras_resnet50", read=read_keras_file)
    return extractor


def with_head(extractor: nn.Module, kernel_FC: NDArray[Any]) -> nn.Sequential:
    """Return the network with Keras' dense layer, which takes places before channels."""
    head = nn.Linear(8192, NUM_CLASSES, dtype=torch.float64)
    by_place = kernel_FC.reshape(2, 2, 2048, NUM_CLASSES)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(by_place.transpose(3, 2, 0, 1).reshape(8, 8192)))
        head.bias.zero_()
    return nn.Sequential(extractor, head.to(next(extractor.parameters()).dtype))


def photos(generator: np.random.Generator, dtype: type = np.float64) -> tuple[Any, Any]:
    images_NHWC: Any = generator.random((BATCH, SIZE_PX, SIZE_PX, 3)).astype(dtype)
    return images_NHWC, generator.integers(0, NUM_CLASSES, BATCH)


def channels_first(images_NHWC: Any) -> Tensor:
    return torch.from_numpy(images_NHWC).permute(0, 3, 1, 2)


def keras_model(keras: Any) -> tuple[Any, Any, NDArray[Any]]:
    """Return Keras' backbone, the same with flatten and a dense layer, and that one's kernel.

    Kernels are as Keras draws them; biases and normalisations, which would be zeros and ones, have
    values of their own.
    """
    keras.utils.set_random_seed(1)
    backbone = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(SIZE_PX, SIZE_PX, 3)
    )
    dense = keras.layers.Dense(NUM_CLASSES)
    model = keras.Model(backbone.input, dense(keras.layers.Flatten()(backbone.output)))
    generator = np.random.default_rng(2)
    ranges = {
        "bias": (-0.1, 0.1),
        "gamma": (0.5, 1.5),
        "beta": (-0.5, 0.5),
        "moving_mean": (-0.5, 0.5),
        "moving_variance": (0.5, 2.0),
    }
    for variable in backbone.weights:
        if ends := ranges.get(variable.path.rpartition("/")[2]):
            variable.assign(generator.uniform(*ends, variable.shape))
    # Files are read as float32, so that is what the weights are in float64, too.
    model.set_weights([value.astype(np.float32) for value in model.get_weights()])
    return backbone, model, dense.get_weights()[0]


@pytest.fixture(scope="module")
def random_model(keras: Any) -> tuple[Any, Any, NDArray[Any]]:
    """Keras' network in float32, as `keras_model` gives it."""
    return keras_model(keras)


@contextmanager
def in_float64(keras: Any) -> Iterator[None]:
    """Let Keras compute in float64 throughout.

    In float32 two ways to sum the same numbers grow apart by percents within some steps of such
    a deep network, whose last stage normalises by eight numbers a channel here. In float64
    that noise is gone, and what is left are real differences.
    """
    from keras.src.backend.common import dtypes

    with pytest.MonkeyPatch.context() as patch:
        # On torch, Keras' normalisations go down to float32 by this table, whatever is asked for.
        patch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        yield
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Keras' backbone, the same with a head, and the file that it was saved to at the start."""

    backbone: Any
    model: Any
    kernel_FC: NDArray[Any]
    weights: list[NDArray[Any]]
    file: Path

    def at_the_start(self) -> nn.Sequential:
        """Put Keras' network back to its start, and return ours at the same one."""
        self.model.set_weights(self.weights)
        return with_head(loaded(self.file).double(), self.kernel_FC)


@pytest.fixture(scope="module")
def pair(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Keras' network in float64, and the weights from which both start."""
    with in_float64(keras):
        backbone, model, kernel_FC = keras_model(keras)
        file = saved(backbone, tmp_path_factory.mktemp("start") / "start.weights.h5")
        weights = model.get_weights()
        yield Pair(backbone=backbone, model=model, kernel_FC=kernel_FC, weights=weights, file=file)


@pytest.mark.parametrize(
    ("name", "in_keras"),
    [
        ("keras_resnet50", "ResNet50"),
        ("keras_resnet101", "ResNet101"),
        ("keras_resnet152", "ResNet152"),
    ],
)
def test_the_layer_table_is_that_of_keras(name: str, in_keras: str, keras: Any) -> None:
    """Names, order, output shapes and parameters, with statistics, of every layer but the input."""
    network = getattr(keras.applications, in_keras)(
        weights=None, include_top=False, input_shape=(SIZE_PX, SIZE_PX, 3)
    )
    expected = [
        (layer.name, tuple(layer.output.shape[1:]), layer.count_params())
        for layer in network.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    with torch.device("meta"):
        backbone = OWN_NETWORKS[name].build(global_pool="")
    found = []
    for layer in layer_table(backbone, size_px=SIZE_PX):
        channels, height, width = map(int, layer.output_shape.split("x"))
        num_parameters = layer.num_parameters + layer.num_statistics
        found.append((layer.name, (height, width, channels), num_parameters))
    assert found == expected


@pytest.mark.parametrize("file_name", ["whole.h5", "model.weights.h5", "whole.keras"])
def test_logits_of_saved_weights_are_those_of_keras(
    file_name: str, random_model: tuple[Any, Any, NDArray[Any]], tmp_path: Path
) -> None:
    backbone, model, kernel_FC = random_model
    images_NHWC, _ = photos(np.random.default_rng(0), np.float32)
    network = with_head(loaded(saved(backbone, tmp_path / file_name)), kernel_FC).eval()
    expected_NC = model(images_NHWC, training=False).detach().numpy()
    with torch.no_grad():
        found_NC = network(channels_first(images_NHWC)).numpy()
    assert np.abs(expected_NC).max() > 0.5
    np.testing.assert_allclose(found_NC, expected_NC, atol=1e-4, rtol=0)


def test_gradients_of_all_weights_are_those_of_keras(pair: Pair, keras: Any) -> None:
    """With statistics as they are and with those of the batch, each within 1e-6 of its length."""
    backbone, model, network = pair.backbone, pair.model, pair.at_the_start()
    images_NHWC, labels_N = photos(np.random.default_rng(0))
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    parameters = dict(network[0].get_submodule("backbone").named_parameters())
    for training in (False, True):
        network.train(training).zero_grad()
        model.zero_grad()
        expected = loss_of(labels_N, model(images_NHWC, training=training))
        expected.backward()
        logits_NC = network(channels_first(images_NHWC))
        found = nn.functional.cross_entropy(logits_NC, torch.from_numpy(labels_N))
        found.backward()  # type: ignore[no-untyped-call]
        assert found.item() == pytest.approx(expected.item(), rel=1e-9)
        pairs = [(value.path, value.value.grad.numpy()) for value in backbone.trainable_variables]
        assert len(pairs) == len(parameters) == 212
        for path, gradient in pairs:
            layer, variable = path.split("/")
            found_gradient = parameters[f"{layer}.{TORCH_NAMES[variable]}"].grad
            assert found_gradient is not None
            ours = found_gradient.numpy()
            theirs = gradient.transpose(3, 2, 0, 1) if gradient.ndim == 4 else gradient
            # A bias before a normalisation by the batch does nothing: both gradients are rounding.
            smallest = 1e-9 if training and path.endswith("conv/bias") else 0.0
            assert np.linalg.norm(ours - theirs) <= 1e-6 * np.linalg.norm(theirs) + smallest, path


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_goes_the_way_that_keras_goes(optimizer: str, pair: Pair, keras: Any) -> None:
    """The loss of each step and the statistics at the end, from the same weights and batches."""
    backbone, model, network = pair.backbone, pair.model, pair.at_the_start()
    in_keras = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[optimizer](1e-3)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=in_keras, loss=loss_of)
    kinds: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    ours = kinds[optimizer](network.parameters(), lr=1e-3)
    network.train()
    generator = np.random.default_rng(5)
    expected, found = [], []
    for step in range(3):
        images_NHWC, labels_N = photos(generator)
        expected.append(float(model.train_on_batch(images_NHWC, labels_N)))
        if optimizer == "adam":
            ours.param_groups[0]["eps"] = epsilon_at(step, load_recipe("reference").optim)
        ours.zero_grad()
        logits_NC = network(channels_first(images_NHWC))
        loss = nn.functional.cross_entropy(logits_NC, torch.from_numpy(labels_N))
        loss.backward()  # type: ignore[no-untyped-call]
        ours.step()
        found.append(loss.item())
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert max(expected) > 1.05 * min(expected)
    of_keras = [value.numpy() for value in backbone.non_trainable_variables]
    norms = [part for part in network.modules() if isinstance(part, KerasBatchNorm)]
    assert len(of_keras) == 2 * len(norms) == 106
    for norm, mean, variance in zip(norms, of_keras[::2], of_keras[1::2], strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=1e-6)
