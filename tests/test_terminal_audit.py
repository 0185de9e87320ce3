"""What an audit found, as the terminal shows it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark import terminal_audit
from fieldmark.audit.findings import Audit, Evidence, Finding, GroupFacts
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.split_table import SplitRow, Splits
from fieldmark.exploring import Exploration

ALONE = GroupFacts(num_groups=4, num_grouped=0, largest=1)
NO_FEATURES = "It needs features."
ONE_CLASS = "It needs two classes."


def finding(code: str, severity: str, summary: str = "Something is odd.") -> Finding:
    evidence = (Evidence(paths=("cat/1.png",)),)
    return Finding(code=code, severity=severity, summary=summary, evidence=evidence)


def audit(*findings: Finding, groups: GroupFacts = ALONE, **given: Any) -> Audit:
    return Audit(
        num_photos=4,
        num_classes=2,
        data_digest="",
        groups=groups,
        findings=findings,
        **given,
    )


def row(path: str, reason: str = "") -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=None if reason else 4,
        height=None if reason else 3,
        num_bytes=9,
        sha256="0" * 64,
        status="excluded" if reason else "used",
        reason=reason,
    )


def exploration(
    audited: Audit,
    *rows: CatalogRow,
    splits: Splits | None = None,
    num_doubts: int = 0,
    path: str = "runs/explore-001",
) -> str:
    rows = rows or tuple(row(name) for name in ("cat/1.png", "cat/2.png", "dog/1.png"))
    result = Exploration(
        path=Path(path),
        catalog=Catalog(root=Path("photos"), rows=rows),
        audit=audited,
        splits=splits,
        num_doubts=num_doubts,
    )
    return terminal_audit.exploration(result)


# At the end of an exploration


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["cat/1.png", "dog/1.png"], "2 photos of 2 classes"),
        (["cat/1.png", "cat/2.png"], "2 photos of 1 class"),
        ([], "0 photos of 0 classes"),
    ],
)
def test_it_begins_with_how_much_there_is(names: list[str], told: str) -> None:
    rows = [row(name) for name in names] or [row("readme.txt", "not an image (.txt)")]
    assert exploration(audit(), *rows).splitlines()[0] == told


def test_lost_photos_and_copies_are_counted_at_the_top() -> None:
    rows = [
        row("cat/1.png"),
        row("cat/2.png", "truncated"),
        row("dog/Thumbs.db", "system file, not a photo"),
    ]
    grouped = GroupFacts(num_groups=1200, num_grouped=3456, largest=9)
    text = exploration(audit(groups=grouped), *rows)
    assert text.splitlines()[0] == (
        "1 photo of 1 class, 1 left out; 3,456 of them belong together with others, which leaves "
        "1,200 groups"
    )


def test_without_classes_there_is_no_table_of_them() -> None:
    assert "Class" not in exploration(audit(), row("cat/1.png", "empty file"))


def test_classes_are_listed_with_their_photos_on_each_side() -> None:
    sides = [("cat/1.png", "train"), ("cat/2.png", "test"), ("dog/1.png", "validation")]
    splits = Splits(
        rows=tuple(
            SplitRow(path=path, label=path[:3], split=side, group=path) for path, side in sides
        )
    )
    lines = exploration(audit(), splits=splits).splitlines()
    assert lines[2].split() == ["Class", "Photos", "Train", "Validation", "Test"]
    assert [line.split() for line in lines[4:6]] == [
        ["cat", "2", "1", "0", "1"],
        ["dog", "1", "0", "1", "0"],
    ]


def test_without_a_division_the_classes_stand_alone() -> None:
    lines = exploration(audit()).splitlines()
    assert lines[2].split() == ["Class", "Photos"]
    assert [line.split() for line in lines[4:6]] == [["cat", "2"], ["dog", "1"]]


def test_findings_are_listed_in_full_with_their_severity() -> None:
    found = audit(
        finding("FM302", "error", "One photo. And more of it."),
        finding("FM203", "warning"),
        finding("FM103", "info"),
    )
    lines = [line.strip() for line in exploration(found).splitlines()]
    assert any(line.split() == ["Code", "Finding"] for line in lines)
    assert [line.split(maxsplit=2) for line in lines if " FM" in line] == [
        ["ERROR", "FM302", "One photo. And more of it."],
        ["warning", "FM203", "Something is odd."],
        ["info", "FM103", "Something is odd."],
    ]
    assert "Nothing found." not in lines


def test_what_was_not_looked_at_is_told_with_the_reason_once() -> None:
    skipped = {"FM501": NO_FEATURES, "FM601": ONE_CLASS, "FM502": NO_FEATURES}
    text = exploration(audit(muted=("FM203", "FM204"), skipped=skipped))
    assert (
        "Nothing found.\n"
        "Muted: FM203, FM204\n"
        f"Not checked: FM501, FM502 ({NO_FEATURES.rstrip('.')})\n"
        f"Not checked: FM601 ({ONE_CLASS.rstrip('.')})\n"
    ) in text
    with_finding = exploration(audit(finding("FM103", "info"), muted=("FM203",)))
    assert "Muted: FM203\n" in with_finding
    assert "Not checked" not in with_finding


def test_it_ends_with_where_things_are_and_what_to_do_next() -> None:
    assert exploration(audit()).splitlines()[-1] == "Page        runs/explore-001/explore.html"
    lines = exploration(audit(), num_doubts=1234, path="my runs/one").splitlines()
    assert lines[-2] == "Page        my runs/one/explore.html"
    assert lines[-1] == (
        "Labels      my runs/one/labels.csv lists 1,234 to look at; edit it, then train with "
        "--labels 'my runs/one/labels.csv'"
    )


# At the end of a run


def test_a_run_without_an_audit_or_findings_tells_nothing() -> None:
    assert terminal_audit.found(None) == []
    assert terminal_audit.found(audit()) == []
    assert terminal_audit.found(audit(finding("FM103", "info"))) == []


def test_a_run_repeats_what_is_serious_by_its_headline_if_it_has_one() -> None:
    several = finding("FM302", "error", "A photo of 'St. Bernard' lies in two classes. See which.")
    found = audit(
        replace(several, headline="A photo of 'St. Bernard' lies in two classes."),
        finding("FM601", "warning", "File size tells 58.3 % of the photos."),
        finding("FM103", "info"),
    )
    assert terminal_audit.found(found) == [
        "Found       ERROR FM302 A photo of 'St. Bernard' lies in two classes.",
        "Found       FM601 File size tells 58.3 % of the photos.",
    ]


def test_of_many_serious_findings_the_first_are_told_and_the_others_counted() -> None:
    shown = terminal_audit.FOUND_SHOWN
    findings = [finding(f"FM{number}", "warning") for number in range(101, 101 + shown + 3)]
    lines = terminal_audit.found(audit(*findings))
    assert len(lines) == shown + 1
    assert lines[0].startswith("Found       FM101 ")
    assert lines[-1] == "            and 3 more in the report"
    assert len(terminal_audit.found(audit(*findings[:shown]))) == shown
