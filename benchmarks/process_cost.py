"""What a command takes, as a process of its own.

In: a command. Out: wall time and the most memory that it held.
Not covered: Windows, which does not tell the memory of a process that has ended.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KIB_PER_MIB, BYTES_PER_MIB = 1 << 10, 1 << 20
LOG_LINES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took."""

    seconds: float
    peak_mib: int


def measure(command: Sequence[str], *, log: Path, cache: Path) -> Cost:
    """Run a command to its end; exits with the tail of its output where it fails.

    The memory is the most that its process held resident at one time, as the system kept count,
    so that nothing is sampled while it runs.
    """
    environment = {**os.environ, "FIELDMARK_CACHE": str(cache)}
    began_s = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text("utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        sys.exit("\n".join([*tail, f"Exit code {process.returncode}: {' '.join(command)}"]))
    units_per_mib = BYTES_PER_MIB if sys.platform == "darwin" else KIB_PER_MIB
    return Cost(seconds=seconds, peak_mib=usage.ru_maxrss // units_per_mib)


def warm_up(photos: Path) -> None:
    """Read every file once, so that the first program does not pay for the disk alone."""
    for file in photos.rglob("*"):
        if file.is_file():
            file.read_bytes()
