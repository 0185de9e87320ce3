"""Layers, and the blocks they are gathered into."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.models.keras_resnet import keras_resnet152
from fieldmark.report.entries import Layer
from fieldmark.report.network import MAX_BLOCKS, group_layers, read_layers
from fieldmark.report.render import write_report

MakeRun = Callable[..., Path]


def layer(
    name: str,
    parameters: int = 10,
    trainable: int = 0,
    shape: str = "8x4x4",
    **counted: int | None,
) -> Layer:
    return Layer(
        name=name,
        type="Conv2d",
        output_shape=shape,
        parameters=parameters,
        trainable_parameters=trainable,
        **counted,
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


def test_a_block_sums_up_statistics_and_work() -> None:
    _, block = group_layers(
        [
            layer("stem", statistics=2, multiply_adds=5),
            layer("layer1.conv", statistics=0, multiply_adds=300),
            layer("layer1.bn", statistics=16, multiply_adds=0),
        ]
    )
    assert (block.statistics, block.multiply_adds) == (16, 300)


def test_the_work_of_a_block_is_unknown_where_that_of_a_layer_is() -> None:
    stem = layer("stem", statistics=2, multiply_adds=5)
    known, block = group_layers([stem, layer("layer1.a", multiply_adds=300), layer("layer1.b")])
    assert (block.statistics, block.multiply_adds) == (None, None)
    assert (known.statistics, known.multiply_adds) == (2, 5)


def test_layers_of_keras_whose_names_have_no_dots_are_gathered_by_stage() -> None:
    with torch.device("meta"):
        names = [name for name, _ in keras_resnet152().named_children()]
    layers = [layer(f"backbone.{name}") for name in names] + [layer("head")]
    blocks = group_layers(layers)
    stages = ["conv1", "pool1", "conv2", "conv3", "conv4", "conv5"]
    assert [block.name for block in blocks] == [*stages, "avg_pool", "head"]
    # A block of Keras has ten layers, and two more where its shortcut is a convolution.
    assert [block.num_layers for block in blocks] == [4, 2, 32, 82, 362, 32, 1, 1]


def test_names_without_dots_stay_apart_where_they_are_few() -> None:
    names = ["conv_stem", "conv_head", *(f"block_{i}" for i in range(MAX_BLOCKS - 2))]
    assert [block.name for block in group_layers([layer(name) for name in names])] == names


TABLE = "name,type,output_shape,parameters,trainable"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TABLE}\nfc,Linear,2,4,4\n", (None, None)),
        (f"{TABLE},statistics,multiply_adds\nbn,BatchNorm2d,2x4x4,4,4,4,0\n", (4, 0)),
        (f"{TABLE},statistics,multiply_adds\nfc,Linear,2,4,4,0,7801405440\n", (0, 7801405440)),
    ],
)
def test_runs_from_before_statistics_and_work_were_written_can_be_read(
    text: str, expected: tuple[Any, Any], tmp_path: Path
) -> None:
    (tmp_path / "layers.csv").write_text(text)
    (read,) = read_layers(tmp_path / "layers.csv")
    assert (read.statistics, read.multiply_adds) == expected


def test_the_page_tells_the_work_of_each_block(make_run: MakeRun, parse_page: Any) -> None:
    text = parse_page(write_report(make_run()).read_text("utf-8")).text
    assert "Looking at a photo once takes 291.4 million multiply-adds" in text
    assert "layer1 2 64×56×56 36,864 115.6 million" in text


def test_the_page_of_an_older_run_has_no_column_for_it(make_run: MakeRun, parse_page: Any) -> None:
    run = make_run()
    (run / "layers.csv").write_text(
        f"{TABLE}\nconv1,Conv2d,64x112x112,9408,0\nfc,Linear,3,6147,1\n"
    )
    text = parse_page(write_report(run).read_text("utf-8")).text
    assert "15,555 parameters in 2 layers" in text
    assert "ultiply-adds" not in text
