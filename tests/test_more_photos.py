"""Learning again from fewer photos: what is drawn, and what comes of it."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from fieldmark import more_photos
from fieldmark.audit.duplicates import Duplicates
from fieldmark.collect import Collected, Gathered
from fieldmark.data.catalog import Catalog
from fieldmark.data.split_table import SplitRow, Splits
from fieldmark.stages import Embedded


def rows(label: str, *, num: int, split: str = "train", of_group: int = 1) -> list[SplitRow]:
    return [
        SplitRow(
            path=f"{label}/{split}{i:03d}",
            label=label,
            split=split,
            group=f"{label}{split}{i // of_group}",
        )
        for i in range(num)
    ]


def collected(*several: list[SplitRow]) -> Collected:

    catalog = Catalog(root=Path("photos"), rows=())
    gathered = Gathered(
        before=catalog,
        catalog=catalog,
        changes=(),
        store=None,
        cues={},
        duplicates=Duplicates(exact=(), near=(), groups=()),
    )
    splits = Splits(rows=tuple(row for each in several for row in each))
    return Collected(gathered=gathered, catalog=catalog, splits=splits)


def embedded(photos: Collected, *, noise: float = 1.0, num_features: int = 40) -> Embedded:
    """Return features whose first number tells the classes apart, below much noise."""
    generator = np.random.default_rng(0)
    table = photos.splits.rows
    classes = sorted({row.label for row in table})
    features_MF = generator.normal(size=(len(table), num_features))
    features_MF[:, 0] = features_MF[:, 0] * noise + 3 * np.array(
        [classes.index(row.label) for row in table]
    )
    return Embedded(
        positions={row.path: place for place, row in enumerate(table)},
        features_MF=features_MF.astype(np.float32),
        key="by hand",
    )


PHOTOS = collected(
    rows("cat", num=150),
    rows("cat", num=10, split="validation"),
    rows("cat", num=100, split="test"),
    rows("dog", num=80),
    rows("dog", num=60, split="test"),
)


def measure(photos: Collected, features: Embedded | None, **wishes: object) -> object:
    settings = {"l2": 0.01, "seed": 0, "is_probe": True, **wishes}
    return more_photos.measure(photos, features, **settings)  # type: ignore[arg-type]


def test_accuracy_grows_with_the_photos_and_the_last_point_is_of_all_of_them() -> None:
    curve = more_photos.measure(PHOTOS, embedded(PHOTOS), l2=0.01, seed=0, is_probe=True)
    assert curve is not None
    points = curve.overall.points
    assert 5 <= len(points) <= 8
    assert points[-1].num_photos == 240
    assert points[-1].num_repeats == 1
    assert points[0].num_repeats == more_photos.MAX_REPEATS
    assert points[0].accuracy.value < points[-1].accuracy.value
    assert set(curve.per_class) == {"cat", "dog"}
    assert curve.overall.num_test == 160


def test_the_method_tells_what_was_learned_from_and_what_the_run_did_otherwise() -> None:
    features = embedded(PHOTOS)
    probe = more_photos.measure(PHOTOS, features, l2=0.01, seed=0, is_probe=True)
    other = more_photos.measure(PHOTOS, features, l2=0.01, seed=0, is_probe=False)
    assert probe is not None
    assert other is not None
    assert "training and validation photos" in probe.method
    assert "trained further" not in probe.method
    assert "the network of this run was trained further" in other.method
    assert probe.overall == other.overall


def test_the_same_seed_gives_the_same_curve() -> None:
    features = embedded(PHOTOS)
    assert measure(PHOTOS, features) == measure(PHOTOS, features)
    assert measure(PHOTOS, features) != measure(PHOTOS, features, seed=1)


def test_nothing_is_measured_without_features_or_with_few_photos_or_one_class() -> None:
    few = collected(rows("cat", num=9), rows("dog", num=9), rows("dog", num=5, split="test"))
    alone = collected(rows("cat", num=200), rows("cat", num=20, split="test"))
    stranger = collected(rows("cat", num=99), rows("dog", num=99), rows("fox", num=5, split="test"))
    untested = collected(rows("cat", num=99), rows("dog", num=99))
    assert measure(PHOTOS, None) is None
    for photos in (few, alone, stranger, untested):
        assert measure(photos, embedded(photos)) is None


def test_draws_are_in_proportion_and_lie_within_each_other() -> None:
    learned = [*rows("cat", num=320), *rows("dog", num=160)]
    drawn = more_photos.draw(learned, seed=0, max_photos=1e9)
    assert drawn[0].sizes == {"cat": 10, "dog": 5}
    assert drawn[-1].sizes == {"cat": 320, "dog": 160}
    for one in drawn:
        assert Counter(path.partition("/")[0] for path in one.paths) == one.sizes
        assert len(set(one.paths)) == len(one.paths)
    firsts = {len(one.paths): set(one.paths) for one in reversed(drawn)}
    sizes = sorted(firsts)
    for smaller, larger in pairwise(sizes):
        assert firsts[smaller] < firsts[larger]
    smallest = [set(one.paths) for one in drawn if len(one.paths) == sizes[0]]
    assert len(smallest) == more_photos.MAX_REPEATS
    assert smallest[0] != smallest[1]


def test_half_of_the_photos_hold_about_half_of_the_groups() -> None:
    learned = rows("cat", num=320, of_group=4) + rows("dog", num=320, of_group=4)
    group_of = {row.path: row.group for row in learned}
    for one in more_photos.draw(learned, seed=0, max_photos=1e9):
        groups = {group_of[path] for path in one.paths}
        assert len(groups) <= len(one.paths) / 4 + 2


def test_where_it_would_take_long_there_are_fewer_repeats_and_then_none() -> None:
    learned = [*rows("cat", num=320), *rows("dog", num=320)]
    everything = sum(len(one.paths) for one in more_photos.draw(learned, seed=0, max_photos=1e9))
    fewer = more_photos.draw(learned, seed=0, max_photos=everything - 1)
    assert sum(len(one.paths) for one in fewer) < everything
    assert len(fewer) >= more_photos.NUM_SIZES
    assert more_photos.draw(learned, seed=0, max_photos=len(learned)) == []


def test_a_rare_class_keeps_two_photos() -> None:
    drawn = more_photos.draw([*rows("cat", num=600), *rows("dog", num=5)], seed=0, max_photos=1e9)
    assert {one.sizes["dog"] for one in drawn} == {2, 5}
