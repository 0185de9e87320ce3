"""How many photos a second a server answers, beside others, and what it does with too many.

    python benchmarks/serve_speed.py RUN PHOTOS [--onnx FILE] [--litserve PYTHON] [--seconds 20]

Each server is a process of its own; they take turns, and each is warmed up before it is measured.
Saturation: 32 clients, each with one request at a time. Overload: four times the rate that was
measured, whether answers come or not. Stops: SIGTERM under load, and a count of lost requests.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import psutil

from serve_load import Load, closed, opened, request_bytes, run

HERE = Path(__file__).parent
NUM_CLIENTS, NUM_PHOTOS = 32, 200
WARM_UP_S = 3.0
OVERLOAD = 4
MIB = 1 << 20


def main() -> None:
    asked = _asked()
    photos = sorted(asked.photos.rglob("*.jpg"))
    chosen = photos[:: max(1, len(photos) // NUM_PHOTOS)][:NUM_PHOTOS]
    contents = [path.read_bytes() for path in chosen]
    commands = _commands(asked)
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(asked.repeats):
        names = list(commands) if number % 2 == 0 else list(reversed(commands))
        for name in names:
            with served(commands[name]) as (port, _):
                as_json = name.startswith("litserve")
                load = saturate(port, contents, seconds=asked.seconds, as_json=as_json)
            rates[name].append(load.good_a_second)
            print(
                f"{name}: {load.good_a_second:.0f} photos/s, half within "
                f"{1000 * load.quantile(0.5):.0f} ms, 99 % within "
                f"{1000 * load.quantile(0.99):.0f} ms, {dict(load.statuses)}",
                flush=True,
            )
    for name in commands:
        ratios = [ours / theirs for ours, theirs in zip(rates[name], rates["plain"], strict=True)]
        print(
            f"{name}: median {median(rates[name]):.0f} photos/s, {median(ratios):.2f} times plain"
        )
    for name in [name for name in commands if name.startswith("fieldmark")]:
        overload(name, commands[name], contents, seconds=asked.seconds)
    if asked.stops:
        stops(commands["fieldmark"], contents, num=asked.stops)


def overload(
    name: str, command: Sequence[str], contents: Sequence[bytes], *, seconds: float
) -> None:
    """Send four times what a server can answer, and say what came of it.

    What it can answer is measured on the same process just before and just after, since a machine
    that is shared with others does not always run at the same speed.
    """
    with served(command) as (port, process):
        first = saturate(port, contents, seconds=seconds).good_a_second
        before = process.memory_info().rss
        requests = [request_bytes(content, port=port) for content in contents]
        load = run(opened(port, requests, rate=OVERLOAD * first, seconds=seconds))
        after = process.memory_info().rss
        peak = (first + saturate(port, contents, seconds=seconds).good_a_second) / 2
    print(
        f"{name}, {OVERLOAD} times its rate of {peak:.0f}: {load.good_a_second:.0f} good a second, "
        f"{100 * load.good_a_second / peak:.0f} % of the peak, {dict(load.statuses)}, 99 % within "
        f"{1000 * load.quantile(0.99):.0f} ms, memory {before / MIB:.0f} to {after / MIB:.0f} MiB",
        flush=True,
    )


def stops(command: Sequence[str], contents: Sequence[bytes], *, num: int) -> None:
    """Stop a server under load again and again, and count the requests that were lost."""
    total = Load()
    longest = 0.0
    for _ in range(num):
        with served(command) as (port, process):
            requests = [request_bytes(content, port=port) for content in contents]

            load = run(_until_stopped(port, process, requests))
            began = time.monotonic()
            process.wait(40)
            longest = max(longest, time.monotonic() - began)
        total.statuses += load.statuses
    lost = sum(count for status, count in total.statuses.items() if status.startswith("lost"))
    print(
        f"{num} stops under load: {dict(total.statuses)}, {lost} lost, ended {longest:.1f} s later"
    )


async def _until_stopped(port: int, process: psutil.Process, requests: Sequence[bytes]) -> Load:
    loading = asyncio.create_task(closed(port, requests, num_clients=NUM_CLIENTS, seconds=60))
    await asyncio.sleep(2)
    process.send_signal(signal.SIGTERM)
    return await loading


def saturate(
    port: int, contents: Sequence[bytes], *, seconds: float, as_json: bool = False
) -> Load:
    """Warm a server up, and keep it busy."""
    requests = [request_bytes(content, port=port, as_json=as_json) for content in contents]
    run(closed(port, requests, num_clients=NUM_CLIENTS, seconds=WARM_UP_S))
    return run(closed(port, requests, num_clients=NUM_CLIENTS, seconds=seconds))


@contextlib.contextmanager
def served(command: Sequence[str]) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server on a free port and end it after the block."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command], env=environment
    )
    workers: list[psutil.Process] = []
    try:
        last = time.monotonic() + 120
        while time.monotonic() < last and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(40)
        for worker in workers:  # LitServe leaves them, and they would slow down whatever comes next
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()


def _commands(asked: argparse.Namespace) -> dict[str, list[str]]:
    python, run = sys.executable, str(asked.run)
    commands = {
        "plain": [python, str(HERE / "peers/plain_server.py"), run, "PORT"],
        "fieldmark": [python, "-m", "fieldmark", "serve", run, "--port", "PORT"],
    }
    for file in asked.onnx:
        command = [python, "-m", "fieldmark", "serve", str(file), "--port", "PORT"]
        commands[f"fieldmark, {file.name}"] = command
        if asked.litserve:
            peer = [str(asked.litserve), str(HERE / "peers/lit_server.py"), str(file), "PORT"]
            commands[f"litserve, {file.name}"] = peer
    if asked.litserve:
        peer = [str(asked.litserve), str(HERE / "peers/lit_server.py"), run, "PORT"]
        commands["litserve"] = peer
    return commands


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--onnx", type=Path, action="append", default=[])
    parser.add_argument("--litserve", type=Path, help="the python of an environment that has it")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stops", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
