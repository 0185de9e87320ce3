"""Draws stay what they are when kinds are added, and children leave their parent alone."""

from dataclasses import fields

import torch

from fieldmark.data.draws import FURTHER, NOISE, NUM_FROM_GENERATOR, Draws, child


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_first_kinds_are_columns_drawn_from_the_generator_itself() -> None:
    expected = torch.rand(5, 10, generator=seeded())
    sampled = Draws.sample(5, generator=seeded())
    names = [field.name for field in fields(Draws)]
    assert names[NUM_FROM_GENERATOR - 1] == "saturation"
    for column, name in enumerate(names[:NUM_FROM_GENERATOR]):
        assert torch.equal(getattr(sampled, name), expected[:, column])


def test_the_other_kinds_take_nothing_from_the_generator() -> None:
    generator, plain = seeded(), seeded()
    Draws.sample(5, generator=generator)
    torch.rand(5, 10, generator=plain)
    assert torch.equal(generator.get_state(), plain.get_state())


def test_the_other_kinds_are_rows_so_that_one_added_later_changes_none() -> None:
    generator = seeded()
    torch.rand(5, 10, generator=generator)
    longer = torch.rand(30, 5, generator=child(generator, FURTHER))
    sampled = Draws.sample(5, generator=seeded())
    for row, field in enumerate(fields(Draws)[NUM_FROM_GENERATOR:]):
        assert torch.equal(getattr(sampled, field.name), longer[row]), field.name


def test_children_differ_by_place_and_by_where_the_parent_stands() -> None:
    generator = seeded()
    first, second = (torch.rand(4, generator=child(generator, at)) for at in (FURTHER, NOISE))
    assert torch.equal(first, torch.rand(4, generator=child(generator, FURTHER)))
    assert not torch.equal(first, second)
    torch.rand(1, generator=generator)
    assert not torch.equal(first, torch.rand(4, generator=child(generator, FURTHER)))


def test_a_child_does_not_repeat_what_its_parent_draws_next() -> None:
    generator = seeded()
    from_child = torch.rand(50, generator=child(generator, FURTHER))
    assert not torch.isin(from_child, torch.rand(50, generator=generator)).any()
