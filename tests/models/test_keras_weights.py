"""Files of Keras: every kind that it writes is read, and what is not one is refused whole."""

import io
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.base.errors import WeightsError
from fieldmark.models import keras_weights
from fieldmark.models.backbones import (
    ModelConfig,
    build_backbone,
    create_extractor,
    resolve_backbone,
)
from fieldmark.models.keras_files import read_keras_file
from fieldmark.models.keras_weights import KERAS_SUFFIXES, load_keras_into
from fieldmark.models.weights import weights_file

# Of Keras' own variables, as NumPy makes arrays of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

BLOCKS, WIDTHS, SIZE_PX = (2, 1, 1, 1), (4, 4, 8, 8), 50
TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
OLD_NAMES = {"kernel": "W", "bias": "b", "moving_variance": "running_std"}
FORMATS = ("model.h5", "model.weights.h5", "model.keras")

Arrays = dict[tuple[str, str], NDArray[np.float32]]
"""By layer and variable, in Keras' names and Keras' order of dimensions."""


def narrow_network(seed: int = 0, blocks: tuple[int, ...] = BLOCKS) -> nn.Module:
    args = {"blocks": blocks, "widths": WIDTHS}
    return create_extractor("keras_resnet50", args=args, stages=0, power=1.0, seed=seed).backbone


def load(network: nn.Module, path: Path) -> None:
    file = weights_file(path, suffixes=KERAS_SUFFIXES)
    load_keras_into(network, file=file, backbone="keras_resnet50", read=read_keras_file)


def refusal(path: Path, *, blocks: tuple[int, ...] = BLOCKS) -> str:
    """Return the message, having checked that the network is as it was."""
    network = narrow_network(blocks=blocks)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load(network, path)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    return str(caught.value)


def arrays_of(network: nn.Module, seed: int = 5) -> Arrays:
    """Return arrays for every layer of a network, told apart by what they hold."""
    generator = np.random.default_rng(seed)
    arrays: Arrays = {}
    for layer, part in network.named_modules():
        if isinstance(part, nn.Conv2d):
            channels_out, channels_in, height, width = part.weight.shape
            shapes = {
                "kernel": (height, width, channels_in, channels_out),
                "bias": (channels_out,),
            }
        elif isinstance(part, nn.BatchNorm2d):
            names = ("gamma", "beta", "moving_mean", "moving_variance")
            shapes = dict.fromkeys(names, (part.num_features,))
        else:
            continue
        for variable, shape in shapes.items():
            arrays[layer, variable] = generator.uniform(0.5, 1.5, shape).astype(np.float32)
    return arrays


def write(path: Path, datasets: Mapping[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def by_layer(arrays: Arrays) -> dict[str, NDArray[np.float32]]:
    """Return the arrays under the names of a file of weights alone, as Keras 2 writes it."""
    return {f"{layer}/{layer}/{variable}:0": values for (layer, variable), values in arrays.items()}


def assert_holds(network: nn.Module, arrays: Arrays) -> None:
    state = network.state_dict()
    assert len(arrays) == sum(not name.endswith("num_batches_tracked") for name in state)
    for (layer, variable), values in arrays.items():
        expected = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values
        found = state[f"{layer}.{TORCH_NAMES[variable]}"].numpy()
        assert np.array_equal(found, expected), (layer, variable)


@pytest.fixture
def good(tmp_path: Path) -> tuple[Path, dict[str, NDArray[np.float32]]]:
    """A path to write to, and what a file that loads holds."""
    return tmp_path / "model.h5", by_layer(arrays_of(narrow_network()))


@pytest.fixture(scope="module")
def narrow_keras(keras: Any) -> Callable[..., Any]:
    """Return a function that has Keras build the narrow network, its variables random."""
    from keras.src.applications import resnet

    def stack(maps: Any) -> Any:
        for index, (width, num_blocks) in enumerate(zip(WIDTHS, BLOCKS, strict=True)):
            stride, name = (2 if index else 1), f"conv{index + 2}"
            maps = resnet.stack_residual_blocks_v1(
                maps, width, num_blocks, stride1=stride, name=name
            )
        return maps

    def build(**values: Any) -> Any:
        asked = {"include_top": False, "input_shape": (SIZE_PX, SIZE_PX, 3), **values}
        model = resnet.ResNet(stack, False, True, weights=None, **asked)
        generator = np.random.default_rng(3)
        model.set_weights([generator.uniform(0.5, 1.5, v.shape) for v in model.weights])
        return model

    return build


def values_of(keras: Any, backbone: Any) -> Arrays:
    return {
        (layer.name, variable.path.rpartition("/")[2]): variable.numpy()
        for layer in backbone.layers
        for variable in layer.weights
        if isinstance(layer, keras.layers.Conv2D | keras.layers.BatchNormalization)
    }


def saved(model: Any, path: Path) -> Path:
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


@pytest.mark.parametrize("file_name", FORMATS)
def test_a_backbone_that_keras_saved_is_read(
    file_name: str, narrow_keras: Callable[..., Any], keras: Any, tmp_path: Path
) -> None:
    model, network = narrow_keras(), narrow_network()
    load(network, saved(model, tmp_path / file_name))
    assert_holds(network, values_of(keras, model))


@pytest.mark.parametrize("file_name", FORMATS)
def test_the_top_of_an_imagenet_network_is_left_aside(
    file_name: str, narrow_keras: Callable[..., Any], keras: Any, tmp_path: Path
) -> None:
    model = narrow_keras(include_top=True, classes=10, input_shape=(64, 64, 3))
    network = narrow_network()
    load(network, saved(model, tmp_path / file_name))
    assert_holds(network, values_of(keras, model))


@pytest.mark.parametrize("file_name", FORMATS)
@pytest.mark.parametrize("nested", [True, False])
def test_a_trained_model_around_the_backbone_is_read(
    file_name: str, nested: bool, narrow_keras: Callable[..., Any], keras: Any, tmp_path: Path
) -> None:
    """With layers that prepare photos before it, a head behind it, and an optimizer's state."""
    layers = keras.layers
    photo = keras.Input((SIZE_PX, SIZE_PX, 3))
    normalise = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])
    prepared = layers.RandomRotation(0.4)(layers.RandomFlip()(normalise(photo)))
    backbone = narrow_keras(name="resnet50", **({} if nested else {"input_tensor": prepared}))
    maps = backbone(prepared) if nested else backbone.output
    hidden = layers.BatchNormalization()(layers.Dense(6)(layers.Flatten()(maps)))
    model = keras.Model(photo, layers.Dense(4, activation="softmax")(layers.Dropout(0.5)(hidden)))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(np.random.default_rng(0).random((2, SIZE_PX, SIZE_PX, 3)), np.arange(2))
    path = saved(model, tmp_path / file_name)
    network = narrow_network()
    load(network, path)
    assert_holds(network, values_of(keras, backbone))


@pytest.mark.parametrize("nested", [True, False])
def test_a_file_of_keras_3_without_names_is_read_by_the_order_of_layers(
    nested: bool, narrow_keras: Callable[..., Any], keras: Any, tmp_path: Path
) -> None:
    """As earlier versions of Keras 3 wrote them; a head has a normalisation of its own."""
    layers = keras.layers
    backbone = narrow_keras()
    maps = backbone(photo := keras.Input((SIZE_PX, SIZE_PX, 3))) if nested else backbone.output
    head = layers.Dense(4)(layers.BatchNormalization()(layers.Flatten()(maps)))
    model = keras.Model(photo if nested else backbone.input, head)
    path = saved(model, tmp_path / "model.weights.h5")
    num_named = 0
    with h5py.File(path, "r+") as file:

        def forget(_: str, item: Any) -> None:
            nonlocal num_named
            if "name" in item.attrs:
                del item.attrs["name"]
                num_named += 1

        file.visititems(forget)
    assert num_named > 50
    network = narrow_network()
    load(network, path)
    assert_holds(network, values_of(keras, backbone))


def test_weights_alone_as_keras_2_writes_them_are_read(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    network = narrow_network()
    load(network, write(*good))
    assert_holds(network, arrays_of(network))


def test_a_whole_model_as_keras_2_writes_it_is_read(tmp_path: Path) -> None:
    network = narrow_network()
    arrays = arrays_of(network)
    datasets = {
        f"model_weights/resnet50/{layer}/{variable}:0": values
        for (layer, variable), values in arrays.items()
    }
    datasets["model_weights/dense/dense/kernel:0"] = np.ones((32, 8), np.float32)
    datasets["model_weights/dense/dense/bias:0"] = np.ones(8, np.float32)
    datasets["model_weights/random_flip/random_flip/StateVar:0"] = np.ones(3, np.int64)
    datasets["optimizer_weights/Adam/conv1_conv/kernel/m:0"] = np.ones((7, 7, 3, 64), np.float32)
    load(network, write(tmp_path / "model.h5", datasets))
    assert_holds(network, arrays)


@pytest.mark.parametrize("number", ["", "_1"])
def test_the_old_names_of_layers_are_read(number: str, tmp_path: Path) -> None:
    """Those of the files that came with Keras 1: in its names, which this test spells out."""
    old = {
        "conv1_conv": "conv1",
        "conv1_bn": "bn_conv1",
        "conv2_block1_1_conv": "res2a_branch2a",
        "conv2_block1_1_bn": "bn2a_branch2a",
        "conv2_block1_2_conv": "res2a_branch2b",
        "conv2_block1_2_bn": "bn2a_branch2b",
        "conv2_block1_3_conv": "res2a_branch2c",
        "conv2_block1_3_bn": "bn2a_branch2c",
        "conv2_block1_0_conv": "res2a_branch1",
        "conv2_block1_0_bn": "bn2a_branch1",
        "conv2_block2_1_conv": "res2b_branch2a",
        "conv2_block2_1_bn": "bn2b_branch2a",
        "conv2_block2_2_conv": "res2b_branch2b",
        "conv2_block2_2_bn": "bn2b_branch2b",
        "conv2_block2_3_conv": "res2b_branch2c",
        "conv2_block2_3_bn": "bn2b_branch2c",
    }
    network = narrow_network()
    arrays = arrays_of(network)
    datasets = {}
    for (layer, variable), values in arrays.items():
        name = old.get(layer)
        if name is None:  # the first blocks of the later stages
            part = re.fullmatch(r"conv(\d)_block1_(\d)_(conv|bn)", layer)
            assert part is not None
            branch = {"0": "1", "1": "2a", "2": "2b", "3": "2c"}[part[2]]
            name = f"{'res' if part[3] == 'conv' else 'bn'}{part[1]}a_branch{branch}"
        datasets[f"{name}/{name}_{OLD_NAMES.get(variable, variable)}{number}:0"] = values
    datasets[f"fc1000/fc1000_W{number}:0"] = np.ones((32, 5), np.float32)
    datasets[f"fc1000/fc1000_b{number}:0"] = np.ones(5, np.float32)
    load(network, write(tmp_path / "model.h5", datasets))
    assert_holds(network, arrays)


def test_blocks_past_the_alphabet_are_numbered_in_old_names(tmp_path: Path) -> None:
    """In ResNet-101 the blocks of a stage were called a, b1, b2 and so on."""
    blocks = (3, 1, 1, 1)
    network = narrow_network(blocks=blocks)
    arrays = arrays_of(network)
    datasets = {
        name.replace("conv2_block3_1_conv", "res2b2_branch2a"): values
        for name, values in by_layer(arrays).items()
    }
    assert any("b2_branch2a" in name for name in datasets)
    load(network, write(tmp_path / "model.h5", datasets))
    assert_holds(network, arrays)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floating_point_numbers_are_rounded_to_float32(
    dtype: type[np.floating[Any]], good: tuple[Path, dict[str, NDArray[np.float32]]]
) -> None:
    path, datasets = good
    network = narrow_network()
    load(network, write(path, {name: values.astype(dtype) for name, values in datasets.items()}))
    rounded = {
        key: values.astype(dtype).astype(np.float32) for key, values in arrays_of(network).items()
    }
    assert_holds(network, rounded)


def test_packed_arrays_are_read(good: tuple[Path, dict[str, NDArray[np.float32]]]) -> None:
    path, datasets = good
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values, compression="gzip")
    network = narrow_network()
    load(network, path)
    assert_holds(network, arrays_of(network))


def test_a_missing_tensor_is_refused_by_its_name(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    path, datasets = good
    del datasets["conv3_block1_2_bn/conv3_block1_2_bn/gamma:0"]
    message = refusal(write(path, datasets))
    assert "1 of 120 tensors missing (conv3_block1_2_bn.weight)" in message
    assert str(path) in message
    assert "Nothing was loaded" in message


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    path, datasets = good
    datasets["conv1_conv/conv1_conv/kernel:0"] = np.zeros((7, 7, 1, 64), np.float32)
    message = refusal(write(path, datasets))
    assert "conv1_conv.weight [64, 1, 7, 7] instead of [64, 3, 7, 7]" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(
    value: float, good: tuple[Path, dict[str, NDArray[np.float32]]]
) -> None:
    path, datasets = good
    broken = datasets["conv1_bn/conv1_bn/beta:0"].astype(np.float64)
    broken[3] = value
    message = refusal(write(path, datasets | {"conv1_bn/conv1_bn/beta:0": broken}))
    assert "tensors with infinite values or NaN (conv1_bn.bias)" in message


def test_whole_numbers_are_refused(good: tuple[Path, dict[str, NDArray[np.float32]]]) -> None:
    path, datasets = good
    whole = datasets["conv1_bn/conv1_bn/beta:0"].astype(np.int32)
    message = refusal(write(path, datasets | {"conv1_bn/conv1_bn/beta:0": whole}))
    assert "conv1_bn.bias holds numbers of the kind int32, not floating-point" in message


def test_a_deeper_network_is_refused_as_without_a_place(tmp_path: Path) -> None:
    arrays = arrays_of(narrow_network(blocks=(3, 1, 1, 1)))
    message = refusal(write(tmp_path / "model.h5", by_layer(arrays)))
    # A block without a projection has 3 convolutions of 2 tensors and 3 normalisations of 4.
    assert (
        f"18 of {len(arrays)} tensors without a place in the backbone (conv2_block3_1_" in message
    )
    assert "missing" not in message


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv6/conv6/kernel:0", (3, 3, 8, 8)),
        ("depthwise/depthwise/depthwise_kernel:0", (3, 3, 8, 1)),
        ("embedding/embedding/embeddings:0", (10, 4)),
        ("conv9_block9_9_bn/conv9_block9_9_bn/gamma:0", (8,)),
    ],
)
def test_layers_that_belong_to_no_head_are_refused(
    name: str, shape: tuple[int, ...], good: tuple[Path, dict[str, NDArray[np.float32]]]
) -> None:
    path, datasets = good
    message = refusal(write(path, datasets | {name: np.ones(shape, np.float32)}))
    assert "1 of 121 tensors without a place in the backbone" in message
    assert name.partition("/")[0] in message


def test_a_file_with_two_backbones_is_refused(tmp_path: Path) -> None:
    datasets = {
        f"{model}/{layer}/{variable}:0": values
        for (layer, variable), values in arrays_of(narrow_network()).items()
        for model in ("first", "second")
    }
    assert "is in it twice" in refusal(write(tmp_path / "model.h5", datasets))


@pytest.mark.parametrize("kept", [0, 7, 100, 0.3, 0.7, 0.95, -1])
@pytest.mark.parametrize("file_name", FORMATS)
def test_a_file_that_was_cut_short_is_refused(
    file_name: str, kept: float, narrow_keras: Callable[..., Any], tmp_path: Path
) -> None:
    path = saved(narrow_keras(), tmp_path / file_name)
    content = path.read_bytes()
    length = round(kept * len(content)) if isinstance(kept, float) else kept
    path.write_bytes(content[:length])
    assert f"{path} cannot be read as a file of Keras" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 4096, pickle.dumps({"conv1_conv": [1.0]}), b"PK\x03\x04" + b"\x00" * 100],
    ids=["nothing", "zeros", "pickle", "zip"],
)
def test_what_is_no_file_of_keras_is_refused(content: bytes, tmp_path: Path) -> None:
    for suffix in KERAS_SUFFIXES:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(content)
        assert "is damaged, cut short or of another kind" in refusal(path)


def test_a_damaged_archive_is_refused(narrow_keras: Callable[..., Any], tmp_path: Path) -> None:
    """Flipped bits within the weights show by the archive's checksum."""
    path = saved(narrow_keras(), tmp_path / "model.keras")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    assert "Bad CRC-32" in refusal(path)


def archive(path: Path, entries: Mapping[str, bytes], *, packed: bool = False) -> Path:
    how = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def test_an_archive_without_weights_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", {"config.json": b"{}", "evil.py": b"import os"})
    assert "archive without model.weights.h5" in refusal(path)


def test_an_archive_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise AssertionError("it was unpacked")

    path = archive(tmp_path / "model.keras", {"model.weights.h5": bytes(1 << 22)}, packed=True)
    monkeypatch.setattr(zipfile.ZipFile, "read", refuse)
    assert "would grow from" in refusal(path)


def test_an_archive_that_was_packed_again_is_read(
    narrow_keras: Callable[..., Any], keras: Any, tmp_path: Path
) -> None:
    model, network = narrow_keras(), narrow_network()
    with zipfile.ZipFile(saved(model, tmp_path / "model.keras")) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    load(network, archive(tmp_path / "again.keras", entries, packed=True))
    assert_holds(network, values_of(keras, model))


@pytest.mark.parametrize("kind", ["soft", "external"])
def test_links_are_refused_and_not_followed(
    kind: str, good: tuple[Path, dict[str, NDArray[np.float32]]], tmp_path: Path
) -> None:
    path, datasets = good
    beta = datasets.pop("conv1_bn/conv1_bn/beta:0")
    write(tmp_path / "other.h5", {"beta": beta})
    with h5py.File(write(path, datasets), "r+") as file:
        file["elsewhere"] = beta
        link = h5py.SoftLink("/elsewhere")
        if kind == "external":
            link = h5py.ExternalLink(str(tmp_path / "other.h5"), "/beta")
        file["conv1_bn/conv1_bn/beta:0"] = link
    assert "conv1_bn/conv1_bn/beta:0 in it is a link" in refusal(path)


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_numbers_that_lie_in_another_file_are_refused(
    kind: str, good: tuple[Path, dict[str, NDArray[np.float32]]], tmp_path: Path
) -> None:
    path, datasets = good
    beta = datasets.pop("conv1_bn/conv1_bn/beta:0")
    with h5py.File(write(path, datasets), "r+") as file:
        if kind == "external":
            (tmp_path / "raw").write_bytes(beta.tobytes())
            file.create_dataset(
                "conv1_bn/conv1_bn/beta:0",
                beta.shape,
                np.float32,
                external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)],
            )
        else:
            layout = h5py.VirtualLayout(beta.shape, np.float32)
            write(tmp_path / "other.h5", {"beta": beta})
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "beta", beta.shape)
            file.create_virtual_dataset("conv1_bn/conv1_bn/beta:0", layout)
    assert "conv1_bn.bias lies in another file" in refusal(path)


def test_groups_that_contain_each_other_are_refused(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    path, datasets = good
    with h5py.File(write(path, datasets), "r+") as file:
        for name in "abcdef":
            file[f"conv1_bn/{name}"] = file["/"]
    assert "more entries, or deeper ones, than any network" in refusal(path)


def test_an_array_without_end_is_not_read(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    """It takes a kilobyte on disk, and a thousand terabytes once it is read."""
    path, datasets = good
    datasets.pop("conv1_bn/conv1_bn/beta:0")
    with h5py.File(write(path, datasets), "r+") as file:
        file.create_dataset("conv1_bn/conv1_bn/beta:0", (1 << 48,), np.float32, chunks=(1024,))
        file.create_dataset("huge/huge/kernel:0", (1 << 24, 1 << 24, 3, 3), np.float32, chunks=True)
    message = refusal(path)
    assert f"conv1_bn.bias [{1 << 48}] instead of [64]" in message
    assert "huge" in message


def test_pieces_larger_than_their_array_are_refused(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    """Each would be unpacked as a whole to read the few numbers in it that count."""
    path, datasets = good
    beta = datasets.pop("conv1_bn/conv1_bn/beta:0")
    with h5py.File(write(path, datasets), "r+") as file:
        file.create_dataset(
            "conv1_bn/conv1_bn/beta:0",
            data=beta,
            maxshape=(None,),
            chunks=(1 << 20,),
            compression="gzip",
        )
    assert "packed in pieces larger than itself" in refusal(path)


def test_without_h5py_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    config = ModelConfig(backbone="keras_resnet50", weights=str(path))
    with pytest.raises(WeightsError, match=r'pip install "fieldmark\[keras\]"'):
        resolve_backbone(config)


def test_a_missing_file_is_refused_with_the_kinds_that_can_be_given(tmp_path: Path) -> None:
    config = ModelConfig(backbone="keras_resnet50", weights=str(tmp_path / "model.h5"))
    with pytest.raises(WeightsError, match=r"no weights at .*\.h5 or \.hdf5 or \.keras or \.safe"):
        resolve_backbone(config)


@pytest.mark.parametrize("name", ["model.pkl", "model.pth", "model"])
def test_other_kinds_are_refused_before_they_are_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> io.BytesIO:
        raise AssertionError("the file was opened")

    path = tmp_path / name
    path.write_bytes(pickle.dumps({"x": 1}))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match="no other kind is read"):
        resolve_backbone(ModelConfig(backbone="keras_resnet50", weights=str(path)))


def test_features_kept_from_other_weights_are_not_taken(
    good: tuple[Path, dict[str, NDArray[np.float32]]], tmp_path: Path
) -> None:
    """They are kept by the digest of the file, which the spec carries."""
    path, datasets = good
    write(path, datasets)
    other = write(tmp_path / "other.h5", by_layer(arrays_of(narrow_network(), seed=6)))
    digests = []
    for each in (path, path, other):
        spec = resolve_backbone(ModelConfig(backbone="keras_resnet50", weights=str(each)))
        assert spec.weights is not None
        digests.append(spec.weights.sha256)
    assert digests[0] == digests[1] != digests[2]


def test_a_spec_with_a_file_of_keras_is_built_with_its_weights(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    """By a process of its own, unlike in the other tests here, which would take a minute."""
    path = write(*good)
    args = {"blocks": BLOCKS, "widths": WIDTHS}
    config = ModelConfig(backbone="keras_resnet50", backbone_args=args, weights=str(path))
    network = build_backbone(resolve_backbone(config), seed=0).backbone
    assert_holds(network, arrays_of(network))


def refused_apart(path: Path) -> str:
    network = narrow_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_keras_into(
            network, file=weights_file(path, suffixes=KERAS_SUFFIXES), backbone="keras_resnet50"
        )
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    return str(caught.value)


def test_a_refusal_comes_from_the_process_that_reads(
    good: tuple[Path, dict[str, NDArray[np.float32]]],
) -> None:
    path, datasets = good
    datasets["conv1_bn/conv1_bn/beta:0"] = datasets["conv1_bn/conv1_bn/beta:0"][:-1]
    assert "conv1_bn.bias [63] instead of [64]" in refused_apart(write(path, datasets))
    path.write_bytes(path.read_bytes()[:1000])
    assert f"{path} cannot be read as a file of Keras (OSError: " in refused_apart(path)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("while True: pass", "it was not read within 1 s"),
        ("import os; os.abort()", "the process that read it failed: exit code -"),
        ("raise MemoryError('too much')", "the process that read it failed: MemoryError: too much"),
        ("", "the process that read it failed: exit code 0"),
    ],
)
def test_a_file_on_which_the_library_hangs_or_crashes_is_refused(
    program: str,
    reason: str,
    good: tuple[Path, dict[str, NDArray[np.float32]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As HDF5 does on some damaged files; the programs stand in for such."""
    monkeypatch.setattr(keras_weights, "PROGRAM", program)
    monkeypatch.setattr(keras_weights, "READING_LIMIT_S", 1.0)
    assert f"cannot be read as a file of Keras ({reason}" in refused_apart(write(*good))
