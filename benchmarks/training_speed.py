"""How many photos a second train a network whose weights are all trained, beside other programs.

In: a folder of photos, of which a sample is reduced beforehand. Out: one Markdown row a program on
standard output; with --record the same rows stand in the table of benchmarks/README.md.
Every program is a process of its own and trains the same network on the same photos in batches of
the same size; whole epochs after the first are counted, each without its validation. Programs
whose python is not given are left out.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from conditions import (
    add_common,
    existing,
    machine,
    median_and_range,
    pin,
    require_folder,
    run_for_json,
    take_turns,
    today,
)
from fieldmark_runs import run_training, train_command
from figures_table import FiguresTable
from small_photos import SmallPhotos, write_small_photos

PEERS = Path(__file__).parent / "peers"
FIELDMARK = "fieldmark train"
TABLE = FiguresTable(
    name="training_speed",
    header=(
        "Network",
        "Program",
        "Photos/s in training",
        "Fieldmark does so many times as many",
        "Machine",
        "Date",
    ),
    num_keys=2,
)
NUM_OTHERS = 64
"""Validation photos, and test photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    size_px: int
    batch_size: int
    num_photos: int
    epochs: int
    augment: str
    settings: list[str]
    keras_python: Path | None
    fastai_python: Path | None
    threads: int | None
    repeats: int
    record: bool


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
        small = write_small_photos(
            options.photos,
            Path(folder),
            num_train=options.num_photos,
            num_others=NUM_OTHERS,
            size_px=options.size_px,
        )
        rates = take_turns(programs(small, options), repeats=options.repeats)
    rows = rows_of(rates, network=network_of(options))
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure training beside other programs.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--size-px", type=int, default=50, metavar="PX", help="default: 50")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--num-photos", type=int, default=1024, metavar="N", help="of an epoch; default: 1024"
    )
    parser.add_argument("--epochs", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument(
        "--augment", default="none", metavar="POLICY", help="Fieldmark's alone; default: none"
    )
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="likewise"
    )
    parser.add_argument("--keras-python", type=existing, metavar="PATH", help="with tensorflow")
    parser.add_argument("--fastai-python", type=existing, metavar="PATH", help="with fastai")
    add_common(parser, repeats=3)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    if options.epochs < 2:
        parser.error("--epochs must be 2 or more: the first is not counted")
    return options


def programs(small: SmallPhotos, options: Options) -> dict[str, Callable[[Path], float]]:
    """Return what is to be run, by name; each gives its photos a second."""
    common = ["--batch-size", str(options.batch_size), "--epochs", str(options.epochs)]
    arrays = ["--arrays", str(small.arrays), *common]

    def peer(python: Path, script: str, *arguments: str) -> Callable[[Path], float]:
        return lambda folder: rate_of_peer([str(python), str(PEERS / script), *arguments], folder)

    found = {FIELDMARK: lambda folder: fieldmark_rate(small, options, folder=folder)}
    found["PyTorch eager, float32"] = peer(Path(sys.executable), "eager_training.py", *arrays)
    if options.keras_python:
        for precision in ("float32", "mixed_bfloat16"):
            flags = [*arrays, "--precision", precision]
            name = f"Keras on TensorFlow, {precision}"
            found[name] = peer(options.keras_python, "keras_training.py", *flags)
    if options.fastai_python:
        files = ["--photos", str(small.photos), "--split-file", str(small.split_file), *common]
        found["fastai, from files"] = peer(options.fastai_python, "fastai_training.py", *files)
    return found


def fieldmark_rate(small: SmallPhotos, options: Options, *, folder: Path) -> float:
    """Train with the command line; return the median of the epochs after the first."""
    command = train_command(
        small.photos,
        folder / "run",
        recipe="finetune",
        backbone="resnet50",
        weights="none",
        split_file=small.split_file,
        settings={
            "data.size_px": options.size_px,
            # A sample of photos may hold near-duplicates; all programs train on all of it.
            "split.leaks": "keep",
            "train.strategy": "all",
            "train.epochs": options.epochs,
            "train.batch_size": options.batch_size,
            "optim.name": "adam",
            "augment.policy": options.augment,
            **dict(text.split("=", maxsplit=1) for text in options.settings),
        },
    )
    run = run_training(command, folder=folder)
    return median(float(row["images_per_second"]) for row in run.history[1:])


def rate_of_peer(command: Sequence[str], folder: Path) -> float:
    """Run a peer that tells the photos a second of each epoch; return the median, likewise."""
    result, _ = run_for_json(command, folder=folder)
    return float(median(result["photos_per_second"][1:]))


def network_of(options: Options) -> str:
    return f"ResNet-50, {options.size_px} px, batches of {options.batch_size}"


def rows_of(rates: Mapping[str, Sequence[float]], *, network: str) -> list[tuple[str, ...]]:
    """Return the row of each program: the median of its runs, and the ratio in each round."""
    ours = rates[FIELDMARK]
    rows: list[tuple[str, ...]] = []
    for name, found in rates.items():
        ratios = [mine / theirs for mine, theirs in zip(ours, found, strict=True)]
        told = median_and_range(ratios, digits=2) if name != FIELDMARK else "1"
        rows.append((network, name, median_and_range(found), told, machine(), today()))
    return rows


if __name__ == "__main__":
    main()
