"""Sizes, formats and cameras, class by class."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cues import Cues
from fieldmark.report.scales import log_place
from fieldmark.report.shapes import (
    MAX_SIZES,
    MAX_VALUES,
    NONE_NAMED,
    OTHERS,
    TICK_ROOM,
    aspect_scale,
    class_shapes,
    common_sizes,
    pixel_scale,
    tallies,
)

Sizes = Sequence[tuple[str, int, int]]


def catalog_of(sizes: Sizes) -> Catalog:
    rows = tuple(
        CatalogRow(
            path=f"{label}/{place:03d}.jpg",
            label=label,
            width=width,
            height=height,
            num_bytes=9,
            sha256="ab",
            status="used",
            reason="",
        )
        for place, (label, width, height) in enumerate(sizes)
    )
    return Catalog(root=Path("photos"), rows=rows)


def cues_of(kind: str = "JPEG", *, mode: str = "RGB", camera: str = "") -> Cues:
    return Cues(
        format=kind,
        mode=mode,
        camera=camera,
        orientation=1,
        stored_width=4,
        stored_height=3,
        brightness=100.0,
        contrast=30.0,
        sharpness=0.5,
        thumbnail_SSC=np.zeros((32, 32, 3), dtype=np.uint8),
    )


def test_a_class_has_ends_middle_and_ratio() -> None:
    (shape,) = class_shapes(catalog_of([("cat", w, 100) for w in range(100, 201)]))
    assert (shape.name, shape.num) == ("cat", 101)
    width = shape.width
    assert (width.least, width.low, width.median, width.high, width.most) == (
        100,
        105,
        150,
        195,
        200,
    )
    assert (shape.aspect.least, shape.aspect.median, shape.aspect.most) == (1.0, 1.5, 2.0)
    assert not shape.is_of_one_size


def test_the_class_with_the_smallest_photos_stands_first() -> None:
    shapes = class_shapes(catalog_of([("a", 300, 300), ("b", 10, 10), ("c", 100, 20)]))
    assert [shape.name for shape in shapes] == ["b", "c", "a"]
    assert all(shape.is_of_one_size for shape in shapes)


@given(
    st.lists(st.tuples(st.just("a"), st.integers(1, 60_000), st.integers(1, 60_000)), min_size=1)
)
def test_scales_hold_every_photo_and_their_ticks_do_not_collide(sizes: Sizes) -> None:
    shapes = class_shapes(catalog_of(sizes))
    pixels, aspects = pixel_scale(shapes), aspect_scale(shapes)
    for shape in shapes:
        for spread, scale in ((shape.width, pixels), (shape.aspect, aspects)):
            assert scale.low < spread.least <= spread.most < scale.high
    for scale in (pixels, aspects):
        places = [log_place(value, low=scale.low, high=scale.high) for value, _ in scale.ticks]
        assert places == sorted(places)
        assert places
        assert all(b - a >= 0.9 * TICK_ROOM for a, b in itertools.pairwise(places))


def test_the_square_stands_in_the_middle_of_the_ratios() -> None:
    scale = aspect_scale(class_shapes(catalog_of([("a", 700, 100), ("a", 100, 100)])))
    assert log_place(1.0, low=scale.low, high=scale.high) == pytest.approx(0.5)
    assert [text for _, text in scale.ticks] == ["1:5", "1:1", "5:1"]


def test_common_sizes_name_the_class_that_has_them() -> None:
    sizes = [("cat", 10, 10)] * 3 + [("dog", 10, 10)] + [("dog", 20, 10)] * 2
    num, (first, second) = common_sizes(catalog_of(sizes))
    assert num == 2
    assert (first.width, first.height, first.num) == (10, 10, 4)
    assert (first.label, first.num_label) == ("cat", 3)
    assert (second.num, second.label, second.num_label) == (2, "dog", 2)


def test_only_the_most_common_sizes_are_listed() -> None:
    num, shown = common_sizes(catalog_of([("cat", 10 + i % 40, 10) for i in range(80)]))
    assert (num, len(shown)) == (40, MAX_SIZES)


def test_a_size_of_one_photo_is_not_common() -> None:
    assert common_sizes(catalog_of([("cat", 10, 10), ("dog", 20, 10)])) == (2, ())


def test_formats_modes_and_cameras_are_counted_by_class() -> None:
    catalog = catalog_of([("cat", 4, 3), ("cat", 4, 3), ("dog", 4, 3)])
    kinds = [cues_of(), cues_of("PNG", mode="L"), cues_of(camera="Canon EOS")]
    cues = {row.path: cue for row, cue in zip(catalog.rows, kinds, strict=True)}
    formats, modes, cameras = tallies(catalog, cues)
    assert (formats.values, formats.totals) == (("JPEG", "PNG"), (2, 1))
    assert formats.rows == (("cat", (1, 1)), ("dog", (1, 0)))
    assert (formats.num_classes(0), formats.num_classes(1)) == (2, 1)
    assert modes.values == ("RGB", "L")
    assert cameras.values == (NONE_NAMED, "Canon EOS")


def test_rare_cameras_are_counted_together() -> None:
    catalog = catalog_of([("cat", 4, 3)] * 30)
    cues = {row.path: cues_of(camera=f"Camera {i}") for i, row in enumerate(catalog.rows)}
    cameras = tallies(catalog, cues)[2]
    assert len(cameras.values) == MAX_VALUES + 1
    assert (cameras.values[-1], cameras.totals[-1]) == (OTHERS, 30 - MAX_VALUES)
    assert sum(cameras.totals) == 30


def test_an_empty_folder_has_no_shapes() -> None:
    empty = catalog_of([])
    assert (class_shapes(empty), common_sizes(empty), tallies(empty, {})) == ((), (0, ()), ())
    assert pixel_scale(()).low < pixel_scale(()).high
