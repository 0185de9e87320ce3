"""What a description may build is bounded by the weights beside it, before memory is taken."""

import threading
import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.models.backbones import create_extractor
from fieldmark.models.budget import MADE_FACTOR, Budget, OverBudgetError, budget_of, within

SMALL = Budget(num_tensors=100, num_bytes=4_000)
HUGE = 1 << 50
"""Numbers that no memory holds: whoever asks for them is refused first, or fails by itself."""


class Buffered(nn.Module):
    """A layer without parameters and with a large table, such as attention in windows has."""

    def __init__(self, side: int) -> None:
        super().__init__()
        places = torch.arange(side)
        self.register_buffer("table", places[:, None] - places[None, :], persistent=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.empty(HUGE),
        lambda: torch.zeros(HUGE),
        lambda: torch.full((HUGE,), 1.0),
        lambda: torch.arange(HUGE),
        lambda: torch.linspace(0, 1, HUGE),
        lambda: torch.rand(HUGE, generator=torch.Generator()),
        lambda: torch.randn(HUGE),
        lambda: torch.randperm(HUGE),
        lambda: torch.eye(1 << 25),
        lambda: torch.ones(1).expand(HUGE).contiguous(),
        lambda: torch.ones(1).expand(HUGE) + 1,
        lambda: torch.ones(1).expand(HUGE).clone(),
        lambda: torch.cat([torch.ones(1).expand(HUGE)] * 2),
        lambda: torch.empty_like(torch.ones(1).expand(HUGE)),
        lambda: torch.ones(2).repeat(HUGE),
        lambda: nn.Parameter(torch.empty(HUGE)),
        lambda: nn.Linear(1 << 25, 1 << 25),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_made(make: Any) -> None:
    with pytest.raises(OverBudgetError, match="larger than its weights"), within(SMALL):
        make()


def test_buffers_count_as_parameters_do() -> None:
    with within(SMALL):
        assert Buffered(20).table is not None
    with pytest.raises(OverBudgetError), within(SMALL):
        Buffered(1 << 20)


def test_what_is_given_back_makes_room_again_but_not_for_ever() -> None:
    with within(SMALL):
        for _ in range(MADE_FACTOR):
            torch.zeros(1_000)
        with pytest.raises(OverBudgetError):
            torch.zeros(1)


def test_memory_that_something_still_refers_to_is_held() -> None:
    with within(SMALL):
        layer = nn.Module()
        layer.kept = nn.Parameter(torch.zeros(600))
        view = torch.zeros(300)[10:20]
        gone = torch.zeros(100)
        del gone
        torch.zeros(100)
        with pytest.raises(OverBudgetError):
            torch.zeros(101)
    assert (layer.kept.numel(), len(view)) == (600, 10)


def test_many_small_tensors_are_too_many() -> None:
    with within(SMALL):
        made = [torch.zeros(1) for _ in range(SMALL.num_tensors)]
    assert len(made) == SMALL.num_tensors
    with pytest.raises(OverBudgetError), within(SMALL):
        made += [torch.zeros(1) for _ in range(SMALL.num_tensors + 1)]


def test_views_and_changes_in_place_make_nothing() -> None:
    with within(Budget(num_tensors=1, num_bytes=40)):
        tensor = torch.zeros(10)
        for _ in range(100):
            tensor.view(2, 5).t()[1:].fill_(1)
            tensor.add_(1)
    assert tensor.sum() > 0


def test_numbers_are_those_that_are_made_without_a_bound() -> None:
    def make() -> list[Tensor]:
        generator = torch.Generator().manual_seed(3)
        first = torch.rand(5, generator=generator)
        return [first, torch.randn(4, generator=generator), first.sort().values, first.nonzero()]

    with within(SMALL):
        bounded = make()
    for one, other in zip(bounded, make(), strict=True):
        assert torch.equal(one, other)


def test_other_threads_are_left_alone() -> None:
    made: list[Tensor] = []

    def make() -> None:
        made.append(torch.zeros(10 * SMALL.num_bytes))

    with within(SMALL):
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
    assert len(made) == 1


WINDOWS = {"img_size": 512, "window_size": 128, "embed_dim": 8, "depths": [2, 2, 2, 2]}
"""Each block of attention keeps a table of 16,384 x 16,384 numbers of 8 bytes: 2 GB."""


def test_a_network_whose_buffers_have_no_end_is_refused_at_once() -> None:
    budget = Budget(num_tensors=10_000, num_bytes=256 << 20)
    begun_s = time.process_time()
    with pytest.raises(Exception, match="larger than its weights"), within(budget):
        create_extractor("swin_tiny_patch4_window7_224", args=WINDOWS, stages=0, power=1.0)
    assert time.process_time() - begun_s < 1


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenetv2_100",
        "swin_tiny_patch4_window7_224",
        "maxvit_pico_rw_256",
        "swinv2_cr_tiny_ns_224",
        "efficientnet_b1_pruned",
        "vit_tiny_r_s16_p8_384",
    ],
)
def test_networks_are_within_the_budget_of_their_own_weights(name: str) -> None:
    from safetensors.torch import save

    built = create_extractor(name, args={}, stages=0, power=1.0)
    budget = budget_of(save(built.state_dict()), where="its weights")
    with within(budget):
        create_extractor(name, args={}, stages=0, power=1.0)
