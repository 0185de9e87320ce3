"""Counts and samples of the photos of a folder."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.report.entries import Photo
from fieldmark.report.photos import (
    MAX_SAMPLES,
    MAX_SAMPLES_PER_CLASS,
    class_counts,
    pick_evenly,
    samples_of,
)


def photo(number: int) -> Photo:
    return Photo(path=f"{number:03d}.jpg", sha256="")


def catalog_of(num_classes: int, *, per_class: int) -> Catalog:
    rows = tuple(
        CatalogRow(
            path=f"c{label:03d}/{place:02d}.png",
            label=f"c{label:03d}",
            width=4,
            height=3,
            num_bytes=9,
            sha256="ab",
            status="excluded" if place == 0 else "used",
            reason="",
        )
        for label in range(num_classes)
        for place in range(per_class)
    )
    return Catalog(root=Path("photos"), rows=rows)


def test_counts_tell_the_sides_apart_and_add_up() -> None:
    cat, dog = class_counts(
        [("dog", "train"), ("cat", "test"), ("cat", "train"), ("cat", ""), ("cat", "train")]
    )
    assert (cat.name, cat.train, cat.validation, cat.test, cat.elsewhere) == ("cat", 2, 0, 1, 1)
    assert (dog.name, dog.total) == ("dog", 1)
    assert cat.total == 4


def test_samples_are_usable_photos_of_their_class() -> None:
    samples = samples_of(catalog_of(3, per_class=12))
    assert list(samples) == ["c000", "c001", "c002"]
    for label, photos in samples.items():
        assert len(photos) == MAX_SAMPLES_PER_CLASS
        assert all(
            one.path.startswith(label) and not one.path.endswith("/00.png") for one in photos
        )


def test_many_classes_have_fewer_samples_each_and_a_bounded_number_in_all() -> None:
    for num_classes in (30, 200):
        samples = samples_of(catalog_of(num_classes, per_class=8))
        assert sum(map(len, samples.values())) <= MAX_SAMPLES
        assert all(samples.values())


@given(st.integers(0, 50), st.integers(1, 8))
def test_samples_are_distinct_in_order_and_begin_with_the_first(total: int, num: int) -> None:
    items = [photo(i) for i in range(total)]
    picked = pick_evenly(items, num=num)
    assert len(picked) == min(total, num)
    assert list(picked) == sorted(set(picked), key=items.index)
    assert list(picked[:1]) == items[:1]


def test_samples_are_spread_over_the_class() -> None:
    assert [p.path for p in pick_evenly([photo(i) for i in range(9)], num=3)] == [
        "000.jpg",
        "003.jpg",
        "006.jpg",
    ]
