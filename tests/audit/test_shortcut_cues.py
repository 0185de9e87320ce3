import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldmark.audit.shortcut_cues import (
    CUE_SETS,
    MAX_NAMED,
    MAX_VALUES,
    Photos,
    border,
    camera,
    colour_histogram,
    file,
    listed,
    mean_colour,
    metadata,
    one_hot,
    percent,
    reduce,
    size,
    telling_sizes,
    thumbnail,
)
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cues import Cues

BLACK = np.zeros((32, 32, 3), dtype=np.uint8)


def row_of(name: str, *, label: str = "a", size_px: tuple[int, int] = (40, 20)) -> CatalogRow:
    return CatalogRow(
        path=f"{label}/{name}",
        label=label,
        width=size_px[0],
        height=size_px[1],
        num_bytes=1600,
        sha256="0" * 64,
        status="used",
        reason="",
    )


def cues_of(
    thumbnail_SSC: NDArray[np.uint8] = BLACK, *, maker: str = "", orientation: int = 1
) -> Cues:
    return Cues(
        format="JPEG",
        mode="RGB",
        camera=maker,
        orientation=orientation,
        stored_width=40,
        stored_height=20,
        brightness=0.0,
        contrast=0.0,
        sharpness=0.0,
        thumbnail_SSC=thumbnail_SSC,
    )


def one(cues: Cues) -> Photos:
    return Photos(rows=[row_of("x.jpg")], cues=[cues])


def sizes(counts: dict[str, dict[tuple[int, int], int]]) -> list[CatalogRow]:
    return [
        row_of(f"{size_px}-{i}", label=label, size_px=size_px)
        for label, by_size in counts.items()
        for size_px, count in by_size.items()
        for i in range(count)
    ]


def test_size_is_width_height_and_aspect() -> None:
    assert size(one(cues_of())).tolist() == [[40, 20, 2]]


def test_file_is_bytes_and_bytes_per_pixel_and_one_column_each_for_format_and_mode() -> None:
    assert file(one(cues_of())).tolist() == [[1600, 2, 1, 1]]


def test_camera_tells_cameras_and_rotations_apart() -> None:
    rows = [row_of(f"{i}") for i in range(3)]
    cues = [cues_of(), cues_of(maker="Acme X"), cues_of(maker="Acme X", orientation=6)]
    # Commonest first: "Acme X", then none; rotation 1, then 6.
    expected = [[0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]]
    assert camera(Photos(rows=rows, cues=cues)).tolist() == expected


def test_metadata_is_all_of_the_file() -> None:
    assert metadata(one(cues_of())).tolist() == [[40, 20, 2, 1600, 2, 1, 1, 1, 1]]


def test_rare_words_share_having_no_column() -> None:
    words = [*(f"camera {i:02d}" for i in range(MAX_VALUES)), *["common"] * 2]
    columns = one_hot(words)
    assert columns.shape == (MAX_VALUES + 2, MAX_VALUES)
    assert columns[-1].tolist() == [1] + [0] * (MAX_VALUES - 1)
    assert columns[MAX_VALUES - 1].sum() == 0


def test_mean_colour_and_histogram_of_a_half_red_photo() -> None:
    half = BLACK.copy()
    half[:, :16, 0] = 255
    assert mean_colour(one(cues_of(half))).tolist() == [[127.5, 0, 0]]
    histogram = colour_histogram(one(cues_of(half)))[0]
    # Red is level 3 of 4, and counts 16 for each level.
    assert {box: histogram[box] for box in np.flatnonzero(histogram)} == {0: 0.5, 48: 0.5}


@given(level=st.integers(0, 255), place=st.integers(0, 2))
def test_a_histogram_counts_photo_by_photo(level: int, place: int) -> None:
    photos = [BLACK, np.full_like(BLACK, level)]
    cues = [cues_of(pixels) for pixels in photos]
    histogram = colour_histogram(Photos(rows=[row_of("a"), row_of("b")], cues=cues))
    edges = np.linspace(0, 256, 5)
    for counted, pixels in zip(histogram, photos, strict=True):
        expected, _ = np.histogramdd(pixels.reshape(-1, 3), bins=(edges,) * 3)
        assert counted.tolist() == (expected.ravel() / 1024).tolist()


def test_reduction_takes_the_mean_of_squares() -> None:
    ramp = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    assert reduce(ramp, to_px=2)[0, :, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_the_border_sees_the_outermost_pixels_and_nothing_else() -> None:
    inside, outside = BLACK.copy(), BLACK.copy()
    inside[2:-2, 2:-2] = 255
    outside[0, 0] = 200
    assert border(one(cues_of(inside))).tolist() == [[0.0] * 180]
    # 60 pixels of 3 channels; one of the four pixels that make up the corner is 200.
    assert border(one(cues_of(outside))).tolist() == [[50.0] * 3 + [0.0] * 177]
    assert thumbnail(one(cues_of(outside))).tolist() == [[12.5] * 3 + [0.0] * 189]


def test_every_cue_gives_a_row_for_each_photo_under_a_key_of_its_own() -> None:
    photos = Photos(rows=[row_of("a"), row_of("b")], cues=[cues_of(), cues_of()])
    assert all(len(cue_set.measure(photos)) == 2 for cue_set in CUE_SETS)
    assert len({cue_set.key for cue_set in CUE_SETS}) == len(CUE_SETS)


def test_a_size_that_only_some_classes_have_is_told() -> None:
    rows = sizes(
        {
            "car": {(100, 100): 50},
            "fruit": {(100, 100): 60},
            "person": {(256, 256): 99, (250, 250): 1},
            "cat": {(100, 100): 1, **{(300 + i, 200): 1 for i in range(499)}},
        }
    )
    assert telling_sizes(rows) == [
        "All photos of car and fruit, and hardly any other (0.2 %), are 100x100 pixels.",
        "99.0 % of the photos of person, and no other, are 256x256 pixels.",
    ]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({"a": {(9, 9): 40}, "b": {(9, 9): 40}}, id="all classes"),
        pytest.param({"a": {(9, 9): 9}, "b": {(8, 8): 1, (7, 7): 8}}, id="too few photos"),
        pytest.param({"a": {(9, 9): 79, (8, 9): 21}, "b": {(7, 7): 9}}, id="part of a class"),
        pytest.param({"a": {(9, 9): 89}, "b": {(9, 9): 11, (7, 7): 90}}, id="elsewhere too"),
        pytest.param({"a": {(9, 9): 900}, "b": {(9, 9): 70, (7, 7): 30}}, id="a smaller class too"),
        pytest.param({}, id="no photo"),
    ],
)
def test_a_size_that_tells_nothing_is_not_told(
    counts: dict[str, dict[tuple[int, int], int]],
) -> None:
    told = telling_sizes(sizes(counts))
    assert [sentence for sentence in told if "9x9" in sentence] == []


def test_at_the_limits_a_size_is_told() -> None:
    rows = sizes({"a": {(9, 9): 80, (8, 9): 20}, "b": {(9, 9): 8, (7, 7): 92}})
    told = "80.0 % of the photos of a, and hardly any other (8.0 %), are 9x9 pixels."
    assert told in telling_sizes(rows)


def test_shares_are_never_rounded_to_none_or_all() -> None:
    assert [percent(share) for share in (0.0, 1e-6, 0.7126, 0.99999, 1.0)] == [
        "0 %",
        "0.1 %",
        "71.3 %",
        "99.9 %",
        "100 %",
    ]


def test_long_lists_are_cut() -> None:
    names = [f"c{i}" for i in range(MAX_NAMED + 3)]
    assert listed(names).endswith("c6, c7 and 3 more")
    assert [listed(names[:n]) for n in (1, 2, 3)] == ["c0", "c0 and c1", "c0, c1 and c2"]
