"""Rotations in the metadata, judged before the photos are used, and the verdict remembered."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from PIL import Image

import fieldmark
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Gathered, Given, gather
from fieldmark.data.scan import turned_paths
from fieldmark.models.orientation import MIN_CHECKED, Verdict
from fieldmark.orienting import Oriented, _sample, check_orientation, orient
from fieldmark.planning import Plan, plan
from fieldmark.recipe import load_recipe, override
from fieldmark.stages import build

NOTED = 48
"""Photos of the folders here that note a rotation, of 72."""


def striped(root: Path, *, tags_are_true: bool) -> Path:
    """Write stripes of any colour, level or upright; two thirds note a turn by 90 degrees."""
    generator = np.random.default_rng(1)
    exif = Image.Exif()
    exif[274] = 6  # undone by a turn of 90 degrees clockwise
    for name in ("level", "upright"):
        (root / name).mkdir(parents=True)
        for index in range(36):
            stripes_HW = np.add.outer(np.arange(32), np.zeros(24, dtype=int)) // 4 % 2
            if name == "upright":
                stripes_HW = np.add.outer(np.zeros(32, dtype=int), np.arange(24)) // 4 % 2
            colour = generator.integers(0, 90, 3)
            noise_HWC = generator.integers(0, 50, (32, 24, 3))
            pixels_HWC = colour + 110 * stripes_HW[..., None] + noise_HWC
            image = Image.fromarray(pixels_HWC.astype(np.uint8))
            if index % 3 == 0:
                image.save(root / name / f"{index:02d}.png")
                continue
            stored = image.transpose(Image.Transpose.ROTATE_90) if tags_are_true else image
            stored.save(root / name / f"{index:02d}.png", exif=exif)
    return root


@pytest.fixture(scope="module")
def lying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos whose notes outlived an editor that had turned the pixels."""
    return striped(tmp_path_factory.mktemp("lying") / "photos", tags_are_true=False)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos whose notes are true."""
    return striped(tmp_path_factory.mktemp("honest") / "photos", tags_are_true=True)


def settled(weights: Path, *settings: str) -> Plan:
    asked = [f"model.weights={weights}", "train.precision=float32", *settings]
    return plan(override(load_recipe("quick"), asked))


def read(root: Path, plan: Plan) -> Gathered:
    given = Given()
    return gather(root, preprocess=plan.preprocess, given=given, progress=SilentProgress())


def check(root: Path, plan: Plan, *, paths: list[str] | None = None, progress: Any = None) -> Any:
    classifier, plan = build(plan, classes=("level", "upright"))
    catalog = read(root, plan).catalog
    if paths is None:
        paths = [row.path for row in catalog.usable]
    return check_orientation(
        classifier, catalog, paths, plan=plan, progress=progress or SilentProgress()
    )


def oriented(root: Path, plan: Plan) -> Oriented:
    classifier, plan = build(plan, classes=("level", "upright"))
    gathered = read(root, plan)
    paths = [row.path for row in gathered.catalog.usable]
    return orient(classifier, gathered, paths=paths, plan=plan, progress=SilentProgress())


@pytest.fixture
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after which nothing can be computed any more."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was known already")

    return lambda: monkeypatch.setattr("fieldmark.models.inference.Predictor.features", never)


# The verdict


@pytest.mark.usefixtures("nothing_known")
def test_a_verdict_is_remembered(
    lying: Path, weights: Path, no_network: Callable[[], None], recorder: Any
) -> None:
    first = check(lying, settled(weights), progress=recorder)
    assert (first.orientation, first.num_checked) == ("stored", NOTED)
    assert recorder.started["Orientation"] == (2 * NOTED + 24, "photos")
    assert recorder.summaries["Orientation"] == "48 rotated photos checked, metadata not believed"
    no_network()
    assert check(lying, settled(weights)) == first


@pytest.mark.usefixtures("nothing_known")
def test_other_photos_or_labels_are_judged_anew(
    lying: Path, weights: Path, no_network: Callable[[], None]
) -> None:
    chosen = settled(weights)
    paths = [row.path for row in read(lying, chosen).catalog.usable]
    check(lying, chosen, paths=paths)
    no_network()
    with pytest.raises(AssertionError, match="known already"):
        check(lying, chosen, paths=paths[:-1])


def test_notes_that_are_true_are_believed(honest: Path, weights: Path, recorder: Any) -> None:
    verdict = check(honest, settled(weights), progress=recorder)
    assert verdict.orientation == "exif"
    assert verdict.z < 0
    assert recorder.summaries["Orientation"] == "48 rotated photos checked, metadata believed"


def test_the_question_does_not_arise_where_it_is_settled(
    lying: Path, weights: Path, no_network: Callable[[], None]
) -> None:
    no_network()
    assert check(lying, settled(weights, "data.orientation=exif")) is None
    chosen = settled(weights)
    ignorant = replace(chosen, spec=replace(chosen.spec, weights=None))
    assert check(lying, ignorant) is None


def test_the_question_does_not_arise_where_there_are_too_few_photos(
    lying: Path, weights: Path, no_network: Callable[[], None]
) -> None:
    chosen = settled(weights)
    catalog = read(lying, chosen).catalog
    noted = list(turned_paths(catalog))
    upright = [row.path for row in catalog.usable if row.path not in noted]
    assert check(lying, chosen, paths=[*noted[:MIN_CHECKED], *upright]) is not None
    no_network()
    assert check(lying, chosen, paths=noted) is None
    assert check(lying, chosen, paths=[*noted[: MIN_CHECKED - 1], *upright]) is None


# What comes of it


def test_where_the_notes_are_not_believed_photos_are_read_as_they_lie(
    lying: Path, weights: Path
) -> None:
    found = oriented(lying, settled(weights))
    assert found.num_turned == found.num_ignored == NOTED
    assert found.classifier.preprocess.orientation == found.plan.preprocess.orientation == "stored"
    assert "data.orientation" in found.plan.reasons
    assert turned_paths(found.gathered.catalog) == ()
    assert {(row.width, row.height) for row in found.gathered.catalog.usable} == {(24, 32)}
    anew = read(lying, found.plan)
    assert anew.catalog.rows == found.gathered.catalog.rows
    assert anew.store is not None
    assert found.gathered.store is not None
    paths = [row.path for row in anew.catalog.usable]
    assert np.array_equal(anew.store.take(paths), found.gathered.store.take(paths))


def test_where_they_are_believed_nothing_changes(honest: Path, weights: Path) -> None:
    chosen = settled(weights)
    found = oriented(honest, chosen)
    assert (found.num_turned, found.num_ignored) == (NOTED, 0)
    assert found.plan.preprocess == chosen.preprocess
    assert found.gathered.catalog == read(honest, chosen).catalog
    assert found.told == "48 photos carry a rotation in their metadata, and are turned as it says."


def test_nothing_is_told_where_the_question_did_not_arise(photos: Path, weights: Path) -> None:
    found = oriented(photos, settled(weights))
    assert (found.verdict, found.num_turned, found.num_ignored, found.told) == (None, 0, 0, "")


def test_what_is_told_names_the_number_and_the_way_out(honest: Path, weights: Path) -> None:
    found = oriented(honest, settled(weights))
    verdict = Verdict(orientation="stored", num_checked=96, z=5.0)
    ignored = replace(found, verdict=verdict, num_turned=1234)
    assert ignored.num_ignored == 1234
    assert ignored.told.startswith("1,234 photos carry a rotation in their metadata, but look")
    assert ignored.told.endswith("To have it obeyed, set data.orientation=exif.")


# To the end


def test_an_exploration_reads_the_photos_as_they_look_upright(
    lying: Path, weights: Path, tmp_path: Path, recorder: Any, no_network: Callable[[], None]
) -> None:
    asked: dict[str, Any] = {"weights": str(weights), "overrides": ["train.precision=float32"]}
    muted = ("FM502", "FM601")
    result = fieldmark.explore(
        lying, out=tmp_path / "out", ignore=muted, progress=recorder, **asked
    )
    assert len(recorder.notes) == 1
    assert "look upright without it, so it is ignored" in recorder.notes[0]
    finding = result.audit.of_code("FM107")
    assert finding is not None
    assert finding.num_photos == NOTED
    assert {(row.width, row.height) for row in result.catalog.usable} == {(24, 32)}
    assert result.audit.classifier is not None
    assert result.audit.classifier.value >= 0.95
    no_network()
    again = fieldmark.explore(lying, out=tmp_path / "again", ignore=muted, **asked)
    assert again.audit == result.audit


def test_rotations_that_the_settings_believe_are_followed(
    lying: Path, weights: Path, tmp_path: Path
) -> None:
    result = fieldmark.explore(
        lying,
        out=tmp_path / "out",
        weights=str(weights),
        overrides=["train.precision=float32", "data.orientation=exif"],
        ignore=("FM501", "FM502", "FM601"),
    )
    assert result.audit.of_code("FM107") is None
    turned = [row for row in result.catalog.usable if (row.width, row.height) == (32, 24)]
    assert len(turned) == NOTED


# Samples


@drawn(number=st.integers(0, 300), most=st.integers(1, 100))
def test_a_sample_is_spread_evenly_over_the_list(number: int, most: int) -> None:
    paths = [f"{place:03d}" for place in range(number)]
    chosen = _sample(paths, most=most)
    assert len(chosen) == min(number, most)
    assert chosen == sorted(set(chosen))
    places = np.array([int(path) for path in chosen])
    if len(places) > 1:
        gaps = np.diff(places)
        assert gaps.max() - gaps.min() <= 1
