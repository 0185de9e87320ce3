from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from json import dumps, loads
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark.audit import audit as module
from fieldmark.audit import checks_model
from fieldmark.audit.audit import CHECKS, NO_FEATURES, ONE_CLASS, audit
from fieldmark.audit.codes import CODES
from fieldmark.audit.duplicates import NearPair
from fieldmark.audit.findings import Audit, Finding, GroupFacts
from fieldmark.audit.survey import Survey
from fieldmark.base.errors import RecipeError
from fieldmark.base.progress import JsonLinesProgress, SilentProgress

Make = Callable[..., Any]

MODELS = ("FM501", "FM502", "FM601")


@pytest.fixture(autouse=True)
def cache_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path))


def run(survey: Survey, **asked: Any) -> Audit:
    return audit(survey, progress=SilentProgress(), **asked)


def sound(photo: Make, *, count: int = 50) -> list[Any]:
    return [photo(f"{label}/{n:02d}.jpg") for label in ("cat", "dog") for n in range(count)]


def flawed(photo: Make, survey_of: Make) -> Survey:
    """Return a survey in which nearly every check has something to find."""
    black = np.zeros((32, 32, 3), dtype=np.uint8)
    dim = np.random.default_rng(0).integers(0, 40, (32, 32, 3), dtype=np.uint8)
    light = {"brightness": 20.0, "contrast": 10.0, "thumbnail_SSC": dim}
    glare = {"brightness": 235.0, "contrast": 10.0, "thumbnail_SSC": dim + 215}
    lost = {"status": "excluded", "is_readable": False}
    photos = [
        *sound(photo, count=60),
        *(photo(f"owl/{n}.jpg") for n in range(2)),
        photo("cat/lost.jpg", reason="empty file", **lost),
        photo("cat/cut.jpg", reason="truncated: the JPEG data ends early", **lost),
        photo("cat/named.jpg", status="repaired", reason="PNG file named .jpg"),
        photo("cat/ink.jpg", mode="CMYK"),
        photo("cat/tiny.jpg", size=(20, 20)),
        photo("cat/long.jpg", size=(900, 100)),
        photo("cat/turned.jpg", orientation=6),
        photo("cat/dark.jpg", **light),
        photo("cat/bright.jpg", **glare),
        photo("cat/soft.jpg", sharpness=0.01),
        photo("cat/blank.jpg", brightness=0.0, contrast=0.0, sharpness=0.0, thumbnail_SSC=black),
        photo("cat/x.jpg", content="x"),
        photo("cat/y.jpg", content="x"),
        photo("cat/z.jpg", content="z"),
        photo("dog/z.jpg", content="z"),
    ]
    near = [
        NearPair(first="cat/00.jpg", second="cat/01.jpg", similarity=0.99, turn=""),
        NearPair(first="cat/02.jpg", second="dog/02.jpg", similarity=0.99, turn=""),
    ]
    sides = {one.path: "test" if "3" in one.path else "train" for one in photos}
    groups = {"cat/03.jpg": "A", "cat/04.jpg": "A"}
    survey: Survey = survey_of(
        photos, near=near, sides=sides, groups=groups, num_rotations_ignored=1
    )
    return survey


def test_every_code_has_a_check_and_every_check_a_code() -> None:
    assert [*CHECKS, *MODELS] == list(CODES)


def test_every_check_finds_what_it_looks_for_under_its_own_code(
    photo: Make, survey_of: Make
) -> None:
    survey = flawed(photo, survey_of)
    found = {code: finding for code, check in CHECKS.items() if (finding := check(survey))}
    assert {code: finding.code for code, finding in found.items()} == {
        code: code for code in CHECKS if code != "FM306"
    }
    assert all(finding.summary.endswith(".") for finding in found.values())


def test_findings_come_errors_first_then_by_code(photo: Make, survey_of: Make) -> None:
    audited = run(flawed(photo, survey_of), ignore=["FM601"])
    order = ["error", "warning", "info"]
    ranks = [(order.index(one.severity), one.code) for one in audited.findings]
    assert ranks == sorted(ranks)
    assert {code for severity, code in ranks if severity == 0} == {"FM302", "FM402"}
    assert [one.severity for one in audited.serious] == [
        one.severity for one in audited.findings if one.severity != "info"
    ]


def test_sound_folder_has_no_finding_and_tells_what_was_skipped(
    photo: Make, survey_of: Make
) -> None:
    survey = survey_of(sound(photo))
    audited = run(survey)
    assert audited.findings == ()
    assert audited.skipped == {"FM501": NO_FEATURES, "FM502": NO_FEATURES}
    assert (audited.num_photos, audited.num_classes) == (100, 2)
    assert audited.data_digest == survey.catalog.digest
    assert audited.groups == GroupFacts(num_groups=100, num_grouped=0, largest=1)
    assert audited.classifier is None
    assert audited.shortcuts is not None
    assert audited.muted == ()


@pytest.mark.parametrize("labels", [(), ("cat",)])
def test_fewer_than_two_classes_skip_all_models(
    labels: tuple[str, ...], photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"{label}/{n}.jpg") for label in labels for n in range(9)]
    features_NF = np.zeros((len(photos), 4), dtype=np.float32)
    audited = run(survey_of(photos, features_NF=features_NF))
    assert audited.skipped == dict.fromkeys(MODELS, ONE_CLASS)
    assert audited.shortcuts is None


def test_features_give_suspects_and_the_accuracy_that_shortcuts_are_told_beside(
    photo: Make, survey_of: Make
) -> None:
    generator = np.random.default_rng(0)
    features_NF = generator.normal(size=(100, 8)).astype(np.float32)
    features_NF[50:, 0] += 12
    wide = [replace(one, size=(400, 100)) for one in sound(photo)[50:]]
    survey = survey_of([*sound(photo)[:50], *wide], features_NF=features_NF)
    # The first dog of the folder is a cat by its features.
    features_NF[50, 0] -= 12
    audited = run(survey)
    assert audited.skipped == {}
    assert [one.path for one in audited.suspects] == ["dog/00.jpg"]
    assert audited.classifier is not None
    assert audited.classifier.value == pytest.approx(0.99)
    found = audited.of_code("FM601")
    assert found is not None
    assert "and the classifier gets 99" in found.summary


def test_labels_that_nobody_can_judge_are_skipped_with_the_reason(
    photo: Make, survey_of: Make
) -> None:
    features_NF = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    survey = survey_of(sound(photo), features_NF=features_NF)
    audited = run(survey, ignore=["FM601"])
    assert set(audited.skipped) == {"FM501"}
    assert "right, too little to doubt labels" in audited.skipped["FM501"]
    assert audited.suspects == ()
    assert audited.of_code("FM501") is None
    assert audited.classifier is not None
    together = {row.path: "one" for row in survey.catalog.rows}
    audited = run(replace(survey, groups=together), ignore=["FM601"])
    assert audited.skipped["FM501"] == checks_model.ONE_GROUP
    assert audited.classifier is None


def fail(*_: object, **__: object) -> Finding:
    raise AssertionError("a muted check was run")


def test_muted_checks_are_not_run_at_all(
    photo: Make, survey_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = survey_of(sound(photo), features_NF=np.zeros((100, 4), dtype=np.float32))
    monkeypatch.setattr(module, "CHECKS", dict.fromkeys(CHECKS, fail))
    for name in ("judge_labels", "outliers", "measure"):
        monkeypatch.setattr(checks_model, name, fail)
    audited = run(survey, ignore=[code.lower() for code in CODES])
    assert audited.muted == tuple(CODES)
    assert audited.findings == ()
    with pytest.raises(AssertionError, match="muted check"):
        run(survey, ignore=[code for code in CODES if code != "FM601"])


def test_unknown_code_is_refused_before_anything_is_done(photo: Make, survey_of: Make) -> None:
    stream = StringIO()
    with pytest.raises(RecipeError, match="FM999"):
        audit(survey_of(sound(photo)), ignore=["FM999"], progress=JsonLinesProgress(stream))
    assert stream.getvalue() == ""


def test_progress_counts_the_checks_that_are_run_and_sums_up(photo: Make, survey_of: Make) -> None:
    stream = StringIO()
    survey = flawed(photo, survey_of)
    audited = audit(survey, ignore=["FM601", "FM101"], progress=JsonLinesProgress(stream))
    start, *between, end = [loads(line) for line in stream.getvalue().splitlines()]
    assert (start["stage"], start["total"], start["unit"]) == ("Audit", 20, "checks")
    assert sum(event["count"] for event in between) == 20
    warnings = sum(one.severity == "warning" for one in audited.findings)
    infos = sum(one.severity == "info" for one in audited.findings)
    assert end["summary"] == f"2 errors, {warnings} warnings, {infos} worth knowing"


def test_audit_survives_json(photo: Make, survey_of: Make) -> None:
    audited = run(flawed(photo, survey_of))
    assert Audit.from_json(loads(dumps(audited.to_json()))) == audited


def test_second_audit_is_the_same_without_fitting_anything(
    photo: Make, survey_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    features_NF = generator.normal(size=(100, 8)).astype(np.float32)
    survey = survey_of(sound(photo, count=50), features_NF=features_NF, features_key="made up")
    first = run(survey)
    for name in ("out_of_fold_probabilities", "find_outliers", "measure_shortcuts"):
        monkeypatch.setattr(checks_model, name, fail)
    assert run(survey) == first
