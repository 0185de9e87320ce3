"""Keras on TensorFlow: `model.fit` on arrays in memory, as its guides have it.

In: an .npz of photos and labels. Out: JSON with the photos a second of each epoch.
Needs a virtual environment of its own: `pip install tensorflow-cpu`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np


class EpochTimes(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes how long each epoch takes."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self.began_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Stop it."""
        self.seconds.append(time.perf_counter() - self.began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="ResNet-50 in Keras.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(options.precision)
    arrays = np.load(options.arrays)
    images = arrays["images"].astype(np.float32) / 127.5 - 1
    num_classes = int(arrays["labels"].max()) + 1
    inputs = keras.Input(images.shape[1:])
    features = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg")(inputs)
    # Keras' guide to mixed precision: the last activation stays in float32.
    outputs = keras.layers.Dense(num_classes, activation="softmax", dtype="float32")(features)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    times = EpochTimes()
    model.fit(
        images,
        arrays["labels"],
        batch_size=options.batch_size,
        epochs=options.epochs,
        callbacks=[times],
        verbose=2,
    )
    rates = [len(images) / seconds for seconds in times.seconds]
    options.out.write_text(json.dumps({"photos_per_second": rates}), encoding="utf-8")


if __name__ == "__main__":
    main()
