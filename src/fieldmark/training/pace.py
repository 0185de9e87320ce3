"""How the network computes while it is trained, chosen by measuring it on this machine.

In: a classifier about to be trained, and batches for it. Out: a `Pace`, and in words what was
measured. The figures are kept in the cache, so that the same training on the same machine computes
in the same way again.
Not covered: what a network computes in when it predicts (`models.precision`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fieldmark.base.cache import remembered
from fieldmark.base.machine import processor_name
from fieldmark.models.classifier import Architecture, Classifier
from fieldmark.models.freezing import set_training
from fieldmark.models.inference import has_fast_bfloat16
from fieldmark.models.lowering import has_lowerable, lowered
from fieldmark.models.precision import photos_per_second
from fieldmark.models.randomness import seeded
from fieldmark.training.batches import Batch, Batches
from fieldmark.training.course import Choice, Course, Pace, Settled
from fieldmark.training.preparation import new_state, new_stepper
from fieldmark.training.steps import Stepper

MIN_GAIN = {"bfloat16": 1.1, "contiguous": 1.05, "lowered": 1.05}
"""How much faster than without it something must be, since two measurements of the same differ by
a few hundredths, and bfloat16 costs digits."""
LIMIT_S = 8.0
"""Measuring takes no longer, unless a single round does."""
MEASURED_PIXELS = 32 * 128 * 128
"""In a batch: of larger photos fewer are taken."""
MIN_MEASURED = 4
PLAIN = "float32"
NOT_TRIED = "the usual one with bfloat16; no other was tried"


def choose_pace(
    classifier: Classifier, batches: Batches, course: Course
) -> tuple[Pace, tuple[Choice, ...]]:
    """Return the fastest way to compute among those the recipe leaves open, and why.

    The network's weights and statistics are as before afterwards.
    """
    candidates = _candidates(classifier, course)
    if len(candidates) == 1:
        ((_, pace),) = candidates.items()
        return pace, _told(pace, {}, course)
    rates = remembered(
        "pace",
        _depends_on(classifier, batches, course, candidates),
        lambda: _measured(classifier, batches, course, candidates),
        read=lambda values: {name: float(values[name]) for name in candidates},
    )
    pace = candidates[fastest(rates)]
    return pace, _told(pace, rates, course)


def fastest(rates: Mapping[str, float]) -> str:
    """Return the name of the candidate that is worth what it costs."""
    best = {
        precision: _worth(rates, precision)
        for precision in ("float32", "bfloat16")
        if any(name.startswith(precision) for name in rates)
    }
    if len(best) == 1:
        return next(iter(best.values()))
    gain = rates[best["bfloat16"]] / max(rates[best["float32"]], 1e-9)
    return best["bfloat16" if gain >= MIN_GAIN["bfloat16"] else "float32"]


def _worth(rates: Mapping[str, float], precision: str) -> str:
    """Return the best candidate of one precision: the plain one, or one that gains enough."""
    gains = {
        name: rate / MIN_GAIN.get(name.removeprefix(precision).strip(), 1.0)
        for name, rate in rates.items()
        if name.startswith(precision)
    }
    return max(gains, key=lambda name: gains[name])


def _candidates(classifier: Classifier, course: Course) -> dict[str, Pace]:
    asked, device = course.config.precision, course.device
    open_ = ["float32", "bfloat16"] if has_fast_bfloat16(device) else ["float32"]
    candidates = {}
    for precision in open_ if asked == "auto" else [asked]:
        pace = Pace(precision=precision)
        candidates[precision] = pace
        if device.type == "cpu" and has_lowerable(classifier.network):
            candidates[f"{precision} lowered"] = replace(pace, lowered=True)
    if "float32" in candidates:
        candidates["float32 contiguous"] = replace(candidates["float32"], channels_last=False)
    return candidates


def _depends_on(
    classifier: Classifier, batches: Batches, course: Course, candidates: Mapping[str, Pace]
) -> dict[str, Any]:
    architecture: Architecture = classifier.architecture
    return {
        "candidates": sorted(candidates),
        "backbone": architecture.backbone,
        "backbone_args": dict(architecture.backbone_args),
        "stages": architecture.stages,
        "head": architecture.head,
        "size_px": classifier.preprocess.size_px,
        "batch_size": batches.num_photos // batches.num_steps,
        "batch_norm": course.batch_norm,
        "num_frozen": len(course.frozen),
        "processor": _processor(course.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return processor_name()


def _measured(
    classifier: Classifier, batches: Batches, course: Course, candidates: Mapping[str, Pace]
) -> dict[str, float]:
    """Return photos a second of each candidate: forward and backward of one batch."""
    batch = _small(batches, size_px=classifier.preprocess.size_px)
    in_last = {name: pace for name, pace in candidates.items() if pace.channels_last}
    others = {name: pace for name, pace in candidates.items() if not pace.channels_last}
    rates: dict[str, float] = {}
    with borrowed(classifier.network), seeded(course.config.seed, device=course.device):
        for paces in (others, in_last):
            if paces:
                runs = {
                    name: _run(classifier, batches, course, pace, batch)
                    for name, pace in paces.items()
                }
                rates |= photos_per_second(runs, limit_s=LIMIT_S)
    return rates


def _small(batches: Batches, *, size_px: int) -> Batch:
    """Return a batch of the run, or the beginning of one."""
    batch = next(batches.epoch(1))
    count = max(MIN_MEASURED, MEASURED_PIXELS // size_px**2)
    return Batch(
        images_NCHW=batch.images_NCHW[:count],
        targets_NC=batch.targets_NC[:count],
        labels_N=batch.labels_N[:count],
        members_N=batch.members_N[:count],
    )


def _run(
    classifier: Classifier, batches: Batches, course: Course, pace: Pace, batch: Batch
) -> Callable[[], int]:
    stepper = trial_stepper(classifier, batches, course, Settled(pace=pace, lr=1e-9, num_epochs=1))

    def run() -> int:
        with lowered(classifier.network, wanted=pace.lowered):
            _, loss = stepper.gradients(batch, epoch=1, index=0)
            float(loss)  # waits for a GPU
        return len(batch.labels_N)

    return run


def trial_stepper(
    classifier: Classifier, batches: Batches, course: Course, settled: Settled
) -> Stepper:
    """Return what takes steps that do not count, in a network that is `borrowed`."""
    state = new_state(classifier, batches, course, settled)
    set_training(classifier.network, batch_norm=course.batch_norm, frozen=course.frozen)
    return new_stepper(state, batches, course, on_note=lambda _: None)


@contextmanager
def borrowed(network: nn.Module) -> Iterator[None]:
    """Leave the network's weights and statistics after the block as they were before."""
    before = {name: value.detach().clone() for name, value in network.state_dict().items()}
    try:
        yield
    finally:
        network.load_state_dict(before)
        network.zero_grad(set_to_none=True)


def pays_to_compile(
    classifier: Classifier, batches: Batches, course: Course, settled: Settled
) -> Choice:
    """Return whether torch.compile earns back its time in this run; its `chosen` is on or off.

    What compiling costs is counted in full, from the first call to the second.
    """
    batch = next(batches.epoch(1))
    num_batches = settled.num_epochs * batches.num_steps
    seconds: dict[str, list[float]] = {}
    try:
        with borrowed(classifier.network), seeded(course.config.seed, device=course.device):
            for name, compiled in (("eager", False), ("compiled", True)):
                pace = replace(settled.pace, compiled=compiled)
                seconds[name] = _timed(_run(classifier, batches, course, pace, batch))
    except Exception as error:  # noqa: BLE001 - a compiler can fail in any way; there is another
        problem = str(error).strip().partition("\n")[0][:200]
        return Choice(what="torch.compile", chosen="off", reason=f"it failed: {problem}")
    totals = {name: first + rest * (num_batches - 1) for name, (first, rest) in seconds.items()}
    reason = (
        f"measured: {totals['compiled']:,.0f} s with it, {seconds['compiled'][0]:.0f} s of them "
        f"compiling, {totals['eager']:,.0f} s without"
    )
    chosen = "on" if totals["compiled"] < totals["eager"] else "off"
    return Choice(what="torch.compile", chosen=chosen, reason=reason)


def _timed(run: Callable[[], int]) -> list[float]:
    """Return the seconds of the first call, and of the faster of two more."""
    times = []
    for _ in range(3):
        began_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - began_s)
    return [times[0], min(times[1:])]


def _told(pace: Pace, rates: Mapping[str, float], course: Course) -> tuple[Choice, ...]:
    """Return each thing chosen, with the figures that it was chosen by."""
    plain = "bfloat16" if pace.precision == "bfloat16" else PLAIN
    lowered_name = f"{plain} lowered"
    by_precision = {
        name: max((rate for key, rate in rates.items() if key.startswith(name)), default=0.0)
        for name in ("float32", "bfloat16")
    }
    in_float = max(rates.get("float32", 0.0), rates.get("float32 lowered", 0.0))
    figures = {
        "precision": by_precision,
        "memory format": {
            "channels last": in_float,
            "channels first": rates.get("float32 contiguous", 0.0),
        },
        "convolutions": {
            "as they are": rates.get(plain, 0.0),
            "as matrix products": rates.get(lowered_name, 0.0),
        },
    }
    chosen = {
        "precision": pace.precision,
        "memory format": "channels last" if pace.channels_last else "channels first",
        "convolutions": "as matrix products" if pace.lowered else "as they are",
    }
    reasons = {what: _figures(of_what) for what, of_what in figures.items()}
    if pace.precision == "bfloat16":
        reasons["memory format"] = NOT_TRIED
    if course.config.precision != "auto":
        reasons["precision"] = "asked for"
    return tuple(Choice(what=what, chosen=chosen[what], reason=reasons[what]) for what in chosen)


def _figures(rates: Mapping[str, float]) -> str:
    """Return the rates in words; where there is but one way, say so."""
    measured = {name: rate for name, rate in rates.items() if rate}
    if len(measured) < 2:
        return "nothing else suits this machine or this network"
    return "measured: " + ", ".join(
        f"{name} {rate:,.0f} photos/s" if rate >= 9.5 else f"{name} {rate:.1f} photos/s"
        for name, rate in sorted(measured.items(), key=lambda item: -item[1])
    )
