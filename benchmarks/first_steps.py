"""The first steps of the reference case in Keras and in Fieldmark: do the losses stay together?

In: a folder of photos and a split file. Out: one Markdown row an optimizer, precision and program
on standard output; with --record the same rows stand in the table of benchmarks/README.md, and the
curves in benchmarks/first_steps.svg.
Both take the same batches of photos as they are, from the same weights, in float64 and in float32;
a difference in float64 is one of the program, in float32 most of it is rounding. Keras runs on
PyTorch here (`pip install keras`) and is given the loss of logits, as Keras on TensorFlow finds
them behind a softmax itself.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch
from keras.src.backend.common import dtypes

from conditions import existing, require_folder, today
from fieldmark import planning
from fieldmark.arguments import recipe_asked
from fieldmark.training.optim import epsilon_at
from figures_table import FiguresTable
from loss_curves import Curve, write_picture
from peers.keras_reference import set_weights
from reference_arrays import write_arrays, write_first_weights

BATCH_SIZE, NUM_STEPS, SEED = 32, 20, 0
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 20)
"""Steps that have a column of the table."""
RATES = {"sgd": 0.01, "adam": 1e-3}
PRECISIONS = ("float64", "float32")
DECIMALS = {"float64": 6, "float32": 2}
PICTURE = Path(__file__).with_name("first_steps.svg")
TABLE = FiguresTable(
    name="first_steps",
    header=(
        "Optimizer",
        "Precision",
        "Program",
        "Step 1",
        "Step 2",
        "Step 3",
        "Step 4",
        "Step 6",
        "Step 8",
        "Step 12",
        "Step 16",
        "Step 20",
        "Date",
    ),
    num_keys=3,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="The first losses of the reference case.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--split-file", type=existing, required=True, metavar="CSV")
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = parser.parse_args()
    require_folder(parser, options.photos)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
        arrays, weights = Path(folder) / "arrays.npz", Path(folder) / "weights.npz"
        write_arrays(options.photos, options.split_file, out=arrays)
        loaded = np.load(arrays)
        order = np.random.default_rng(SEED).permutation(len(loaded["train_labels"]))
        order = order[: BATCH_SIZE * NUM_STEPS]
        labels = loaded["train_labels"][order]
        # Divided once for both: a last digit that differs is a difference in float64.
        images = loaded["train_images"][order].astype("float32") / 255
        write_first_weights(num_classes=labels.shape[1], seed=SEED, out=weights)
        curves = [
            Curve(panel=f"{name}, {precision}", program=program, losses=losses)
            for precision in PRECISIONS
            for name in RATES
            for program, losses in (
                ("Fieldmark", own_losses(name, precision, images, labels)),
                (
                    "Keras",
                    keras_losses(name, precision, images, labels, weights=dict(np.load(weights))),
                ),
            )
        ]
    rows = [row_of(curve) for curve in curves]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)
        write_picture(PICTURE, curves)


def row_of(curve: Curve) -> tuple[str, ...]:
    optimizer, precision = curve.panel.split(", ")
    shown = (f"{curve.losses[step - 1]:.{DECIMALS[precision]}f}" for step in SHOWN)
    return (optimizer, precision, curve.program, *shown, today())


def own_losses(optimizer: str, precision: str, images: Any, labels: Any) -> list[float]:
    """Return the loss of each step, before the weights are changed."""
    plan = planning.plan(recipe_asked("reference", backbone=None, weights="none", overrides=[]))
    classes = tuple(map(str, range(labels.shape[1])))
    classifier = planning.assemble(
        plan.spec, plan.preprocess, classes=classes, precision="float32", views=1, seed=SEED
    )
    dtype = getattr(torch, precision)
    network = classifier.network.to(dtype).train()
    weights, rate = network.parameters(), RATES[optimizer]
    steps: torch.optim.Optimizer = (
        torch.optim.SGD(weights, lr=rate)
        if optimizer == "sgd"
        else torch.optim.Adam(weights, lr=rate, eps=1e-7)
    )
    losses: list[float] = []
    for begin in range(0, len(images), BATCH_SIZE):
        batch = torch.from_numpy(images[begin : begin + BATCH_SIZE]).permute(0, 3, 1, 2)
        truth = torch.from_numpy(labels[begin : begin + BATCH_SIZE].argmax(1))
        if optimizer == "adam":
            steps.param_groups[0]["eps"] = epsilon_at(len(losses), plan.recipe.optim)
        steps.zero_grad()
        logits = network(batch.to(dtype))
        loss = torch.nn.functional.cross_entropy(logits, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        steps.step()
        losses.append(float(loss.detach()))
    return losses


def keras_losses(
    optimizer: str, precision: str, images: Any, labels: Any, *, weights: Any
) -> list[float]:
    """Return the same of Keras."""
    # Keras narrows what results from float64 on its way, even where it is told to compute in it.
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = precision
    keras.config.set_floatx(precision)
    keras.config.set_dtype_policy(precision)  # else that of the first use stays
    keras.utils.clear_session()
    inputs = keras.Input(images.shape[1:])
    base = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=images.shape[1:]
    )
    maps = keras.layers.Flatten()(base(inputs))
    model = keras.Model(inputs, keras.layers.Dense(labels.shape[1], name="head")(maps))
    set_weights(model, weights)
    kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    model.compile(
        optimizer=kinds[optimizer](learning_rate=RATES[optimizer]),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    losses: list[float] = []
    for begin in range(0, len(images), BATCH_SIZE):
        part = slice(begin, begin + BATCH_SIZE)
        model.reset_metrics()
        batch, truth = images[part].astype(precision), labels[part].astype(precision)
        losses.append(float(model.train_on_batch(batch, truth)))
    return losses


if __name__ == "__main__":
    main()
