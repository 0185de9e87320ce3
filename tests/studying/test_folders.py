"""Where a study is, and whether what was begun there is what is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.recipe import recipe_tables
from fieldmark.studies.plan import Asked, StudyPlan, plan_of_record, plan_study
from fieldmark.studies.record import StudyFolder, StudyRecord, write_record
from fieldmark.studying.folders import place_of, require_same, resume_command

ROOT = Path("/photos")


def planned(*vary: str, seeds: int = 2, runs: int | None = None) -> StudyPlan:
    return plan_study(Asked(vary=vary or ("optim.lr=1e-4,1e-3",), seeds=seeds, runs=runs))


def record_of(plan: StudyPlan) -> StudyRecord:
    recipe = plan.basis.recipe
    return StudyRecord(
        command="fieldmark study",
        photos=str(ROOT),
        data_digest="ab",
        classes=("cat", "dog"),
        split_counts={},
        recipe_name=recipe.name,
        recipe_reason=plan.basis.reason,
        recipe=recipe_tables(recipe),
        factors=plan.factors,
        ranges=plan.ranges,
        design=plan.design,
        num_settings=plan.num_settings,
        num_possible=plan.num_possible,
        seeds=plan.seeds,
        replicates=plan.replicates,
        halving=plan.halving,
        planned={},
        engine="local",
        preset=plan.preset,
        started="2026-01-01T00:00:00+00:00",
        versions={},
    )


@pytest.mark.parametrize(
    "plan",
    [
        planned(),
        planned("optim.lr=1e-4,1e-3,1e-2", "optim.name=adam,sgd", "train.epochs=1,2,3", runs=8),
        plan_study(Asked(vary=("optim.lr=1e-4..1e-1:log", "optim.name=adam,sgd"), search=9)),
        plan_study(Asked(vary=("probe.l2=0.1,0.2",))),
        plan_study(Asked(preset="reference")),
    ],
    ids=["full", "fraction", "search", "probe", "preset"],
)
def test_a_plan_comes_back_from_the_record(plan: StudyPlan) -> None:
    record = StudyRecord.from_json(record_of(plan).to_json())
    assert plan_of_record(record) == plan
    require_same(record, plan, folder=StudyFolder(Path("study")))


def test_each_difference_is_a_line() -> None:
    with pytest.raises(RunError) as refusal:
        require_same(
            record_of(planned()),
            planned("optim.lr=1e-4,1e-2", seeds=3),
            folder=StudyFolder(Path("study")),
        )
    assert str(refusal.value).splitlines()[1:3] == [
        "  values of optim.lr: it was [0.0001, 0.001], and is [0.0001, 0.01] now",
        "  seeds: it was [0, 1], and is [0, 1, 2] now",
    ]


def test_a_field_that_is_no_longer_varied_is_told() -> None:
    with pytest.raises(RunError, match=r"values of optim\.name: it was nothing"):
        require_same(
            record_of(planned()),
            planned("optim.lr=1e-4,1e-3", "optim.name=adam,sgd"),
            folder=StudyFolder(Path("study")),
        )


def test_new_studies_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [place_of(None, root=ROOT, resume=False).path for _ in range(2)]
    assert paths == [Path("runs/study-001"), Path("runs/study-002")]


def test_the_study_begun_last_of_these_photos_is_the_one_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = record_of(planned())
    changes: list[dict[str, Any]] = [
        {"started": "2026-01-02"},
        {"started": "2026-01-03"},
        {"started": "2026-01-04", "status": "finished"},
        {"started": "2026-01-05", "photos": "/others"},
    ]
    for number, change in enumerate(changes):
        one = replace(record, **{"status": "interrupted", **change})
        write_record(StudyFolder(Path(f"runs/study-{number}")), one)
    assert place_of(None, root=ROOT, resume=True).path == Path("runs/study-1")


def test_the_command_to_go_on_survives_odd_names() -> None:
    command = resume_command(Path("my photos"), StudyFolder(Path("a study")))
    assert command == "fieldmark study 'my photos' --out 'a study' --resume"


def test_the_command_to_go_on_says_again_who_computes() -> None:
    places = Path("photos"), StudyFolder(Path("s"))
    start = "fieldmark study photos --out s --resume"
    assert resume_command(*places, engine="ray") == f"{start} --engine ray"
    command = resume_command(*places, engine="ray", address="ray://head:1")
    assert command == f"{start} --engine ray --address ray://head:1"
