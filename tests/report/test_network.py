"""Layers, and the blocks they are gathered into."""

from hypothesis import given
from hypothesis import strategies as st

from fieldmark.report.entries import Layer
from fieldmark.report.network import group_layers


def layer(name: str, parameters: int = 10, trainable: int = 0, shape: str = "8x4x4") -> Layer:
    return Layer(
        name=name,
        type="Conv2d",
        output_shape=shape,
        parameters=parameters,
        trainable_parameters=trainable,
    )


def test_layers_are_grouped_by_the_top_of_their_name_in_order() -> None:
    layers = [
        layer("conv1", 5, 5),
        layer("layer1.0.conv1", 7),
        layer("layer1.1.conv1", 11, shape="16x2x2"),
        layer("fc", 3, 3, shape="2"),
    ]
    blocks = group_layers(layers)
    assert [(b.name, b.num_layers, b.parameters, b.trainable_parameters) for b in blocks] == [
        ("conv1", 1, 5, 5),
        ("layer1", 2, 18, 0),
        ("fc", 1, 3, 3),
    ]
    assert blocks[1].output_shape == "16x2x2"


def test_a_top_that_holds_nearly_all_layers_is_divided_once() -> None:
    names = ["backbone.stem.conv", "backbone.stage.0.a", "backbone.stage.1.a", "backbone.norm"]
    blocks = group_layers([layer(name) for name in [*names, "head"]])
    assert [b.name for b in blocks] == ["stem", "stage", "norm", "head"]
    assert blocks[1].num_layers == 2


def test_blocks_of_one_name_at_two_levels_stay_apart() -> None:
    blocks = group_layers([layer(f"backbone.{name}") for name in "abcd"] + [layer("a")])
    assert [b.name for b in blocks] == ["backbone", "b", "c", "d", "a"]


@given(st.lists(st.tuples(st.sampled_from(["a", "a.b", "a.c.d", "e.f", "g"]), st.integers(0, 99))))
def test_grouping_loses_no_layer_and_no_parameter(rows: list[tuple[str, int]]) -> None:
    blocks = group_layers([layer(name, parameters) for name, parameters in rows])
    assert sum(block.num_layers for block in blocks) == len(rows)
    assert sum(block.parameters for block in blocks) == sum(number for _, number in rows)
