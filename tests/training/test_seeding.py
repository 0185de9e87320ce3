"""Each place in a run has draws of its own, the same on every machine and whatever came before."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.training.seeding import BATCH, NETWORK, ORDER, generator_for, seed_for

PLACES = st.lists(st.integers(0, 10_000), max_size=4)


def test_seeds_are_what_they_were_in_earlier_versions() -> None:
    """Computed with coreutils: printf '7,1,3,0' | sha256sum, the first 16 digits, halved."""
    assert seed_for(0) == 0x5FECEB66FFC86F38 >> 1
    assert seed_for(7, BATCH, 3, 0) == 0x7D3569397814125A >> 1


@given(seed=st.integers(0, 2**63 - 1), place=PLACES)
def test_seeds_are_in_the_range_that_pytorch_takes(seed: int, place: list[int]) -> None:
    found = seed_for(seed, *place)
    assert 0 <= found < 2**63
    assert generator_for(seed, *place).initial_seed() == found


@given(one=PLACES, other=PLACES, seed=st.integers(0, 9))
def test_no_two_places_share_their_draws(one: list[int], other: list[int], seed: int) -> None:
    assert (seed_for(seed, *one) == seed_for(seed, *other)) == (one == other)
    assert seed_for(seed, *one) != seed_for(seed + 1, *one)


def test_neighbouring_digits_are_not_mixed_up() -> None:
    assert len({seed_for(1, 23), seed_for(12, 3), seed_for(123), seed_for(1, 2, 3)}) == 4


def test_orders_batches_and_networks_draw_apart() -> None:
    assert len({seed_for(0, kind, 1, 1) for kind in (ORDER, BATCH, NETWORK)}) == 3


def test_a_generator_starts_anew_each_time() -> None:
    draws = [torch.rand(3, generator=generator_for(5, BATCH, 2, 1)).tolist() for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0] != torch.rand(3, generator=generator_for(5, BATCH, 2, 2)).tolist()
