"""Which precision is taken, from figures alone; no test looks at a real clock."""

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from torch import nn

from fieldmark.models import inference
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import BATCH_CPU, Predictor, choose_precision, has_fast_bfloat16
from fieldmark.models.precision import (
    LIMIT_S,
    MAX_ROUNDS,
    MIN_GAIN,
    Run,
    choose,
    photos_per_second,
)

CPU = torch.device("cpu")
MakeClassifier = Callable[..., Classifier]


class Machine:
    """Runs that take as long as they are told to, on a clock of their own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def run(self, name: str, *, num_photos: int, seconds: list[float]) -> Callable[[], int]:
        """Return a run whose n-th call takes `seconds[n]`, and then always the last of them."""
        calls = iter(seconds[:-1])

        def run() -> int:
            self.order.append(name)
            self.now_s += next(calls, seconds[-1])
            return num_photos

        return run


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [
        (121.4, 311.6, ("bfloat16", "measured: bfloat16 312 photos/s, float32 121 photos/s")),
        (100.0, 119.9, ("float32", "measured: float32 100 photos/s, bfloat16 120 photos/s")),
        (100.0, 120.0, ("bfloat16", "measured: bfloat16 120 photos/s, float32 100 photos/s")),
        (2.04, 1234.5, ("bfloat16", "measured: bfloat16 1,234 photos/s, float32 2.0 photos/s")),
        (80.0, 0.0, ("float32", "measured: float32 80 photos/s, bfloat16 cannot be run")),
        (0.0, 0.0, ("float32", "measured: float32 cannot be run, bfloat16 cannot be run")),
    ],
)
def test_bfloat16_must_be_a_fifth_faster_and_the_reason_has_both_figures(
    float32: float, bfloat16: float, expected: tuple[str, str]
) -> None:
    assert choose({"float32": float32, "bfloat16": bfloat16}) == expected


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e5))
def test_the_slower_of_the_two_is_never_bfloat16(float32: float, bfloat16: float) -> None:
    name, _ = choose({"float32": float32, "bfloat16": bfloat16})
    assert (name == "bfloat16") == (bfloat16 >= MIN_GAIN * float32)


def test_the_best_round_counts_and_the_warm_up_does_not() -> None:
    machine = Machine()
    runs = {
        "float32": machine.run("float32", num_photos=16, seconds=[0.01, 0.4, 0.2, 0.4]),
        "bfloat16": machine.run("bfloat16", num_photos=16, seconds=[0.9, 0.1]),
    }
    assert photos_per_second(runs, clock=machine.clock) == pytest.approx(
        {"float32": 80.0, "bfloat16": 160.0}
    )


def test_the_runs_take_turns_up_to_a_number_of_rounds() -> None:
    machine = Machine()
    runs = {name: machine.run(name, num_photos=8, seconds=[0.001]) for name in ("one", "other")}
    photos_per_second(runs, clock=machine.clock)
    assert machine.order == ["one", "other"] * MAX_ROUNDS


@given(st.floats(0.01, 2.0), st.floats(0.01, 2.0), st.floats(0.0, 3.0))
def test_measuring_ends_in_time_unless_the_first_round_takes_longer(
    one_s: float, other_s: float, warm_up_s: float
) -> None:
    machine = Machine()
    first_s = one_s + warm_up_s
    runs = {
        "one": machine.run("one", num_photos=8, seconds=[first_s, one_s]),
        "other": machine.run("other", num_photos=8, seconds=[other_s]),
    }
    photos_per_second(runs, clock=machine.clock)
    assert machine.now_s <= max(LIMIT_S, first_s + other_s) + 1e-9


def test_a_network_with_time_for_one_round_alone_is_judged_by_it() -> None:
    machine = Machine()
    runs = {
        "float32": machine.run("float32", num_photos=8, seconds=[8.0]),
        "bfloat16": machine.run("bfloat16", num_photos=8, seconds=[2.0]),
    }
    rates = photos_per_second(runs, clock=machine.clock)
    assert rates == {"float32": 1.0, "bfloat16": 4.0}
    assert machine.order == ["float32", "bfloat16"]


def test_what_cannot_be_run_has_no_speed() -> None:
    def refuse() -> int:
        raise NotImplementedError('"erfinv" not implemented for BFloat16')

    machine = Machine()
    runs = {
        "float32": machine.run("float32", num_photos=8, seconds=[0.5]),
        "bfloat16": refuse,
    }
    rates = photos_per_second(runs, clock=machine.clock)
    assert rates == {"float32": 16.0, "bfloat16": 0.0}


class Stopwatch:
    """A measurement with made-up figures that counts how often it was taken."""

    def __init__(self, *, float32: float = 100.0, bfloat16: float) -> None:
        self.rates = {"float32": float32, "bfloat16": bfloat16}
        self.count = 0

    def __call__(self, runs: Mapping[str, Run]) -> Mapping[str, float]:
        self.count += 1
        assert runs.keys() == self.rates.keys()
        return self.rates


@pytest.fixture
def fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.mark.usefixtures("fast_bfloat16")
@pytest.mark.parametrize(("bfloat16", "expected"), [(119.0, "float32"), (121.0, "bfloat16")])
def test_precision_is_measured_where_it_is_left_open(
    bfloat16: float, expected: str, make_classifier: MakeClassifier
) -> None:
    measure = Stopwatch(bfloat16=bfloat16)
    found = choose_precision(make_classifier(), asked="auto", device=CPU, measure=measure)
    assert found[0] == expected
    assert f"{bfloat16:.0f} photos/s" in found[1]
    assert "float32 100 photos/s" in found[1]


@pytest.mark.usefixtures("fast_bfloat16")
def test_the_same_machine_answers_the_same_without_measuring_again(
    make_classifier: MakeClassifier,
) -> None:
    first = choose_precision(
        make_classifier(), asked="auto", device=CPU, measure=Stopwatch(bfloat16=300)
    )
    later = Stopwatch(bfloat16=50)
    # Neither the head's classes, nor its weights, nor the precision at present change the speed.
    other = make_classifier(classes=("a", "b"), precision="bfloat16", seed=1)
    assert choose_precision(other, asked="auto", device=CPU, measure=later) == first
    assert not later.count


@pytest.mark.usefixtures("fast_bfloat16")
@pytest.mark.parametrize(
    "changed", ["network", "args", "size", "stages", "flatten", "processor", "cores", "torch"]
)
def test_it_is_measured_anew_where_the_speed_may_differ(
    changed: str, make_classifier: MakeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Stopwatch(bfloat16=300)
    choose_precision(make_classifier(), asked="auto", device=CPU, measure=measure)
    narrow = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16]}
    wishes: dict[str, dict[str, Any]] = {
        "network": {"name": "mobilenetv2_035", "args": {}},
        "args": {"args": narrow},
        "size": {"size_px": 64},
        "stages": {"stages": 1},
        "flatten": {"head": "flatten"},
    }
    if changed == "torch":
        monkeypatch.setattr(torch, "__version__", "2.99")
    elif changed in ("processor", "cores"):
        name = {"processor": "processor_name", "cores": "available_cores"}[changed]
        answer = {"processor": "another", "cores": 77}[changed]
        monkeypatch.setattr(inference, name, lambda: answer)
    classifier = make_classifier(**wishes.get(changed, {}))
    choose_precision(classifier, asked="auto", device=CPU, measure=measure)
    assert measure.count == 2


@pytest.mark.usefixtures("fast_bfloat16")
def test_what_is_measured_is_the_network_as_it_predicts(
    make_classifier: MakeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = make_classifier(views=8)
    monkeypatch.setattr(inference, "available_cores", lambda: 2)
    asked: list[tuple[str, int]] = []
    features = Predictor.features

    def watched(self: Predictor, pixels: NDArray[np.uint8], **rest: Any) -> NDArray[np.float32]:
        assert self._views == 1
        assert not any(isinstance(m, nn.BatchNorm2d) for m in self._extractor.modules())
        asked.append((str(self._dtype), len(pixels)))
        return features(self, pixels, **rest)

    def measure(runs: Mapping[str, Run]) -> Mapping[str, float]:
        assert [run() for run in runs.values()] == [2 * BATCH_CPU] * 2
        return dict.fromkeys(runs, 1.0)

    monkeypatch.setattr(Predictor, "features", watched)
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    random_before = torch.get_rng_state()
    assert choose_precision(classifier, asked="auto", device=CPU, measure=measure)[0] == "float32"
    assert asked == [("torch.float32", 16), ("torch.bfloat16", 16)]
    now = classifier.network.state_dict()
    assert all(torch.equal(before[name], now[name]) for name in before)
    assert torch.equal(torch.get_rng_state(), random_before)


def test_a_processor_without_bfloat16_is_not_measured(
    make_classifier: MakeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    measure = Stopwatch(bfloat16=300)
    found = choose_precision(make_classifier(), asked="auto", device=CPU, measure=measure)
    assert found == ("float32", "this processor does not multiply bfloat16 natively")
    assert not measure.count


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"avx2": True}, False),
    ],
)
def test_bfloat16_is_fast_where_the_processor_multiplies_it(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_fast_bfloat16(CPU) is expected


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_precision_asked_for_is_taken_without_measuring(
    asked: str, fast: bool, make_classifier: MakeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": fast})
    measure = Stopwatch(bfloat16=300)
    found = choose_precision(make_classifier(), asked=asked, device=CPU, measure=measure)
    assert found == (asked, "asked for")
    assert not measure.count


def test_a_gpu_that_only_emulates_bfloat16_is_not_fast_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def supported(*, including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not has_fast_bfloat16(torch.device("cuda"))
