"""Effects: by hand, against SciPy's tests where one of them is the same, and by simulation."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fieldmark.studies.effects import effects_of, mean_of
from fieldmark.studies.estimates import Effects
from fieldmark.studies.space import Factor
from fieldmark.studies.trials import Trial, TrialResult

LR = Factor(key="optim.lr", values=(1e-3, 1e-4))
NAME = Factor(key="optim.name", values=("sgd", "adam"))
POLICY = Factor(key="augment.policy", values=("none", "flip", "standard"))
MANY = 10**9
"""Photos, so many that an accuracy is as good as continuous."""


def trial(
    settings: Mapping[str, Any],
    accuracy: float,
    *,
    seed: int = 0,
    num_validation: int = MANY,
    status: Any = "finished",
) -> Trial:
    result = TrialResult(
        num_validation=num_validation,
        val_loss=1 - accuracy,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=0.99,
        curve=(),
        seconds=1.0,
    )
    return Trial(number=0, settings=settings, seed=seed, kind="head", status=status, result=result)


def factorial(
    factors: Sequence[Factor],
    response: Callable[..., float],
    *,
    num_seeds: int = 3,
    noise: Callable[[], float] = lambda: 0.0,
    of_seed: Sequence[float] | None = None,
) -> list[Trial]:
    """Return a trial for each combination and seed; the response takes the places of the values."""
    trials = []
    for places in product(*(range(len(factor.values)) for factor in factors)):
        settings = {
            factor.key: factor.values[place] for factor, place in zip(factors, places, strict=True)
        }
        for seed in range(num_seeds):
            shared = of_seed[seed] if of_seed else 0.0
            trials.append(trial(settings, response(*places) + noise() + shared, seed=seed))
    return trials


def found(trials: Sequence[Trial], factors: Sequence[Factor], **options: Any) -> Effects:
    effects = effects_of(trials, factors, **options)
    assert effects is not None
    return effects


def one_factor(groups: Iterable[Sequence[float]], factor: Factor) -> list[Trial]:
    return [
        trial({factor.key: value}, accuracy, seed=seed)
        for value, group in zip(factor.values, groups, strict=True)
        for seed, accuracy in enumerate(group)
    ]


def test_two_by_two_by_hand() -> None:
    # Means 0.80, 0.84 (sgd, adam at 1e-3), 0.82, 0.90 (at 1e-4); replicates 0.01 above and below.
    means = [[0.80, 0.84], [0.82, 0.90]]
    trials = [
        trial({"optim.lr": lr, "optim.name": name}, means[i][j] + away, seed=seed)
        for i, lr in enumerate(LR.values)
        for j, name in enumerate(NAME.values)
        for seed, away in enumerate((-0.01, 0.01))
    ]
    effects = found(trials, [LR, NAME])
    lr, name = effects.main
    sd = math.sqrt(8 * 0.01**2 / 4)  # eight squares, four degrees of freedom
    reach = stats.t.ppf(0.975, 4) * sd * math.sqrt(1 / 4 + 1 / 4)
    assert (effects.noise.source, effects.noise.df) == ("replicates", 4)
    assert effects.noise.sd == pytest.approx(sd)
    change = lr.difference(0, 1)
    assert change.interval is not None
    assert change.value == pytest.approx(0.04)
    assert (change.interval.low, change.interval.high) == pytest.approx(
        (0.04 - reach, 0.04 + reach)
    )
    assert lr.difference(1, 0).value == pytest.approx(-0.04)
    assert name.difference(0, 1).value == pytest.approx(0.06)
    assert [level.mean for level in lr.levels] == pytest.approx([0.82, 0.86])
    (interaction,) = effects.interactions
    assert [contrast.value for contrast in interaction.departures[1]] == pytest.approx(
        [-0.01, 0.01]
    )
    assert np.allclose(interaction.means, means)
    first, second = interaction.most
    assert (first.key, first.other, first.at) == ("optim.lr", "optim.name", ("sgd", "adam"))
    assert [effect.value for effect in first.effects] == pytest.approx([0.02, 0.06])
    assert first.double.value == pytest.approx(0.04)
    assert [effect.value for effect in second.effects] == pytest.approx([0.04, 0.08])


def test_two_values_are_students_t_test() -> None:
    first, second = [0.81, 0.83, 0.80, 0.84], [0.86, 0.85, 0.88]
    effects = found(one_factor([first, second], LR), [LR])
    expected = stats.ttest_ind(second, first)
    change, interval = effects.main[0].difference(0, 1), expected.confidence_interval(0.95)
    assert change.interval is not None
    assert change.p_value == pytest.approx(expected.pvalue)
    assert effects.main[0].p_value == pytest.approx(expected.pvalue)
    assert (change.interval.low, change.interval.high) == pytest.approx(
        (interval.low, interval.high)
    )


def test_three_values_are_an_analysis_of_variance() -> None:
    groups = [[0.81, 0.83, 0.80], [0.86, 0.85, 0.88], [0.82, 0.84]]
    effects = found(one_factor(groups, POLICY), [POLICY])
    assert effects.main[0].p_value == pytest.approx(stats.f_oneway(*groups).pvalue)


def test_trials_that_share_their_chance_are_a_paired_t_test() -> None:
    first, second = [0.70, 0.80, 0.90], [0.72, 0.83, 0.91]
    effects = found(one_factor([first, second], LR), [LR], is_paired=True)
    expected = stats.ttest_rel(second, first)
    change, interval = effects.main[0].difference(0, 1), expected.confidence_interval(0.95)
    assert change.interval is not None
    assert change.p_value == pytest.approx(expected.pvalue)
    assert (change.interval.low, change.interval.high) == pytest.approx(
        (interval.low, interval.high)
    )
    assert effects.mean.interval is None


def test_uneven_spread_makes_welchs_t_test() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.8, 0.05, 8), generator.normal(0.9, 0.001, 8)
    effects = found(one_factor([first.tolist(), second.tolist()], LR), [LR])
    expected = stats.ttest_ind(second, first, equal_var=False)
    assert effects.noise.is_uneven
    assert effects.main[0].p_value == pytest.approx(expected.pvalue)


def test_the_mean_counts_each_setting_alike_however_many_trials_it_has() -> None:
    trials = one_factor([[0.8] * 9 + [0.82], [0.9, 0.92]], LR)
    mean = mean_of(trials, [LR], value=lambda result: result.val_accuracy)
    assert mean is not None
    assert mean.value == pytest.approx((0.802 + 0.91) / 2)


@pytest.mark.parametrize(("outcome", "sign"), [("val_accuracy", 1), ("val_loss", -1), ("gap", -1)])
def test_each_outcome_is_taken_from_the_result(outcome: Any, sign: int) -> None:
    trials = one_factor([[0.80, 0.82], [0.90, 0.92]], LR)
    change = found(trials, [LR], outcome=outcome).main[0].difference(0, 1)
    assert change.value == pytest.approx(sign * 0.1)


def test_failed_trials_and_figures_that_are_not_finite_are_left_out() -> None:
    good = one_factor([[0.80, 0.82], [0.90, 0.92]], LR)
    bad = [
        trial({"optim.lr": 1e-3}, 0.1, status="failed"),
        trial({"optim.lr": 1e-3}, 0.1, status="pruned"),
        trial({"optim.lr": 1e-3}, math.nan),
    ]
    effects = found([*good, *bad], [LR])
    assert effects.main[0].difference(0, 1).value == pytest.approx(0.1)
    assert (effects.num_trials, effects.num_unmeasured) == (4, 1)


def test_a_value_of_which_no_trial_finished_is_no_level() -> None:
    trials = one_factor([[0.80, 0.82], [0.90, 0.92], []], POLICY)
    effects = found(trials, [POLICY])
    assert [level.value for level in effects.main[0].levels] == ["none", "flip"]


def test_a_field_with_one_value_left_is_named_as_left_out() -> None:
    trials = factorial([LR, NAME], lambda i, _: 0.8 + 0.01 * i)
    kept = [each for each in trials if each.settings["optim.name"] == "adam"]
    effects = found(kept, [LR, NAME])
    assert effects.left_out == (("optim.name",),)
    assert [main.key for main in effects.main] == ["optim.lr"]


def test_fields_that_changed_together_cannot_be_told_apart() -> None:
    trials = [
        trial({"optim.lr": lr, "optim.name": name}, 0.8 + 0.1 * place + 0.01 * seed, seed=seed)
        for place, (lr, name) in enumerate(zip(LR.values, NAME.values, strict=True))
        for seed in range(3)
    ]
    effects = found(trials, [LR, NAME])
    assert [main.key for main in effects.main] == ["optim.lr"]
    assert effects.left_out == (("optim.name",), ("optim.lr", "optim.name"))


def test_an_interaction_with_a_cell_missing_is_left_out() -> None:
    trials = factorial([LR, NAME], lambda i, j: 0.8 + 0.02 * i + 0.01 * j)
    kept = [each for each in trials if tuple(each.settings.values()) != (1e-4, "adam")]
    effects = found(kept, [LR, NAME])
    assert effects.left_out == (("optim.lr", "optim.name"),)
    assert effects.main[0].difference(0, 1).value == pytest.approx(0.02)


def test_settings_of_which_fewer_seeds_finished_count_like_the_others() -> None:
    trials = factorial([LR, NAME], lambda i, j: 0.8 + 0.02 * i + 0.05 * j)
    kept = [each for each in trials if each.seed == 0 or each.settings["optim.name"] == "sgd"]
    effects = found(kept, [LR, NAME])
    assert effects.main[0].difference(0, 1).value == pytest.approx(0.02)
    assert effects.main[1].difference(0, 1).value == pytest.approx(0.05)


def test_with_one_trial_a_setting_the_noise_is_what_is_left_over() -> None:
    generator = np.random.default_rng(1)
    trials = factorial(
        [LR, NAME, POLICY],
        lambda i, *_: 0.8 + 0.02 * i,
        num_seeds=1,
        noise=lambda: float(generator.normal(0, 0.001)),
    )
    effects = found(trials, [LR, NAME, POLICY])
    assert effects.noise.source == "residual"
    # 12 settings less a mean, 4 of main effects; 5 of interactions would leave 2.
    assert effects.noise.df == 7
    assert effects.interactions == ()


def test_two_values_tried_once_have_a_difference_and_no_interval() -> None:
    effects = found(one_factor([[0.80], [0.90]], LR), [LR])
    change = effects.main[0].difference(0, 1)
    assert (change.interval, change.p_value, effects.noise.source) == (None, None, "none")
    assert change.value == pytest.approx(0.1)


@pytest.mark.parametrize("trials", [[], [trial({"optim.lr": 1e-3}, 0.8)]])
def test_one_setting_has_no_effects(trials: list[Trial]) -> None:
    assert effects_of(trials, [LR]) is None


def test_replicates_that_agree_to_the_photo_still_have_the_noise_of_counting() -> None:
    trials = [
        trial({"optim.lr": lr}, accuracy, seed=seed, num_validation=100)
        for lr, accuracy in zip(LR.values, (0.80, 0.81), strict=True)
        for seed in range(3)
    ]
    effects = found(trials, [LR])
    assert effects.noise.sd == pytest.approx(0.01 / math.sqrt(12))
    assert effects.main[0].difference(0, 1).interval is not None
    exact = found(one_factor([[0.8, 0.8], [0.9, 0.9]], LR), [LR], outcome="gap").main[0]
    assert exact.p_value == pytest.approx(0.0, abs=1e-6)


def test_three_fields_that_act_together_show_as_lack_of_fit() -> None:
    generator = np.random.default_rng(2)

    def response(i: int, j: int, k: int) -> float:
        return 0.8 + (0.05 if (i + j + k) % 2 else -0.05)

    two = replace(POLICY, values=("none", "flip"))

    def noise() -> float:
        return float(generator.normal(0, 0.005))

    together = found(factorial([LR, NAME, two], response, noise=noise), [LR, NAME, two])
    apart = found(factorial([LR, NAME, two], lambda *_: 0.8, noise=noise), [LR, NAME, two])
    assert together.lack_of_fit is not None
    assert apart.lack_of_fit is not None
    assert together.lack_of_fit < 0.001 < apart.lack_of_fit


# Simulations with known effects: of 500 studies, 93 to 97 % of all intervals hold the truth.

LR_EFFECT, NAME_EFFECT, POLICY_EFFECT = (0.02, -0.02), (-0.01, 0.01), (0.03, 0.0, -0.03)
TOGETHER = np.array([[0.01, -0.01], [-0.01, 0.01]])
"""Of learning rate and optimizer."""
SD = 0.02


def known_response(i: int, j: int, k: int) -> float:
    return float(0.8 + LR_EFFECT[i] + NAME_EFFECT[j] + POLICY_EFFECT[k] + TOGETHER[i, j])


def hits(effects: Effects) -> tuple[list[bool], list[bool]]:
    """Return which intervals hold the truth: of main effects, and of interactions."""
    truth = {LR.key: LR_EFFECT, NAME.key: NAME_EFFECT, POLICY.key: POLICY_EFFECT}
    main, together = [], []
    for each in effects.main:
        for (first, second), contrast in each.differences.items():
            true = truth[each.key][second] - truth[each.key][first]
            assert contrast.interval is not None
            main.append(contrast.interval.low <= true <= contrast.interval.high)
    for interaction in effects.interactions:
        is_known = interaction.keys == (LR.key, NAME.key)
        for place, row in enumerate(interaction.departures):
            for other, contrast in enumerate(row):
                true = TOGETHER[place, other] if is_known else 0.0
                assert contrast.interval is not None
                together.append(bool(contrast.interval.low <= true <= contrast.interval.high))
    return main, together


def coverage(studies: Iterable[Effects]) -> NDArray[np.float64]:
    """Return the share of intervals that hold the truth: main effects, interactions."""
    main, together = zip(*map(hits, studies), strict=True)
    return np.array([np.mean(np.concatenate(main)), np.mean(np.concatenate(together))])


def test_intervals_hold_the_truth_in_93_to_97_of_100_studies() -> None:
    generator = np.random.default_rng(3)

    def study() -> Effects:
        trials = factorial(
            [LR, NAME, POLICY], known_response, noise=lambda: float(generator.normal(0, SD))
        )
        return found(trials, [LR, NAME, POLICY])

    shares = coverage(study() for _ in range(500))
    assert ((shares >= 0.93) & (shares <= 0.97)).all(), shares


@pytest.mark.parametrize("case", ["a tenth failed", "one seed", "shared chance", "uneven spread"])
def test_intervals_hold_the_truth_where_studies_are_not_tidy(case: str) -> None:
    generator = np.random.default_rng(4)
    of_seed = generator.normal(0, 0.05, 3).tolist() if case == "shared chance" else None

    def study() -> Effects:
        trials = factorial(
            [LR, NAME, POLICY],
            known_response,
            num_seeds=1 if case == "one seed" else 4 if case == "uneven spread" else 3,
            noise=lambda: float(generator.normal(0, SD)),
            of_seed=of_seed,
        )
        if case == "a tenth failed":
            trials = [each for each in trials if generator.random() > 0.1]
        if case == "uneven spread":  # that of the higher rate is five times as large
            trials = [
                trial(
                    each.settings,
                    each.result.val_accuracy
                    + float(generator.normal(0, 5 * SD if each.settings[LR.key] == 1e-3 else 0)),
                    seed=each.seed,
                )
                for each in trials
                if each.result
            ]
        return found(trials, [LR, NAME, POLICY], is_paired=case == "shared chance")

    studies = [study() for _ in range(100)]
    if case == "one seed":  # no interactions are in that model, and one is there: more is noise
        main = [hit for effects in studies for hit in hits(effects)[0]]
        assert 0.93 <= np.mean(main) <= 1.0
        return
    shares = coverage(studies)
    assert ((shares >= 0.925) & (shares <= 0.975)).all(), shares


def test_a_factor_that_does_nothing_is_called_one_in_5_of_100_studies() -> None:
    generator = np.random.default_rng(5)
    p_values = []
    for _ in range(300):
        trials = factorial([POLICY], lambda _: 0.8, noise=lambda: float(generator.normal(0, SD)))
        p_values.append(found(trials, [POLICY]).main[0].p_value or 0.0)
    assert 0.025 <= np.mean(np.array(p_values) < 0.05) <= 0.085
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
