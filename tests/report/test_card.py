"""The model card: from the files of the run alone, true to them, and free of local paths."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldmark.audit.findings import Audit, Finding, GroupFacts, write_findings
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.comparisons import Comparisons, GivenSplit, write_comparisons
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.card import MAX_CLASSES, CardPart, card_of, write_card
from fieldmark.report.content import read_content

MakeRun = Callable[..., Path]


def part(run: Path, title: str) -> CardPart:
    (found,) = (one for one in card_of(read_content(run)).parts if one.title == title)
    return found


def test_the_card_lies_beside_the_model_and_is_the_same_every_time(make_run: MakeRun) -> None:
    run = make_run()
    path = write_card(run)
    assert path == run / "model" / "MODEL_CARD.md"
    before = path.read_bytes()
    assert write_card(run).read_bytes() == before
    assert before.startswith(b"# Model card: run-photos\n\n## Intended use\n")


def test_the_photos_are_not_needed(make_run: MakeRun) -> None:
    run = make_run()
    before = write_card(run).read_text("utf-8")
    shutil.rmtree(run.with_name("run-photos"))
    assert write_card(run).read_text("utf-8") == before


def test_no_path_of_the_machine_is_passed_on(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    resolved = RunFolder(run).resolved_toml
    text = resolved.read_text().replace('weights = "auto"', f'weights = "{tmp_path}/weights"')
    resolved.write_text(text)
    assert str(tmp_path) in text
    assert str(tmp_path) not in write_card(run).read_text("utf-8")


def test_it_says_what_it_names_and_what_to_expect(quick_run: Path) -> None:
    use = part(quick_run, "Intended use")
    assert use.paragraphs[0] == "It says which of 3 classes a photo shows: cat, dog, fox."
    assert use.paragraphs[1].startswith("Of 100 new photos like these")


def test_numbers_are_those_of_the_evaluation(quick_run: Path) -> None:
    evaluation = json.loads(RunFolder(quick_run).evaluation_json.read_text())
    scores, classes = part(quick_run, "How good it is").tables
    rows = {row[0]: row[1].replace("\u00a0", " ") for row in scores.rows}
    assert rows["Accuracy"] == f"{100 * evaluation['accuracy']['value']:.2f} %"
    assert rows["Loss"] == f"{evaluation['loss']['value']:.4f}"
    assert {row[0]: row[1] for row in classes.rows} == {"cat": "4", "dog": "4", "fox": "4"}


def test_the_split_is_counted_by_class(quick_run: Path) -> None:
    (table,) = part(quick_run, "Data").tables
    assert table.header == ("Class", "Training", "Validation", "Test")
    assert ("cat", "12", "4", "4") in table.rows
    assert table.rows[-1] == ("All classes", "36", "12", "12")


def test_mix_ups_and_the_hardest_class_are_named(quick_run: Path) -> None:
    fails = part(quick_run, "Where it fails")
    assert " is taken for " in fails.paragraphs[0]
    assert fails.paragraphs[1].startswith("The hardest class is ")
    assert all(" taken for " in bullet for bullet in fails.bullets)


def test_a_run_without_mistakes_has_nothing_to_fail(make_run: MakeRun) -> None:
    fails = part(make_run(skill=60.0), "Where it fails")
    assert fails.paragraphs == ("All 12 test photos were named right.",)


def test_limits_are_warnings_findings_leaks_and_what_was_not_measured(make_run: MakeRun) -> None:
    run = make_run(warnings=["The class fox has few photos."])
    assert "The photos were not searched" in " ".join(part(run, "Limits").bullets)
    audit = Audit(
        num_photos=60,
        num_classes=3,
        data_digest="ab",
        groups=GroupFacts(num_groups=60, num_grouped=0, largest=1),
        findings=(
            Finding(code="FM601", severity="warning", summary="Size tells the class."),
            Finding(code="FM401", severity="info", summary="Cats are many."),
        ),
        shortcuts=None,
    )
    write_findings(RunFolder(run).findings_json, audit)
    low = Estimate(value=0.9, low=0.8, high=0.95)
    given = GivenSplit(num_leaked=1, num_excluded=0, all=low, without_leaked=low)
    write_comparisons(run, Comparisons(given_split=given))
    told = " ".join(part(run, "Limits").bullets).replace("\u00a0", " ")
    assert "The class fox has few photos." in told
    assert "Size tells the class." in told
    assert "Cats are many." not in told
    assert "not searched" not in told
    assert "copy in training, the accuracy is 90.00 % (80.0 to 95.0 %)." in told
    assert "Not measured: photos of another origin" in told


def test_it_names_the_files_that_it_speaks_of(make_run: MakeRun) -> None:
    run = make_run()
    folder = RunFolder(run).model_dir
    digest = hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()
    write_json(folder / "MANIFEST.json", {"schema_version": 2, "sha256": {"model.json": digest}})
    (table,) = part(run, "Provenance").tables
    assert ("model.json (SHA-256)", digest) in table.rows
    assert ("Photos (SHA-256 over all)", "ab" * 32) in table.rows


def test_where_nothing_was_measured_of_more_photos_nothing_is_said(quick_run: Path) -> None:
    titles = [one.title for one in card_of(read_content(quick_run)).parts]
    assert "Would more photos help?" not in titles
    assert titles[-1] == "Provenance"


@pytest.mark.parametrize("extra", [0, 2])
def test_many_classes_are_counted_and_only_some_named(make_run: MakeRun, extra: int) -> None:
    names = [f"species {i:02d}" for i in range(MAX_CLASSES + extra)]
    told = part(make_run(classes=names, per_class=5), "Intended use").paragraphs[0]
    assert told.endswith("species 59 and 2 more." if extra else "species 59.")
