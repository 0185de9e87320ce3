"""Photos that show the same picture are found, and stand on one side whatever the seed."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Gathered, Given, divide, gather
from fieldmark.data.split_table import TEST, TRAIN, VALIDATION
from fieldmark.data.splits import SplitConfig, make_splits

WritePhotos = Callable[..., Path]

NUM_SEEDS = 30


def read(root: Path) -> Gathered:
    return gather(root, preprocess=None, given=Given(), progress=SilentProgress())


# Textured photos and what people make of them


def clouds(seed: int) -> Image.Image:
    """Return coloured clouds of 96x72 pixels, unlike those of any other seed."""
    generator = np.random.default_rng(seed)
    noise = Image.fromarray(generator.integers(0, 256, (72, 96, 3), dtype=np.uint8))
    return ImageOps.autocontrast(noise.filter(ImageFilter.GaussianBlur(5)), cutoff=1)


def mirrored(image: Image.Image) -> Image.Image:
    return ImageOps.mirror(image)


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((3, 2, width - 2, height - 2))


def enlarged(image: Image.Image) -> Image.Image:
    return image.resize((192, 144), Image.Resampling.LANCZOS)


def same(image: Image.Image) -> Image.Image:
    return image


CHANGES: Mapping[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "mirrored": (mirrored, 90),
    "cropped": (cropped, 90),
    "enlarged": (enlarged, 90),
    "encoded": (same, 40),
}
"""What is done to a photo, and the quality with which it is then saved as JPEG."""


def write_clouds(root: Path, folders: Mapping[str, int], *, seed: int) -> list[Path]:
    """Write so many photos into each folder; return their paths."""
    paths = []
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            paths.append(root / folder / f"{seed:04d}.jpg")
            clouds(seed).save(paths[-1], quality=90)
            seed += 1
    return paths


def inject(original: Path, folder: Path, change: str) -> Path:
    """Write a changed photo into another folder; return its path."""
    alter, quality = CHANGES[change]
    path = folder / f"{original.stem}-{change}.jpg"
    with Image.open(original) as image:
        alter(image).save(path, quality=quality)
    return path


@dataclass(frozen=True, kw_only=True)
class Textured:
    """Photos, and the sets of paths that show the same picture."""

    gathered: Gathered
    sets: Sequence[set[str]]

    @property
    def root(self) -> Path:
        return self.gathered.catalog.root


@pytest.fixture(scope="module")
def across_classes(tmp_path_factory: pytest.TempPathFactory) -> Textured:
    """Two classes of 70, and copies of 16 photos: near ones of each kind, exact ones, chains."""
    root = tmp_path_factory.mktemp("textured") / "photos"
    paths = write_clouds(root, {"cat": 70, "dog": 70}, seed=0)
    sets = []
    for number, original in enumerate(paths[::10]):
        change = list(CHANGES)[number % 4]
        other = root / ("dog" if number % 2 else "cat")
        made = inject(original, other, change)
        sets.append({name_of(original, root), name_of(made, root)})
    for original in paths[5:25:10]:  # an exact copy, and a near one of another kind
        exact = root / "dog" / f"{original.stem}-again.jpg"
        shutil.copy(original, exact)
        made = inject(exact, root / "cat", "mirrored")
        sets.append({name_of(path, root) for path in (original, exact, made)})
    return Textured(gathered=read(root), sets=sets)


def name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def torn(sides: Mapping[str, str], sets: Sequence[set[str]]) -> list[set[str]]:
    """Return the sets whose photos stand on several sides."""
    return [one for one in sets if len({sides[path] for path in one if path in sides}) > 1]


def test_injected_near_duplicates_are_found_and_nothing_else_is(
    across_classes: Textured,
) -> None:
    found = across_classes.gathered.duplicates.groups
    assert len(found) == 16
    assert sorted(map(sorted, found)) == sorted(map(sorted, across_classes.sets))


def test_no_seed_tears_near_duplicates_apart(
    across_classes: Textured,
) -> None:
    divisions = set()
    for seed in range(NUM_SEEDS):
        collected = divide(across_classes.gathered, SplitConfig(seed=seed), given=Given())
        sides = collected.splits.sides()
        assert torn(sides, across_classes.sets) == []
        assert len(sides) == 140 + 14 + 4
        divisions.add(tuple(sides.values()))
    assert len(divisions) == NUM_SEEDS


def test_without_the_search_for_near_duplicates_every_seed_would_tear_some_apart(
    across_classes: Textured,
) -> None:
    for seed in range(NUM_SEEDS):
        splits, _ = make_splits(across_classes.gathered.catalog, SplitConfig(seed=seed))
        assert torn(splits.sides(), across_classes.sets)


@drawn(
    seed=st.integers(0, 10**9),
    test=st.floats(0.05, 0.45),
    validation=st.floats(0.05, 0.45),
)
@settings(max_examples=40, deadline=None)
def test_no_fractions_tear_near_duplicates_apart(
    across_classes: Textured, seed: int, test: float, validation: float
) -> None:
    config = SplitConfig(seed=seed, test=test, validation=validation)
    sides = divide(across_classes.gathered, config, given=Given()).splits.sides()
    assert torn(sides, across_classes.sets) == []
    assert set(sides.values()) == {TRAIN, VALIDATION, TEST}


def test_photos_added_change_no_side_of_those_that_were_there(
    across_classes: Textured, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(across_classes.root, root)
    before = [
        divide(read(root), SplitConfig(seed=seed), given=Given()).splits.sides()
        for seed in range(NUM_SEEDS)
    ]
    write_clouds(root, {"cat": 9, "dog": 14, "owl": 12}, seed=5000)
    gathered = read(root)
    assert len(gathered.duplicates.groups) == 16
    for seed, sides in enumerate(before):
        after = divide(gathered, SplitConfig(seed=seed), given=Given()).splits.sides()
        assert {path: after[path] for path in sides} == sides
        assert len(after) == len(sides) + 35


def test_near_duplicates_across_given_folders_leave_training(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    folders = {f"{side}/{name}": 20 for side in ("train", "test") for name in ("cat", "dog")}
    paths = write_clouds(root, folders, seed=900)
    leaked = [path for path in paths if "/train/" in path.as_posix()][::5]
    made = [
        inject(path, root / "test" / ("dog" if number % 2 else "cat"), change)
        for number, (path, change) in enumerate(zip(leaked, [*CHANGES] * 2, strict=True))
    ]
    names = [name_of(path, root) for path in leaked]
    sets = [{one, name_of(other, root)} for one, other in zip(names, made, strict=True)]
    gathered = read(root)
    for seed in range(NUM_SEEDS):
        collected = divide(gathered, SplitConfig(seed=seed), given=Given())
        sides = collected.splits.sides()
        assert torn(sides, sets) == []
        assert not set(names) & set(sides)
        assert sum(side == TEST for side in sides.values()) == 48
        assert collected.splits.num_duplicates_excluded == 8
    reasons = {row.path: row.reason for row in collected.catalog.rows}
    assert all(reasons[name].startswith("near-duplicate of test/") for name in names)
    kept = divide(gathered, SplitConfig(leaks="keep"), given=Given())
    assert set(names) <= set(kept.splits.sides())


def test_what_is_there_more_than_once_is_told(
    write_photos: WritePhotos, tmp_path: Path, recorder: Any
) -> None:
    root = write_photos(tmp_path / "photos", count=3)
    gather(root, preprocess=None, given=Given(), progress=recorder)
    assert recorder.summaries["Copies"] == "none found"
    for name in ("one", "other"):
        shutil.copy(root / "sky" / "00.png", root / "leaf" / f"{name}.png")
    gather(root, preprocess=None, given=Given(), progress=recorder)
    assert recorder.summaries["Copies"] == (
        "2 exact, 0 pairs alike; 3 photos in 1 group that stay together"
    )
    first, second = write_clouds(root, {"sky": 2}, seed=70)
    inject(first, root / "sky", "mirrored")
    gather(root, preprocess=None, given=Given(), progress=recorder)
    assert recorder.summaries["Copies"] == (
        "2 exact, 1 pair alike; 5 photos in 2 groups that stay together"
    )
    inject(second, root / "sky", "cropped")
    gather(root, preprocess=None, given=Given(), progress=recorder)
    assert recorder.summaries["Copies"].startswith("2 exact, 2 pairs alike; 7 photos in 3 groups")
