"""Would more photos help? The learning curve, its outlook and how sure that is."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.learning_curve import Trial, learning_curve
from fieldmark.evaluation.learning_curve_document import (
    LearningCurve,
    read_learning_curve,
    write_learning_curve,
)

SIZES = (100, 200, 400, 800, 1600)


def trials(
    error: Callable[[int], float],
    *,
    seed: int,
    num_test: int = 800,
    sizes: Sequence[int] = SIZES,
    repeats: int = 3,
) -> list[Trial]:
    """Name photos wrong with a probability that falls with the size; hard photos stay hard."""
    generator = np.random.default_rng(seed)
    hardness_N = generator.random(num_test)
    made = []
    for size in sizes:
        for _ in range(1 if size == max(sizes) else repeats):
            redrawn_N = np.where(
                generator.random(num_test) < 0.3, generator.random(num_test), hardness_N
            )
            made.append(Trial(sizes={"cat": size}, right_N=redrawn_N > error(size)))
    return made


def curve_of(made: Sequence[Trial], **wishes: object) -> LearningCurve:
    num_test = len(made[0].right_N)
    settings = {
        "labels": ["cat"] * num_test,
        "groups": [str(i) for i in range(num_test)],
        "method": "By hand.",
        "num_resamples": 200,
        **wishes,
    }
    curve = learning_curve(made, **settings)  # type: ignore[arg-type]
    assert curve is not None
    return curve


def by_hand(shares: Sequence[float], *, num_test: int = 100) -> list[Trial]:
    return [
        Trial(sizes={"cat": size}, right_N=np.arange(num_test) < share * num_test)
        for size, share in zip(SIZES, shares, strict=True)
    ]


def test_points_are_what_was_measured() -> None:
    made = by_hand([0.5, 0.7, 0.8, 0.85, 0.9])
    made.append(Trial(sizes={"cat": 100}, right_N=np.arange(100) < 60))
    curve = curve_of(made).overall
    assert [(p.num_photos, p.num_repeats) for p in curve.points] == [
        (100, 2),
        (200, 1),
        (400, 1),
        (800, 1),
        (1600, 1),
    ]
    values = [point.accuracy.value for point in curve.points]
    assert values == pytest.approx([0.55, 0.7, 0.8, 0.85, 0.9])
    assert curve.num_test == 100


def test_the_outlook_of_an_exact_law_is_that_law() -> None:
    errors = [0.4 * 2.0 ** (-place / 2) for place in range(5)]
    curve = curve_of(by_hand([1 - e for e in errors], num_test=100_000), num_resamples=2).overall
    assert curve.law.power == pytest.approx(0.5, rel=0.05)
    twice, four_times = curve.forecasts
    assert (twice.factor, twice.num_photos, four_times.num_photos) == (2, 3200, 6400)
    assert twice.accuracy.value == pytest.approx(1 - errors[-1] * 2**-0.5, abs=3e-3)
    assert twice.gain.value == pytest.approx(errors[-1] * (1 - 2**-0.5), abs=3e-3)


def test_the_outlook_begins_at_what_was_measured() -> None:
    curve = curve_of(trials(lambda size: 2 * size**-0.5, seed=3)).overall
    for ahead in curve.forecasts:
        now = curve.points[-1].accuracy.value
        assert ahead.accuracy.value - ahead.gain.value == pytest.approx(now)
        assert ahead.gain.low >= 0


def test_nothing_is_gained_where_more_photos_have_not_helped() -> None:
    ahead = curve_of(by_hand([0.9] * 5)).overall.forecasts[0]
    assert ahead.gain.value == 0
    assert ahead.gain.high < 0.002
    assert ahead.accuracy.value == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("floor", "scale", "power"), [(0.0, 2.0, 0.5), (0.05, 1.0, 0.3), (0.02, 2.0, 0.5)]
)
def test_the_intervals_hold_the_truth_as_often_as_they_say(
    floor: float, scale: float, power: float
) -> None:
    def error(size: int) -> float:
        return floor + scale * math.pow(size, -power)

    hits = {"accuracy": 0, "gain": 0, "backtest": 0}
    num = 60
    for seed in range(num):
        curve = curve_of(trials(error, seed=seed), num_resamples=100)
        ahead, backtest = curve.overall.forecasts[0], curve.backtest
        assert backtest is not None
        hits["accuracy"] += ahead.accuracy.low <= 1 - error(3200) <= ahead.accuracy.high
        hits["gain"] += ahead.gain.low <= error(1600) - error(3200) <= ahead.gain.high
        hits["backtest"] += backtest.foretold.low <= 1 - error(1600) <= backtest.foretold.high
    # Of 60 intervals that hold with 95 %, fewer than 51 do in less than 1 case in 1,000.
    assert min(hits.values()) >= 51, hits


def test_photos_in_groups_make_the_intervals_wider() -> None:
    made = trials(lambda size: 2 * size**-0.5, seed=1, num_test=100)
    doubled = [Trial(sizes=one.sizes, right_N=np.tile(one.right_N, 4)) for one in made]
    alone = curve_of(doubled).overall.forecasts[0].accuracy
    grouped = curve_of(doubled, groups=[str(i % 100) for i in range(400)])
    together = grouped.overall.forecasts[0].accuracy
    assert together.high - together.low > 1.6 * (alone.high - alone.low)


def test_each_class_has_a_curve_by_its_own_photos() -> None:
    right_N = np.arange(200) % 100
    made = [
        Trial(sizes={"cat": size, "dog": 2 * size}, right_N=right_N < share)
        for size, share in zip(SIZES, (50, 70, 80, 85, 90), strict=True)
    ]
    labels = ["cat"] * 100 + ["dog"] * 100
    curve = curve_of(made, labels=labels)
    assert list(curve.per_class) == ["cat", "dog"]
    assert [point.num_photos for point in curve.per_class["dog"].points] == [
        2 * size for size in SIZES
    ]
    assert curve.per_class["cat"].num_test == 100
    assert curve.overall.points[0].num_photos == 300


def test_a_class_whose_number_hardly_grows_has_no_curve() -> None:
    made = [
        Trial(sizes={"cat": size, "dog": 2}, right_N=np.arange(10) < 5 + place)
        for place, size in enumerate(SIZES)
    ]
    curve = curve_of(made, labels=["cat"] * 5 + ["dog"] * 5)
    assert list(curve.per_class) == ["cat"]


@pytest.mark.parametrize("sizes", [(100, 200, 400), (100, 110, 120, 130, 140)])
def test_too_few_sizes_or_too_near_ones_give_nothing(sizes: tuple[int, ...]) -> None:
    made = [Trial(sizes={"cat": size}, right_N=np.ones(9, dtype=bool)) for size in sizes]
    labels = ["cat"] * 9
    assert learning_curve(made, labels=labels, groups=list("123456789"), method="") is None


def test_the_same_seed_gives_the_same_intervals() -> None:
    made = trials(lambda size: 2 * size**-0.5, seed=5)
    assert curve_of(made, seed=1) == curve_of(made, seed=1)
    assert curve_of(made, seed=1) != curve_of(made, seed=2)


def test_the_file_reads_back_and_is_missing_where_nothing_was_measured(tmp_path: Path) -> None:
    assert read_learning_curve(tmp_path) is None
    curve = curve_of(trials(lambda size: 2 * size**-0.5, seed=5))
    write_learning_curve(tmp_path, curve)
    assert read_learning_curve(tmp_path) == curve


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [('"schema_version": 1', '"schema_version": 9', "9"), ('"power"', '"might"', "power")],
)
def test_a_file_that_is_too_new_or_malformed_is_refused(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    write_learning_curve(tmp_path, curve_of(by_hand([0.5, 0.7, 0.8, 0.85, 0.9])))
    path = RunFolder(tmp_path).learning_curve_json
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(RunError, match=told):
        read_learning_curve(tmp_path)
