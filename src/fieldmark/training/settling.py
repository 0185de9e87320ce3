"""What a recipe leaves to be found out before the first step: pace, learning rate, epochs.

In: a classifier, the photos and a `Course`. Out: `Settled`, with a reason for each choice, and the
range test where there was one. The network is left as it was.
"""

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from fieldmark.base.allocation import allocation
from fieldmark.base.counting import counted
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.models.lowering import lowered
from fieldmark.models.randomness import seeded
from fieldmark.training.batches import Batch, Batches, Photos
from fieldmark.training.course import Choice, Course, Settled
from fieldmark.training.optim import set_rate
from fieldmark.training.pace import borrowed, choose_pace, pays_to_compile, trial_stepper
from fieldmark.training.preparation import new_batches
from fieldmark.training.range_test import RangeTest, range_test, rates

PLANNED_SHARE = 0.9
"""Of a time budget that is planned; the rest is for steps that take longer than those measured."""
NUM_TIMED = 4
"""Steps, of which the median of all but the first stands for all."""
NUM_SCORED = 64
"""Photos predicted to tell how long it takes to score a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was settled, and how."""

    settled: Settled
    range_test: RangeTest | None = None


def settle(
    classifier: Classifier,
    *,
    train: Photos,
    validation: Photos,
    course: Course,
    test: Photos | None = None,
) -> Findings:
    """Decide what the recipe leaves open, in the order in which one depends on the other.

    Args:
        classifier: is left as it was.
        train: photos to learn from.
        validation: photos that are scored after each epoch.
        course: what to do.
        test: photos that are scored likewise; None: none are.
    """
    began_s = time.monotonic()
    config = course.config
    batches = new_batches(classifier, train, course)
    pace, choices = choose_pace(classifier, batches, course)
    if course.device.type == "cpu":
        choices = (*choices, _memory())
    lr = 0.0 if isinstance(course.optim.lr, str) else course.optim.lr
    settled = Settled(pace=pace, lr=lr or 1e-9, num_epochs=config.epochs, choices=choices)
    tested = None
    if not lr:
        tested = _range_test(classifier, batches, course, settled)
        choice = Choice(what="learning rate", chosen=f"{tested.proposed:.2g}", reason=tested.reason)
        settled = _with(replace(settled, lr=tested.proposed), choice)
    if config.compile == "auto":
        choice = pays_to_compile(classifier, batches, course, settled)
        compiled = replace(settled.pace, compiled=choice.chosen == "on")
        settled = _with(replace(settled, pace=compiled), choice)
    if config.time_budget_s is not None:
        watched = (validation, test) if test is not None else (validation,)
        epoch_s = seconds_an_epoch(classifier, batches, course, settled, watched=watched)
        measured_s = time.monotonic() - began_s
        settled = _planned(
            settled, epoch_s=epoch_s, measured_s=measured_s, budget_s=config.time_budget_s
        )
    return Findings(settled=settled, range_test=tested)


def _memory() -> Choice:
    """Return how memory is handled, which is decided before the network exists."""
    found = allocation()
    chosen = "kept when freed" if found.kept else "as the system has it"
    return Choice(what="memory", chosen=chosen, reason=found.reason)


def _planned(settled: Settled, *, epoch_s: float, measured_s: float, budget_s: float) -> Settled:
    """Plan as many epochs as fit, up to those that `settled` has, and at least one."""
    left_s = max(0.0, budget_s - measured_s)
    fitting = math.floor(PLANNED_SHARE * left_s / max(epoch_s, 1e-9))
    num_epochs = max(1, min(settled.num_epochs, fitting))
    left = (
        f"{left_s:,.0f} of {budget_s:,.0f} s are left after {measured_s:,.0f} s of measuring, "
        f"{epoch_s:,.1f} s each"
    )
    if fitting < 1:
        reason = f"an epoch takes more than the time budget leaves, one is run: {left}"
    else:
        allowed = f"; train.epochs allows {settled.num_epochs:,}"
        fit = "fits" if fitting == 1 else "fit"
        reason = f"{counted(fitting, 'epoch')} {fit}: {left}{allowed}"
    choice = Choice(what="epochs", chosen=str(num_epochs), reason=reason)
    return _with(replace(settled, num_epochs=num_epochs, time_left_s=left_s), choice)


def _with(settled: Settled, choice: Choice) -> Settled:
    return replace(settled, choices=(*settled.choices, choice))


def _range_test(
    classifier: Classifier, batches: Batches, course: Course, settled: Settled
) -> RangeTest:
    """Train for some steps at rising rates."""
    network, upcoming = classifier.network, _endless(batches)
    with borrowed(network), seeded(course.config.seed, device=course.device):
        stepper = trial_stepper(classifier, batches, course, settled)

        def loss_at(lr: float) -> float:
            epoch, index, batch = next(upcoming)
            with lowered(network, wanted=settled.pace.lowered):
                _, loss = stepper.gradients(batch, epoch=epoch, index=index)
            if math.isfinite(value := float(loss)):
                set_rate(stepper.optimizer, lr, momentum=None)
                stepper.optimizer.step()
            return value

        return range_test(loss_at, rates=rates())


def _endless(batches: Batches) -> Iterator[tuple[int, int, Batch]]:
    """Yield epoch, step and batch without end: a small folder's come again, changed otherwise."""
    for epoch in count(1):
        for index, batch in enumerate(batches.epoch(epoch)):
            yield epoch, index, batch


def seconds_an_epoch(
    classifier: Classifier,
    batches: Batches,
    course: Course,
    settled: Settled,
    *,
    watched: Sequence[Photos],
) -> float:
    """Return about how long an epoch takes, by a few steps of it, with the photos scored after it.

    The network is left as it was.
    """
    step_s = _seconds_a_step(classifier, batches, course, settled)
    return step_s * batches.num_steps + sum(
        _scoring_s(classifier, photos, course) for photos in watched
    )


def _seconds_a_step(
    classifier: Classifier, batches: Batches, course: Course, settled: Settled
) -> float:
    """Return how long a step takes, its batch made, its weights moved."""
    network, times = classifier.network, []
    with borrowed(network), seeded(course.config.seed, device=course.device):
        stepper = trial_stepper(classifier, batches, course, settled)
        began_s = time.perf_counter()
        for _, _, batch in _endless(batches):
            with lowered(network, wanted=settled.pace.lowered):
                stepper.step(batch, epoch=1, index=0)
            stepper.settle()
            times.append(time.perf_counter() - began_s)
            began_s = time.perf_counter()
            if len(times) == NUM_TIMED:
                break
    return statistics.median(times[1:])


def _scoring_s(classifier: Classifier, photos: Photos, course: Course) -> float:
    rows_N = photos.rows_N[:NUM_SCORED]
    if not len(rows_N):
        return 0.0
    began_s = time.perf_counter()
    predictor = Predictor(classifier, device=course.device)
    ready_s = time.perf_counter()
    predictor.logits(photos.pixels_MHWC, rows_N=rows_N)
    ended_s = time.perf_counter()
    return ready_s - began_s + (ended_s - ready_s) * len(photos.rows_N) / len(rows_N)
