from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.audit import checks_model
from fieldmark.audit.checks_model import LabelJudgement
from fieldmark.audit.findings import SuspectPhoto
from fieldmark.audit.shortcuts import CueScore, ShortcutTest, describe_shortcuts
from fieldmark.audit.survey import Survey
from fieldmark.evaluation.intervals import wilson_interval

Make = Callable[..., Any]

LABELS = ("cat", "dog", "owl")


@pytest.fixture(autouse=True)
def cache_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path))


def clusters(count: int, *, num_features: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Return features of `count` photos of each class, each class a cluster of its own."""
    generator = np.random.default_rng(seed)
    centres = 8 * np.eye(len(LABELS), num_features)
    return np.concatenate(
        [centre + generator.normal(size=(count, num_features)) for centre in centres]
    ).astype(np.float32)


@pytest.fixture
def folder(photo: Make, survey_of: Make) -> Survey:
    """Forty photos of each class with features that tell them apart."""
    photos = [photo(f"{label}/{n:02d}.jpg") for label in LABELS for n in range(40)]
    survey: Survey = survey_of(photos, features_NF=clusters(40), features_key="made up")
    return survey


def with_labels(survey: Survey, labels: dict[str, str]) -> Survey:
    """Return a survey with other labels for some photos; the features stay with the photos."""
    rows = tuple(replace(row, label=labels.get(row.path, row.label)) for row in survey.catalog.rows)
    return replace(survey, catalog=replace(survey.catalog, rows=rows))


def test_flipped_labels_are_suspects_with_the_right_label_suggested(folder: Survey) -> None:
    flipped = {f"cat/{n:02d}.jpg": "dog" for n in range(5)}
    judged = checks_model.judge_labels(with_labels(folder, flipped), seed=0)
    assert {one.path for one in judged.suspects} == set(flipped)
    assert {(one.label, one.suggested) for one in judged.suspects} == {("dog", "cat")}
    assert all(one.suggested_probability > one.label_probability for one in judged.suspects)
    assert 0.9 < judged.classifier.value <= 115 / 120


def test_right_labels_are_not_suspected(folder: Survey) -> None:
    judged = checks_model.judge_labels(folder, seed=0)
    assert judged == LabelJudgement(suspects=(), classifier=wilson_interval(120, 120))
    assert checks_model.suspicious_labels(folder, judged) is None


@pytest.mark.parametrize(("number", "severity"), [(1, "info"), (2, "warning")])
def test_suspects_are_told_by_confusion_and_serious_from_one_percent(
    number: int, severity: str, folder: Survey
) -> None:
    suspect = SuspectPhoto(
        path="cat/03.jpg",
        label="cat",
        suggested="dog",
        label_probability=0.04,
        suggested_probability=0.93,
    )
    suspects = (suspect, replace(suspect, path="cat/04.jpg"))[:number]
    judged = LabelJudgement(suspects=suspects, classifier=wilson_interval(1, 2))
    found = checks_model.suspicious_labels(folder, judged)
    assert found is not None
    assert found.severity == severity
    assert found.evidence[0].paths == ("cat/03.jpg",)
    assert found.evidence[0].detail == "'cat', but looks like 'dog': 93 % against 4 %"
    are = "label is" if number == 1 else "labels are"
    assert found.summary == (f"{number} of 120 {are} doubted: {number} × 'cat' that may be 'dog'.")


def test_photo_far_from_every_class_is_an_outlier_with_its_copies(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"{label}/{n:02d}.jpg") for label in LABELS for n in range(40)]
    photos += [photo(f"pig/{name}.jpg", content="odd") for name in "ab"]
    odd = np.zeros((2, 16), dtype=np.float32)
    odd[:, 9] = 30
    features_NF = np.concatenate([clusters(40), odd])
    # Of a class of its own it would be no outlier.
    survey = survey_of(photos, features_NF=features_NF, features_key="made up")
    survey = with_labels(survey, {"pig/a.jpg": "cat", "pig/b.jpg": "cat"})
    found = checks_model.outliers(survey, seed=0)
    assert found is not None
    assert found.evidence[0].paths == ("pig/a.jpg", "pig/b.jpg")
    assert found.severity == "info"


def test_too_few_photos_have_no_outlier(photo: Make, survey_of: Make) -> None:
    photos = [photo(f"{label}/{n:02d}.jpg") for label in LABELS for n in range(10)]
    assert checks_model.outliers(survey_of(photos, features_NF=clusters(10)), seed=0) is None


def score(key: str, title: str, *, right: int, skill: float, kind: str = "file") -> CueScore:
    return CueScore(
        key=key,
        title=title,
        description="",
        kind=kind,
        accuracy=wilson_interval(right, 100),
        skill=skill,
        given_away=("cat",),
        recall={},
    )


def test_the_plainest_shortcut_is_told_in_words_and_others_with_their_accuracy() -> None:
    test = ShortcutTest(
        cues=(
            score("size", "Image size", right=71, skill=0.6),
            score("file", "File size", right=90, skill=0.87),
            score("mean_colour", "Mean colour", right=30, skill=0.1, kind="picture"),
        ),
        chance=wilson_interval(25, 100),
    )
    classifier = wilson_interval(99, 100)
    found = checks_model.shortcuts(test, classifier=classifier)
    assert found is not None
    assert found.severity == "warning"
    assert found.summary == (
        f"{describe_shortcuts(test, classifier)[0]} Other cues that tell more than they should: "
        "file size (90 %)."
    )
    assert found.summary.startswith("Image size alone names the class of 71")


def test_cues_that_tell_nothing_are_no_finding() -> None:
    chance = wilson_interval(25, 100)
    test = ShortcutTest(cues=(score("size", "Image size", right=26, skill=0.01),), chance=chance)
    assert checks_model.shortcuts(test, classifier=None) is None


def test_size_that_tells_the_classes_is_measured(photo: Make, survey_of: Make) -> None:
    sizes = {"cat": (100, 100), "dog": (200, 120)}
    photos = [
        photo(f"{label}/{n:02d}.jpg", size=size) for label, size in sizes.items() for n in range(40)
    ]
    test = checks_model.measure(survey_of(photos), seed=0)
    assert test.cues[0].key == "size"
    assert test.cues[0].accuracy.value == 1.0
    assert checks_model.shortcuts(test, classifier=None) is not None


RESULTS: dict[str, tuple[str, Callable[[Survey, int], object]]] = {
    "labels": ("out_of_fold_probabilities", lambda s, n: checks_model.judge_labels(s, seed=n)),
    "outliers": ("find_outliers", lambda s, n: checks_model.outliers(s, seed=n)),
    "shortcuts": ("measure_shortcuts", lambda s, n: checks_model.measure(s, seed=n)),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forests are slow and beside the point where it is about remembering."""
    test = ShortcutTest(cues=(), chance=wilson_interval(1, 3))
    monkeypatch.setattr(checks_model, "measure_shortcuts", lambda *_, **__: test)


class ComputedError(Exception):
    """A model was fitted."""


def refuse(*_: object, **__: object) -> None:
    raise ComputedError


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", RESULTS)
def test_results_are_remembered(name: str, folder: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted, run = RESULTS[name]
    before = run(folder, 0)
    monkeypatch.setattr(checks_model, fitted, refuse)
    assert run(folder, 0) == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("change", ["seed", "labels", "groups", "version"])
def test_results_are_computed_anew_where_what_they_derive_from_changes(
    change: str, name: str, folder: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, run = RESULTS[name]
    run(folder, 0)
    monkeypatch.setattr(checks_model, fitted, refuse)
    seed = 1 if change == "seed" else 0
    if change == "labels":
        folder = with_labels(folder, {"cat/00.jpg": "dog"})
    if change == "groups":
        folder = replace(folder, groups={"cat/00.jpg": "A", "cat/01.jpg": "A"})
    if change == "version":
        monkeypatch.setattr(checks_model, f"{name.upper()}_VERSION", -1)
    with pytest.raises(ComputedError):
        run(folder, seed)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "is_anew"), [("labels", True), ("outliers", True), ("shortcuts", False)]
)
def test_other_features_matter_to_what_is_made_of_them(
    name: str, is_anew: bool, folder: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, run = RESULTS[name]
    run(folder, 0)
    monkeypatch.setattr(checks_model, fitted, refuse)
    folder = replace(folder, features_key="others")
    if is_anew:
        with pytest.raises(ComputedError):
            run(folder, 0)
    else:
        run(folder, 0)


@pytest.mark.usefixtures("quick")
def test_shortcuts_are_measured_anew_where_photos_are_read_another_way_up(
    folder: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks_model.measure(folder, seed=0)
    monkeypatch.setattr(checks_model, "measure_shortcuts", refuse)
    rows = tuple(replace(row, width=row.height, height=row.width) for row in folder.catalog.rows)
    with pytest.raises(ComputedError):
        checks_model.measure(replace(folder, catalog=replace(folder.catalog, rows=rows)), seed=0)
