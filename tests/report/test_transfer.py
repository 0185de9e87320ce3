"""Where the weights came from, and what of them was trained."""

from typing import Any

import pytest

from fieldmark.report.entries import Layer
from fieldmark.report.transfer import Transfer, transfer_content


def layer(parameters: int, trainable: int, statistics: int | None = None) -> Layer:
    return Layer(
        name="conv",
        type="Conv2d",
        output_shape="8x4x4",
        parameters=parameters,
        trainable_parameters=trainable,
        statistics=statistics,
    )


def content(
    *,
    strategy: str = "all",
    layers: tuple[Layer, ...] = (),
    sha256: dict[str, str] | None = None,
    batch_norm: str = "batch",
    **model: Any,
) -> Transfer:
    found = transfer_content(
        {
            "model": {"backbone": "resnet18", "weights": "none", "head": "linear", **model},
            "train": {"strategy": strategy, "seed": 7, "last_stages": 2, "batch_norm": batch_norm},
        },
        facts={"sha256": sha256 or {}},
        layers=layers,
    )
    assert found is not None
    return found


def rows(transfer: Transfer) -> dict[str, str]:
    return dict(transfer.rows)


def test_trained_and_frozen_parameters_add_up_to_those_of_the_network() -> None:
    transfer = content(layers=(layer(10, 0), layer(5, 5), layer(7, 3)))
    assert (transfer.num_trained, transfer.num_frozen, transfer.num_parameters) == (8, 14, 22)


def test_a_random_start_names_its_seed_and_claims_no_file() -> None:
    transfer = content()
    assert "random weights" in transfer.summary
    assert rows(transfer)["Its weights at the start"] == "random, drawn with seed 7"
    assert "SHA-256 of their file" not in rows(transfer)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"weights": "auto"}, "pretrained, as published for resnet18"),
        (
            {"weights": "auto", "backbone": "keras_resnet50"},
            "pretrained on ImageNet, as published for Keras",
        ),
        ({"weights": "/w/resnet50.h5"}, "pretrained, from /w/resnet50.h5"),
    ],
)
def test_pretrained_weights_name_their_source_and_digest(model: dict[str, Any], told: str) -> None:
    transfer = content(sha256={"weights": "ab12"}, **model)
    assert rows(transfer)["Its weights at the start"] == told
    assert rows(transfer)["SHA-256 of their file"] == "ab12"
    assert "pretrained weights" in transfer.summary


@pytest.mark.parametrize(
    ("strategy", "model", "told"),
    [
        ("probe", {"weights": "auto"}, "the one best solution"),
        ("head", {"weights": "auto"}, "random weights close to zero"),
        ("head", {"weights": "auto", "backbone": "keras_resnet50"}, "random weights close to zero"),
        ("head-then-all", {"weights": "auto"}, "fitted to the features"),
        ("head-then-all", {"weights": "none"}, "random weights close to zero"),
        ("last-stages", {"weights": "auto", "head": "cosine"}, "the mean of its training photos"),
        ("all", {"weights": "auto"}, "random weights close to zero"),
        ("all", {"head": "cosine"}, "a random direction for each class"),
        ("all", {"backbone": "keras_resnet50"}, "Glorot's uniform rule"),
        ("head-then-all", {"backbone": "keras_resnet50", "weights": "auto"}, "fitted to the"),
    ],
)
def test_how_the_head_begins_follows_from_strategy_and_weights(
    strategy: str, model: dict[str, Any], told: str
) -> None:
    assert told in rows(content(strategy=strategy, **model))["The new head"]


def test_what_was_trained_is_said_in_words() -> None:
    for strategy in ("probe", "head"):
        told = content(strategy=strategy, weights="auto")
        assert rows(told)["What was trained"] == "the head alone"
        assert "only the last layer" in told.summary
    assert "the last 2 stages" in rows(content(strategy="last-stages"))["What was trained"]


def test_running_means_are_counted_where_the_run_wrote_them() -> None:
    counted = content(layers=(layer(8, 8, 1000), layer(4, 4, 234)))
    assert "1,234 numbers" in rows(counted)["Batch normalisation"]
    older = content(layers=(layer(8, 8),))
    assert "numbers" not in rows(older)["Batch normalisation"]
    assert "Batch normalisation" not in rows(content(layers=(layer(8, 8, 0),)))
    frozen = rows(content(layers=(layer(8, 8, 6),), batch_norm="frozen"))["Batch normalisation"]
    assert "came with the weights" in frozen


@pytest.mark.parametrize("resolved", [{}, {"model": {}}, {"model": "odd", "train": 3}])
def test_a_recipe_that_names_no_backbone_has_no_section(resolved: dict[str, Any]) -> None:
    assert transfer_content(resolved, facts={}, layers=()) is None
