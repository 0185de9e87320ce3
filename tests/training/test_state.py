"""The state of a training as a checkpoint, and the best weights so far."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import RunError
from fieldmark.models.classifier import Classifier
from fieldmark.training.batches import Photos
from fieldmark.training.checkpoint import Checkpoint
from fieldmark.training.course import Choice, Course, Pace, Settled
from fieldmark.training.preparation import new_batches, new_state
from fieldmark.training.state import TrainingState
from fieldmark.training.tally import Epoch

SETTLED = Settled(
    pace=Pace(precision="bfloat16", lowered=True),
    lr=0.1 + 0.2,
    num_epochs=2,
    choices=(Choice(what="epochs", chosen="2", reason="they fit"),),
)
MakeState = Callable[..., TrainingState]


@pytest.fixture
def make_state(
    make_classifier: Callable[..., Classifier],
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
    make_course: Callable[..., Course],
    of_rows: Callable[..., Photos],
) -> MakeState:
    """Return a function that gives the state before the first step of 3 steps an epoch."""

    def make(*, args: dict[str, Any] | None = None, **asked: Any) -> TrainingState:
        classifier = make_classifier(**(args or {}))
        course = make_course(classifier, **asked)
        train = of_rows(make_photos(24), range(24))
        return new_state(classifier, new_batches(classifier, train, course), course, SETTLED)

    return make


def row(number: int, val_loss: float) -> Epoch:
    zeros = dict.fromkeys((f.name for f in Epoch.__dataclass_fields__.values()), 0.0)
    return Epoch(**{**zeros, "epoch": number, "val_loss": val_loss})  # type: ignore[arg-type]


def moved(state: TrainingState) -> TrainingState:
    """Stand in the second epoch after one step of it, with everything different from the start."""
    for parameter in state.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    if state.ema is not None:
        state.ema.update(state.network, 9)
    state.tally.add(torch.randn(8, 3), torch.zeros(8, dtype=torch.int64))
    state.epoch, state.index, state.seconds, state.waited_s = 2, 1, 3.25, 0.125
    state.micro_batch = 4
    state.history = [row(1, math.nan)]
    return state


def on_the_disk(checkpoint: Checkpoint) -> Checkpoint:
    """Return what is read back: tensors of its own, and JSON."""
    return Checkpoint(
        step=checkpoint.step,
        tensors={name: value.clone() for name, value in checkpoint.tensors.items()},
        state=json.loads(json.dumps(checkpoint.state, allow_nan=False)),
    )


def require_same(one: Checkpoint, other: Checkpoint) -> None:
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    assert json.dumps(one.state) == json.dumps(other.state)
    assert one.step == other.step


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_state_put_back_is_the_state_to_the_last_bit(
    ema: float | None, make_state: MakeState
) -> None:
    before = moved(make_state(ema=ema))
    before.keep_if_best(before.network.state_dict())
    saved = on_the_disk(before.checkpoint())
    after = make_state(ema=ema)
    after.restore(saved)
    require_same(after.checkpoint(), before.checkpoint())
    assert saved.step == after.step == 4
    assert (after.epoch, after.index, after.micro_batch) == (2, 1, 4)
    assert (after.seconds, after.waited_s) == (3.25, 0.125)
    assert math.isnan(after.history[0].val_loss)
    assert not after.is_done


def test_a_state_put_back_shares_nothing_with_where_it_came_from(make_state: MakeState) -> None:
    saved = on_the_disk(moved(make_state(ema=0.9)).checkpoint())
    copies = {name: value.clone() for name, value in saved.tensors.items()}
    moved_on = make_state(ema=0.9)
    moved_on.restore(saved)
    moved(moved_on)
    assert all(torch.equal(value, copies[name]) for name, value in saved.tensors.items())


def test_what_was_settled_survives_json(make_state: MakeState) -> None:
    saved = on_the_disk(make_state().checkpoint())
    assert Settled.from_json(saved.state["settled"]) == SETTLED


def test_a_checkpoint_of_another_network_is_refused(make_state: MakeState) -> None:
    saved = on_the_disk(make_state().checkpoint())
    with pytest.raises((RuntimeError, RunError)):
        make_state(args={"channels": [8, 8, 8, 8]}).restore(saved)


@pytest.mark.parametrize(
    ("epoch", "reason", "is_done"),
    [(1, None, False), (2, None, False), (3, None, True), (2, "no lower loss", True)],
)
def test_a_run_is_done_after_its_last_epoch_or_where_it_stopped_early(
    epoch: int, reason: str | None, make_state: MakeState, *, is_done: bool
) -> None:
    state = make_state()
    state.epoch, state.stopped_early = epoch, reason
    assert state.is_done is is_done
    again = make_state()
    again.restore(on_the_disk(state.checkpoint()))
    assert again.is_done is is_done
    assert again.stopped_early == reason


# The best epoch


def test_the_best_weights_are_those_of_the_lowest_validation_loss_and_the_first_of_equals(
    make_state: MakeState,
) -> None:
    state, kept = make_state(), []
    for number, loss in enumerate((0.9, 0.5, 0.5, 0.7, 0.4), start=1):
        state.history.append(row(number, loss))
        weights = {"weight": torch.full((2,), float(number))}
        kept.append(state.keep_if_best(weights))
        weights["weight"].zero_()  # they are copied
    assert kept == [True, True, False, False, True]
    assert (state.best.epoch, state.best.loss) == (5, 0.4)
    assert state.best.tensors["weight"].tolist() == [5, 5]


@pytest.mark.parametrize("losses", [(math.nan,), (math.nan, math.inf), (0.5, math.nan)])
def test_a_loss_that_is_not_a_number_is_never_the_best(
    losses: tuple[float, ...], make_state: MakeState
) -> None:
    state = make_state()
    for number, loss in enumerate(losses, start=1):
        state.history.append(row(number, loss))
        state.keep_if_best({"weight": torch.full((1,), loss)})
    assert state.best.epoch == (1 if losses[0] == 0.5 else 0)
    assert all(value.isfinite().all() for value in state.best.tensors.values())
    saved = on_the_disk(replace(state, history=[]).checkpoint())
    assert saved.state["best_loss"] == (0.5 if state.best.epoch else None)
