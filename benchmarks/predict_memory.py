"""The memory of `fieldmark predict` on more and more files: it must not grow with their number.

In: nothing; a run is trained on the bundled digits, and its photos are linked many times. Out: peak
memory and speed of the whole command that writes a CSV and sorts, anew and resumed.
Not covered: large photos, which take memory one by one, however many there are.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from conditions import machine, today
from figures_table import FiguresTable
from process_cost import Cost, measure

TABLE = FiguresTable(
    name="predict_memory",
    header=("Files", "Command", "Peak MiB", "Files a second", "Machine", "Date"),
    num_keys=2,
)
FILES_A_FOLDER = 1_000
OF_ONE_FOLDER = 4
"""Every so manieth file goes into one large folder, more than are put in order at a time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--record", action="store_true")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        # In a process of its own: the system counts what this one held to those that it starts.
        command = [sys.executable, "-m", "fieldmark", "demo", "--out", str(place / "demo")]
        measure(command, log=place / "log", cache=place / "cache")
        for count in asked.files:
            folder = linked(place / "demo/digits", place / f"photos-{count}", count)
            rows += figures(place / "demo/run-001", folder, count, scratch=place)
            print("\n".join(TABLE.lines(rows)))
    if asked.record:
        TABLE.record(rows)


def linked(photos: Path, folder: Path, count: int) -> Path:
    """Give the photos `count` names in the folder, in many folders and one large one."""
    originals = sorted(photos.rglob("*.png"))
    for number in range(count):
        is_large = number % OF_ONE_FOLDER == 0
        place = folder / ("large" if is_large else f"{number // FILES_A_FOLDER:04d}")
        place.mkdir(parents=True, exist_ok=True)
        os.link(originals[number % len(originals)], place / f"{number:07d}.png")
    return folder


def figures(run: Path, folder: Path, count: int, *, scratch: Path) -> list[tuple[str, ...]]:
    output, sorted_into = scratch / f"{count}.csv", scratch / f"sorted-{count}"
    command = [sys.executable, "-m", "fieldmark", "predict", str(run), str(folder)]
    command += ["--output", str(output), "--sort-into", str(sorted_into), "--link", "symbolic"]
    anew = measure(command, log=scratch / "log", cache=scratch / "cache")
    require_rows(output, count)
    output.rename(output.with_name(f"{count}.unfinished.csv"))
    again = measure([*command, "--resume"], log=scratch / "log", cache=scratch / "cache")
    require_rows(output, count)
    num_sorted = sum(len(files) for _, _, files in os.walk(sorted_into))
    if num_sorted != count:
        sys.exit(f"{num_sorted:,} of {count:,} photos were sorted.")
    return [row(count, "anew, sorted", anew), row(count, "resumed, all done", again)]


def require_rows(output: Path, count: int) -> None:
    with output.open("rb") as stream:
        found = sum(1 for _ in stream) - 1
    if found != count:
        sys.exit(f"{output} has {found:,} rows for {count:,} files.")


def row(count: int, what: str, cost: Cost) -> tuple[str, ...]:
    speed = f"{count / cost.seconds:,.0f}"
    return (f"{count:,}", what, f"{cost.peak_mib:,}", speed, machine(), today())


if __name__ == "__main__":
    main()
