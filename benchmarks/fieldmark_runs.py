"""Runs of `fieldmark train` as a user would start them, and what they wrote down.

In: a folder of photos and options. Out: a finished run folder, read back.
"""

import csv
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conditions import in_percent, read_json
from process_cost import Cost, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A run folder and what it took to make."""

    path: Path
    cost: Cost

    @property
    def record(self) -> dict[str, Any]:
        """What run.json says."""
        return read_json(self.path / "run.json")

    @property
    def accuracy(self) -> str:
        """Accuracy on the test photos, with its interval."""
        found = read_json(self.path / "evaluation.json")["accuracy"]
        return in_percent(found["value"], found["low"], found["high"])

    @property
    def num_test(self) -> int:
        """Test photos."""
        return int(read_json(self.path / "evaluation.json")["num_images"])

    @property
    def num_correct(self) -> int:
        """Test photos that it got right."""
        found = read_json(self.path / "evaluation.json")
        return round(float(found["accuracy"]["value"]) * int(found["num_images"]))

    @property
    def model(self) -> dict[str, Any]:
        """The section [model] of what the run ended up with."""
        resolved = tomllib.loads((self.path / "resolved.toml").read_text("utf-8"))
        return dict(resolved["model"])

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; `start-up` is what no stage accounts for."""
        stages = {stage["name"]: float(stage["seconds"]) for stage in self.record["stages"]}
        return {"start-up": self.cost.seconds - sum(stages.values()), **stages}

    @property
    def history(self) -> list[dict[str, str]]:
        """The rows of history.csv, one an epoch."""
        with (self.path / "history.csv").open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))


def train_command(
    photos: Path,
    out: Path,
    *,
    recipe: str,
    backbone: str | None = None,
    weights: str | None = None,
    split_file: Path | None = None,
    settings: Mapping[str, object] | None = None,
) -> list[str]:
    """Return the command line of `fieldmark train`; None leaves a flag out."""
    flags = {"--recipe": recipe, "--out": out, "--backbone": backbone, "--weights": weights}
    flags["--split-file"] = split_file
    command = [sys.executable, "-m", "fieldmark", "train", str(photos)]
    for name, value in flags.items():
        command += [name, str(value)] if value is not None else []
    for name, value in (settings or {}).items():
        command += ["--set", f"{name}={value}"]
    return command


def run_training(command: Sequence[str], *, folder: Path) -> FinishedRun:
    """Run a command that trains into `folder` / run, with an empty cache."""
    cost = measure(command, log=folder / "fieldmark.log", cache=folder / "cache")
    return FinishedRun(path=folder / "run", cost=cost)
