"""The reference case beside Keras: the same network, weights, photos and split in both programs.

In: a folder of photos and a split file. Out: one Markdown row a program on standard output; with
--record the same rows stand in the table of benchmarks/README.md.
Both start from the same random weights, seed by seed, and see the same pixels. They are compared by
their accuracy on the test photos after the same few epochs. What comes of all 20 is the matter of
reference_results.py.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from conditions import (
    add_threads,
    existing,
    machine,
    pin,
    require_folder,
    run_for_json,
    today,
)
from fieldmark_runs import FinishedRun, run_training, train_command
from figures_table import FiguresTable
from process_cost import warm_up
from reference_arrays import write_arrays, write_first_weights

PEER = Path(__file__).parent / "peers" / "keras_reference.py"
TABLE = FiguresTable(
    name="reference_case",
    header=(
        "Photos",
        "Program",
        "Accuracy on test photos",
        "On training photos",
        "Seconds an epoch",
        "Machine",
        "Date",
    ),
    num_keys=2,
)
NUM_CLASSES = 8
KERAS = "Keras on TensorFlow, float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    split_file: Path
    keras_python: Path | None
    seeds: int
    epochs: int
    lr: float
    threads: int | None
    record: bool


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    warm_up(options.photos)
    name = options.photos.resolve().name
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
        rows = list(measure(options, folder=Path(folder)))
    told = [(name, *row, machine(), today()) for row in rows]
    print("\n".join(TABLE.lines(told)))
    if options.record:
        TABLE.record(told)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure the reference case beside Keras.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--split-file", type=existing, required=True, metavar="CSV")
    parser.add_argument(
        "--keras-python", type=existing, metavar="PATH", help="python of an environment with Keras"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--lr", type=float, default=1e-3, metavar="RATE", help="default: 0.001, the recipe's"
    )
    add_threads(parser)
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where one training stood after its last epoch."""

    test_accuracy: float
    train_accuracy: float
    """Of the photos as they were altered, met in passing."""
    seconds: float
    """Of an epoch, the median. Keras' include the scoring of the test photos."""


def measure(options: Options, *, folder: Path) -> list[tuple[str, ...]]:
    """Train with every seed in every program; return program, accuracies and seconds an epoch."""
    ours: list[Outcome] = []
    theirs: list[Outcome] = []
    if options.keras_python:
        write_arrays(options.photos, options.split_file, out=folder / "arrays.npz")
    for seed in range(options.seeds):
        print(f"Seed {seed} of {options.seeds}", file=sys.stderr)
        ours.append(of_run(train(options, folder=folder, seed=seed)))
        print(f"  Fieldmark {ours[-1]}", file=sys.stderr)
        if options.keras_python:
            theirs.append(of_keras(run_keras(options, folder=folder, seed=seed)))
            print(f"  Keras {theirs[-1]}", file=sys.stderr)
    rows = [row_of("fieldmark train --recipe reference", ours, options)]
    if theirs:
        rows.append(row_of(KERAS, theirs, options))
    return rows


def train(options: Options, *, folder: Path, seed: int) -> FinishedRun:
    """Run the recipe from random weights."""
    into = folder / str(seed)
    into.mkdir()
    settings = {"train.seed": seed, "train.epochs": options.epochs, "optim.lr": options.lr}
    command = train_command(
        options.photos,
        into / "run",
        recipe="reference",
        weights="none",
        split_file=options.split_file,
        settings=settings,
    )
    return run_training(command, folder=into)


def run_keras(options: Options, *, folder: Path, seed: int) -> dict[str, Any]:
    """Run the peer from the weights that Fieldmark starts from with this seed."""
    weights = folder / f"weights-{seed}.npz"
    write_first_weights(num_classes=NUM_CLASSES, seed=seed, out=weights)
    command = [str(options.keras_python), str(PEER), "--arrays", str(folder / "arrays.npz")]
    command += ["--weights", str(weights), "--epochs", str(options.epochs), "--seed", str(seed)]
    command += ["--lr", str(options.lr)]
    return run_for_json(command, folder=folder)[0]


def of_run(run: FinishedRun) -> Outcome:
    history = run.history
    return Outcome(
        test_accuracy=float(history[-1]["test_accuracy"]),
        train_accuracy=float(history[-1]["train_accuracy"]),
        seconds=median(float(row["seconds"]) for row in history),
    )


def of_keras(result: Mapping[str, Any]) -> Outcome:
    return Outcome(
        test_accuracy=float(result["history"]["val_accuracy"][-1]),
        train_accuracy=float(result["history"]["accuracy"][-1]),
        seconds=median(result["seconds"]),
    )


def row_of(program: str, found: Sequence[Outcome], options: Options) -> tuple[str, ...]:
    """Return a row: the accuracies seed by seed and their mean, and the seconds."""
    return (
        f"{program}, {options.epochs} epochs at {options.lr:g}",
        by_seed([outcome.test_accuracy for outcome in found]),
        by_seed([outcome.train_accuracy for outcome in found]),
        f"{median(outcome.seconds for outcome in found):.1f}",
    )


def by_seed(shares: Sequence[float]) -> str:
    each = ", ".join(f"{100 * share:.1f}" for share in shares)
    return f"{100 * mean(shares):.1f} % (seeds: {each})"


if __name__ == "__main__":
    main()
