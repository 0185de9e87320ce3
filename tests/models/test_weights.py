"""Weights are found, never unpickled, and either cover the network or are refused whole."""

import hashlib
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fieldmark.base.errors import WeightsError
from fieldmark.models.backbones import create_extractor
from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.weights import load_into, locate_on_hub, weights_file

NARROW = {"channels": [8, 8, 16, 16]}
REPOSITORY = "timm/resnet18.a1_in1k"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class ConnectError(Exception):
    """As the hub's client raises: not one of Python's own."""


def narrow(name: str, *, seed: int = 0) -> nn.Module:
    return create_extractor(name, args=NARROW, stages=0, power=1.0, seed=seed).backbone


def save(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path)
    return path


def load(network: nn.Module, path: Path, *, head_names: tuple[str, ...] = ("fc",)) -> None:
    load_into(network, file=weights_file(path), backbone="resnet18", head_names=head_names)


def refusal(network: nn.Module, path: Path) -> str:
    """Return the message, having checked that the network is as it was."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load(network, path)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    return str(caught.value)


def test_a_weights_file_is_named_by_its_content(tmp_path: Path) -> None:
    path = save(tmp_path / "Weights.SafeTensors", {"x": torch.ones(2)})
    found = weights_file(path)
    assert found.path == path
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(path) in found.source


def test_a_missing_file_is_refused_with_what_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights at .*'auto' or 'none'"):
        weights_file(tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["model.pth", "model.pkl", "model.bin", "model"])
def test_a_pickle_is_refused_before_it_is_opened(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"x": 1}))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the file was opened")

    for reader in ("open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, reader, refuse)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(WeightsError, match=r"not a \.safetensors file.*pickle"):
        weights_file(path)


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "model.safetensors", {"x": torch.ones(2)})

    def refuse(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fieldmark.models.weights.sha256_of", refuse)
    with pytest.raises(WeightsError, match="cannot be read: Permission denied"):
        weights_file(path)


def test_every_tensor_is_loaded_and_the_files_own_classifier_left_aside(tmp_path: Path) -> None:
    source, target = narrow("resnet18", seed=1), narrow("resnet18", seed=2)
    head = {"fc.weight": torch.ones(1000, 16), "fc.bias": torch.ones(1000)}
    load(target, save(tmp_path / "model.safetensors", source.state_dict() | head))
    assert target.state_dict().keys() == source.state_dict().keys()
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name


def test_half_precision_weights_are_loaded_as_float32(tmp_path: Path) -> None:
    source, target = narrow("resnet18", seed=1), narrow("resnet18", seed=2)
    halves = {name: value.bfloat16() for name, value in source.state_dict().items()}
    load(target, save(tmp_path / "model.safetensors", halves))
    for name, value in halves.items():
        loaded = target.state_dict()[name]
        assert loaded.dtype != torch.bfloat16
        assert torch.equal(loaded.float(), value.float()), name


def test_older_files_without_counters_of_batches_are_loaded(tmp_path: Path) -> None:
    source, target = narrow("resnet18", seed=1), narrow("resnet18", seed=2)
    older = {
        name: value
        for name, value in source.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    load(target, save(tmp_path / "model.safetensors", older))
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in older.items())


def test_resnet_18_weights_are_refused_for_resnet_34_naming_what_is_missing(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", narrow("resnet18").state_dict())
    message = refusal(narrow("resnet34"), path)
    # Each convolution has a normalisation, and the two have 5 tensors beside the counter. These
    # narrow networks have one more shortcut than usual: 37 pairs against 21.
    assert "80 of 185 tensors missing (layer1.2.conv1.weight, " in message
    assert "and 75 more" in message
    assert str(path) in message
    assert "Nothing was loaded" in message


def test_resnet_34_weights_are_refused_for_resnet_18_as_without_a_place(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", narrow("resnet34").state_dict())
    message = refusal(narrow("resnet18"), path)
    # 16 pairs too many, of 6 tensors each with the counter, of 37 in the file.
    assert "96 of 222 tensors without a place in the backbone (layer1.2.bn1.bias, " in message
    assert "missing" not in message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    message = refusal(narrow("resnet18"), save(tmp_path / "model.safetensors", {}))
    assert "105 of 105 tensors missing" in message


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(tmp_path: Path) -> None:
    tensors = narrow("resnet18").state_dict()
    tensors["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    message = refusal(narrow("resnet18"), save(tmp_path / "model.safetensors", tensors))
    assert "1 of 105 tensors of another shape" in message
    assert "conv1.weight [64, 1, 7, 7] instead of [64, 3, 7, 7]" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    tensors = narrow("resnet18").state_dict()
    tensors["bn1.bias"][3] = value
    message = refusal(narrow("resnet18"), save(tmp_path / "model.safetensors", tensors))
    assert "1 of 126 tensors with infinite values or NaN (bn1.bias)" in message


def test_tensors_that_only_begin_like_the_classifier_are_not_left_aside(tmp_path: Path) -> None:
    tensors = narrow("resnet18").state_dict() | {"fc2.weight": torch.ones(3)}
    assert "fc2.weight" in refusal(narrow("resnet18"), save(tmp_path / "m.safetensors", tensors))


@pytest.mark.parametrize("damage", ["cut", "header", "pickle", "nothing"])
def test_a_corrupt_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", narrow("resnet18").state_dict())
    content = path.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "header": b"\xff" * 16 + content[16:],
        "pickle": pickle.dumps({"conv1.weight": [1.0]}),
        "nothing": b"",
    }
    path.write_bytes(damaged[damage])
    assert "cannot be read as safetensors" in refusal(narrow("resnet18"), path)


def test_the_message_speaks_of_every_fault_at_once(tmp_path: Path) -> None:
    tensors = narrow("resnet18").state_dict()
    del tensors["conv1.weight"]
    tensors["bn1.bias"] = torch.zeros(9)
    tensors["stranger"] = torch.zeros(1)
    message = refusal(narrow("resnet18"), save(tmp_path / "model.safetensors", tensors))
    assert "1 of 105 tensors missing (conv1.weight); 1 of 105 tensors of another shape" in message
    assert "1 of 126 tensors without a place in the backbone (stranger)" in message


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, in its own layout."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def in_cache(folder: Path, *, file_name: str = "model.safetensors") -> Path:
    repository = folder / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return save(snapshot / file_name, {"x": torch.ones(2)})


def test_a_cached_file_is_used_without_any_request(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    path = in_cache(hub_cache)
    found = locate_on_hub(REPOSITORY, file_name="model.safetensors", backbone="resnet18")
    assert found.path == path
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.source == f"pretrained weights {REPOSITORY}"


@pytest.mark.parametrize(
    "error",
    [
        ConnectError("[Errno 101] Network is unreachable"),
        TimeoutError("timed out"),
        OSError("no route"),
        ConnectError(""),
    ],
)
def test_without_network_the_message_comes_within_seconds_and_says_what_can_be_done(
    error: Exception, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float | None] = []

    def unreachable(_: str, *, timeout: float | None = None, **__: object) -> None:
        asked.append(timeout)
        raise error

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the download would retry for most of a minute")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    began_s = time.monotonic()
    with pytest.raises(WeightsError) as caught:
        locate_on_hub(REPOSITORY, file_name="model.safetensors", backbone="resnet18")
    assert time.monotonic() - began_s < 2
    assert asked == [5.0]
    message = str(caught.value)
    assert f"{type(error).__name__}: {error or 'no answer'}" in message
    assert "'resnet18'" in message
    assert "model.safetensors and config.json of timm/resnet18.a1_in1k" in message
    for remedy in ("--weights PATH", str(hub_cache), "--weights none"):
        assert remedy in message


def test_a_download_that_breaks_off_is_told_in_the_same_way(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise ConnectError("connection reset\nmore")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(WeightsError, match=r"ConnectError: connection reset\)\. Connect"):
        locate_on_hub(REPOSITORY, file_name="model.safetensors", backbone="resnet18")


def test_a_downloaded_file_is_used(
    hub_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "fetched.safetensors", {"x": torch.ones(2)})
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(path))
    found = locate_on_hub(REPOSITORY, file_name="model.safetensors", backbone="resnet18")
    assert found.path == path


def test_published_weights_in_another_form_are_not_fetched() -> None:
    with pytest.raises(WeightsError, match=r"not in safetensors form.*--weights PATH"):
        locate_on_hub(REPOSITORY, file_name="pytorch_model.bin", backbone="resnet18")


def test_loaded_weights_compute_what_the_source_computes(
    tmp_path: Path,
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    source, target = make_extractor(seed=1).eval(), make_extractor(seed=2).eval()
    load(target.backbone, save(tmp_path / "m.safetensors", source.backbone.state_dict()))
    images_NCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(source(images_NCHW), target(images_NCHW))
