"""Published datasets by name: what is known of each, and names that are none."""

import re

import pytest

from fieldmark.base.errors import DataError
from fieldmark.datasets import NATURAL_IMAGES, PUBLISHED, Dataset, published
from fieldmark.terminal_data import datasets


def test_natural_images_has_the_published_counts() -> None:
    assert NATURAL_IMAGES.counts == {
        "airplane": 727,
        "car": 968,
        "cat": 885,
        "dog": 702,
        "flower": 843,
        "fruit": 1000,
        "motorbike": 788,
        "person": 986,
    }
    assert NATURAL_IMAGES.num_photos == 6899
    assert NATURAL_IMAGES.handle == "prasunroy/natural-images"


@pytest.mark.parametrize("dataset", PUBLISHED, ids=lambda dataset: dataset.name)
def test_every_dataset_is_found_by_its_name_and_told_in_full(dataset: Dataset) -> None:
    assert published(dataset.name) is dataset
    assert re.fullmatch(r"[a-z0-9-]+", dataset.name)
    assert dataset.handle.count("/") == 1
    assert dataset.page.endswith(dataset.handle)
    assert dataset.licence.endswith(".")
    for part in (dataset.page, f" {dataset.folder} ", *dataset.copies):
        assert part in dataset.by_hand
    listed = datasets(PUBLISHED)
    for part in (dataset.name, f"{dataset.num_photos:,}", dataset.page, dataset.licence):
        assert part in listed


@pytest.mark.parametrize("name", ["natural-image", "Natural-Images", "natural_images"])
def test_a_name_that_is_nearly_right_is_told_the_right_one(name: str) -> None:
    with pytest.raises(DataError, match=r"Did you mean 'natural-images'\?"):
        published(name)


@pytest.mark.parametrize("name", ["", "mnist", "../natural-images"])
def test_an_unknown_name_is_told_those_that_are_known(name: str) -> None:
    with pytest.raises(DataError, match=f"no dataset '{name}'.*Allowed: natural-images"):
        published(name)


def test_a_dataset_without_copies_says_nothing_of_them() -> None:
    plain = Dataset(
        name="plain",
        handle="a/plain",
        counts={"cat": 1},
        folder="photos",
        licence="",
        recipe="quick",
    )
    assert plain.by_hand.endswith("The folder to give to train and explore is photos in it.")
