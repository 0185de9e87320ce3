"""A photo's logits are its own: whoever stands beside it, on whatever arithmetic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.executor import Executor, SerialExecutor, ThreadExecutor
from fieldmark.data.preprocess import Preprocess
from fieldmark.data.views import NUM_VIEWS
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import (
    BATCH_CPU,
    Predictor,
    choose_device,
)

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]
MakePixels = Callable[..., NDArray[np.uint8]]

NETWORKS: list[dict[str, Any]] = [
    {},
    {"stages": 3, "power": 0.5},
    {"precision": "bfloat16"},
    {"head": "flatten"},
    {"head": "cosine", "views": 8},
    {"name": "mobilenetv2_050", "args": {}, "stages": 3, "power": 0.5},
    {
        "name": "vit_tiny_patch16_224",
        "args": {"img_size": 32, "depth": 2, "embed_dim": 24, "num_heads": 2},
    },
]


@pytest.mark.parametrize("wishes", NETWORKS)
def test_logits_do_not_depend_on_neighbours_or_on_the_number_of_photos(
    wishes: dict[str, Any], make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor = Predictor(make_classifier(**wishes), device=CPU)
    pixels_MHWC = make_pixels(2 * BATCH_CPU + 3)
    together_MC = predictor.logits(pixels_MHWC)
    assert len(np.unique(together_MC, axis=0)) == len(pixels_MHWC)
    for count in (1, 2, BATCH_CPU - 1, BATCH_CPU, BATCH_CPU + 1):
        np.testing.assert_array_equal(
            predictor.logits(pixels_MHWC[:count]), together_MC[:count], strict=True
        )
    alone_MC = np.concatenate([predictor.logits(photo[None]) for photo in pixels_MHWC])
    np.testing.assert_array_equal(alone_MC, together_MC, strict=True)


@pytest.mark.parametrize("wishes", NETWORKS)
def test_rows_may_be_any_positions_in_any_order(
    wishes: dict[str, Any], make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor = Predictor(make_classifier(**wishes), device=CPU)
    pixels_MHWC = make_pixels(20)
    rows_N = np.array([19, 3, 3, *range(10), 0], dtype=np.int64)
    np.testing.assert_array_equal(
        predictor.logits(pixels_MHWC, rows_N=rows_N), predictor.logits(pixels_MHWC)[rows_N]
    )


@pytest.mark.parametrize("executor", [SerialExecutor(), ThreadExecutor(1), ThreadExecutor(3)])
def test_logits_do_not_depend_on_how_the_batches_are_shared_out(
    executor: Executor, make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor = Predictor(make_classifier(stages=3, power=0.5), device=CPU)
    expected_MC = predictor.logits(make_pixels(40))
    predictor._executor = executor
    np.testing.assert_array_equal(predictor.logits(make_pixels(40)), expected_MC)


def test_the_number_of_threads_is_as_before_even_after_an_interruption(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    predictor = Predictor(make_classifier(), device=CPU)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        predictor.logits(make_pixels(20))
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyboardInterrupt):
            predictor.logits(make_pixels(20), on_batch=stop)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_only_the_rows_wanted_are_read(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor = Predictor(make_classifier(), device=CPU)
    pixels_MHWC = make_pixels(6)
    rows_N = np.array([1, 4])
    before_NC = predictor.logits(pixels_MHWC, rows_N=rows_N)
    pixels_MHWC[[0, 2, 3, 5]] = 0
    np.testing.assert_array_equal(predictor.logits(pixels_MHWC, rows_N=rows_N), before_NC)


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"stages": 3, "power": 0.5},
        {"name": "mobilenetv2_050", "args": {}},
        {"head": "flatten"},
        {"head": "cosine"},
    ],
)
def test_logits_are_those_of_the_network_in_evaluation_mode(
    wishes: dict[str, Any], make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier(**wishes)
    pixels_MHWC = make_pixels(5)
    images_NCHW = torch.from_numpy(pixels_MHWC).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected_NC = classifier.network.eval()(classifier.preprocess.normalise(images_NCHW))
    found_NC = Predictor(classifier, device=CPU).logits(pixels_MHWC)
    np.testing.assert_allclose(found_NC, expected_NC.numpy(), rtol=1e-3, atol=1e-4)


def test_the_classifier_is_left_as_it_was(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    classifier.network.train()
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    random_before = torch.get_rng_state()
    Predictor(classifier, device=CPU).logits(make_pixels(3))
    now = classifier.network.state_dict()
    assert before.keys() == now.keys()
    assert all(torch.equal(before[name], now[name]) for name in before)
    assert classifier.network.training
    assert torch.equal(torch.get_rng_state(), random_before)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("count", [0, 1, BATCH_CPU + 1])
def test_features_and_logits_are_float32_rows(
    count: int, precision: str, make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    """No photos at all give no rows, of the same width."""
    predictor = Predictor(make_classifier(stages=2, precision=precision), device=CPU)
    features_NF = predictor.features(make_pixels(count))
    assert features_NF.shape == (count, 16 + 16)
    assert features_NF.dtype == np.float32
    logits_NC = predictor.logits(make_pixels(count))
    assert logits_NC.shape == (count, 3)
    assert logits_NC.dtype == np.float32
    assert np.isfinite(logits_NC).all()


def test_no_rows_of_many_photos_give_no_features(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor = Predictor(make_classifier(), device=CPU)
    rows_N = np.array([], dtype=np.int64)
    assert predictor.features(make_pixels(3), rows_N=rows_N).shape == (0, 16)


def test_bfloat16_comes_close_to_float32(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    exact_NF, rounded_NF = (
        Predictor(make_classifier(precision=precision), device=CPU).features(make_pixels(8))
        for precision in ("float32", "bfloat16")
    )
    assert not np.array_equal(exact_NF, rounded_NF)
    # bfloat16 keeps 8 bits, so each step rounds by up to 1 part in 256, and errors partly cancel.
    assert np.linalg.norm(rounded_NF - exact_NF) < 0.03 * np.linalg.norm(exact_NF)


def test_logits_of_features_are_the_heads_own_sums(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    predictor = Predictor(classifier, device=CPU)
    features_NF = predictor.features(make_pixels(9))
    head = classifier.network.head
    weight_CF, bias_C = head.weight.detach().double().numpy(), head.bias.detach().double().numpy()
    expected_NC = (features_NF.astype(np.float64) @ weight_CF.T + bias_C).astype(np.float32)
    np.testing.assert_array_equal(predictor.logits_of_features(features_NF), expected_NC)
    np.testing.assert_array_equal(predictor.logits(make_pixels(9)), expected_NC)


def test_a_head_set_later_is_the_one_used(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    classifier = make_classifier()
    predictor = Predictor(classifier, device=CPU)
    with torch.no_grad():
        classifier.network.head.weight.zero_()
        classifier.network.head.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    assert predictor.logits(make_pixels(2)).tolist() == [[1, 2, 3], [1, 2, 3]]


def test_the_number_of_photos_done_is_told_batch_by_batch(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    done: list[int] = []
    predictor = Predictor(make_classifier(), device=CPU)
    predictor.logits(make_pixels(2 * BATCH_CPU + 1), on_batch=done.append)
    assert done == [BATCH_CPU, BATCH_CPU, 1]


def test_pixels_may_lie_in_a_file_that_cannot_be_written(
    make_classifier: MakeClassifier, make_pixels: MakePixels, tmp_path: Path
) -> None:
    pixels_MHWC = make_pixels(9)
    pixels_MHWC.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", dtype=np.uint8, mode="r", shape=pixels_MHWC.shape)
    predictor = Predictor(make_classifier(), device=CPU)
    np.testing.assert_array_equal(predictor.logits(mapped), predictor.logits(pixels_MHWC))


def test_preprocessing_is_the_classifiers_own(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    plain, shifted = (
        Predictor(
            make_classifier(preprocess=Preprocess(size_px=32, mean=(mean, 0.5, 0.5))), device=CPU
        ).features(make_pixels(2))
        for mean in (0.5, 0.6)
    )
    assert not np.allclose(plain, shifted)


@pytest.mark.parametrize("wishes", [{}, {"stages": 3, "power": 0.5}, {"head": "flatten"}])
@pytest.mark.parametrize("num_views", NUM_VIEWS)
def test_features_are_the_mean_over_the_views(
    num_views: int,
    wishes: dict[str, Any],
    make_classifier: MakeClassifier,
    make_pixels: MakePixels,
) -> None:
    """Photos turned and mirrored by NumPy, as the oracle."""
    pixels_NHWC = make_pixels(5)
    once = Predictor(make_classifier(**wishes), device=CPU)
    mirrored, upside_down, turned = (
        pixels_NHWC[:, :, ::-1],
        pixels_NHWC[:, ::-1],
        pixels_NHWC.transpose(0, 2, 1, 3),
    )
    seen = [pixels_NHWC, mirrored, upside_down, mirrored[:, ::-1]]
    seen += [turned, turned[:, :, ::-1], turned[:, ::-1], turned[:, ::-1, ::-1]]
    each_VNF = np.stack([once.features(view.copy()) for view in seen[:num_views]])
    assert len(np.unique(each_VNF, axis=0)) == num_views
    predictor = Predictor(make_classifier(views=num_views, **wishes), device=CPU)
    np.testing.assert_allclose(
        predictor.features(pixels_NHWC), each_VNF.mean(axis=0), rtol=1e-5, atol=1e-6
    )


def test_of_a_dense_head_the_logits_are_the_mean_of_the_views_logits(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    pixels_NHWC = make_pixels(5)
    once = Predictor(make_classifier(), device=CPU)
    seen = (pixels_NHWC, pixels_NHWC[:, :, ::-1].copy())
    expected_NC = np.mean([once.logits(view) for view in seen], axis=0)
    found_NC = Predictor(make_classifier(views=2), device=CPU).logits(pixels_NHWC)
    np.testing.assert_allclose(found_NC, expected_NC, rtol=1e-4, atol=1e-5)


def test_of_a_cosine_head_views_are_weighted_by_their_length_and_ranked_alike(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    pixels_NHWC = make_pixels(5)
    once = Predictor(make_classifier(head="cosine"), device=CPU)
    seen = (pixels_NHWC, pixels_NHWC[:, :, ::-1].copy())
    lengths_VN1 = np.stack([np.linalg.norm(once.features(v), axis=1)[:, None] for v in seen])
    logits_VNC = np.stack([once.logits(view) for view in seen])
    expected_NC = (lengths_VN1 * logits_VNC).sum(axis=0)
    found_NC = Predictor(make_classifier(head="cosine", views=2), device=CPU).logits(pixels_NHWC)
    ratios_NC = found_NC / expected_NC
    assert (ratios_NC > 0).all()
    np.testing.assert_allclose(ratios_NC, ratios_NC[:, :1].repeat(3, axis=1), rtol=1e-3)


def test_batches_come_as_they_are_done_and_may_be_left_early(
    make_classifier: MakeClassifier, make_pixels: MakePixels
) -> None:
    predictor, pixels_MHWC = Predictor(make_classifier(), device=CPU), make_pixels(20)
    before = torch.get_num_threads()
    batches = predictor.batches_of_features(pixels_MHWC)
    first_NF = next(batches)
    batches.close()
    assert torch.get_num_threads() == before
    np.testing.assert_array_equal(first_NF, predictor.features(pixels_MHWC)[:BATCH_CPU])
    sizes = [len(rows) for rows in predictor.batches_of_features(pixels_MHWC)]
    assert sizes == [8, 8, 4]


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_gpu_is_taken_where_there_is_one(
    available: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device().type == kind
