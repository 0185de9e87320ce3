"""What is built from which weights, and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.models.backbones import (
    ModelConfig,
    build_backbone,
    create_extractor,
    resolve_backbone,
)

NARROW = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}


def write_folder(
    folder: Path, name: str, *, args: Mapping[str, Any], **config: Any
) -> Mapping[str, torch.Tensor]:
    """Write a folder in timm's local-dir form; return the tensors in it."""
    with torch.random.fork_rng(devices=[]):
        tensors = timm.create_model(name, num_classes=3, **args).state_dict()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    content = {"architecture": name, "num_classes": 3, "model_args": args, **config}
    (folder / "config.json").write_text(json.dumps(content))
    return dict(tensors)


def assert_loaded(config: ModelConfig, tensors: Mapping[str, torch.Tensor], *, head: str) -> None:
    extractor = build_backbone(resolve_backbone(config), seed=0)
    loaded = extractor.backbone.state_dict()
    assert loaded
    assert loaded.keys() == {name for name in tensors if not name.startswith(head)}
    for name, value in loaded.items():
        assert torch.equal(value, tensors[name]), name


@pytest.mark.parametrize(
    ("name", "args", "head"),
    [
        ("resnet18", NARROW, "fc."),
        ("mobilenetv2_035", {"pad_type": "same"}, "classifier."),
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}, "head.fc."),
    ],
)
def test_a_local_folder_is_loaded_tensor_by_tensor_without_its_classifier(
    name: str, args: Mapping[str, Any], head: str, tmp_path: Path
) -> None:
    tensors = write_folder(tmp_path / "weights", name, args=args)
    assert_loaded(ModelConfig(weights=str(tmp_path / "weights")), tensors, head=head)


def test_arguments_of_the_folder_shape_the_network(tmp_path: Path) -> None:
    """With TensorFlow's padding the outputs differ, though every tensor is the same."""
    tensors = write_folder(tmp_path / "same", "mobilenetv2_035", args={"pad_type": "same"})
    (tmp_path / "plain").mkdir()
    save_file(dict(tensors), tmp_path / "plain" / "model.safetensors")
    (tmp_path / "plain" / "config.json").write_text('{"architecture": "mobilenetv2_035"}')
    images_NCHW = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = []
    for folder in ("same", "plain"):
        spec = resolve_backbone(ModelConfig(weights=str(tmp_path / folder)))
        with torch.no_grad():
            outputs.append(build_backbone(spec, seed=0).eval()(images_NCHW))
    assert not torch.allclose(outputs[0], outputs[1])


def test_a_bare_file_is_loaded_into_the_backbone_asked_for(tmp_path: Path) -> None:
    tensors = write_folder(tmp_path / "weights", "resnet18", args=NARROW)
    path = tmp_path / "weights" / "model.safetensors"
    config = ModelConfig(backbone="resnet18", backbone_args=NARROW, weights=str(path))
    assert_loaded(config, tensors, head="fc.")


def test_the_folder_says_what_input_it_expects(tmp_path: Path) -> None:
    expected = {"input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3], "interpolation": "bilinear"}
    write_folder(tmp_path / "weights", "resnet18", args=NARROW, pretrained_cfg=expected)
    spec = resolve_backbone(ModelConfig(weights=str(tmp_path / "weights")))
    assert (spec.size_px, spec.mean, spec.interpolation) == (96, (0.1, 0.2, 0.3), "bilinear")
    # What the folder leaves out is what timm says of the backbone.
    assert spec.std == (0.229, 0.224, 0.225)
    assert spec.name == "resnet18"
    assert "config.json" in spec.reasons["model.backbone"]


def test_a_folder_may_leave_its_optional_tables_out_or_empty(tmp_path: Path) -> None:
    write_folder(tmp_path / "weights", "mobilenetv2_035", args={}, pretrained_cfg=None)
    spec = resolve_backbone(ModelConfig(weights=str(tmp_path / "weights")))
    assert spec.size_px == 224


def test_a_folders_number_of_classes_among_its_arguments_is_no_matter(tmp_path: Path) -> None:
    tensors = write_folder(tmp_path / "weights", "resnet18", args=NARROW)
    config = {"architecture": "resnet18", "model_args": {**NARROW, "num_classes": 3}}
    (tmp_path / "weights" / "config.json").write_text(json.dumps(config))
    assert_loaded(ModelConfig(weights=str(tmp_path / "weights")), tensors, head="fc.")


def test_a_backbone_other_than_the_folders_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "weights", "resnet18", args=NARROW)
    config = ModelConfig(backbone="resnet34", weights=str(tmp_path / "weights"))
    with pytest.raises(WeightsError, match=r"are of 'resnet18', and --backbone asks for 'resnet34"):
        resolve_backbone(config)


def test_the_folders_backbone_may_be_named_with_or_without_its_tag(tmp_path: Path) -> None:
    write_folder(tmp_path / "weights", "resnet18", args=NARROW)
    for name in ("resnet18", "resnet18.a1_in1k"):
        config = ModelConfig(backbone=name, weights=str(tmp_path / "weights"))
        spec = resolve_backbone(config)
        assert spec.name == "resnet18"
        assert not spec.reasons


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "has no config.json"),
        ("{", "cannot be read as JSON"),
        ("[]", "names no architecture"),
        ("{}", "names no architecture"),
        ('{"architecture": 18}', "names no architecture"),
        ('{"architecture": "resnet81"}', "Did you mean 'resnet18'"),
        ('{"architecture": "resnet18", "model_args": [1]}', "model_args must be a table"),
        ('{"architecture": "resnet18", "pretrained_cfg": "x"}', "pretrained_cfg must be a table"),
        ('{"architecture": "resnet18", "model_args": {"in_chans": 1}}', "in_chans is not allowed"),
        (
            '{"architecture": "resnet18", "model_args": {"checkpoint_path": "x.pth"}}',
            "checkpoint_path is not allowed",
        ),
        (
            '{"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5]}}',
            "expects as input is not valid",
        ),
        (
            '{"architecture": "resnet18", "pretrained_cfg": {"input_size": []}}',
            "expects as input is not valid",
        ),
    ],
)
def test_a_folder_that_describes_no_backbone_is_refused_with_the_reason(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    save_file({}, tmp_path / "model.safetensors")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(WeightsError, match=reason):
        resolve_backbone(ModelConfig(weights=str(tmp_path)))


def test_a_folder_without_its_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(WeightsError, match=r"no weights at .*model\.safetensors"):
        resolve_backbone(ModelConfig(weights=str(tmp_path)))


def test_resnet_18_weights_do_not_load_into_resnet_34(tmp_path: Path) -> None:
    args = {"channels": NARROW["channels"]}
    write_folder(tmp_path / "weights", "resnet18", args=args)
    path = tmp_path / "weights" / "model.safetensors"
    config = ModelConfig(backbone="resnet34", backbone_args=args, weights=str(path))
    with pytest.raises(WeightsError, match=r"'resnet34': 80 of 185 tensors missing"):
        build_backbone(resolve_backbone(config), seed=0)


def test_auto_without_network_or_cache_is_refused_with_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("[Errno 101] Network is unreachable")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    with pytest.raises(WeightsError) as caught:
        resolve_backbone(ModelConfig())
    message = str(caught.value)
    assert "'resnet50' (timm/resnet50.a1_in1k) are not on this machine" in message
    for remedy in ("--weights PATH", str(tmp_path / "hub"), "--weights none"):
        assert remedy in message


def test_auto_takes_the_cached_weights_of_the_backbone_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = write_folder(tmp_path / "weights", "mobilenetv2_035", args={})
    path = tmp_path / "weights" / "model.safetensors"
    asked: list[tuple[str, str]] = []

    def cached(repository: str, file_name: str) -> str:
        asked.append((repository, file_name))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    hub = {"hf_hub_id": "timm/mobilenetv2_035.made_up", "classifier": "classifier"}
    for module in ("backbones", "published"):
        monkeypatch.setattr(f"fieldmark.models.{module}.known_of", lambda _: hub)
    config = ModelConfig(backbone="mobilenetv2_035")
    spec = resolve_backbone(config)
    assert asked == [("timm/mobilenetv2_035.made_up", "model.safetensors")]
    assert spec.weights is not None
    assert spec.weights.source == "pretrained weights timm/mobilenetv2_035.made_up"
    assert_loaded(config, tensors, head="classifier.")


def test_a_backbone_without_published_weights_is_refused_for_auto() -> None:
    unpublished = next(
        name
        for name in timm.list_models("vgg*") + timm.list_models("mobilenetv2*")
        if not timm.models.get_pretrained_cfg(name).hf_hub_id
    )
    with pytest.raises(WeightsError, match=rf"no pretrained weights for '{unpublished}'.*none"):
        resolve_backbone(ModelConfig(backbone=unpublished))


@pytest.mark.parametrize("weights", ["auto", "none", "folder", "file"])
def test_an_unknown_backbone_is_refused_with_the_nearest_spelling(
    weights: str, tmp_path: Path
) -> None:
    save_file({}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "mobilnetv2_100"}')
    places = {"folder": str(tmp_path), "file": str(tmp_path / "model.safetensors")}
    config = ModelConfig(backbone="mobilnetv2_100", weights=places.get(weights, weights))
    with pytest.raises((RecipeError, WeightsError), match="Did you mean 'mobilenetv2_100'"):
        resolve_backbone(config)


def test_an_unknown_tag_is_refused_with_those_that_there_are() -> None:
    config = ModelConfig(backbone="resnet18.a1_in2k", weights="none")
    with pytest.raises(RecipeError, match=r"Did you mean 'resnet18\.a1_in1k'.*resnet18 alone"):
        resolve_backbone(config)


def test_random_weights_are_seeded_and_leave_the_global_state_alone() -> None:
    spec = resolve_backbone(ModelConfig(backbone="resnet18", backbone_args=NARROW, weights="none"))
    assert spec.weights is None
    before = torch.get_rng_state()
    built = [build_backbone(spec, seed=seed).state_dict() for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(built[0][name], built[1][name]) for name in built[0])
    first = "backbone.conv1.weight"
    assert not torch.equal(built[0][first], built[2][first])


def test_the_default_backbone_is_resnet50() -> None:
    spec = resolve_backbone(ModelConfig(weights="none"))
    assert (spec.name, spec.size_px) == ("resnet50", 224)
    assert spec.reasons == {"model.backbone": "the default"}
    asked = resolve_backbone(ModelConfig(backbone="resnet50", weights="none"))
    assert not asked.reasons


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"widths": [1, 2]}, "unexpected keyword argument 'widths'"),
        ({"layers": "x"}, r"model\.backbone_args \{'layers': 'x'\}"),
        ({"channels": [-8, 8, 16, 16]}, "negative dimension"),
    ],
)
def test_arguments_that_the_backbone_refuses_are_told(args: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        create_extractor("resnet18", args=args, stages=0, power=1.0)


def test_stages_of_a_backbone_that_does_not_give_them_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: torch.nn.Flatten())
    assert create_extractor("resnet18", args={}, stages=0, power=1.0)
    with pytest.raises(RecipeError, match=r"stages' outputs; set model\.stages to 0"):
        create_extractor("resnet18", args={}, stages=1, power=1.0)


def test_a_failed_build_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RecipeError):
        create_extractor("resnet18", args={"widths": 1}, stages=0, power=1.0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["num_classes", "in_chans", "pretrained", "checkpoint_path"])
def test_arguments_that_are_settled_elsewhere_are_refused_by_name(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"model\.backbone_args\.{name} is not allowed"):
        ModelConfig(backbone_args={name: 1})
    with pytest.raises(RecipeError, match=rf"model\.backbone_args\.{name} is not allowed"):
        create_extractor("resnet18", args={name: 1}, stages=0, power=1.0)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"head": "mlp"}, "model.head is 'mlp'; allowed: linear, flatten, cosine"),
        ({"precision": "float16"}, "model.precision is 'float16'; allowed: auto, float32, bf"),
        ({"stages": 4}, "model.stages is 4"),
        ({"stages": -1}, "model.stages is -1"),
        ({"feature_power": 0.0}, "model.feature_power is 0.0"),
        ({"feature_power": 1.5}, "model.feature_power is 1.5"),
        ({"feature_power": float("nan")}, "model.feature_power is nan"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=key):
        ModelConfig(**values)


def test_pooled_stages_beside_unpooled_maps_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"'flatten' .* model\.stages 2 .*Set model\.stages to 0"):
        ModelConfig(head="flatten", stages=2)
    for head in ("linear", "cosine"):
        assert ModelConfig(head=head, stages=2).stages == 2


@pytest.mark.parametrize(("head", "is_flat"), [("linear", False), ("flatten", True)])
def test_weights_load_into_a_network_without_its_pooling(
    head: str, is_flat: bool, tmp_path: Path
) -> None:
    tensors = write_folder(tmp_path / "weights", "resnet18", args={**NARROW, "global_pool": "avg"})
    config = ModelConfig(weights=str(tmp_path / "weights"), head=head)
    assert_loaded(config, tensors, head="fc.")
    extractor = build_backbone(resolve_backbone(config), seed=0)
    assert extractor.flatten is is_flat
    with torch.no_grad():
        assert extractor.backbone(torch.zeros(1, 3, 64, 64)).ndim == (4 if is_flat else 2)


def test_a_backbone_that_must_pool_is_refused_with_the_setting_that_asked() -> None:
    with pytest.raises(RecipeError, match=r"without its pooling, as model\.head 'flatten' asks"):
        create_extractor(
            "deit_tiny_distilled_patch16_224",
            args={"depth": 1, "embed_dim": 12, "num_heads": 1},
            stages=0,
            power=1.0,
            flatten=True,
        )
