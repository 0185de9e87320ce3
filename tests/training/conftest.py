"""A classifier small enough to train in a second, and photos that it can learn to tell apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Architecture, Classifier, new_classifier

TINY_RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
COLOURS = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200)])


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's cache, and that of other tests, out of it."""
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def make_classifier() -> Callable[..., Classifier]:
    """Return a function that builds a tiny ResNet for three colours, the same each time."""

    def make(
        *,
        classes: tuple[str, ...] = ("red", "green", "blue"),
        precision: str = "float32",
        stages: int = 0,
        **args: Any,
    ) -> Classifier:
        args = {**TINY_RESNET, **args}
        architecture = Architecture(
            backbone="resnet18",
            backbone_args=args,
            stages=stages,
            feature_power=1.0,
            precision=precision,
        )
        return new_classifier(
            create_extractor("resnet18", args=args, stages=stages, power=1.0),
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
