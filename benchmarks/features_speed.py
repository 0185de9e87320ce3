"""How fast a frozen network computes features, beside the same network in plain PyTorch.

In: a folder of photos. Out: one Markdown row a network and size on standard output; with --record
the same rows stand in the table of benchmarks/README.md.
Photos are decoded beforehand, and both sides get the same pixels in a process of their own.
ResNet-50 has random weights, MobileNetV2 those of --weights where they are given; then a linear
classifier is fitted on both sets of features of all photos, too, and both are asked for the same
test photos.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

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
from figures_table import FiguresTable

HERE = Path(__file__).parent
OURS, THEIRS = "Fieldmark", "PyTorch eager, float32"
TABLE = FiguresTable(
    name="features_speed",
    header=(
        "Network",
        "Fieldmark, photos/s",
        "PyTorch eager, photos/s",
        "Faster by",
        "With the choice counted",
        "Accuracy on test photos, and eager's",
        "Computed in",
        "Machine",
        "Date",
    ),
    num_keys=1,
)
NETWORKS = ("resnet50", "mobilenetv2_100")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    weights: Path | None
    split_file: Path | None
    num_photos: int
    sizes: list[int]
    backbones: list[str]
    threads: int | None
    repeats: int
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network at one size."""

    backbone: str
    weights: Path | None
    size_px: int

    @property
    def name(self) -> str:
        """What it is called in the table."""
        start = "ImageNet weights" if self.weights else "random weights"
        return f"{self.backbone}, {self.size_px} px, {start}"


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    rows = []
    for size_px in options.sizes:
        with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
            paths, pixels = decode(options.photos, size_px=size_px)
            for backbone in options.backbones:
                weights = options.weights if backbone == NETWORKS[1] else None
                case = Case(backbone=backbone, weights=weights, size_px=size_px)
                rows.append(measure_case(case, paths, pixels, options, folder=Path(folder)))
                print(TABLE.lines(rows)[-1], file=sys.stderr)
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure frozen features beside plain PyTorch.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--weights", type=existing, help="MobileNetV2's, a folder in timm's form")
    parser.add_argument("--split-file", type=existing, metavar="CSV", help="columns path and split")
    parser.add_argument(
        "--num-photos", type=int, default=1024, metavar="N", help="of a round; default: 1024"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 224], metavar="PX")
    parser.add_argument("--backbones", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    add_common(parser, repeats=5)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    if bool(options.weights) != bool(options.split_file):
        parser.error("--weights and --split-file go together: they are for the accuracy")
    return options


def decode(photos: Path, *, size_px: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return paths and pixels of all photos, squashed, the rotation in their metadata ignored."""
    from fieldmark.base.executor import ThreadExecutor
    from fieldmark.base.progress import SilentProgress
    from fieldmark.data.preprocess import Preprocess
    from fieldmark.data.scan import scan

    store = scan(
        photos,
        preprocess=Preprocess(size_px=size_px, interpolation="bicubic", orientation="stored"),
        executor=ThreadExecutor(),
        progress=SilentProgress(),
    ).store
    assert store is not None
    return store.paths, store.array


def measure_case(
    case: Case, paths: Sequence[str], pixels: np.ndarray, options: Options, *, folder: Path
) -> tuple[str, ...]:
    """Measure one network at one size; return its row."""
    chosen = np.random.default_rng(0).permutation(len(pixels))[: options.num_photos]
    some, everything = folder / "some.npy", folder / "all.npy"
    np.save(some, pixels[np.sort(chosen)])
    results = take_turns(programs(case, some), repeats=options.repeats)
    accuracies = "-"
    if case.weights and options.split_file:
        np.save(everything, pixels)
        accuracies = accuracies_of(case, paths, everything, split_file=options.split_file)
    ours, theirs = results[OURS], results[THEIRS]
    rates = [len(chosen) / one["seconds"] for one in ours]
    whole = [len(chosen) / (one["seconds"] + one["choosing"]) for one in ours]
    plain = [len(chosen) / one["seconds"] for one in theirs]
    return (
        case.name,
        median_and_range(rates),
        median_and_range(plain),
        median_and_range(
            [mine / other for mine, other in zip(rates, plain, strict=True)], digits=2
        ),
        f"{median(mine / other for mine, other in zip(whole, plain, strict=True)):.2f}",
        accuracies,
        ", ".join(sorted({one["precision"] for one in ours})),
        machine(),
        today(),
    )


def programs(case: Case, pixels: Path) -> dict[str, Callable[[Path], dict[str, Any]]]:
    """Return both sides; each leaves features.npy in its folder."""

    def side(script: Path) -> Callable[[Path], dict[str, Any]]:
        def run(folder: Path) -> dict[str, Any]:
            command = [sys.executable, str(script), "--pixels", str(pixels)]
            command += ["--backbone", case.backbone, "--features", str(folder / "features.npy")]
            command += ["--weights", str(case.weights)] if case.weights else []
            return run_for_json(command, folder=folder)[0]

        return run

    return {
        OURS: side(HERE / "own_features.py"),
        THEIRS: side(HERE / "peers" / "eager_features.py"),
    }


def accuracies_of(case: Case, paths: Sequence[str], pixels: Path, *, split_file: Path) -> str:
    """Compute the features of all photos by both sides; return the accuracy that each allows."""
    with split_file.open(encoding="utf-8", newline="") as stream:
        splits = {row["path"]: row["split"] for row in csv.DictReader(stream)}
    labels = np.array([path.partition("/")[0] for path in paths])
    is_test = np.array([splits.get(path) == "test" for path in paths])
    is_train = np.array([splits.get(path) in ("train", "validation") for path in paths])
    told = []
    for run in programs(case, pixels).values():
        with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
            run(Path(folder))
            features = np.load(Path(folder) / "features.npy")
        told.append(f"{100 * accuracy(features, labels, is_train=is_train, is_test=is_test):.2f} %")
    return ", ".join(told)


def accuracy(
    features: np.ndarray, labels: np.ndarray, *, is_train: np.ndarray, is_test: np.ndarray
) -> float:
    """Return the share of test photos that a linear classifier on standardised features gets."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    mean, spread = features[is_train].mean(0), features[is_train].std(0)
    standardised = (features - mean) / np.maximum(spread, 1e-6)
    classifier = LogisticRegression(C=0.01, max_iter=1000)
    with threadpool_limits(limits=1):
        classifier.fit(standardised[is_train], labels[is_train])
    return float(classifier.score(standardised[is_test], labels[is_test]))


if __name__ == "__main__":
    main()
