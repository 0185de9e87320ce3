"""Does a run that is killed go on as if nothing had happened?

In: nothing, since photos are drawn. Out: one Markdown row on standard output; with --record the
same row stands in the table of benchmarks/README.md. Exits with 1 where any of it differs.
One run is left alone. Others, with the same photos and the same recipe, are killed at random
moments of their life without any warning, start-up and saving included, and told to go on. All must
end with the same bytes in model.safetensors, predictions.csv and evaluation.json, and with the same
history but for the seconds. The network is small, but averages its weights, mixes
photos, drops paths at random and computes in bfloat16, and saves what it has every fraction of a
second.
"""

import argparse
import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from conditions import add_threads, machine, pin, read_json, today
from fieldmark_runs import train_command
from figures_table import FiguresTable

TABLE = FiguresTable(name="survive", header=("Question", "Answer", "Machine", "Date"), num_keys=1)
CLASSES, PHOTOS_A_CLASS, SIDE_PX = 3, 40, 48
RECORD, CHECKPOINTS, HISTORY = "run.json", "checkpoints", "history.csv"
SAME = (Path("model") / "model.safetensors", Path("predictions.csv"), Path("evaluation.json"))
"""Files that must be the same to the last byte."""
COMPARED = "weights, predictions, evaluation and history"
TIMED = ("seconds", "images_per_second", "data_wait_s")
"""Columns of the history that no two runs share."""
UNFINISHED = "*.tmp"
"""What a file is called until all of it is on the disk."""
POLL_S = 0.0005
SETTINGS: dict[str, object] = {
    "data.size_px": 32,
    "model.backbone_args": "{layers=[1,1,1,1],channels=[16,32,64,128],drop_path_rate=0.1}",
    "train.strategy": "all",
    "train.epochs": 40,
    "train.batch_size": 8,
    "train.precision": "bfloat16",
    "train.ema": 0.99,
    "train.checkpoint_every_s": 0.2,
    "augment.policy": "standard",
    "augment.mixup": 0.2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    kills: int
    kills_a_run: int
    seed: int
    threads: int | None
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A run that was killed, and went on until it was finished."""

    digest: str
    killed_in: tuple[str, ...]
    """What the run was at, each time."""


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as name:
        folder = Path(name)
        draw_photos(folder / "photos", seed=options.seed)
        began_s = time.monotonic()
        run_to_the_end(folder / "whole", folder)
        life_s = time.monotonic() - began_s
        expected = digest_of(folder / "whole")
        survivors = list(survive(options, folder, life_s=life_s))
    same = sum(survivor.digest == expected for survivor in survivors)
    killed_in = [where for survivor in survivors for where in survivor.killed_in]
    counts = ", ".join(f"{where} {killed_in.count(where)}" for where in sorted(set(killed_in)))
    row = (
        f"{len(killed_in)} kills, spread over {len(survivors)} runs of {life_s:.0f} s",
        f"{same} of {len(survivors)} runs end with the same {COMPARED} ({counts})",
        machine(),
        today(),
    )
    print("\n".join(TABLE.lines([row])))
    if options.record:
        TABLE.record([row])
    sys.exit(int(same != len(survivors)))


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Kill 'fieldmark train', and let it go on.")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="default: 20")
    parser.add_argument(
        "--kills-a-run", type=int, default=4, metavar="N", help="of which one run takes; default: 4"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the photos and of the moments")
    add_threads(parser)
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = Options(**vars(parser.parse_args(arguments)))
    if options.kills < 1 or options.kills_a_run < 1:
        parser.error("--kills and --kills-a-run must be 1 or more")
    return options


def draw_photos(folder: Path, *, seed: int) -> None:
    """Draw photos of coloured noise, each class with a colour of its own."""
    generator = np.random.default_rng(seed)
    for number in range(CLASSES):
        place = folder / f"class-{number}"
        place.mkdir(parents=True)
        colour = np.eye(3)[number] * 60
        for photo in range(PHOTOS_A_CLASS):
            coarse = generator.uniform(40, 180, size=(6, 6, 3)) + colour
            image = Image.fromarray(coarse.astype(np.uint8))
            image.resize((SIDE_PX, SIDE_PX)).save(place / f"{photo:03}.png")


def command_for(run: Path, folder: Path) -> list[str]:
    """Return the command line of a new run."""
    return train_command(
        folder / "photos",
        run,
        recipe="finetune",
        backbone="resnet18",
        weights="none",
        settings=SETTINGS,
    )


def command_to_go_on(run: Path, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "fieldmark", "train", str(folder / "photos")]
    return [*command, "--out", str(run), "--resume"]


def survive(options: Options, folder: Path, *, life_s: float) -> Iterator[Survivor]:
    """Start runs and kill them until there were as many kills as asked for."""
    moments = random.Random(options.seed)
    num_kills = num_runs = 0
    while num_kills < options.kills:
        run, killed_in = folder / f"run-{num_runs}", list[str]()
        while len(killed_in) < options.kills_a_run and num_kills < options.kills:
            moment_s = moments.uniform(0, life_s)
            # Saving is short, so every other kill waits for it.
            where = kill_once(run, folder, after_s=moment_s, in_save=num_kills % 2 == 1)
            if where is None:
                break
            killed_in.append(where)
            num_kills += 1
        run_to_the_end(run, folder)
        num_runs += 1
        print(f"{run.name}: killed in {', '.join(killed_in) or 'no way'}", file=sys.stderr)
        yield Survivor(digest=digest_of(run), killed_in=tuple(killed_in))


def kill_once(run: Path, folder: Path, *, after_s: float, in_save: bool) -> str | None:
    """Start a run or go on with it, and kill it; return what it was at, None if it ended before.

    Args:
        run: its folder.
        folder: where the photos are.
        after_s: how long it is left alone.
        in_save: and from then on until it saves.
    """
    with (folder / "log").open("wb") as log:
        process = start(run, folder, log=log)
        try:
            process.wait(timeout=after_s)
        except subprocess.TimeoutExpired:
            while in_save and process.poll() is None and not is_saving(run):
                time.sleep(POLL_S)
            process.kill()
            process.wait()
    if process.returncode == -signal.SIGKILL:
        return what_it_was_at(run, folder)
    require_success(process, folder)
    return None


def is_saving(run: Path) -> bool:
    return any((run / CHECKPOINTS).glob(UNFINISHED))


def what_it_was_at(run: Path, folder: Path) -> str:
    """Say what a killed run was at, from what it left."""
    if is_saving(run):
        return "saving"
    if not (run / RECORD).exists():
        return "start-up"
    order, done = stages_of(folder / "whole"), stages_of(run)
    if not done:
        return order[0]
    return order[min(order.index(done[-1]) + 1, len(order) - 1)]


def stages_of(run: Path) -> list[str]:
    """Return the names of the stages that a run has finished."""
    return [str(stage["name"]) for stage in read_json(run / RECORD)["stages"]]


def start(run: Path, folder: Path, *, log: BinaryIO) -> "subprocess.Popen[bytes]":
    """Start a run, or go on with it where it has begun."""
    begun = (run / RECORD).exists()
    command = command_to_go_on(run, folder) if begun else command_for(run, folder)
    environment = {**os.environ, "FIELDMARK_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def run_to_the_end(run: Path, folder: Path) -> None:
    with (folder / "log").open("wb") as log:
        process = start(run, folder, log=log)
        process.wait()
    require_success(process, folder)


def require_success(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Exit with what a run said where it failed."""
    if process.returncode:
        sys.exit((folder / "log").read_text("utf-8", errors="replace"))


def digest_of(run: Path) -> str:
    """Return a digest of weights, predictions, evaluation and history."""
    digest = hashlib.sha256()
    for name in SAME:
        digest.update((run / name).read_bytes())
    with (run / HISTORY).open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            digest.update(repr([row[name] for name in row if name not in TIMED]).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
