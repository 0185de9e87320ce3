"""The global random state is borrowed and put back."""

import pytest
import torch

from fieldmark.models.randomness import seeded


def test_draws_derive_from_the_seed_alone() -> None:
    drawn = []
    for seed in (3, 3, 4):
        torch.rand(5)
        with seeded(seed):
            drawn.append(torch.rand(8))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_state_is_put_back() -> None:
    before = torch.get_rng_state()
    with seeded(3):
        torch.rand(8)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_is_put_back_after_an_interruption() -> None:
    before = torch.get_rng_state()

    def draw_and_stop() -> None:
        torch.rand(8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), seeded(3):
        draw_and_stop()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_is_seeded_and_put_back_too() -> None:
    device = torch.device("cuda")
    before = torch.cuda.get_rng_state(device)
    drawn = []
    for _ in range(2):
        with seeded(3, device=device):
            drawn.append(torch.rand(8, device=device))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(torch.cuda.get_rng_state(device), before)
