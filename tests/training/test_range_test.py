"""The proposal finds the fall of a curve, whatever the noise, and says so where there is none."""

import csv
import io
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fieldmark.base.errors import RecipeError
from fieldmark.training.range_test import (
    DEFAULT_RATE,
    RangeTest,
    from_table,
    range_test,
    rates,
    table,
)


def replay(losses: Iterable[float]) -> Callable[[float], float]:
    """Return a step that hands out these losses, whatever its rate."""
    given = iter(losses)
    return lambda _: next(given)


def curve(
    *, start: float = 2.0, fall: float = 1.5, sigma: float = 0.0, seed: int = 0
) -> list[float]:
    """Return losses that fall around 1e-3 and rise beyond 1e-1, on sixty rates up to 1."""
    noise_R = sigma * np.random.default_rng(seed).standard_normal(60)
    decades_R = np.log10(rates())
    fallen_R = fall / (1 + np.exp(-6 * (decades_R + 3)))
    risen_R = np.where(decades_R > -1, 40 * (decades_R + 1) ** 2, 0.0)
    return list(np.maximum(start - fallen_R + risen_R + noise_R, 0.01))


def test_rates_are_evenly_spaced_on_a_logarithmic_axis() -> None:
    found = rates(1e-4, 1.0, 5)
    assert found == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert len(rates()) == 60
    assert (rates()[0], rates()[-1]) == pytest.approx((1e-6, 1.0))


def test_each_step_is_taken_at_its_rate_in_turn() -> None:
    taken: list[float] = []

    def loss_at(rate: float) -> float:
        taken.append(rate)
        return 1.0

    found = range_test(loss_at, rates=rates(num=12))
    assert tuple(taken) == rates(num=12) == found.rates
    assert found.losses == (1.0,) * 12 == found.smoothed


def test_the_proposal_is_a_third_of_the_rate_where_nine_tenths_have_been_gone() -> None:
    found = range_test(replay(curve()), rates=rates())
    # The logistic curve has done nine tenths of its fall at -3 + ln(9) / 6 = -2.63 decades.
    assert found.proposed == pytest.approx(10**-2.63 / 3, rel=0.35)
    assert found.reason.startswith("the loss fell from 2 to 0.5 and 90% of that by 0.002")


@pytest.mark.parametrize("seed", range(20))
def test_noise_moves_the_proposal_by_half_a_decade_at_most(seed: int) -> None:
    found = range_test(replay(curve(sigma=0.2, seed=seed)), rates=rates())
    assert abs(math.log10(found.proposed) - math.log10(10**-2.63 / 3)) < 0.8
    assert "90%" in found.reason


@pytest.mark.parametrize("seed", range(5))
def test_single_odd_batches_neither_stop_the_test_nor_move_the_proposal(seed: int) -> None:
    losses = curve(sigma=0.05, seed=seed)
    calm = range_test(replay(losses), rates=rates())
    for index in np.random.default_rng(seed).choice(30, 4, replace=False):
        losses[index] += 30
    found = range_test(replay(losses), rates=rates())
    assert len(found.losses) == len(calm.losses)
    assert 0.5 < found.proposed / calm.proposed < 2


def test_the_test_stops_soon_after_the_loss_has_exceeded_four_times_its_best() -> None:
    found = range_test(replay([1.0] * 20 + [3.9] * 10 + [4.1] * 30), rates=rates())
    # Four of the last seven losses must be over the border.
    assert len(found.losses) == 34
    assert len(found.rates) == len(found.smoothed) == 34


@pytest.mark.parametrize("last", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_test_and_is_left_out(last: float) -> None:
    found = range_test(replay([*curve()[:45], last]), rates=rates())
    assert len(found.losses) == 45
    assert np.isfinite(found.smoothed).all()
    assert 1e-4 < found.proposed < 2e-3


def test_a_loss_that_is_no_number_from_the_start_is_an_error() -> None:
    with pytest.raises(RecipeError, match="not finite at the lowest learning rate tried, 1e-06"):
        range_test(replay([math.nan]), rates=rates())


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_a_flat_curve_keeps_the_usual_rate_and_says_so(sigma: float) -> None:
    noise_R = sigma * np.random.default_rng(0).standard_normal(60)
    found = range_test(replay(2 + noise_R), rates=rates())
    assert found.proposed == DEFAULT_RATE
    assert "hardly changed" in found.reason


def test_of_flat_curves_of_noise_few_are_taken_for_a_fall() -> None:
    generator = np.random.default_rng(1)
    noisy = [replay(2 + 0.3 * generator.standard_normal(60)) for _ in range(200)]
    proposals = [range_test(loss_at, rates=rates()).proposed for loss_at in noisy]
    assert sum(proposed != DEFAULT_RATE for proposed in proposals) < 10


def test_a_loss_that_only_diverges_gives_a_hundredth_of_that_rate() -> None:
    tried = rates()
    found = range_test(replay(curve(start=0.1, fall=0.0)), rates=tried)
    assert found.proposed == pytest.approx(tried[len(found.losses) - 1] / 100)
    assert 0.001 < found.proposed < 0.004
    assert "never fell clearly and diverged at" in found.reason


@given(st.lists(st.floats(0, 100) | st.just(math.nan), min_size=2, max_size=40))
def test_whatever_the_losses_the_proposal_is_a_rate_within_reach(losses: list[float]) -> None:
    tried = rates(num=len(losses))
    if math.isnan(losses[0]):
        return
    found = range_test(replay(losses), rates=tried)
    assert tried[0] / 100 <= found.proposed <= tried[-1]
    assert found.rates == tried[: len(found.losses)]


def test_on_a_real_network_the_proposal_trains_better_than_a_tenth_or_thirty_times_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    images_NF = torch.randn(256, 20, generator=generator)
    labels_N = (images_NF @ torch.randn(20, 4, generator=generator)).argmax(1)

    def stepper() -> Callable[[float], float]:
        draws = torch.Generator().manual_seed(1)
        network = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 4))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0, 0.2, generator=draws)
        optimizer = torch.optim.AdamW(network.parameters())

        def loss_at(rate: float) -> float:
            chosen = torch.randint(0, 256, (32,), generator=draws)
            optimizer.param_groups[0]["lr"] = rate
            loss = nn.functional.cross_entropy(network(images_NF[chosen]), labels_N[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            return float(loss.detach())

        return loss_at

    proposed = range_test(stepper(), rates=rates()).proposed

    def trained(rate: float) -> float:
        loss_at = stepper()
        return float(np.mean([loss_at(rate) for _ in range(60)][-10:]))

    assert trained(proposed) < 0.8 * trained(proposed / 10)
    assert trained(proposed) < trained(proposed * 30)


def test_the_curve_reads_back_from_its_table() -> None:
    found = range_test(replay(curve(sigma=0.1)), rates=rates())
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["lr", "loss", "smoothed"])
    writer.writeheader()
    writer.writerows(table(found))
    text.seek(0)
    read = from_table(csv.DictReader(text), proposed=found.proposed, reason=found.reason)
    assert isinstance(read, RangeTest)
    assert read == found
