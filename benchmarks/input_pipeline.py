"""How long photos take to become pixels, and how long training waits for them.

In: a folder of photos. Out: one Markdown row a question on standard output; with --record the same
rows stand in the table of benchmarks/README.md.
Filling: all photos of the folder, decoded and reduced, into memory; the peer is torchvision's
ImageFolder in a DataLoader with as many workers as there are cores. Waiting: what `fieldmark train`
wrote down of each epoch after the first, on a sample of the photos.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conditions import (
    add_common,
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
from small_photos import write_small_photos

HERE = Path(__file__).parent
OURS, WITH_CUES, THEIRS = "Fieldmark", "Fieldmark, cues measured, too", "torchvision"
TABLE = FiguresTable(
    name="input_pipeline",
    header=("Photos", "Question", "Fieldmark", "torchvision", "Ratio", "Machine", "Date"),
    num_keys=2,
)
TRAINED = (("resnet50", 50), ("mobilenetv2_100", 224))
"""Networks and sizes whose training is watched for waiting."""
SOURCE_PX = 256
"""Side of the files that these are trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    sizes: list[int]
    num_photos: int
    skip_training: bool
    threads: int | None
    repeats: int
    record: bool


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    warm_up(options.photos)
    name = options.photos.resolve().name
    rows = [
        (name, *answer, machine(), today())
        for ask in (ask_filling, ask_waiting)
        for answer in ask(options)
    ]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure reading photos, and waiting for them.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 50], metavar="PX")
    parser.add_argument(
        "--num-photos", type=int, default=512, metavar="N", help="of an epoch; default: 512"
    )
    parser.add_argument("--skip-training", action="store_true", help="measure the filling only")
    add_common(parser, repeats=5)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    return options


def ask_filling(options: Options) -> Iterator[tuple[str, str, str, str]]:
    """Fill memory with all photos of the folder, at each size, by all programs in turn."""
    from fieldmark.base.executor import available_cores

    for size_px in options.sizes:
        common = ["--photos", str(options.photos), "--size-px", str(size_px)]
        ours = [str(HERE / "own_loading.py"), *common]
        theirs = [str(HERE / "peers" / "torchvision_loading.py"), *common]
        theirs += ["--num-workers", str(available_cores())]
        results = take_turns(
            {
                OURS: run_script(ours),
                WITH_CUES: run_script([*ours, "--cues"]),
                THEIRS: run_script(theirs),
            },
            repeats=options.repeats,
        )
        seconds = {name: [one["seconds"] for one in found] for name, found in results.items()}
        (num_photos,) = {found[0]["num_photos"] for found in results.values()}
        question = f"filling memory with {num_photos:,} photos at {size_px} px, s"
        for name, asked in (
            (OURS, question),
            (WITH_CUES, f"{question}, what the audit needs, too"),
        ):
            ratios = [
                other / mine for mine, other in zip(seconds[name], seconds[THEIRS], strict=True)
            ]
            yield (
                asked,
                median_and_range(seconds[name]),
                median_and_range(seconds[THEIRS]),
                median_and_range(ratios, digits=2),
            )


def run_script(arguments: Sequence[str]) -> Callable[[Path], dict[str, Any]]:
    """Return what runs one of the scripts beside this one and gives its result."""
    return lambda folder: run_for_json([sys.executable, *arguments], folder=folder)[0]


def ask_waiting(options: Options) -> Iterator[tuple[str, str, str, str]]:
    """Train for a few epochs, and add up the time that the loop waited for its next batch."""
    if options.skip_training:
        return
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        photos = write_small_photos(
            options.photos,
            folder,
            num_train=options.num_photos,
            num_others=32,
            size_px=SOURCE_PX,
        )
        for backbone, size_px in TRAINED:
            print(f"Training {backbone} at {size_px} px", file=sys.stderr)
            into = folder / backbone
            into.mkdir()
            command = train_command(
                photos.photos,
                into / "run",
                recipe="finetune",
                backbone=backbone,
                weights="none",
                split_file=photos.split_file,
                settings={
                    "data.size_px": size_px,
                    "split.leaks": "keep",
                    "train.strategy": "all",
                    "train.epochs": 3,
                },
            )
            rows = run_training(command, folder=into).history[1:]
            shares = [100 * float(row["data_wait_s"]) / float(row["seconds"]) for row in rows]
            question = f"share of an epoch spent waiting for photos, {backbone} at {size_px} px, %"
            yield question, median_and_range(shares, digits=2), "-", "-"


if __name__ == "__main__":
    main()
