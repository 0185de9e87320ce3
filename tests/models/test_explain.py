"""Evidence for a class, place by place: what it adds up to, beside other ways to compute it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.errors import RunError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.views import views
from fieldmark.models.attention import likeness
from fieldmark.models.classifier import Architecture, Classifier, Network
from fieldmark.models.explain import Explainer, _undo_view, randomised
from fieldmark.models.extractor import FeatureExtractor

CPU = torch.device("cpu")
Make = Callable[..., Classifier]
Scramble = Callable[[nn.Module], None]
MakePixels = Callable[..., NDArray[np.uint8]]
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}


@pytest.fixture
def make(make_classifier: Make, scramble: Scramble) -> Make:
    """Return a function that builds classifiers whose every layer matters."""

    def build(**asked: Any) -> Classifier:
        classifier = make_classifier(**{"size_px": 64, **asked})
        scramble(classifier.network.extractor)
        classifier.network.eval()
        return classifier

    return build


def logits_of(classifier: Classifier, pixels_SSC: NDArray[np.uint8]) -> NDArray[np.float32]:
    photo = torch.from_numpy(pixels_SSC).permute(2, 0, 1)[None]
    network, num_views = classifier.network, classifier.architecture.views
    with torch.no_grad():
        normalised = classifier.preprocess.normalise(photo)
        features = [network.extractor(view) for view in views(normalised, num_views)]
        logits: NDArray[np.float32] = network.head(torch.stack(features).mean(0))[0].numpy()
    return logits


class Brightness(nn.Module):
    """Two maps: what is brighter than black, and that times minus two. Then their means."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([[1.0, 1, 1], [-2, -2, -2]])[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        means: Tensor = self.maps(images).mean((2, 3))
        return means


def test_of_a_network_in_three_lines_the_map_is_the_one_computed_by_hand() -> None:
    network = Network(
        FeatureExtractor(Brightness(), stages=0, power=1.0), num_features=2, num_classes=2
    )
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))
    classifier = Classifier(
        network=network,
        architecture=Architecture(
            backbone="", backbone_args={}, stages=0, feature_power=1.0, precision="float32"
        ),
        preprocess=Preprocess(size_px=8),
        classes=("bright", "dark"),
    )
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[2, 5] = 255
    bright, dark = Explainer(classifier, device=CPU).maps(pixels, classes=[0, 1])
    # A white pixel is 3 in the first map and -6 in the second: 1 * 3, and 3 * 3 + 2 * -6.
    assert bright[2, 5] == pytest.approx(3)
    assert dark[2, 5] == pytest.approx(-3)
    assert np.count_nonzero(bright) == np.count_nonzero(dark) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"size_px": 128},
        {"size_px": 128, "views": 2},
        {"views": 8},
        {"size_px": 128, "stages": 3},
        {"head": "flatten"},
        {"head": "flatten", "size_px": 128, "views": 4},
        {"name": "keras_resnet50", "args": {"blocks": (1, 1), "widths": (4, 4)}},
        {"name": "plain18"},
    ],
    ids=str,
)
def test_the_mean_of_a_map_is_the_logit_less_the_bias(
    make: Make, make_pixels: MakePixels, asked: dict[str, Any]
) -> None:
    """Exact where what follows the layer is linear; here ReLUs follow, which are so by pieces."""
    classifier = make(**asked)
    # Without shifts behind the layer, a network of ReLUs is homogeneous: gradient times input is
    # the output.
    for module in classifier.network.extractor.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.zero_()
            module.bias.data.zero_()
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.bias.data.zero_()
    (pixels,) = make_pixels(1, size_px=classifier.preprocess.size_px)
    maps = Explainer(classifier, device=CPU).maps(pixels, classes=[0, 1, 2])
    bias = classifier.network.head.bias.detach().numpy()
    expected = logits_of(classifier, pixels) - bias
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(maps.mean((1, 2)), expected, rtol=2e-4, atol=1e-4)


def grad_cam(
    classifier: Classifier, pixels_SSC: NDArray[np.uint8], *, layer: str, label: int
) -> NDArray[np.float32]:
    """Return what captum makes of Selvaraju et al. 2017, equations 1 and 2, without the ReLU."""
    network = classifier.network
    photo = classifier.preprocess.normalise(torch.from_numpy(pixels_SSC).permute(2, 0, 1)[None])
    peer = LayerGradCam(network, network.extractor.backbone.get_submodule(layer))
    found: NDArray[np.float32] = peer.attribute(photo, target=label)[0, 0].detach().numpy()
    return found


@pytest.mark.parametrize("head", ["linear", "cosine"])
@pytest.mark.parametrize(
    ("name", "args", "layer"),
    [
        ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, "layer4"),
        ("mobilenetv3_small_050", {}, "blocks"),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}, "norm_pre"),
    ],
)
def test_behind_average_pooling_it_is_the_grad_cam_of_captum_times_the_number_of_places(
    make: Make, make_pixels: MakePixels, name: str, args: dict[str, Any], layer: str, head: str
) -> None:
    classifier = make(name=name, args=args, head=head, size_px=128)
    (pixels,) = make_pixels(1, size_px=128)
    explainer = Explainer(classifier, device=CPU)
    (found,) = explainer.maps(pixels, classes=[1])
    expected = 16 * grad_cam(classifier, pixels, layer=layer, label=1)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_maps_of_a_flatten_head_are_weights_times_maps_place_by_place(
    make: Make, make_pixels: MakePixels
) -> None:
    classifier = make(head="flatten", size_px=128)
    (pixels,) = make_pixels(1, size_px=128)
    (found,) = Explainer(classifier, device=CPU).maps(pixels, classes=[2])
    photo = classifier.preprocess.normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    with torch.no_grad():
        maps = classifier.network.extractor.backbone(photo)[0]
        weights = classifier.network.head.weight[2].reshape(maps.shape)
    expected = 16 * (weights * maps).sum(0).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_views", [2, 4, 8])
def test_what_is_the_same_in_all_views_is_explained_the_same(
    make: Make, make_pixels: MakePixels, num_views: int
) -> None:
    """The mirror image of a photo has the mirror image of its map: both are views of the other."""
    explainer = Explainer(make(size_px=128, views=num_views), device=CPU)
    (pixels,) = make_pixels(1, size_px=128)
    (found,) = explainer.maps(pixels, classes=[0])
    (mirrored,) = explainer.maps(pixels[:, ::-1].copy(), classes=[0])
    np.testing.assert_allclose(mirrored[:, ::-1], found, rtol=1e-3, atol=1e-4)
    assert not np.allclose(found, found[:, ::-1], rtol=1e-2, atol=1e-3)


def test_a_view_turned_back_lies_as_the_photo_does() -> None:
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    for index, view in enumerate(views(picture, 8)):
        torch.testing.assert_close(_undo_view(view[0], index), picture[0])


@pytest.mark.parametrize("stages", [0, 1])
@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_vision_transformer_tells_places_apart(
    make: Make, make_pixels: MakePixels, pool: str, stages: int
) -> None:
    args = {**VIT, "global_pool": pool}
    classifier = make(name="vit_tiny_patch16_224", args=args, stages=stages, size_px=32)
    explainer = Explainer(classifier, device=CPU)
    names = [layer.name for layer in explainer.layers]
    assert ("norm" in names) == (pool == "avg")
    assert ("blocks.2.norm1" in names) == (pool == "token")
    (pixels,) = make_pixels(1, size_px=32)
    maps = explainer.maps(pixels, classes=[0, 1])
    assert maps.shape == (2, 4, 4)
    assert np.ptp(maps[0]) > 0


def test_features_of_exactly_zero_under_a_power_leave_the_map_finite(
    make: Make, make_pixels: MakePixels
) -> None:
    classifier = make(size_px=128, stages=2, power=0.5)
    last = classifier.network.extractor.backbone.get_submodule("layer4.0.bn2")
    assert isinstance(last, nn.BatchNorm2d)
    with torch.no_grad():
        last.weight[:8] = 0
        last.bias[:8] = -100.0
    (pixels,) = make_pixels(1, size_px=128)
    photo = classifier.preprocess.normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    with torch.no_grad():
        assert (classifier.network.extractor(photo) == 0).any()
    assert np.isfinite(Explainer(classifier, device=CPU).maps(pixels, classes=[0])).all()


def test_random_weights_change_the_map(make: Make, make_pixels: MakePixels) -> None:
    """The sanity check of Adebayo et al. 2018: else the map would not show what was learned."""
    classifier = make(size_px=256)
    explainer, found = Explainer(classifier, device=CPU), []
    for seed in range(4):
        blind = Explainer(randomised(classifier, seed=seed), device=CPU)
        for pixels in make_pixels(2, size_px=256):
            (here,) = explainer.maps(pixels, classes=[0])
            (there,) = blind.maps(pixels, classes=[0])
            found.append(likeness(here, there))
    assert abs(np.mean(found)) < 0.3
    assert max(found) < 0.9


def test_random_weights_are_those_of_the_seed_and_of_the_same_architecture(make: Make) -> None:
    classifier = make(head="cosine")
    one, same, other = (randomised(classifier, seed=seed) for seed in (1, 1, 2))
    assert one.architecture == classifier.architecture
    weights = [each.network.state_dict()["head.weight"] for each in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_classifier_is_not_changed(make: Make, make_pixels: MakePixels) -> None:
    classifier = make()
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    explainer = Explainer(classifier, device=CPU)
    (pixels,) = make_pixels(1, size_px=64)
    first = explainer.maps(pixels, classes=[0])
    np.testing.assert_array_equal(explainer.maps(pixels, classes=[0]), first)
    after = classifier.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in classifier.network.parameters())


def test_photos_may_be_explained_in_several_threads_at_once(
    make: Make, make_pixels: MakePixels
) -> None:
    explainer = Explainer(make(views=2), device=CPU)
    photos = list(make_pixels(12, size_px=64))
    one_by_one = [explainer.maps(pixels, classes=[0, 2]) for pixels in photos]
    at_once = ThreadExecutor(4).map(lambda pixels: explainer.maps(pixels, classes=[0, 2]), photos)
    for found, expected in zip(at_once, one_by_one, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_network_whose_head_hears_no_place_is_refused(make: Make) -> None:
    classifier = make()
    with torch.no_grad():
        classifier.network.head.weight.zero_()
    with pytest.raises(RunError, match="No place of a photo reaches"):
        Explainer(classifier, device=CPU)
