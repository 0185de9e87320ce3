from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.audit import checks_model
from fieldmark.audit.checks_model import ONE_GROUP, LabelJudgement
from fieldmark.audit.findings import SuspectPhoto
from fieldmark.audit.shortcuts import CueScore, ShortcutTest, describe_shortcuts
from fieldmark.audit.survey import Survey
from fieldmark.audit.suspects import Suspect
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
    assert judged.classifier is not None
    assert 0.9 < judged.classifier.value <= 115 / 120
    assert all(one.label_probability == round(one.label_probability, 4) for one in judged.suspects)


def test_right_labels_are_not_suspected(folder: Survey) -> None:
    judged = checks_model.judge_labels(folder, seed=0)
    assert judged == LabelJudgement(suspects=(), classifier=wilson_interval(120, 120))
    assert checks_model.suspicious_labels(folder, judged) is None


@pytest.mark.parametrize(
    ("num_each", "num_right", "is_enough"),
    [
        # Wilson's low ends are 0.596 and 0.604; a fifth of the way from 0.5 to 1 is 0.6.
        ((100, 100), 133, False),
        ((100, 100), 135, True),
        # From 0.9 it is 0.92; the low ends are 0.918 and 0.922.
        ((180, 20), 191, False),
        ((180, 20), 192, True),
    ],
)
def test_labels_are_doubted_only_by_a_classifier_clearly_better_than_chance(
    num_each: tuple[int, int],
    num_right: int,
    is_enough: bool,
    photo: Make,
    survey_of: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels_N = np.repeat([0, 1], num_each)
    named_N = np.where(np.arange(200) < num_right, labels_N, 1 - labels_N)
    photos = [
        photo(f"{label}/{n:03d}.jpg")
        for label, number in zip(("cat", "dog"), num_each, strict=True)
        for n in range(number)
    ]
    doubted = Suspect(index=0, given=0, suggested=1, self_confidence=0.1, suggested_confidence=0.9)
    monkeypatch.setattr(checks_model, "find_suspects", lambda *_: [doubted])
    monkeypatch.setattr(
        checks_model, "out_of_fold_probabilities", lambda *_, **__: np.eye(2)[named_N]
    )
    survey = survey_of(photos, features_NF=np.zeros((200, 4), dtype=np.float32))
    judged = checks_model.judge_labels(survey, seed=0)
    assert judged.classifier == wilson_interval(num_right, 200)
    assert [one.path for one in judged.suspects] == ["cat/000.jpg"] * is_enough
    assert bool(judged.obstacle) is not is_enough


def test_features_that_know_nothing_doubt_no_label_and_say_why(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"{label}/{n:02d}.jpg") for label in ("cat", "dog") for n in range(60)]
    noise_NF = np.random.default_rng(1).normal(size=(120, 16)).astype(np.float32)
    judged = checks_model.judge_labels(survey_of(photos, features_NF=noise_NF), seed=0)
    assert judged.suspects == ()
    assert judged.classifier is not None
    assert judged.obstacle == (
        f"A classifier of these features names only {100 * judged.classifier.value:.0f} % right, "
        "too little to doubt labels: always naming the largest class gets 50 % right."
    )


def test_photos_that_all_belong_together_judge_no_label(folder: Survey) -> None:
    together = {row.path: "one" for row in folder.catalog.rows}
    judged = checks_model.judge_labels(replace(folder, groups=together), seed=0)
    assert judged == LabelJudgement(obstacle=ONE_GROUP)


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
    assert found.summary == (f"{number} {are} doubted, of 120: {number} × 'cat' that may be 'dog'.")


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
    assert found.summary.startswith(found.headline)
    assert found.headline.startswith("Image size alone names the class of 71.0 % of the photos")
    assert found.headline.endswith("and the classifier gets 99.0 %.")


def test_shortcuts_of_the_picture_alone_are_worth_knowing() -> None:
    border = score("border", "Border", right=80, skill=0.73, kind="picture")
    test = ShortcutTest(cues=(border,), chance=wilson_interval(25, 100))
    found = checks_model.shortcuts(test, classifier=None)
    assert found is not None
    assert found.severity == "info"


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
@pytest.mark.parametrize("change", ["seed", "labels", "groups", "version", "libraries"])
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
    if change == "libraries":
        monkeypatch.setattr(checks_model, "version", lambda name: f"{name} of another day")
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
