"""Studies beside a run: found, told, and never in the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.report.content import read_content
from fieldmark.report.impact import MAX_STUDIES, studies_beside
from fieldmark.report.render import write_report
from fieldmark.studies.record import StudyFolder, StudyRecord, write_record
from fieldmark.studies.space import Factor, Range

DIGEST = "ab" * 32


def write_study(folder: Path, *, digest: str = DIGEST, started: str = "2026-01-01") -> None:
    record = StudyRecord(
        command="fieldmark study photos",
        photos="photos",
        data_digest=digest,
        classes=("cat", "dog"),
        split_counts={"train": 6, "validation": 2, "test": 2},
        recipe_name="quick",
        recipe_reason="only the head is varied",
        recipe={},
        factors=(Factor(key="optim.lr", values=(1e-3, 1e-4)),),
        ranges=(Range(key="train.epochs", low=5, high=50, is_log=False, is_whole=True),),
        design="full",
        num_settings=2,
        num_possible=2,
        seeds=(0, 1, 2),
        replicates="seed",
        halving=False,
        planned={"head": 6},
        engine="local",
        preset=None,
        started=started,
        versions={"fieldmark": "0.1.0"},
    )
    folder.mkdir(parents=True)
    place = StudyFolder(folder)
    write_record(place, record)
    place.study_html.write_text("page")
    told = {"val_accuracy": {"sentences": ["Lowering it <helped>.", "Nothing else did."]}}
    place.effects_json.write_text(json.dumps({"headline": "Lowering it helped.", "effects": told}))


def test_a_study_of_the_same_photos_beside_the_run_is_linked(tmp_path: Path) -> None:
    run = tmp_path / "run-001"
    write_study(tmp_path / "study 001")
    write_study(tmp_path / "other", digest="cd" * 32)
    (link,) = studies_beside(run, data_digest=DIGEST)
    assert (link.name, link.href, link.is_origin) == (
        "study 001",
        "../study%20001/study.html",
        False,
    )
    assert link.headline == "Lowering it helped."
    assert link.sentences == ("Lowering it <helped>.", "Nothing else did.")
    assert link.fields == ("Learning rate", "Number of epochs")


def test_the_study_that_a_run_comes_from_is_first_whatever_its_photos(tmp_path: Path) -> None:
    write_study(tmp_path / "study", digest="cd" * 32)
    write_study(tmp_path / "study" / "nested", started="2027-01-01")
    first, second = studies_beside(tmp_path / "study" / "best", data_digest=DIGEST)
    assert (first.href, first.is_origin) == ("../study.html", True)
    assert second.href == "../nested/study.html"


def test_the_latest_studies_come_first_and_not_all(tmp_path: Path) -> None:
    for number in range(MAX_STUDIES + 2):
        write_study(tmp_path / f"study-{number}", started=f"2026-01-0{number + 1}")
    names = [link.name for link in studies_beside(tmp_path / "run", data_digest=DIGEST)]
    assert names == [f"study-{number}" for number in range(MAX_STUDIES + 1, 1, -1)]


@pytest.mark.parametrize("damage", ["study.json", "effects.json", "study.html"])
def test_a_study_that_cannot_be_read_is_passed_over(tmp_path: Path, damage: str) -> None:
    write_study(tmp_path / "study")
    file = tmp_path / "study" / damage
    if damage == "study.html":
        file.unlink()
    else:
        file.write_text("{")
    assert studies_beside(tmp_path / "run", data_digest=DIGEST) == ()


def test_a_run_without_a_digest_has_no_study_beside_it(tmp_path: Path) -> None:
    write_study(tmp_path / "study", digest="")
    assert studies_beside(tmp_path / "run", data_digest="") == ()


def test_the_report_has_a_section_where_there_is_a_study_and_none_where_not(
    make_run: Callable[..., Path], parse_page: Callable[[str], Any]
) -> None:
    run = make_run()
    plain = parse_page(write_report(run).read_text("utf-8"))
    assert "impact" not in {attributes.get("id") for _, attributes in plain.elements}
    write_study(run.parent / "study-007", digest=read_content(run).run.data_digest)
    page = parse_page(write_report(run).read_text("utf-8"))
    assert page.errors == []
    assert "Lowering it helped." in page.text
    assert "Lowering it <helped>." in page.text
    assert "../study-007/study.html" in {attributes["href"] for attributes in page.all("a")}
