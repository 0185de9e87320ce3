"""How a network computes is measured, remembered, and takes what is worth what it costs.

The figures are given here: what a machine measures in a test says nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.models.classifier import Classifier, Network
from fieldmark.training import pace as pace_module
from fieldmark.training.batches import Batches, Photos
from fieldmark.training.course import Choice, Course, Pace, Settled
from fieldmark.training.pace import choose_pace, fastest, pays_to_compile
from fieldmark.training.preparation import new_batches

Rates = Mapping[str, float]
Parts = tuple[Classifier, Batches, Course]
MakeParts = Callable[..., Parts]
ON_CPU = {
    "float32": 100.0,
    "float32 lowered": 100.0,
    "float32 contiguous": 100.0,
    "bfloat16": 100.0,
    "bfloat16 lowered": 100.0,
}
NOT_TRIED = "the usual one with bfloat16; no other was tried"
NOTHING_ELSE = "nothing else suits this machine or this network"


@pytest.fixture
def make_parts(
    make_classifier: Callable[..., Classifier],
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
    make_course: Callable[..., Course],
    of_rows: Callable[..., Photos],
) -> MakeParts:
    """Return a function that gives a tiny classifier, its batches and its course."""

    def make(*, args: dict[str, Any] | None = None, **asked: Any) -> Parts:
        classifier = make_classifier(**(args or {}))
        course = make_course(classifier, **{"precision": "auto", **asked})
        train = of_rows(make_photos(24), range(24))
        return classifier, new_batches(classifier, train, course), course

    return make


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that fixes what is measured, and lists what was run for it."""

    def fix(rates: Rates, *, fast_bfloat16: bool = True) -> list[str]:
        ran: list[str] = []

        def photos_per_second(runs: Mapping[str, Callable[[], int]], **_: Any) -> dict[str, float]:
            for name, run in runs.items():
                assert run() == 8
                ran.append(name)
            return {name: rates[name] for name in runs}

        monkeypatch.setattr(pace_module, "photos_per_second", photos_per_second)
        monkeypatch.setattr(pace_module, "has_fast_bfloat16", lambda _: fast_bfloat16)
        return ran

    return fix


def state_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.network.state_dict().items()}


# The choice


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({}, "float32"),
        ({"float32 lowered": 104.0}, "float32"),
        ({"float32 lowered": 106.0}, "float32 lowered"),
        ({"float32 contiguous": 104.0}, "float32"),
        ({"float32 contiguous": 106.0}, "float32 contiguous"),
        ({"float32 contiguous": 120.0, "float32 lowered": 110.0}, "float32 contiguous"),
        ({"bfloat16": 109.0}, "float32"),
        ({"bfloat16": 111.0}, "bfloat16"),
        ({"bfloat16": 115.0, "float32 lowered": 110.0}, "float32 lowered"),
        ({"bfloat16": 115.0, "bfloat16 lowered": 119.0}, "bfloat16"),
        ({"bfloat16": 115.0, "bfloat16 lowered": 122.0}, "bfloat16 lowered"),
        # Both together must be worth it, held against the best of float32.
        ({"bfloat16 lowered": 130.0, "float32 lowered": 120.0}, "float32 lowered"),
        ({"bfloat16 lowered": 133.0, "float32 lowered": 120.0}, "bfloat16 lowered"),
        ({"bfloat16": 0.0, "bfloat16 lowered": 0.0}, "float32"),
    ],
)
def test_what_is_faster_is_taken_only_where_it_gains_enough(rates: Rates, expected: str) -> None:
    assert fastest({**ON_CPU, **rates}) == expected


def test_a_precision_that_was_asked_for_has_no_rival() -> None:
    assert fastest({"bfloat16": 1.0}) == "bfloat16"
    assert fastest({"bfloat16": 1.0, "bfloat16 lowered": 2.0}) == "bfloat16 lowered"
    assert fastest({"float32": 1.0, "float32 contiguous": 1.01}) == "float32"


@pytest.mark.parametrize(
    ("asked", "fast_bfloat16", "expected"),
    [
        ("auto", True, [*ON_CPU]),
        ("auto", False, ["float32", "float32 lowered", "float32 contiguous"]),
        ("float32", True, ["float32", "float32 lowered", "float32 contiguous"]),
        ("bfloat16", False, ["bfloat16", "bfloat16 lowered"]),
    ],
)
def test_only_what_the_recipe_and_the_machine_allow_is_measured(
    asked: str,
    expected: list[str],
    make_parts: MakeParts,
    measured: Callable[..., list[str]],
    *,
    fast_bfloat16: bool,
) -> None:
    ran = measured(ON_CPU, fast_bfloat16=fast_bfloat16)
    choose_pace(*make_parts(precision=asked))
    assert sorted(ran) == sorted(expected)


def test_a_network_without_plain_convolutions_is_not_lowered(
    make_parts: MakeParts, measured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = measured(ON_CPU, fast_bfloat16=False)
    monkeypatch.setattr(pace_module, "has_lowerable", lambda _: False)
    choose_pace(*make_parts())
    assert sorted(ran) == ["float32", "float32 contiguous"]


def test_on_a_gpu_convolutions_stay_what_they_are(
    make_parts: MakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "has_fast_bfloat16", lambda _: True)
    classifier, _, course = make_parts()
    on_gpu = replace(course, device=torch.device("cuda"))
    assert sorted(pace_module._candidates(classifier, on_gpu)) == [
        *("bfloat16", "float32", "float32 contiguous")
    ]


def test_where_nothing_is_left_open_nothing_is_measured(
    make_parts: MakeParts, measured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = measured(ON_CPU)
    monkeypatch.setattr(pace_module, "has_lowerable", lambda _: False)
    pace, choices = choose_pace(*make_parts(precision="bfloat16"))
    assert ran == []
    assert pace == Pace(precision="bfloat16")
    assert choices[0] == Choice(what="precision", chosen="bfloat16", reason="asked for")
    assert [choice.reason for choice in choices[1:]] == [NOT_TRIED, NOTHING_ELSE]


def test_the_choice_is_told_with_its_figures(
    make_parts: MakeParts, measured: Callable[..., list[str]]
) -> None:
    measured({**ON_CPU, "float32": 90.0, "float32 contiguous": 4.25, "bfloat16 lowered": 1234.4})
    pace, choices = choose_pace(*make_parts())
    assert pace == Pace(precision="bfloat16", lowered=True)
    assert [(choice.what, choice.chosen, choice.reason) for choice in choices] == [
        ("precision", "bfloat16", "measured: bfloat16 1,234 photos/s, float32 100 photos/s"),
        (
            "memory format",
            "channels last",
            NOT_TRIED,
        ),
        (
            "convolutions",
            "as matrix products",
            "measured: as matrix products 1,234 photos/s, as they are 100 photos/s",
        ),
    ]


def test_channels_first_is_told_as_such(
    make_parts: MakeParts, measured: Callable[..., list[str]]
) -> None:
    measured({**ON_CPU, "float32 contiguous": 204.25})
    pace, choices = choose_pace(*make_parts(precision="float32"))
    assert pace == Pace(channels_last=False)
    assert [choice.chosen for choice in choices] == ["float32", "channels first", "as they are"]
    assert choices[0].reason == "asked for"
    assert choices[1].reason == "measured: channels first 204 photos/s, channels last 100 photos/s"


# The figures are kept


def test_the_same_machine_answers_the_same_again_without_measuring(
    make_parts: MakeParts, measured: Callable[..., list[str]]
) -> None:
    measured({**ON_CPU, "bfloat16": 150.0})
    first = choose_pace(*make_parts())
    ran = measured({**ON_CPU, "float32 lowered": 900.0})
    assert choose_pace(*make_parts()) == first
    assert ran == []


@pytest.mark.parametrize(
    "other",
    [
        {"args": {"channels": [8, 8, 8, 16]}},
        {"args": {"head": "flatten"}},
        {"args": {"stages": 3}},
        {"batch_size": 12},
        {"batch_norm": "frozen"},
        {"trained": 1},
        {"precision": "float32"},
    ],
)
def test_what_is_computed_in_another_way_is_measured_anew(
    other: dict[str, Any],
    make_parts: MakeParts,
    measured: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(ON_CPU)
    choose_pace(*make_parts())
    monkeypatch.setattr(pace_module, "_measured", lambda *_: {**ON_CPU, "float32 lowered": 900.0})
    pace, _ = choose_pace(*make_parts(**other))
    assert pace.lowered


@pytest.mark.parametrize("threads", [True, False])
def test_another_processor_or_number_of_threads_is_measured_anew(
    make_parts: MakeParts,
    measured: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    threads: bool,
) -> None:
    measured(ON_CPU)
    choose_pace(*make_parts())
    ran = measured(ON_CPU)
    if threads:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    else:
        monkeypatch.setattr(pace_module, "processor_name", lambda: "another")
    choose_pace(*make_parts())
    assert ran


# Measuring leaves no trace


@pytest.mark.parametrize("batch_norm", ["batch", "frozen"])
def test_measuring_leaves_weights_statistics_and_draws_as_they_were(
    batch_norm: str, make_parts: MakeParts, measured: Callable[..., list[str]]
) -> None:
    ran = measured(ON_CPU)
    args = {"drop_rate": 0.5}
    classifier, batches, course = make_parts(args=args, batch_norm=batch_norm)
    before, draws = state_of(classifier), torch.get_rng_state()
    parameters = [*classifier.network.parameters()]
    choose_pace(classifier, batches, course)
    assert len(ran) == 5
    now = state_of(classifier)
    assert all(torch.equal(value, now[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(parameter.grad is None for parameter in classifier.network.parameters())
    # An optimizer made of the course's groups moves the network's own weights.
    held = [p for group in course.groups for p in group.parameters]
    held += [*classifier.network.head.parameters()]
    assert {id(p) for p in held} == {id(p) for p in parameters}
    assert {id(p) for p in classifier.network.parameters()} == {id(p) for p in parameters}


def test_each_way_is_measured_as_it_computes(
    make_parts: MakeParts, measured: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool, bool]] = []
    plain = Network.forward

    def forward(network: Network, images_NCHW: torch.Tensor) -> torch.Tensor:
        kinds = {type(module).__name__ for module in network.modules()}
        is_last = images_NCHW.is_contiguous(memory_format=torch.channels_last)
        seen.append((torch.is_autocast_enabled("cpu"), "LoweredConv2d" in kinds, is_last))
        assert network.training
        return plain(network, images_NCHW)

    monkeypatch.setattr(Network, "forward", forward)
    ran = measured(ON_CPU)
    choose_pace(*make_parts())
    assert dict(zip(ran, seen, strict=True)) == {
        "float32": (False, False, True),
        "float32 lowered": (False, True, True),
        "float32 contiguous": (False, False, False),
        "bfloat16": (True, False, True),
        "bfloat16 lowered": (True, True, True),
    }


def test_a_batch_too_large_for_the_memory_is_measured_in_shares(
    make_parts: MakeParts,
    measured: Callable[..., list[str]],
    limit_memory: Callable[[int], list[int]],
) -> None:
    tried = limit_memory(4)
    measured(ON_CPU)
    choose_pace(*make_parts(precision="bfloat16"))
    assert set(tried) == {8, 4}


def test_of_large_photos_fewer_are_measured(make_parts: MakeParts) -> None:
    _, batches, _ = make_parts()
    assert len(pace_module._small(batches, size_px=32).labels_N) == 8
    small = pace_module._small(batches, size_px=2000)
    parts = (small.images_NCHW, small.targets_NC, small.labels_N, small.members_N)
    assert [len(part) for part in parts] == [4] * 4


# torch.compile


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that fixes the seconds of the first and of another step, each way."""

    def fix(*, eager: tuple[float, float], compiled: tuple[float, float]) -> None:
        answers = iter((eager, compiled))
        monkeypatch.setattr(pace_module, "_timed", lambda _: [*next(answers)])
        monkeypatch.setattr(torch, "compile", lambda network: network)

    return fix


def settled(num_epochs: int) -> Settled:
    return Settled(pace=Pace(), lr=1e-3, num_epochs=num_epochs)


@pytest.mark.parametrize(("num_epochs", "chosen"), [(3, "off"), (4, "on")])
def test_compiling_is_counted_in_full_over_the_steps_of_the_run(
    num_epochs: int, chosen: str, make_parts: MakeParts, timed: Callable[..., None]
) -> None:
    """Three steps an epoch; what a step gains is earned back after ten of them."""
    timed(eager=(3.0, 3.0), compiled=(22.0, 1.0))
    choice = pays_to_compile(*make_parts(), settled(num_epochs))
    assert (choice.what, choice.chosen) == ("torch.compile", chosen)
    total = 22 + 3 * num_epochs - 1
    assert choice.reason == (
        f"measured: {total} s with it, 22 s of them compiling, {9 * num_epochs} s without"
    )


def test_a_compiler_that_fails_is_done_without(
    make_parts: MakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr(pace_module, "_timed", lambda run: [float(run()), 1.0])
    classifier, batches, course = make_parts()
    before = state_of(classifier)
    choice = pays_to_compile(classifier, batches, course, settled(9))
    assert choice == Choice(what="torch.compile", chosen="off", reason="it failed: no C++ compiler")
    assert all(torch.equal(v, before[n]) for n, v in state_of(classifier).items())


def test_the_first_call_and_the_faster_of_two_more_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter((0.0, 9.0, 10.0, 14.0, 20.0, 22.5))
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr(pace_module, "time", clock)
    assert pace_module._timed(lambda: 1) == [9.0, 2.5]
