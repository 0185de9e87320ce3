"""Features are computed once, whatever happens to the cache."""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.cache import cache_folder
from fieldmark.models import features as module
from fieldmark.models.classifier import Classifier
from fieldmark.models.features import (
    CachedFeatures,
    FeatureCache,
    features_key,
)
from fieldmark.models.inference import BATCH_CPU, Predictor

CPU = torch.device("cpu")
KEY = "0" * 32
MakePixels = Callable[..., NDArray[np.uint8]]


class Counting(Predictor):
    """A predictor that remembers which photos it was asked to run."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier, device=CPU)
        self.asked: list[list[int]] = []

    def batches_of_features(
        self, pixels_MHWC: NDArray[np.uint8], *, rows_N: NDArray[np.int64] | None = None
    ) -> Generator[NDArray[np.float32]]:
        self.asked.append(list(range(len(pixels_MHWC))) if rows_N is None else rows_N.tolist())
        return super().batches_of_features(pixels_MHWC, rows_N=rows_N)


@pytest.fixture
def predictor(make_classifier: Callable[..., Classifier]) -> Counting:
    return Counting(make_classifier())


def look_up(
    predictor: Predictor, pixels: NDArray[np.uint8], *, key: str = KEY
) -> tuple[CachedFeatures, int]:
    """Return the features, and how many photos were reported done."""
    done: list[int] = []
    cached = FeatureCache(key).features(
        predictor,
        pixels,
        sha256s=[hashlib.sha256(photo.tobytes()).hexdigest() for photo in pixels],
        on_batch=done.append,
    )
    return cached, sum(done)


def the_file(key: str = KEY) -> Path:
    return cache_folder() / "features" / f"{key}.safetensors"


def test_the_first_call_computes_all_and_the_second_none(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    first, first_done = look_up(predictor, make_pixels(11))
    again, again_done = look_up(predictor, make_pixels(11))
    assert predictor.asked == [list(range(11))]
    assert (first.num_reused, again.num_reused) == (0, 11)
    assert first_done == again_done == 11
    np.testing.assert_array_equal(first.features_NF, again.features_NF, strict=True)
    assert first.features_NF.dtype == np.float32
    np.testing.assert_array_equal(first.features_NF, predictor.features(make_pixels(11)))


def test_only_a_new_photo_is_computed_wherever_it_stands(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(6)
    look_up(predictor, pixels[[0, 1, 3, 4]])
    grown, done = look_up(predictor, pixels)
    assert predictor.asked == [[0, 1, 2, 3], [2, 5]]
    assert (grown.num_reused, done) == (4, 6)
    np.testing.assert_array_equal(grown.features_NF, predictor.features(pixels))


def test_photos_that_went_are_still_known_when_they_come_back(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(6)
    for rows in ([0, 1, 2, 3], [2, 3, 4], [0, 1, 4]):
        look_up(predictor, pixels[rows])
    assert predictor.asked == [[0, 1, 2, 3], [2]]


def test_the_order_of_the_photos_is_the_callers(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(5)
    expected = predictor.features(pixels)
    look_up(predictor, pixels)
    for order in ([4, 2, 0, 1, 3], [1, 1, 3]):
        cached, _ = look_up(predictor, pixels[order])
        np.testing.assert_array_equal(cached.features_NF, expected[order])


def test_copies_of_a_photo_have_the_same_features(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(3)[[0, 1, 0, 2]]
    cached, done = look_up(predictor, pixels)
    np.testing.assert_array_equal(cached.features_NF, predictor.features(pixels))
    assert done == 4


def test_no_photos_have_no_features(predictor: Counting, make_pixels: MakePixels) -> None:
    cached, _ = look_up(predictor, make_pixels(0))
    assert cached.features_NF.shape == (0, 16)
    assert not the_file().exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "pickle", "other", "unsigned"])
def test_a_damaged_cache_is_computed_anew_and_repaired(
    damage: str, predictor: Counting, make_pixels: MakePixels
) -> None:
    from safetensors.numpy import save

    expected, _ = look_up(predictor, make_pixels(4))
    content = the_file().read_bytes()
    flipped = bytearray(content)
    flipped[-1] ^= 0x40  # in the middle of the numbers, where no format would notice
    zeros = np.zeros((4, 16), dtype=np.float32)
    damaged = {
        "empty": b"",
        "cut": content[:-5],
        "flipped": bytes(flipped),
        "pickle": b"\x80\x04N.",
        "other": save({"features": zeros}),
        "unsigned": save({"features": zeros, "sha256": np.zeros((4, 32), dtype=np.uint8)}),
    }
    the_file().write_bytes(damaged[damage])
    again, done = look_up(predictor, make_pixels(4))
    assert (again.num_reused, done) == (0, 4)
    np.testing.assert_array_equal(again.features_NF, expected.features_NF)
    assert the_file().read_bytes() == content


def test_a_cache_that_cannot_be_written_is_done_without(
    predictor: Counting,
    make_pixels: MakePixels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "file" / "cache"))
    first, _ = look_up(predictor, make_pixels(3))
    again, _ = look_up(predictor, make_pixels(3))
    assert again.num_reused == 0
    np.testing.assert_array_equal(first.features_NF, again.features_NF)


def test_a_full_disk_costs_only_the_cache(
    predictor: Counting, make_pixels: MakePixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_bytes", full)
    cached, _ = look_up(predictor, make_pixels(3))
    np.testing.assert_array_equal(cached.features_NF, predictor.features(make_pixels(3)))


def test_another_key_is_another_cache(predictor: Counting, make_pixels: MakePixels) -> None:
    look_up(predictor, make_pixels(3))
    other, _ = look_up(predictor, make_pixels(3), key="1" * 32)
    assert other.num_reused == 0
    assert the_file().exists()
    assert the_file("1" * 32).exists()


def test_the_key_names_everything_that_the_features_depend_on(
    make_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_classifier()

    def key(classifier: Classifier = plain, *, weights_sha256: str = "w") -> str:
        return features_key(classifier, weights_sha256=weights_sha256, device=CPU)

    def with_architecture(**changes: Any) -> str:
        return key(replace(plain, architecture=replace(plain.architecture, **changes)))

    def with_preprocess(**changes: Any) -> str:
        return key(replace(plain, preprocess=replace(plain.preprocess, **changes)))

    keys = [
        key(),
        key(weights_sha256="v"),
        with_architecture(backbone="resnet34"),
        with_architecture(backbone_args={}),
        with_architecture(stages=1),
        with_architecture(feature_power=0.5),
        with_architecture(precision="bfloat16"),
        with_architecture(head="flatten"),
        with_architecture(views=2),
        with_preprocess(size_px=64),
        with_preprocess(resize="pad"),
        with_preprocess(interpolation="bicubic"),
        with_preprocess(prescale_px=16),
        with_preprocess(orientation="stored"),
        with_preprocess(mean=(0.5, 0.5, 0.4)),
        with_preprocess(std=(0.25, 0.25, 0.2)),
    ]
    monkeypatch.setattr(module, "version", lambda name: f"another {name}")
    keys.append(key())
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another processor")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in keys)


def test_the_key_does_not_depend_on_the_head_or_the_classes(
    make_classifier: Callable[..., Classifier],
) -> None:
    keys = {
        features_key(make_classifier(classes=classes, head=head), weights_sha256="w", device=CPU)
        for classes in (("a", "b"), ("a", "b", "c"))
        for head in ("linear", "cosine")
    }
    assert len(keys) == 1


def test_pixels_are_taken_from_where_they_lie_and_not_missed_for_known_photos(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(4)
    sha256s = [f"{index:064x}" for index in range(4)]
    first = FeatureCache(KEY)
    first.features(predictor, pixels[:2], sha256s=sha256s[:2], on_batch=lambda _: None)
    assert first.known == frozenset(sha256s[:2])
    cache = FeatureCache(KEY)
    assert sha256s[0] in cache
    assert sha256s[2] not in cache
    only_new = pixels[[3, 2]]
    found = cache.features(
        predictor,
        only_new,
        sha256s=sha256s,
        rows_N=np.array([-1, -1, 1, 0]),
        on_batch=lambda _: None,
    )
    assert predictor.asked == [[0, 1], [1, 0]]
    np.testing.assert_array_equal(found.features_NF, predictor.features(pixels))


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def compute(
    predictor: Predictor,
    pixels: NDArray[np.uint8],
    *,
    on_batch: Callable[[int], None],
    clock: Clock | None = None,
) -> CachedFeatures:
    """Compute the features of photos whose digests are their positions."""
    sha256s = [f"{index:064x}" for index in range(len(pixels))]
    cache = FeatureCache(KEY, clock=clock or Clock())
    return cache.features(predictor, pixels, sha256s=sha256s, on_batch=on_batch)


def kept() -> int:
    """Return how many photos a process that starts now finds in the cache."""
    return len(FeatureCache(KEY).known)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_what_was_computed_before_a_stop_is_kept_and_not_computed_again(
    stop: type[BaseException], predictor: Counting, make_pixels: MakePixels
) -> None:
    pixels = make_pixels(5 * BATCH_CPU)
    done: list[int] = []

    def stop_in_the_third_batch(count: int) -> None:
        done.append(count)
        if sum(done) == 3 * BATCH_CPU:
            raise stop

    threads_before = torch.get_num_threads()
    with pytest.raises(stop):
        compute(predictor, pixels, on_batch=stop_in_the_third_batch)
    assert torch.get_num_threads() == threads_before
    assert kept() == 3 * BATCH_CPU
    again = compute(predictor, pixels, on_batch=lambda _: None)
    assert again.num_reused == 3 * BATCH_CPU
    assert predictor.asked == [list(range(40)), list(range(24, 40))]
    np.testing.assert_array_equal(again.features_NF, predictor.features(pixels))


def test_a_stop_before_the_first_batch_leaves_the_cache_as_it_was(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute(predictor, make_pixels(20), on_batch=stop)
    assert not the_file().exists()


def test_what_is_new_is_written_every_half_minute_so_that_a_kill_costs_no_more(
    predictor: Counting, make_pixels: MakePixels
) -> None:
    clock = Clock()
    after_each_batch: list[int] = []

    def ten_seconds_a_batch(count: int) -> None:
        if count:
            after_each_batch.append(kept())
            clock.now_s += 10

    compute(predictor, make_pixels(8 * BATCH_CPU), on_batch=ten_seconds_a_batch, clock=clock)
    assert after_each_batch == [batch * BATCH_CPU for batch in (0, 0, 0, 3, 3, 3, 6, 6)]
    assert kept() == 8 * BATCH_CPU


def test_a_cache_that_is_slow_to_write_is_written_less_often(
    predictor: Counting, make_pixels: MakePixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four seconds of writing in eighty are the twentieth part allowed."""
    clock = Clock()
    written_at_s: list[float] = []

    def slowly(_path: Path, _content: bytes) -> None:
        written_at_s.append(clock.now_s)
        clock.now_s += 4

    def ten_seconds_a_batch(count: int) -> None:
        clock.now_s += 10 if count else 0

    monkeypatch.setattr(module, "write_bytes", slowly)
    compute(predictor, make_pixels(14 * BATCH_CPU), on_batch=ten_seconds_a_batch, clock=clock)
    assert written_at_s == [30, 30 + 4 + 80, 114 + 4 + 30]
