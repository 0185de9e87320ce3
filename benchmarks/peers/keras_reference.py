"""The reference case in Keras on TensorFlow: ResNet50, Flatten and Dense on photos of 50x50.

In: an .npz of photos as bytes and of one-hot labels for training and testing, and the weights to
start from under Keras' own names. Out: JSON with the scores after each epoch, their seconds, and
what `evaluate` gives at the end.
Needs a virtual environment of its own: `pip install tensorflow-cpu`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

BATCH_SIZE = 32


class EpochTimes(keras.callbacks.Callback):  # type: ignore[misc,name-defined,unused-ignore]
    """Notes how long each epoch takes, its scores on the test photos included."""

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
    parser = argparse.ArgumentParser(description="The reference case in Keras.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help=".npz to start from")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    keras.utils.set_random_seed(options.seed)
    arrays = np.load(options.arrays)
    train = arrays["train_images"].astype(np.float32) / 255, arrays["train_labels"]
    test = arrays["test_images"].astype(np.float32) / 255, arrays["test_labels"]
    model = network(train[0].shape[1:], num_classes=train[1].shape[1], lr=options.lr)
    set_weights(model, dict(np.load(options.weights)))
    times = EpochTimes()
    history = model.fit(
        *train,
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
        validation_data=test,
        callbacks=[times],
        verbose=2,
    )
    began_s = time.perf_counter()
    final = model.evaluate(*test, batch_size=BATCH_SIZE, verbose=2, return_dict=True)
    result = {
        "history": {name: list(map(float, values)) for name, values in history.history.items()},
        "seconds": times.seconds,
        "final": {**final, "seconds": time.perf_counter() - began_s},
    }
    options.out.write_text(json.dumps(result), encoding="utf-8")


def network(shape: tuple[int, ...], *, num_classes: int, lr: float) -> keras.Model:
    """Return the study's network, compiled."""
    inputs = keras.Input(shape)
    outputs = keras.layers.RandomFlip("horizontal_and_vertical")(inputs)
    outputs = keras.layers.RandomRotation(0.4, fill_mode="reflect")(outputs)
    base = keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape)
    outputs = keras.layers.Flatten()(base(outputs))
    outputs = keras.layers.Dense(num_classes, activation="softmax", name="head")(outputs)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=lr),
        loss="categorical_crossentropy",
        metrics=[
            "accuracy",
            keras.metrics.Precision(name="precision"),
            keras.metrics.Recall(name="recall"),
            keras.metrics.TopKCategoricalAccuracy(k=5, name="top_k"),
        ],
    )
    return model


def set_weights(model: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Set the weights of every layer that has any, in Keras' order of axes."""
    (base,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    for layer in base.layers:
        if isinstance(layer, keras.layers.Conv2D):
            # (O, I, H, W) to (H, W, I, O)
            kernel = tensors.pop(f"{layer.name}.weight").transpose(2, 3, 1, 0)
            layer.set_weights([kernel, tensors.pop(f"{layer.name}.bias")])
        elif isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors.pop(f"{layer.name}.{part}") for part in parts])
    # The maps are flattened with channels last here.
    _, height, width, channels = base.output.shape
    weight_CF = tensors.pop("head.weight")
    weight = weight_CF.reshape(len(weight_CF), channels, height, width).transpose(2, 3, 1, 0)
    model.get_layer("head").set_weights(
        [weight.reshape(-1, len(weight_CF)), tensors.pop("head.bias")]
    )
    assert not tensors, sorted(tensors)


if __name__ == "__main__":
    main()
