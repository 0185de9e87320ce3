"""What a recipe leaves open is found out before the first step, and leaves the network alone."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldmark.base.allocation import Allocation
from fieldmark.models.classifier import Classifier
from fieldmark.training import settling
from fieldmark.training.batches import Photos
from fieldmark.training.course import Choice, Course, Pace, Settled
from fieldmark.training.optim import OptimConfig
from fieldmark.training.settling import Findings, settle

PACE_CHOICES = (Choice(what="precision", chosen="float32", reason="asked for"),)
KEPT = Allocation(kept=True, reason="glibc was told so")
MEMORY = Choice(what="memory", chosen="kept when freed", reason="glibc was told so")
SETTLED = Settled(pace=Pace(), lr=1e-3, num_epochs=10, choices=PACE_CHOICES)
Settle = Callable[..., Findings]


@pytest.fixture
def settle_tiny(
    make_classifier: Callable[..., Classifier],
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
    make_course: Callable[..., Course],
    of_rows: Callable[..., Photos],
    monkeypatch: pytest.MonkeyPatch,
) -> Settle:
    """Return a function that settles a tiny course; the pace is given, not measured."""
    monkeypatch.setattr(settling, "choose_pace", lambda *_: (Pace(lowered=True), PACE_CHOICES))
    monkeypatch.setattr(settling, "allocation", lambda: KEPT)

    def run(
        *,
        classifier: Classifier | None = None,
        num_validation: int = 6,
        num_test: int = 0,
        **asked: Any,
    ) -> Findings:
        photos, classifier = make_photos(33), classifier or make_classifier()
        return settle(
            classifier,
            train=of_rows(photos, range(24)),
            validation=of_rows(photos, range(24, 24 + num_validation)),
            course=make_course(classifier, **asked),
            test=of_rows(photos, range(30, 30 + num_test)) if num_test else None,
        )

    return run


def planned(*, epoch_s: float, left_s: float, measured_s: float = 5.0, epochs: int = 10) -> Settled:
    settled = replace(SETTLED, num_epochs=epochs)
    budget_s = left_s + measured_s
    return settling._planned(settled, epoch_s=epoch_s, measured_s=measured_s, budget_s=budget_s)


# A time budget


@pytest.mark.parametrize(
    ("epoch_s", "left_s", "num_epochs", "reason"),
    [
        (9.0, 100.0, 10, "10 epochs fit: 100 of 105 s are left after 5 s of measuring, 9.0 s each"),
        (9.0, 99.9, 9, "9 epochs fit: 100 of 105 s are left after 5 s of measuring, 9.0 s each"),
        (1.0, 100.0, 10, "90 epochs fit: 100 of 105 s are left after 5 s of measuring, 1.0 s"),
        (90.0, 100.0, 1, "1 epoch fits: 100 of 105 s are left after 5 s of measuring, 90.0 s"),
        (91.0, 100.0, 1, "an epoch takes more than the time budget leaves, one is run: 100 of 105"),
        (1.0, -4.0, 1, "an epoch takes more than the time budget leaves, one is run: 0 of 1 s are"),
    ],
)
def test_as_many_epochs_are_planned_as_fit_into_nine_tenths_of_the_time(
    epoch_s: float, left_s: float, num_epochs: int, reason: str
) -> None:
    found = planned(epoch_s=epoch_s, left_s=left_s)
    assert found.num_epochs == num_epochs
    assert found.choices[:1] == PACE_CHOICES
    choice = found.choices[1]
    assert (choice.what, choice.chosen) == ("epochs", str(num_epochs))
    assert choice.reason.startswith(reason)
    assert found.time_left_s == max(left_s, 0.0)


@given(
    epoch_s=st.floats(0, 1e5),
    left_s=st.floats(-1e3, 1e9),
    epochs=st.integers(1, 10_000),
)
def test_the_plan_keeps_to_time_and_recipe_and_has_at_least_one_epoch(
    epoch_s: float, left_s: float, epochs: int
) -> None:
    found = planned(epoch_s=epoch_s, left_s=left_s, measured_s=0.0, epochs=epochs)
    assert 1 <= found.num_epochs <= epochs
    assert found.num_epochs == 1 or found.num_epochs * epoch_s <= 0.9 * left_s * (1 + 1e-9)
    assert (found.pace, found.lr) == (SETTLED.pace, SETTLED.lr)


def test_an_epoch_is_its_steps_and_its_validation_and_what_was_used_up_is_taken_off(
    settle_tiny: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter((100.0, 140.0))
    monkeypatch.setattr(settling, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(settling, "_seconds_a_step", lambda *_: 2.0)
    monkeypatch.setattr(settling, "_scoring_s", lambda _, photos, __: len(photos.rows_N) / 1.5)
    found = settle_tiny(time_budget_s=90.0, epochs=20).settled
    # Of 50 s that are left nine tenths are planned, for epochs of 3 steps: 45 / (3 * 2 + 4).
    assert found.num_epochs == 4
    assert found.choices[-1].reason == (
        "4 epochs fit: 50 of 90 s are left after 40 s of measuring, 10.0 s each; "
        "train.epochs allows 20"
    )
    # With 3 test photos to score: 45 / (3 * 2 + 4 + 2).
    ticks = iter((100.0, 140.0))
    assert settle_tiny(time_budget_s=90.0, epochs=20, num_test=3).settled.num_epochs == 3


def test_steps_and_validation_are_timed_by_taking_them(
    settle_tiny: Settle, make_classifier: Callable[..., Classifier]
) -> None:
    classifier = make_classifier()
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    found = settle_tiny(classifier=classifier, time_budget_s=1e6, epochs=3, num_validation=0)
    assert found.settled.num_epochs == 3
    now = classifier.network.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in before.items())


def test_scoring_no_photos_takes_no_time(
    make_classifier: Callable[..., Classifier],
    make_photos: Callable[..., Any],
    make_course: Callable[..., Course],
    of_rows: Callable[..., Photos],
) -> None:
    classifier = make_classifier()
    course = make_course(classifier)
    assert settling._scoring_s(classifier, of_rows(make_photos(9), []), course) == 0
    assert settling._scoring_s(classifier, of_rows(make_photos(9), [1, 2]), course) > 0


def test_the_median_of_the_steps_but_the_first_stands_for_all(
    settle_tiny: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first builds kernels and claims memory."""
    ticks = iter((0.0, 1.0, 1.0, 8.0, 8.0, 13.0, 13.0, 19.0, 19.0))
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), monotonic=lambda: 0.0)
    monkeypatch.setattr(settling, "time", clock)
    monkeypatch.setattr(settling, "_scoring_s", lambda *_: 0.0)
    found = settle_tiny(time_budget_s=1000.0, epochs=1000).settled
    assert found.num_epochs == 50  # 900 s of 3 steps of 6 s


# A learning rate


def test_a_rate_that_is_given_is_taken_without_a_test(settle_tiny: Settle) -> None:
    for lr in (0.02, 1):
        found = settle_tiny(optim=OptimConfig(lr=lr))
        assert found == Findings(
            settled=Settled(
                pace=Pace(lowered=True), lr=lr, num_epochs=2, choices=(*PACE_CHOICES, MEMORY)
            )
        )


@pytest.mark.parametrize("spoils", [False, True])
def test_a_range_test_proposes_the_rate_and_leaves_the_network_as_it_was(
    settle_tiny: Settle, make_classifier: Callable[..., Classifier], *, spoils: bool
) -> None:
    """Also where its last rates are so high that nothing is left of the weights."""
    classifier = make_classifier(drop_rate=0.2)
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    draws = torch.get_rng_state()
    name = "sgd" if spoils else "adamw"
    factor = 1000.0 if spoils else 1.0
    optim = OptimConfig(lr="auto", name=name, head_lr_factor=factor)
    found = settle_tiny(classifier=classifier, optim=optim)
    tested = found.range_test
    assert tested is not None
    assert len(tested.rates) == len(tested.losses) == len(tested.smoothed) > 5
    assert np.isfinite(tested.losses).all()
    assert (len(tested.rates) < 60) or not spoils
    assert found.settled.lr == tested.proposed > 0
    assert found.settled.choices == (
        *PACE_CHOICES,
        MEMORY,
        Choice(what="learning rate", chosen=f"{tested.proposed:.2g}", reason=tested.reason),
    )
    now = classifier.network.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(parameter.grad is None for parameter in classifier.network.parameters())


def test_the_range_test_begins_with_the_loss_of_the_network_as_it_is(settle_tiny: Settle) -> None:
    """And is the same each time."""
    tests = [settle_tiny(optim=OptimConfig(lr="auto")).range_test for _ in range(2)]
    assert tests[0] is not None
    assert tests[0].losses[0] == pytest.approx(np.log(3), abs=0.3)
    assert tests[0] == tests[1]


def test_a_range_test_takes_shares_of_a_batch_where_memory_is_short(
    settle_tiny: Settle, limit_memory: Callable[[int], list[int]]
) -> None:
    tried = limit_memory(4)
    assert settle_tiny(optim=OptimConfig(lr="auto")).range_test is not None
    assert tried.count(8) == 1


# torch.compile


@pytest.mark.parametrize("chosen", ["on", "off"])
def test_compiling_is_settled_by_what_it_earns(
    chosen: str, settle_tiny: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = Choice(what="torch.compile", chosen=chosen, reason="measured")
    monkeypatch.setattr(settling, "pays_to_compile", lambda *_: choice)
    found = settle_tiny(compile="auto").settled
    assert found.pace == Pace(lowered=True, compiled=chosen == "on")
    assert found.choices[-1] == choice


def test_nothing_is_compiled_where_nobody_asked(
    settle_tiny: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "pays_to_compile", pytest.fail)
    assert not settle_tiny(compile="off").settled.pace.compiled
