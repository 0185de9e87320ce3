"""A classifier small enough to train in a second, and photos that it can learn to tell apart."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.allocation import UNTOUCHED
from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Architecture, Classifier, Network, new_classifier
from fieldmark.models.depth import depth_groups, freeze_below
from fieldmark.training.batches import Photos
from fieldmark.training.config import TrainConfig
from fieldmark.training.course import Course, Pace, Settled
from fieldmark.training.fit import Fitted, fit
from fieldmark.training.optim import OptimConfig

TINY_RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
COLOURS = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200)])


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's cache, and that of other tests, out of it."""
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handle memory as the system does, whatever a command in this process has asked for."""
    monkeypatch.setattr("fieldmark.base.allocation._in_force", [UNTOUCHED])


@pytest.fixture
def make_classifier() -> Callable[..., Classifier]:
    """Return a function that builds a tiny ResNet for three colours, the same each time."""

    def make(
        *,
        classes: tuple[str, ...] = ("red", "green", "blue"),
        precision: str = "float32",
        stages: int = 0,
        head: str = "linear",
        **args: Any,
    ) -> Classifier:
        args = {**TINY_RESNET, **args}
        architecture = Architecture(
            backbone="resnet18",
            backbone_args=args,
            stages=stages,
            feature_power=1.0,
            precision=precision,
            head=head,
        )
        return new_classifier(
            create_extractor(
                "resnet18", args=args, stages=stages, power=1.0, flatten=head == "flatten"
            ),
            architecture=architecture,
            preprocess=Preprocess(size_px=32, mean=(0.5,) * 3, std=(0.25,) * 3),
            classes=classes,
            generator=torch.Generator().manual_seed(0),
        )

    return make


@pytest.fixture
def make_photos() -> Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Return a function that draws noisy photos of three colours in turn, with their labels."""

    def make(
        num_photos: int, *, seed: int = 0, noise: float = 40.0
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        labels_N = np.arange(num_photos) % len(COLOURS)
        noise_NHWC = np.random.default_rng(seed).normal(0, noise, (num_photos, 32, 32, 3))
        pixels_NHWC = COLOURS[labels_N][:, None, None] + noise_NHWC
        return pixels_NHWC.clip(0, 255).astype(np.uint8), labels_N

    return make


@pytest.fixture
def of_rows() -> Callable[..., Photos]:
    """Return a function that makes a split of some of the photos, each with a name."""

    def make(photos: tuple[NDArray[np.uint8], NDArray[np.int64]], rows: Sequence[int]) -> Photos:
        rows_N = np.array(rows, dtype=np.int64)
        return Photos(
            pixels_MHWC=photos[0],
            rows_N=rows_N,
            labels_N=photos[1][rows_N],
            paths=[f"photo-{row:02d}.png" for row in rows],
        )

    return make


@pytest.fixture
def make_course() -> Callable[..., Course]:
    """Return a function that makes a course on the CPU: 2 epochs, batches of 8, as they are."""

    def make(
        classifier: Classifier,
        *,
        optim: OptimConfig | None = None,
        augmentation: AugmentConfig | None = None,
        batch_norm: str = "batch",
        trained: int | None = None,
        **config: Any,
    ) -> Course:
        extractor = classifier.network.extractor
        frozen = () if trained is None else freeze_below(extractor, trained=trained)
        tiny = {"epochs": 2, "batch_size": 8, "label_smoothing": 0.0, "precision": "float32"}
        return Course(
            config=TrainConfig(**{**tiny, "checkpoint_every_s": 1e6, **config}),
            optim=optim or OptimConfig(warmup_epochs=0.5, head_lr_factor=1.0),
            augmentation=augmentation or AugmentConfig(policy="none"),
            device=torch.device("cpu"),
            batch_norm=batch_norm,
            groups=depth_groups(extractor),
            frozen=[module for group in frozen for module in group.modules],
        )

    return make


@pytest.fixture
def fit_tiny(
    make_course: Callable[..., Course], of_rows: Callable[..., Photos]
) -> Callable[..., Fitted]:
    """Return a function that trains on the first photos and validates on the next.

    What follows these is the test split. What is not named goes into the course.
    """

    def run(
        classifier: Classifier,
        photos: tuple[NDArray[np.uint8], NDArray[np.int64]],
        *,
        num_train: int = 24,
        num_validation: int = 9,
        num_test: int = 0,
        lr: float = 3e-3,
        pace: Pace | None = None,
        time_left_s: float | None = None,
        optim: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        **course: Any,
    ) -> Fitted:
        """`state` is what `fit` is given besides; `num_test` of the test photos are watched."""
        chosen = {"warmup_epochs": 0.5, "head_lr_factor": 1.0, **(optim or {})}
        made = make_course(classifier, optim=OptimConfig(lr=lr, **chosen), **course)
        return fit(
            classifier,
            train=of_rows(photos, range(num_train)),
            validation=of_rows(photos, range(num_train, begin := num_train + num_validation)),
            test=of_rows(photos, range(begin, begin + num_test)) if num_test else None,
            course=made,
            settled=Settled(
                pace=pace or Pace(),
                lr=lr,
                num_epochs=made.config.epochs,
                time_left_s=time_left_s,
            ),
            **(state or {}),
        )

    return run


@pytest.fixture
def limit_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Return a function that lets a network learn from so many photos at once, and no more.

    It returns the sizes of the batches tried, which grow as they are.
    """
    plain = Network.forward

    def limit(num_photos: int) -> list[int]:
        tried: list[int] = []

        def forward(network: Network, images_NCHW: torch.Tensor) -> torch.Tensor:
            tried.append(len(images_NCHW))
            if len(images_NCHW) > num_photos:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return plain(network, images_NCHW)

        monkeypatch.setattr(Network, "forward", forward)
        return tried

    return limit
