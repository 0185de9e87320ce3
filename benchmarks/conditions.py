"""What holds for every measurement: the cores, whose turn it is, and figures in words.

In: programs to be measured. Out: what each gave in each of its turns, and how that is told.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from process_cost import Cost, measure

Result = TypeVar("Result")


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=int, metavar="N", help="cores that every program gets; default: all"
    )


def add_common(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    """Add the options that every script has."""
    add_threads(parser)
    parser.add_argument(
        "--repeats", type=int, default=repeats, metavar="N", help=f"default: {repeats}"
    )
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")


def pin(num_threads: int | None) -> None:
    """Leave this process and all that it starts so many cores; exits where there are fewer."""
    from fieldmark.base.executor import available_cores

    if num_threads is None:
        return
    if not 1 <= num_threads <= available_cores():
        sys.exit(f"--threads is {num_threads}; this machine lends 1 to {available_cores()}.")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_threads])


def take_turns(
    programs: Mapping[str, Callable[[Path], Result]], *, repeats: int
) -> dict[str, list[Result]]:
    """Run each program once a round, in an empty folder; every other round the other way about."""
    results: dict[str, list[Result]] = {name: [] for name in programs}
    for turn in range(repeats):
        for name in list(programs)[:: -1 if turn % 2 else 1]:
            print(f"Round {turn + 1} of {repeats}: {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="fieldmark-bench-") as folder:
                results[name].append(programs[name](Path(folder)))
    return results


def run_for_json(command: Sequence[str], *, folder: Path) -> tuple[dict[str, Any], Cost]:
    """Run a program that writes a JSON object to the file that follows --out; return both."""
    out = folder / "result.json"
    cost = measure([*command, "--out", str(out)], log=folder / "log", cache=folder / "cache")
    return read_json(out), cost


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file."""
    return dict(json.loads(path.read_text("utf-8")))


def in_percent(value: float, low: float, high: float) -> str:
    """Return a proportion as in `99.87 % (99.6 to 100.0)`, the 95 % interval in brackets."""
    return f"{100 * value:.2f} % ({100 * low:.1f} to {100 * high:.1f})"


def accuracy_in_percent(*, num_correct: int, num_photos: int) -> str:
    """Return an accuracy with Wilson's interval."""
    from fieldmark.evaluation.intervals import wilson_interval

    estimate = wilson_interval(num_correct, num_photos)
    return in_percent(estimate.value, estimate.low, estimate.high)


def median_and_range(values: Sequence[float], *, digits: int = 1) -> str:
    """Return the median, and the range in brackets where there is more than one value."""
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def machine() -> str:
    """Return the processor and the cores that programs get, and the GPU where there is one."""
    from fieldmark.base.executor import available_cores
    from fieldmark.base.machine import processor_name

    return f"{processor_name()}, {available_cores()} cores"


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def require_folder(parser: argparse.ArgumentParser, path: Path) -> None:
    if not path.is_dir():
        parser.error(f"there is no folder {path}")


def existing(text: str) -> Path:
    """Read a path on the command line that must exist; kept as it is, not resolved.

    The python of a virtual environment is a link, and resolved it would be another environment's.
    """
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no {path}")
    return path
