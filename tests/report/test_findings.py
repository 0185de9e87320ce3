"""From an audit to what a page says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from fieldmark.audit.codes import CODES
from fieldmark.audit.findings import Audit, Evidence, Finding, GroupFacts, SuspectPhoto
from fieldmark.data.catalog import CatalogRow
from fieldmark.report.findings import (
    MAX_GROUPS,
    MAX_OF_GROUP,
    MAX_SINGLES,
    MAX_SUSPECTS,
    FindingsContent,
    checks_made,
    findings_content,
    verdict_of,
)

EMPTY = Audit(
    num_photos=3,
    num_classes=2,
    data_digest="ab",
    groups=GroupFacts(num_groups=3, num_grouped=0, largest=1),
    findings=(),
)


def row(path: str, *, usable: bool = True) -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.split("/", maxsplit=1)[0],
        width=4,
        height=3,
        num_bytes=9,
        sha256=f"sha of {path}",
        status="used" if usable else "excluded",
        reason="",
    )


def finding(code: str, *groups: Sequence[str], severity: str = "warning") -> Finding:
    evidence = tuple(Evidence(paths=tuple(paths), detail="seen") for paths in groups)
    return Finding(code=code, severity=severity, summary=f"{code} it is.", evidence=evidence)


def content_of(
    *findings: Finding,
    excluded: Sequence[str] = (),
    sides: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
) -> FindingsContent:
    paths = {path for one in findings for piece in one.evidence for path in piece.paths}
    rows = [row(path, usable=path not in excluded) for path in sorted(paths)]
    audit = replace(EMPTY, findings=findings)
    return findings_content(audit, rows=rows, sides=sides or {}, elsewhere=elsewhere)


def test_a_finding_comes_with_what_its_code_means() -> None:
    (entry,) = content_of(finding("FM201", ["cat/1.jpg"])).entries
    code = CODES["FM201"]
    assert (entry.title, entry.meaning, entry.advice) == (code.title, code.meaning, code.advice)
    assert (entry.severity, entry.summary) == ("warning", "FM201 it is.")
    (piece,) = entry.evidence
    (shown,) = piece.photos
    assert (shown.photo.path, shown.photo.sha256) == ("cat/1.jpg", "sha of cat/1.jpg")
    assert (shown.label, piece.detail, entry.has_groups) == ("cat", "seen", False)


def test_a_code_of_a_newer_version_is_shown_by_its_number() -> None:
    (entry,) = content_of(finding("FM999", ["cat/1.jpg"])).entries
    assert (entry.title, entry.meaning) == ("FM999", "")


def test_single_photos_and_groups_are_cut_and_the_rest_is_counted() -> None:
    singles = finding("FM201", *([f"cat/{i:03d}.jpg"] for i in range(226)))
    groups = finding("FM303", *([f"cat/{i}.jpg", f"cat/{i}b.jpg"] for i in range(MAX_GROUPS + 1)))
    one, other = content_of(singles, groups).entries
    assert (len(one.evidence), one.num_hidden) == (MAX_SINGLES, 226 - MAX_SINGLES)
    assert (len(other.evidence), other.num_hidden, other.has_groups) == (MAX_GROUPS, 1, True)


def test_a_large_group_shows_a_photo_of_each_label_before_a_second_of_any() -> None:
    paths = [f"cat/{i}.jpg" for i in range(6)] + ["dog/0.jpg"]
    ((piece,),) = [entry.evidence for entry in content_of(finding("FM304", paths)).entries]
    assert [shown.label for shown in piece.photos] == ["cat", "dog", "cat", "cat"]
    assert (piece.num_more, piece.is_torn) == (7 - MAX_OF_GROUP, True)


def test_sides_are_told_only_where_they_differ() -> None:
    sides = {"cat/1.jpg": "train", "cat/2.jpg": "test", "cat/3.jpg": "train", "cat/4.jpg": "train"}
    pairs = finding("FM305", ["cat/1.jpg", "cat/2.jpg"], ["cat/3.jpg", "cat/4.jpg"])
    torn, whole = content_of(pairs, sides=sides).entries[0].evidence
    assert [shown.side for shown in torn.photos] == ["train", "test"]
    assert [shown.side for shown in whole.photos] == ["", ""]
    assert not torn.is_torn


@pytest.mark.parametrize("code", ["FM101", "FM102"])
def test_every_lost_photo_is_listed(code: str) -> None:
    paths = [f"cat/{i:04d}.jpg" for i in range(900)]
    (entry,) = content_of(finding(code, *([path] for path in paths)), excluded=paths).entries
    assert [note.path for note in entry.files] == paths
    assert entry.is_listed_in_full
    assert (entry.evidence, entry.num_hidden) == ((), 0)


def test_evidence_that_is_no_photo_is_listed() -> None:
    audit = replace(
        EMPTY, findings=(finding("FM306", ["natural_images"], ["natural_images/data"]),)
    )
    (entry,) = findings_content(audit, rows=[row("cat/1.jpg")], sides={}).entries
    assert [note.path for note in entry.files] == ["natural_images", "natural_images/data"]


def test_a_finding_without_evidence_has_only_words() -> None:
    (entry,) = content_of(finding("FM401")).entries
    assert (entry.evidence, entry.files, entry.num_hidden) == ((), (), 0)


def test_evidence_that_has_a_section_is_shown_there() -> None:
    found = finding("FM501", ["cat/1.jpg"])
    content = content_of(found, elsewhere={"FM501": "labels"})
    assert (content.entries[0].section, content.entries[0].evidence) == ("labels", ())
    assert list(content.photos()) == []


def test_every_finding_has_its_first_picture_before_any_has_its_second() -> None:
    dark = finding("FM201", ["cat/1.jpg"], ["cat/2.jpg"], ["cat/3.jpg"])
    copies = finding("FM301", ["dog/1.jpg", "dog/2.jpg"])
    shown = [photo.path for photo in content_of(dark, copies).photos()]
    assert shown == ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "cat/2.jpg", "cat/3.jpg"]


def test_every_check_has_an_outcome() -> None:
    audit = replace(
        EMPTY,
        findings=(finding("FM302", severity="error"),),
        muted=("FM203",),
        skipped={"FM501": "there are no features"},
    )
    outcomes = {check.code: (check.outcome, check.reason) for check in checks_made(audit)}
    assert list(outcomes) == sorted(CODES)
    assert outcomes["FM302"] == ("error", "")
    assert outcomes["FM203"] == ("muted", "")
    assert outcomes["FM501"] == ("skipped", "there are no features")
    assert outcomes["FM101"] == ("nothing", "")
    content = findings_content(audit, rows=[], sides={})
    assert (content.num_run, content.num_not_run) == (len(CODES) - 2, 2)


def test_severities_are_counted_and_the_serious_ones_known() -> None:
    content = content_of(
        finding("FM302", severity="error"), finding("FM601"), finding("FM201", severity="info")
    )
    assert dict(content.severities) == {"error": 1, "warning": 1, "info": 1}
    assert [entry.code for entry in content.serious] == ["FM302", "FM601"]
    assert verdict_of(content).startswith("1 error, 1 warning and 1 remark. Until the errors")


def test_the_most_suspicious_labels_are_shown_and_all_are_counted() -> None:
    suspects = tuple(
        SuspectPhoto(
            path=f"cat/{i}.jpg",
            label="cat",
            suggested="dog",
            label_probability=0.1,
            suggested_probability=0.9,
        )
        for i in range(30)
    )
    audit = replace(EMPTY, suspects=suspects)
    content = findings_content(audit, rows=[row("cat/0.jpg")], sides={})
    assert (len(content.suspects), content.num_suspects) == (MAX_SUSPECTS, 30)
    assert content.suspects[0].photo.sha256 == "sha of cat/0.jpg"
