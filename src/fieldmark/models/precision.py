"""What a network shall compute in when it predicts, found by measuring it on this machine.

In: what runs the network in float32 and in bfloat16. Out: photos a second of each, and a choice
with its reason. Not covered: running the network (see `inference`).
"""

import time
from collections.abc import Callable, Mapping

MIN_GAIN = 1.2
"""bfloat16 keeps 8 bits of 24, so it must be this much faster to be taken. On a machine with twice
the work that its cores can do, the gain differed by up to 7 % from one measurement to the next."""
LIMIT_S = 3.0
"""Measuring takes no longer, warm-up included, unless a single round of each does."""
MAX_ROUNDS = 6
"""The warm-up and five that count: a small network is measured in a fraction of a second."""

Run = Callable[[], int]
"""Runs the network once and returns the number of photos done."""


def photos_per_second(
    runs: Mapping[str, Run],
    *,
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the best rate of each run, in photos a second.

    They take turns, so that what else the machine does disturbs them alike. The first round, in
    which memory is claimed and kernels are built, counts only where there is time for no other.
    A run that raises NotImplementedError has the rate 0.
    """
    began_s = clock()
    rounds: list[dict[str, float]] = []
    while len(rounds) < MAX_ROUNDS:
        round_began_s = clock()
        rounds.append({name: _rate(run, clock) for name, run in runs.items()})
        now_s = clock()
        if now_s - began_s + (now_s - round_began_s) > limit_s:
            break
    counted = rounds[1:] or rounds
    return {name: max(rates[name] for rates in counted) for name in runs}


def choose(rates: Mapping[str, float]) -> tuple[str, str]:
    """Return ("float32" or "bfloat16", the reason with both figures)."""
    name = "bfloat16" if 0 < MIN_GAIN * rates["float32"] <= rates["bfloat16"] else "float32"
    figures = [f"{kind} {_figure(rates[kind])}" for kind in sorted(rates, key=name.__ne__)]
    return name, f"measured: {', '.join(figures)}"


def _rate(run: Run, clock: Callable[[], float]) -> float:
    began_s = clock()
    try:
        num_photos = run()
    except NotImplementedError:  # PyTorch's answer where an operation lacks a type of number
        return 0.0
    return num_photos / max(clock() - began_s, 1e-9)


def _figure(rate: float) -> str:
    if not rate:
        return "cannot be run"
    return f"{rate:,.0f} photos/s" if rate >= 9.5 else f"{rate:.1f} photos/s"
