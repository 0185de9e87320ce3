"""How long `fieldmark train` takes from start to end, its memory, and how good the result is.

In: a folder of photos. Out: one Markdown row a program on standard output; with --record the same
rows stand in the table of benchmarks/README.md.
The command runs as a user would run it, in a process of its own with an empty feature cache. With
--peer a plain script learns from the same photos in the same split, in turn with it.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from figures_table import FiguresTable
from process_cost import Cost, measure, warm_up

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
            ours, machine = run_fieldmark(options, folder=folder)
            results.setdefault(ours.program, []).append(ours)
            if options.peer:
                theirs = run_peer(options, folder=folder)
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


def run_fieldmark(options: Options, *, folder: Path) -> tuple[Result, str]:
    """Train in `folder` / run; return the result and the machine in words."""
    run = folder / "run"
    command = [sys.executable, "-m", "fieldmark", "train", str(options.photos)]
    command += ["--recipe", options.recipe, "--out", str(run)]
    if options.weights:
        command += ["--weights", options.weights]
    if options.split_file:
        command += ["--split-file", str(options.split_file)]
    cost = measure(command, log=folder / "fieldmark.log", cache=folder / "cache")
    record = read_json(run / "run.json")
    evaluation = read_json(run / "evaluation.json")
    stages = {stage["name"]: float(stage["seconds"]) for stage in record["stages"]}
    stages = {"start-up": cost.seconds - sum(stages.values()), **stages}
    device, versions = record["device"], record["versions"]
    accuracy = evaluation["accuracy"]
    result = Result(
        program=f"fieldmark train ({record['recipe']}, {model_of(run)['backbone']})",
        accuracy=in_percent(accuracy["value"], accuracy["low"], accuracy["high"]),
        cost=cost,
        stages=stages,
    )
    return result, f"{device['name']}, {device['cores']} cores, torch {versions['torch']}"


def run_peer(options: Options, *, folder: Path) -> Result:
    """Run the plain script on the split that Fieldmark has just used in `folder`."""
    from fieldmark.evaluation.intervals import wilson_interval

    model, output = model_of(folder / "run"), folder / "peer.json"
    command = [sys.executable, str(PEER), str(options.photos)]
    command += ["--split-file", str(folder / "run" / "splits.csv"), "--out", str(output)]
    command += ["--backbone", model["backbone"], "--weights", model["weights"]]
    cost = measure(command, log=folder / "peer.log", cache=folder / "cache")
    found = read_json(output)
    estimate = wilson_interval(found["num_correct"], found["num_test"])
    return Result(
        program=f"plain script ({model['backbone']})",
        accuracy=in_percent(estimate.value, estimate.low, estimate.high),
        cost=cost,
        stages={"start-up": cost.seconds - sum(found["seconds"].values()), **found["seconds"]},
    )


def model_of(run: Path) -> dict[str, Any]:
    """Return the section [model] of what a run ended up with."""
    resolved = tomllib.loads((run / "resolved.toml").read_text("utf-8"))
    return dict(resolved["model"])


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file."""
    return dict(json.loads(path.read_text("utf-8")))


def in_percent(value: float, low: float, high: float) -> str:
    """Return a proportion as in `99.87 % (99.6 to 100.0)`, the 95 % interval in brackets."""
    return f"{100 * value:.2f} % ({100 * low:.1f} to {100 * high:.1f})"


def row_of(runs: Sequence[Result], *, photos: str, machine: str) -> tuple[str, ...]:
    """Return the row of one program: medians over its runs, and the range of their times."""
    seconds = [run.cost.seconds for run in runs]
    spread = f" ({min(seconds):.1f} to {max(seconds):.1f})" if len(runs) > 1 else ""
    stages = {name: median(run.stages[name] for run in runs) for name in runs[0].stages}
    return (
        photos,
        runs[0].program,
        " or ".join(sorted({run.accuracy for run in runs})),
        f"{median(seconds):.1f}{spread}",
        f"{median(run.cost.peak_mib for run in runs):,.0f}",
        ", ".join(f"{name} {took:.1f}" for name, took in stages.items()),
        machine,
        f"{datetime.now(UTC):%Y-%m-%d}",
    )


if __name__ == "__main__":
    main()
