"""From a folder of photos to an evaluated classifier, beside other programs with the same weights.

In: a folder of photos, a split, MobileNetV2's weights. Out: one Markdown row a program on standard
output; with --record the same rows stand in the table of benchmarks/README.md.
Every program is a process of its own, timed from start to end, and does what its guide does first:
`fieldmark train`, fastai's `fine_tune`, Keras' feature extraction. All are asked for the same test
photos and may learn from all others. The peers watch a tenth of those as they go; Fieldmark keeps
out of its training what is a near-duplicate of a test photo. Programs whose python is not given are
left out.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conditions import (
    accuracy_in_percent,
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
from process_cost import warm_up

PEERS = Path(__file__).parent / "peers"
FIELDMARK = "fieldmark train"
TABLE = FiguresTable(
    name="folder_to_model",
    header=(
        "Photos",
        "Program",
        "Accuracy on test photos",
        "Time, s",
        "Fieldmark is so many times as fast",
        "Peak memory, MiB",
        "Machine",
        "Date",
    ),
    num_keys=2,
)
NUM_CHECKED = 4
WATCHED_SHARE = 0.1
"""As Fieldmark's own share of validation photos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    weights: Path
    split_file: Path
    recipe: str
    size_px: int
    keras_epochs: list[int]
    fastai_epochs: list[int]
    keras_python: Path | None
    fastai_python: Path | None
    threads: int | None
    repeats: int
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One program, run once."""

    num_correct: int
    num_test: int
    seconds: float
    peak_mib: int


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    warm_up(options.photos)
    if options.keras_python:
        print(f"Keras' features differ by {check_keras(options):.1g} at most", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        split_file = write_watched_split(options.split_file, Path(name) / "split.csv")
        results = take_turns(programs(options, split_file=split_file), repeats=options.repeats)
    rows = rows_of(results, photos=options.photos.resolve().name)
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure whole programs beside each other.")
    parser.add_argument(
        "photos", type=existing, help="folder with one subfolder of photos per class"
    )
    parser.add_argument(
        "--weights", type=existing, required=True, help="MobileNetV2's, a folder in timm's form"
    )
    parser.add_argument(
        "--split-file", type=existing, required=True, metavar="CSV", help="columns path and split"
    )
    parser.add_argument("--recipe", default="quick", help="as of fieldmark train; default: quick")
    parser.add_argument("--size-px", type=int, default=224, help="the peers'; default: 224")
    parser.add_argument(
        "--keras-epochs", type=int, nargs="+", default=[2], help="default: 2, as its guide has it"
    )
    parser.add_argument(
        "--fastai-epochs", type=int, nargs="+", default=[1], help="default: 1, likewise"
    )
    parser.add_argument("--keras-python", type=existing, metavar="PATH", help="with tensorflow")
    parser.add_argument("--fastai-python", type=existing, metavar="PATH", help="with fastai, timm")
    add_common(parser, repeats=3)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    return options


def write_watched_split(split_file: Path, target: Path) -> Path:
    """Mark every tenth of the photos that are learned from as one that is watched, too."""
    with split_file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    learned = [row for row in rows if row["split"] == "train"]
    for place in np.random.default_rng(0).permutation(len(learned))[:: round(1 / WATCHED_SHARE)]:
        learned[place]["split"] = "validation"
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "split"])
        writer.writerows((row["path"], row["path"].split("/")[0], row["split"]) for row in rows)
    return target


def programs(options: Options, *, split_file: Path) -> dict[str, Callable[[Path], Result]]:
    """Return what is to be run, by name, Fieldmark first; `split_file` is the peers'."""
    name = f"{FIELDMARK} ({options.recipe})"
    found: dict[str, Callable[[Path], Result]] = {name: lambda folder: fieldmark(options, folder)}
    common = ["--photos", str(options.photos), "--weights", str(options.weights)]
    common += ["--size-px", str(options.size_px), "--split-file", str(split_file)]

    def peer(python: Path, script: str, epochs: int) -> Callable[[Path], Result]:
        command = [str(python), str(PEERS / script), *common, "--epochs", str(epochs)]
        return lambda folder: run_peer(command, folder=folder)

    for epochs in options.fastai_epochs if options.fastai_python else ():
        assert options.fastai_python
        run = peer(options.fastai_python, "fastai_fine_tune.py", epochs)
        found[f"fastai, fine_tune({epochs})"] = run
    for epochs in options.keras_epochs if options.keras_python else ():
        assert options.keras_python
        run = peer(options.keras_python, "keras_feature_extraction.py", epochs)
        found[f"Keras, frozen features, {epochs} epochs"] = run
    return found


def fieldmark(options: Options, folder: Path) -> Result:
    """Run the command line with an empty cache."""
    command = train_command(
        options.photos,
        folder / "run",
        recipe=options.recipe,
        weights=str(options.weights),
        split_file=options.split_file,
    )
    run = run_training(command, folder=folder)
    return Result(
        num_correct=run.num_correct,
        num_test=run.num_test,
        seconds=run.cost.seconds,
        peak_mib=run.cost.peak_mib,
    )


def run_peer(command: Sequence[str], *, folder: Path) -> Result:
    """Run a peer that tells what it got right."""
    found, cost = run_for_json(command, folder=folder)
    return Result(
        num_correct=found["num_correct"],
        num_test=found["num_test"],
        seconds=cost.seconds,
        peak_mib=cost.peak_mib,
    )


def check_keras(options: Options) -> float:
    """Show Keras' network images whose features timm has computed; return how far it is off."""
    import timm
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.rand((NUM_CHECKED, 3, options.size_px, options.size_px), generator=generator)
    model = timm.create_model(f"local-dir:{options.weights}", pretrained=True, num_classes=0)
    with torch.no_grad():
        features = model.eval()(2 * images - 1).numpy()
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        checked = Path(name) / "checked.npz"
        np.savez(checked, images=(2 * images - 1).permute(0, 2, 3, 1).numpy(), features=features)
        command = [str(options.keras_python), str(PEERS / "keras_feature_extraction.py")]
        command += ["--weights", str(options.weights), "--check", str(checked)]
        return float(run_for_json(command, folder=Path(name))[0]["difference"])


def rows_of(results: Mapping[str, Sequence[Result]], *, photos: str) -> list[tuple[str, ...]]:
    """Return the row of each program: the median of its runs, and the ratio in each round."""
    ours = next(iter(results.values()))
    rows: list[tuple[str, ...]] = []
    for name, found in results.items():
        ratios = [other.seconds / mine.seconds for mine, other in zip(ours, found, strict=True)]
        accuracies = sorted({(one.num_correct, one.num_test) for one in found})
        rows.append(
            (
                photos,
                name,
                " or ".join(
                    accuracy_in_percent(num_correct=correct, num_photos=total)
                    for correct, total in accuracies
                ),
                median_and_range([one.seconds for one in found]),
                "1" if found is ours else median_and_range(ratios, digits=2),
                f"{np.median([one.peak_mib for one in found]):,.0f}",
                machine(),
                today(),
            )
        )
    return rows


if __name__ == "__main__":
    main()
