"""Trials of a study on Ray, with workers that are killed: do all complete, with the same results?

In: nothing, since photos are drawn. Out: one Markdown row on standard output; with --record the
same row stands in the table of benchmarks/README.md. Exits with 1 where a trial is lost or differs.
The same study runs once trial by trial in one process, and once on Ray, whose workers are killed
without any warning while they train.
"""

import argparse
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from conditions import add_threads, machine, pin, today
from figures_table import FiguresTable
from survive import draw_photos

TABLE = FiguresTable(
    name="ray_trials",
    header=("Trials", "Workers killed", "Completed", "Same results", "Machine", "Date"),
    num_keys=1,
)
WORKER = "ray::_run_there"
"""What a worker is called while it runs a trial."""
POLL_S = 0.05
SETTINGS: dict[str, object] = {
    "data.size_px": 32,
    "model.backbone": "resnet18",
    "model.backbone_args": "{layers=[1,1,1,1],channels=[16,32,64,128]}",
    "train.epochs": 8,
    "train.batch_size": 8,
    "train.precision": "float32",
}
VARIED = ("optim.lr=3e-4,3e-3", "augment.policy=none,flip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    seeds: int
    kills: int
    seed: int
    threads: int | None
    record: bool


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        draw_photos(folder / "photos", seed=options.seed)
        expected, _ = run_study(folder, engine="local", options=options)
        found, num_killed = run_study(folder, engine="ray", options=options)
    num_complete = sum(trial["status"] == "finished" for trial in found.values())
    num_same = sum(found.get(number) == trial for number, trial in expected.items())
    row = (
        f"{len(expected)} of a network",
        f"{num_killed}",
        f"{num_complete}",
        f"{num_same}",
        machine(),
        today(),
    )
    print("\n".join(TABLE.lines([row])))
    if options.record:
        TABLE.record([row])
    all_well = num_complete == num_same == len(expected) and num_killed == options.kills
    sys.exit(int(not all_well))


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Run a study on Ray, and kill its workers.")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of 4 settings each")
    parser.add_argument("--kills", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--seed", type=int, default=0, help="of the photos and of the moments")
    add_threads(parser)
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.seeds < 1 or options.kills < 0:
        parser.error("--seeds must be 1 or more, --kills 0 or more")
    return options


def run_study(
    folder: Path, *, engine: str, options: Options
) -> tuple[dict[int, dict[str, Any]], int]:
    """Run the study, killing workers where there are any; return its trials and the kills."""
    out, log = folder / engine, folder / "log"
    command = [sys.executable, "-m", "fieldmark", "study", str(folder / "photos")]
    command += ["--recipe", "scratch", "--seeds", str(options.seeds), "--out", str(out)]
    command += ["--engine", engine, "--no-final"]
    for text in VARIED:
        command += ["--vary", text]
    for key, value in SETTINGS.items():
        command += ["--set", f"{key}={value}"]
    environment = {**os.environ, "FIELDMARK_CACHE": str(folder / "cache")}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        num_killed = kill_some(process, options) if engine == "ray" else 0
        process.wait()
    if process.returncode:
        sys.exit(log.read_text("utf-8", errors="replace"))
    return trials_of(out / "trials.sqlite"), num_killed


def kill_some(process: "subprocess.Popen[bytes]", options: Options) -> int:
    """Kill workers that run a trial, at random moments; return how many."""
    moments, killed = random.Random(options.seed), 0
    while killed < options.kills and process.poll() is None:
        time.sleep(moments.uniform(POLL_S, 2.0))
        for worker in workers_of(process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                killed += 1
                print(f"Worker {worker.pid} killed", file=sys.stderr)
                break
    return killed


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the processes below one that run a trial at this moment."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if " ".join(child.cmdline()).startswith(WORKER):
                found.append(child)
    return found


def trials_of(path: Path) -> dict[int, dict[str, Any]]:
    """Return what came of each trial by its number, but for how long it took."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT number, settings, seed, status, result FROM trials")
        trials = {}
        for number, settings, seed, status, text in rows:
            result = json.loads(text) if text else {}
            result.pop("seconds", None)
            trials[number] = {
                "settings": settings,
                "seed": seed,
                "status": status,
                "result": result,
            }
    return trials


if __name__ == "__main__":
    main()
