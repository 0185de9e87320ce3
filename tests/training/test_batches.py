"""What an epoch's batches are follows from seed, epoch and step, wherever one begins to read."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import Preprocess
from fieldmark.training.batches import Batch, Batches, Photos, Pictures, num_steps
from fieldmark.training.config import TrainConfig

AS_IS = AugmentConfig(policy="none")
CHANGED = AugmentConfig(policy="standard", erase=0.5, mixup=0.5, cutmix=0.5)
PREPROCESS = Preprocess(size_px=32, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.1))
MakeBatches = Callable[..., Batches]


@pytest.fixture
def make_batches(
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
    of_rows: Callable[..., Photos],
) -> MakeBatches:
    """Return a function that makes batches of some of 40 photos, every other one by default."""
    photos = make_photos(40, noise=80.0)

    def make(
        *,
        rows: Sequence[int] = range(0, 40, 2),
        augmentation: AugmentConfig = AS_IS,
        labels: Sequence[int] | None = None,
        **config: Any,
    ) -> Batches:
        chosen = photos if labels is None else (photos[0], np.array(labels, dtype=np.int64))
        return Batches(
            of_rows(chosen, rows),
            preprocess=PREPROCESS,
            config=TrainConfig(**{"batch_size": 8, "seed": 5, **config}),
            augmentation=augmentation,
            num_classes=3,
            device=torch.device("cpu"),
        )

    return make


def same(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch)]
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def members(batches: Batches, epoch: int) -> list[int]:
    return [int(member) for batch in batches.epoch(epoch) for member in batch.members_N]


@given(num_photos=st.integers(1, 2000), batch_size=st.integers(2, 300))
def test_batches_are_shared_out_evenly_and_never_of_one(num_photos: int, batch_size: int) -> None:
    steps = num_steps(num_photos, batch_size=batch_size)
    sizes = [len(part) for part in np.array_split(np.arange(num_photos), steps)]
    assert sum(sizes) == num_photos
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2 or num_photos == 1
    # Only batches of two, of an odd number of photos, cannot be kept to.
    assert max(sizes) <= batch_size or (batch_size == 2 and num_photos % 2 == 1)
    assert steps <= -(-num_photos // batch_size)


def test_an_epoch_has_every_photo_of_the_split_once_and_no_other(
    make_batches: MakeBatches,
) -> None:
    batches = make_batches()
    epochs = [members(batches, number) for number in (1, 2)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert batches.num_photos == 20
    assert batches.num_steps == 3
    assert [len(batch.labels_N) for batch in batches.epoch(1)] == [7, 7, 6]


def test_unchanged_photos_are_the_normalised_pixels_of_their_rows(
    make_batches: MakeBatches,
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
) -> None:
    pixels, labels = make_photos(40, noise=80.0)
    for batch in make_batches().epoch(1):
        rows = 2 * batch.members_N
        expected_NHWC = (pixels[rows] / 255 - PREPROCESS.mean) / PREPROCESS.std
        found_NHWC = batch.images_NCHW.permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(found_NHWC, expected_NHWC, atol=1e-5)
        assert batch.images_NCHW.dtype == torch.float32
        assert batch.images_NCHW.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels_N.tolist() == labels[rows].tolist()
        assert torch.equal(batch.targets_NC, torch.eye(3)[batch.labels_N])


@pytest.mark.parametrize("augmentation", [AS_IS, CHANGED, AugmentConfig(policy="trivial")])
@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_can_begin_at_any_step(
    start: int, augmentation: AugmentConfig, make_batches: MakeBatches
) -> None:
    whole = list(make_batches(augmentation=augmentation).epoch(2))
    other = make_batches(augmentation=augmentation)
    list(other.epoch(1))
    torch.rand(11)
    rest = list(other.epoch(2, start=start))
    assert len(rest) == 3 - start
    assert all(same(one, two) for one, two in zip(rest, whole[start:], strict=True))


def test_batches_made_ahead_are_those_made_on_demand(make_batches: MakeBatches) -> None:
    on_demand = list(make_batches(augmentation=CHANGED).epoch(1))
    batches, threads = make_batches(augmentation=CHANGED), torch.get_num_threads()
    with batches.running():
        ahead = list(batches.epoch(1))
        left = next(batches.epoch(2))  # an epoch that nobody reads to its end
    assert all(same(one, two) for one, two in zip(ahead, on_demand, strict=True))
    assert len(left.labels_N) == 7
    assert torch.get_num_threads() == threads
    assert batches.waited_s > 0
    assert [len(batch.labels_N) for batch in batches.epoch(1)] == [7, 7, 6]


def test_an_error_in_the_thread_that_prepares_is_not_lost(
    make_batches: MakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room for a batch")

    batches = make_batches()
    with batches.running():
        epoch = batches.epoch(1)
        next(epoch)  # the second batch is being prepared
        monkeypatch.setattr(batches, "_changed", fail)
        with pytest.raises(MemoryError, match="no room"):
            list(epoch)


@pytest.mark.parametrize("wish", [{"seed": 6}, {"epoch": 2}])
def test_order_and_changes_depend_on_seed_and_epoch(
    wish: dict[str, int], make_batches: MakeBatches
) -> None:
    epoch = wish.pop("epoch", 1)
    one = make_batches(rows=[0] * 20, augmentation=CHANGED)
    other = make_batches(rows=[0] * 20, augmentation=CHANGED, **wish)
    first, second = next(one.epoch(1)), next(other.epoch(epoch))
    assert first.members_N.tolist() != second.members_N.tolist()
    # Though all photos are the same one, which leaves the changes alone to differ.
    assert not torch.equal(first.images_NCHW, second.images_NCHW)


def test_the_changes_of_a_step_are_not_those_of_the_next(make_batches: MakeBatches) -> None:
    batches = make_batches(rows=[0] * 16, augmentation=CHANGED)
    one, two = batches.epoch(1)
    assert not torch.equal(one.images_NCHW, two.images_NCHW)


def test_mixed_photos_have_shares_of_two_classes_and_keep_their_own_labels(
    make_batches: MakeBatches,
) -> None:
    mixed = make_batches(augmentation=AugmentConfig(policy="none", mixup=1.0))
    for batch, plain in zip(mixed.epoch(1), make_batches().epoch(1), strict=True):
        torch.testing.assert_close(batch.targets_NC.sum(1), torch.ones(len(batch.labels_N)))
        assert torch.equal(batch.labels_N, plain.labels_N)
        assert not torch.equal(batch.targets_NC, plain.targets_NC)
        # A blend lies between the photos, on the same scale.
        assert batch.images_NCHW.abs().max() <= plain.images_NCHW.abs().max() + 1e-4
        assert batch.images_NCHW.is_contiguous(memory_format=torch.channels_last)


def test_balanced_sampling_draws_every_class_equally_often(make_batches: MakeBatches) -> None:
    labels = [0] * 30 + [1] * 6 + [2] * 4
    asked: dict[str, Any] = {"rows": range(40), "labels": labels, "batch_size": 10}
    drawn = [np.array(labels)[members(make_batches(sampling="balanced", **asked), 1)]]
    drawn.append(np.array(labels)[members(make_batches(**asked), 1)])
    assert sorted(np.bincount(drawn[0])) == [13, 13, 14]
    assert np.bincount(drawn[1]).tolist() == [30, 6, 4]


# The picture of a batch


@pytest.mark.parametrize("augmentation", [CHANGED, AugmentConfig(policy="flip")])
def test_the_picture_shows_photos_of_the_first_batch_before_and_after(
    augmentation: AugmentConfig,
    make_batches: MakeBatches,
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
) -> None:
    batches = make_batches(augmentation=augmentation)
    before_NHWC, after_NHWC = batches.before_and_after(5)
    first = next(batches.epoch(1))
    pixels, _ = make_photos(40, noise=80.0)
    np.testing.assert_array_equal(before_NHWC, pixels[2 * first.members_N[:5]])
    assert after_NHWC.shape == before_NHWC.shape == (5, 32, 32, 3)
    assert after_NHWC.dtype == before_NHWC.dtype == np.uint8
    shown_NHWC = (first.images_NCHW[:5].permute(0, 2, 3, 1).numpy() * PREPROCESS.std) + np.array(
        PREPROCESS.mean
    )
    np.testing.assert_allclose(after_NHWC, (255 * shown_NHWC).clip(0, 255), atol=0.51)
    assert not np.array_equal(after_NHWC, before_NHWC)


def test_the_picture_has_no_more_photos_than_the_batch(make_batches: MakeBatches) -> None:
    before_NHWC, after_NHWC = make_batches(rows=[1, 2, 3]).before_and_after(10)
    assert len(before_NHWC) == len(after_NHWC) == 3
    np.testing.assert_array_equal(before_NHWC, after_NHWC)


# All photos of a run


def test_a_split_is_its_rows_and_their_labels_and_names() -> None:
    pixels_MHWC = np.zeros((5, 2, 2, 3), np.uint8)
    rows = {"train": np.array([0, 3]), "validation": np.array([], dtype=np.int64)}
    pictures = Pictures(
        pixels_MHWC=pixels_MHWC,
        labels_M=np.array([4, 5, 6, 7, 8]),
        rows=rows,
        paths=["a.png", "b.png", "c.png", "d.png", "e.png"],
    )
    photos = pictures.of_split("train")
    assert (photos.rows_N.tolist(), photos.labels_N.tolist()) == ([0, 3], [4, 7])
    assert photos.pixels_MHWC is pixels_MHWC
    assert photos.paths == ["a.png", "d.png"]
    assert len(pictures.of_split("validation").labels_N) == 0
    nameless = Pictures(pixels_MHWC=pixels_MHWC, labels_M=pictures.labels_M, rows=rows)
    assert nameless.of_split("train").paths == ()
