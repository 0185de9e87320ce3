"""Does a study that is killed go on with no trial lost and none done twice?

In: nothing, since photos are drawn. Out: one Markdown row on standard output; with --record the
same row stands in the table of benchmarks/README.md. Exits with 1 where a trial was lost, done
twice or came to something else.
One study of 50 trials that train small networks is left alone. Another, the same, is killed ten
times at random moments without any warning, start-up included, and told to go on. A trial is lost
where it had finished before a kill and has not after it, and done twice where it was begun again
after it had finished. In the end every curve must be that of the study left alone.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from conditions import add_threads, machine, pin, today
from figures_table import FiguresTable
from survive import draw_photos

TABLE = FiguresTable(
    name="study_survive", header=("Question", "Answer", "Machine", "Date"), num_keys=1
)
VARY = ("optim.lr=1e-4,3e-4,1e-3,3e-3,1e-2", "train.label_smoothing=0,0.05,0.1,0.15,0.2")
SEEDS = 2
SETTINGS = (
    "data.size_px=32",
    "model.backbone_args={layers=[1,1,1,1],channels=[16,32,64,128]}",
    "train.strategy=all",
    "train.epochs=6",
    "train.batch_size=16",
    "train.precision=float32",
    "augment.policy=flip",
)
MOST_TRIALS_A_SITTING = 8
"""Trials that are done between two kills."""
MOST_KILLS = 40
POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    kills: int
    seed: int
    threads: int | None
    record: bool


@dataclass(slots=True, kw_only=True)
class Killed:
    """What was seen of the study that was killed."""

    num_kills: int = 0
    num_lost: int = 0
    num_twice: int = 0


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        draw_photos(folder / "photos", seed=options.seed)
        began_s = time.monotonic()
        run_to_the_end(folder / "whole", folder)
        whole_s = time.monotonic() - began_s
        killed = survive(options, folder, whole_s=whole_s)
        expected, found = curves(folder / "whole"), curves(folder / "killed")
    num_same = sum(found.get(number) == curve for number, curve in expected.items())
    row = (
        f"{killed.num_kills} kills of a study of {len(expected)} trials",
        (
            f"{killed.num_lost} finished trials lost, {killed.num_twice} done twice; {num_same} of "
            f"{len(expected)} came to the same curve as in the study left alone"
        ),
        machine(),
        today(),
    )
    print("\n".join(TABLE.lines([row])))
    if options.record:
        TABLE.record([row])
    is_right = not killed.num_lost and not killed.num_twice and num_same == len(expected)
    sys.exit(int(not is_right))


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Kill 'fieldmark study', and let it go on.")
    parser.add_argument("--kills", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--seed", type=int, default=0, help="of the photos and of the moments")
    add_threads(parser)
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if not 1 <= options.kills <= MOST_KILLS:
        parser.error(f"--kills must be 1 to {MOST_KILLS}")
    return options


def command_for(study: Path, folder: Path) -> list[str]:
    """Return the command that begins a study, and goes on with it."""
    command = [sys.executable, "-m", "fieldmark", "study", str(folder / "photos")]
    command += ["--recipe", "finetune", "--backbone", "resnet18", "--weights", "none"]
    command += ["--seeds", str(SEEDS), "--no-final", "--out", str(study)]
    for flag, values in (("--vary", VARY), ("--set", SETTINGS)):
        for value in values:
            command += [flag, value]
    return command


def survive(options: Options, folder: Path, *, whole_s: float) -> Killed:
    """Kill a study as often as asked for, then let it end."""
    moments, killed, study = random.Random(options.seed), Killed(), folder / "killed"
    num_trials, trials_s = len(curves(folder / "whole")), seconds_of_trials(folder / "whole")
    before: Mapping[int, object] = {}
    while killed.num_kills < options.kills and len(before) < num_trials - 1:
        num_more = moments.randint(0, MOST_TRIALS_A_SITTING)
        # In start-up, or once so many more trials are done, and then somewhere in the next.
        pause_s = (trials_s / num_trials) if num_more else whole_s - trials_s
        is_killed = kill_once(
            study,
            folder,
            num_done=min(len(before) + num_more, num_trials - 1),
            pause_s=moments.uniform(0, pause_s),
        )
        killed.num_kills += int(is_killed)
        before = compared(killed, before, study)
        print(f"{killed.num_kills} kills: {len(before)} of {num_trials} done", file=sys.stderr)
    run_to_the_end(study, folder)
    compared(killed, before, study)
    return killed


def compared(killed: Killed, before: Mapping[int, object], study: Path) -> Mapping[int, object]:
    """Count what became of trials that had finished; return those that have now."""
    after = finished_of(study)
    killed.num_lost += sum(number not in after for number in before)
    killed.num_twice += sum(after.get(number, one) != one for number, one in before.items())
    return after


def seconds_of_trials(study: Path) -> float:
    from fieldmark.studies.store import read_trials

    trials = read_trials(study / "trials.sqlite")
    return sum(trial.result.seconds for trial in trials if trial.result)


def kill_once(study: Path, folder: Path, *, num_done: int, pause_s: float) -> bool:
    """Start a study or go on with it, and kill it; return whether it was still at work.

    Args:
        study: its folder.
        folder: where the photos are.
        num_done: how many trials are done before.
        pause_s: how long it is left alone after that.
    """
    with (folder / "log").open("wb") as log:
        process = start(study, folder, log)
        while process.poll() is None and len(finished_of(study)) < num_done:
            time.sleep(POLL_S)
        try:
            process.wait(timeout=pause_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
    require_success(process, folder)
    return False


def run_to_the_end(study: Path, folder: Path) -> None:
    with (folder / "log").open("wb") as log:
        process = start(study, folder, log)
        process.wait()
    require_success(process, folder)


def start(study: Path, folder: Path, log: BinaryIO) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "FIELDMARK_CACHE": str(folder / "cache")}
    command = command_for(study, folder)
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def require_success(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Exit with what a study said where it failed."""
    if process.returncode:
        sys.exit((folder / "log").read_text("utf-8", errors="replace"))


def finished_of(study: Path) -> Mapping[int, object]:
    """Return the trials that have finished, each with how often it was begun and its result."""
    from fieldmark.base.errors import RunError
    from fieldmark.studies.store import read_trials
    from fieldmark.studies.trials import finished

    try:
        trials = read_trials(study / "trials.sqlite")
    except RunError:  # it is only being made
        return {}
    return {trial.number: (trial.attempts, trial.result) for trial in finished(trials)}


def curves(study: Path) -> Mapping[int, object]:
    """Return the learning curve of each trial that has finished."""
    from fieldmark.studies.store import read_trials
    from fieldmark.studies.trials import finished

    trials = read_trials(study / "trials.sqlite")
    return {trial.number: trial.result.curve for trial in finished(trials) if trial.result}


if __name__ == "__main__":
    main()
