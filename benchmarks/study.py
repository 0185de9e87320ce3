"""How long does a study of heads on features computed once take?

In: a folder of photos, and weights on this disk. Out: one Markdown row on standard output; with
--record the same row stands in the table of benchmarks/README.md.
The command is `fieldmark study` as a user types it: three fields with three values each and three
seeds, 81 trials. Features are computed once before, by a study of two trials with the same cache;
that is not timed. What is timed begins with the command and ends with its page; the best recipe's
run is not part of it.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conditions import (
    add_common,
    existing,
    machine,
    median_and_range,
    pin,
    read_json,
    require_folder,
    today,
)
from figures_table import FiguresTable
from process_cost import measure

TABLE = FiguresTable(
    name="study",
    header=("Study", "Photos", "Seconds", "of which trials", "Machine", "Date"),
    num_keys=2,
)
VARY = (
    "optim.lr=1e-4,1e-3,1e-2",
    "optim.name=adamw,sgd,rmsprop",
    "train.label_smoothing=0,0.1,0.2",
)
SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    weights: Path
    split_file: Path | None
    threads: int | None
    repeats: int
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What a study took."""

    seconds: float
    trials_s: float
    num_trials: int
    num_photos: int


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        print("Features", file=sys.stderr)
        timed_study(options, folder, out="warm", vary=("optim.lr=1e-4,1e-3",), seeds=1)
        results = []
        for turn in range(options.repeats):
            print(f"Round {turn + 1} of {options.repeats}", file=sys.stderr)
            out = f"study-{turn}"
            results.append(timed_study(options, folder, out=out, vary=VARY, seeds=SEEDS))
    row = (
        f"{len(VARY)} fields of 3 values, {SEEDS} seeds: {results[0].num_trials} heads",
        f"{results[0].num_photos:,} to train on and to judge by",
        median_and_range([one.seconds for one in results]),
        median_and_range([one.trials_s for one in results]),
        machine(),
        today(),
    )
    print("\n".join(TABLE.lines([row])))
    if options.record:
        TABLE.record([row])


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Time a study of heads on features.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder a class")
    parser.add_argument("--weights", type=existing, required=True, metavar="PATH")
    parser.add_argument("--split-file", type=existing, metavar="CSV")
    add_common(parser, repeats=3)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.photos)
    return options


def timed_study(
    options: Options, folder: Path, *, out: str, vary: Sequence[str], seeds: int
) -> Timed:
    """Run a study with the cache of `folder`."""
    command = [sys.executable, "-m", "fieldmark", "study", str(options.photos)]
    command += ["--weights", str(options.weights), "--seeds", str(seeds), "--no-final"]
    if options.split_file is not None:
        command += ["--split-file", str(options.split_file)]
    for text in vary:
        command += ["--vary", text]
    study = folder / out
    command += ["--out", str(study)]
    cost = measure(command, log=folder / "log", cache=folder / "cache")
    from fieldmark.studies.store import read_trials

    trials = read_trials(study / "trials.sqlite")
    counts = read_json(study / "study.json")["split_counts"]
    return Timed(
        seconds=cost.seconds,
        trials_s=sum(trial.result.seconds for trial in trials if trial.result),
        num_trials=len(trials),
        num_photos=counts["train"] + counts["validation"],
    )


if __name__ == "__main__":
    main()
