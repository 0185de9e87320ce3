"""Keras' way from a folder to a classifier: a frozen network and a new dense layer.

In: photos, a split, weights. Out: JSON with the test photos that it got right, and its times.
As Keras' guide "Transfer learning & fine-tuning" trains its top layer: resized photos kept in
memory, random flips and rotations, dropout, Adam at its default rate, two epochs. ImageNet weights
come from timm's file, since the same start is to be compared; --check shows that they do the same.
Learns from training and validation photos.
Needs a virtual environment of its own: `pip install tensorflow-cpu pillow safetensors`.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf  # type: ignore[import-untyped,import-not-found,unused-ignore]
from safetensors.numpy import load_file

BATCH_SIZE = 32
MAX_DIFFERENCE = 1e-3
TIMM_EPSILON = 1e-5
"""Of timm's batch normalisation; Keras' MobileNetV2 was trained with 1e-3."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Keras' feature extraction.")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNetV2's, timm's form")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--check", type=Path, help=".npz of images and features: compare, and end")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    result = check(options) if options.check else train(options)
    options.out.write_text(json.dumps(result), encoding="utf-8")


def check(options: argparse.Namespace) -> dict[str, float]:
    """Compare features with timm's of the same normalised images; exits where they differ."""
    arrays = np.load(options.check)
    base = frozen_network(options.weights, size_px=arrays["images"].shape[1])
    found = base(arrays["images"], training=False).numpy().mean((1, 2))
    difference = float(np.abs(found - arrays["features"]).max())
    if difference > MAX_DIFFERENCE:
        sys.exit(f"Keras' features are not timm's: they differ by up to {difference:.2g}.")
    return {"difference": difference}


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Train the top layer on the photos that are not test photos; count what it gets right."""
    keras.utils.set_random_seed(0)
    began_s = time.perf_counter()
    with options.split_file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels = sorted({row["label"] for row in rows})

    def dataset(*splits: str, shuffle: bool) -> tf.data.Dataset:
        chosen = [row for row in rows if row["split"] in splits]
        paths = [str(options.photos / row["path"]) for row in chosen]
        numbers = [labels.index(row["label"]) for row in chosen]
        found = tf.data.Dataset.from_tensor_slices((paths, numbers))
        found = found.map(
            lambda path, number: (read(path, size_px=options.size_px), number),
            num_parallel_calls=tf.data.AUTOTUNE,
        ).cache()
        if shuffle:
            found = found.shuffle(len(chosen), seed=0)
        return found.batch(BATCH_SIZE).prefetch(10)

    learned = dataset("train", "validation", shuffle=True)
    watched, test = dataset("validation", shuffle=False), dataset("test", shuffle=False)
    model = whole_network(options.weights, size_px=options.size_px, num_classes=len(labels))
    model.fit(learned, epochs=options.epochs, validation_data=watched, verbose=2)
    trained_s = time.perf_counter()
    num_correct = int((model.predict(test, verbose=0).argmax(1) == truth_of(test)).sum())
    ended_s = time.perf_counter()
    return {
        "num_correct": num_correct,
        "num_test": sum(row["split"] == "test" for row in rows),
        "seconds": {"training": trained_s - began_s, "test": ended_s - trained_s},
    }


def truth_of(dataset: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([numbers.numpy() for _, numbers in dataset])


def read(path: tf.Tensor, *, size_px: int) -> tf.Tensor:
    """Return a photo as float32 of 0 to 255, squashed to a square as the guide does it."""
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize(image, (size_px, size_px))


def whole_network(weights: Path, *, size_px: int, num_classes: int) -> keras.Model:
    """Return the guide's network, compiled, but for MobileNetV2 and for several classes."""
    base = frozen_network(weights, size_px=size_px)
    base.trainable = False
    inputs = keras.Input((size_px, size_px, 3))
    outputs = keras.layers.RandomFlip("horizontal")(inputs)
    outputs = keras.layers.RandomRotation(0.1)(outputs)
    outputs = keras.layers.Rescaling(scale=1 / 127.5, offset=-1)(outputs)
    outputs = base(outputs, training=False)
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    outputs = keras.layers.Dropout(0.2)(outputs)
    model = keras.Model(inputs, keras.layers.Dense(num_classes)(outputs))
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def frozen_network(weights: Path, *, size_px: int) -> keras.Model:
    """Return Keras' MobileNetV2 without its classifier, with timm's weights of it.

    Both take their convolutions and normalisations in the same order, so they are paired in order.
    Where timm's weights expect padding on both sides, it is set so.
    """
    base = keras.applications.MobileNetV2(
        input_shape=(size_px, size_px, 3), include_top=False, weights=None
    )
    tensors = load_file(weights / "model.safetensors")
    config = json.loads((weights / "config.json").read_text("utf-8"))
    pads_same = config.get("model_args", {}).get("pad_type") == "same"
    names = iter(layers_in_order(tensors))
    for layer in base.layers:
        if isinstance(layer, keras.layers.ZeroPadding2D) and not pads_same:
            layer.padding = ((1, 1), (1, 1))
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = TIMM_EPSILON
            name = next(names)
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{name}.{part}"] for part in parts])
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            # (C, 1, H, W) to (H, W, C, 1)
            layer.set_weights([tensors[f"{next(names)}.weight"].transpose(2, 3, 0, 1)])
        elif isinstance(layer, keras.layers.Conv2D):
            # (O, I, H, W) to (H, W, I, O)
            layer.set_weights([tensors[f"{next(names)}.weight"].transpose(2, 3, 1, 0)])
    if left := list(names):
        sys.exit(f"Keras' MobileNetV2 has no place for {', '.join(left)}.")
    return base


def layers_in_order(tensors: dict[str, np.ndarray]) -> list[str]:
    """Return the names of timm's layers as data flows through them, the classifier left out."""
    blocks: dict[tuple[int, int], set[str]] = {}
    for name in tensors:
        if name.startswith("blocks."):
            _, stage, block, layer, *_ = name.split(".")
            blocks.setdefault((int(stage), int(block)), set()).add(layer)
    names = ["conv_stem", "bn1"]
    for (outer, inner), found in sorted(blocks.items()):
        # The first block does not widen its maps before it filters them.
        widened = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        order = widened if "conv_pwl" in found else ("conv_dw", "bn1", "conv_pw", "bn2")
        names += [f"blocks.{outer}.{inner}.{layer}" for layer in order]
    return [*names, "conv_head", "bn2"]


if __name__ == "__main__":
    main()
