"""How long `fieldmark train` takes from start to end, its memory, and how good the result is.

In: a folder of photos. Out: one Markdown row a program on standard output; with --record the same
rows stand in the table of benchmarks/README.md.
The command runs as a user would run it, in a process of its own with an empty feature cache. With
--peer a plain script learns from the same photos in the same split, in turn with it.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from conditions import accuracy_in_percent, median_and_range, run_for_json, today
from fieldmark_runs import FinishedRun, run_training, train_command
from figures_table import FiguresTable
from process_cost import Cost, warm_up

HERE = Path(__file__).parent
PEER = HERE / "peers" / "plain_probe.py"
TABLE = FiguresTable(
    name="whole_command",
    header=(
        "Photos",
        "Program",
        "Accuracy on test photos",
        "Time, s",
        "Peak memory, MiB",
        "Seconds by stage",
        "Machine",
        "Date",
    ),
    num_keys=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    photos: Path
    weights: str | None
    split_file: Path | None
    recipe: str
    repeats: int
    peer: bool
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One program, run once."""

    program: str
    accuracy: str
    cost: Cost
    stages: Mapping[str, float]


def main() -> None:
    options = parse_options(sys.argv[1:])
    warm_up(options.photos)
    results: dict[str, list[Result]] = {}
    machine = ""
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
            folder = Path(name)
            print(f"Repeat {repeat + 1} of {options.repeats}", file=sys.stderr)
            ours, run = run_fieldmark(options, folder=folder)
            machine = machine_of(run)
            results.setdefault(ours.program, []).append(ours)
            if options.peer:
                theirs = run_peer(options, run, folder=folder)
                results.setdefault(theirs.program, []).append(theirs)
    rows = [
        row_of(runs, photos=options.photos.resolve().name, machine=machine)
        for runs in results.values()
    ]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure 'fieldmark train' from start to end.")
    parser.add_argument("photos", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--weights", help="as of fieldmark train; default: the recipe's")
    parser.add_argument("--split-file", type=Path, metavar="CSV", help="columns path and split")
    parser.add_argument("--recipe", default="quick", help="as of fieldmark train; default: quick")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--peer", action="store_true", help="run peers/plain_probe.py beside it")
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if not options.photos.is_dir():
        parser.error(f"there is no folder {options.photos}")
    if options.repeats < 1:
        parser.error("--repeats must be 1 or more")
    if options.peer and options.weights == "none":
        parser.error("--peer puts a linear model on pretrained features: give other --weights")
    return options


def run_fieldmark(options: Options, *, folder: Path) -> tuple[Result, FinishedRun]:
    """Train in `folder` / run; return the result and the run."""
    command = train_command(
        options.photos,
        folder / "run",
        recipe=options.recipe,
        weights=options.weights,
        split_file=options.split_file,
    )
    run = run_training(command, folder=folder)
    result = Result(
        program=f"fieldmark train ({run.record['recipe']}, {run.model['backbone']})",
        accuracy=run.accuracy,
        cost=run.cost,
        stages=run.stages,
    )
    return result, run


def run_peer(options: Options, run: FinishedRun, *, folder: Path) -> Result:
    """Run the plain script on the split that Fieldmark has just used."""
    command = [sys.executable, str(PEER), str(options.photos)]
    command += ["--split-file", str(run.path / "splits.csv")]
    command += ["--backbone", run.model["backbone"], "--weights", run.model["weights"]]
    found, cost = run_for_json(command, folder=folder)
    return Result(
        program=f"plain script ({run.model['backbone']})",
        accuracy=accuracy_in_percent(
            num_correct=found["num_correct"], num_photos=found["num_test"]
        ),
        cost=cost,
        stages={"start-up": cost.seconds - sum(found["seconds"].values()), **found["seconds"]},
    )


def machine_of(run: FinishedRun) -> str:
    """Return the machine and its torch as the run noted them."""
    device, versions = run.record["device"], run.record["versions"]
    return f"{device['name']}, {device['cores']} cores, torch {versions['torch']}"


def row_of(runs: Sequence[Result], *, photos: str, machine: str) -> tuple[str, ...]:
    """Return the row of one program: medians over its runs, and the range of their times."""
    seconds = [run.cost.seconds for run in runs]
    stages = {name: median(run.stages[name] for run in runs) for name in runs[0].stages}
    return (
        photos,
        runs[0].program,
        " or ".join(sorted({run.accuracy for run in runs})),
        median_and_range(seconds),
        f"{median(run.cost.peak_mib for run in runs):,.0f}",
        ", ".join(f"{name} {took:.1f}" for name, took in stages.items()),
        machine,
        today(),
    )


if __name__ == "__main__":
    main()
