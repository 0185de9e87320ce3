"""An audit of gathered photos, and the list of labels in doubt that comes of it."""

import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark.audit.duplicates import Duplicates
from fieldmark.audit.findings import Audit, Evidence, Finding, GroupFacts, SuspectPhoto
from fieldmark.auditing import audit_photos, write_labels
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Gathered, Given, gather
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.label_file import HEADER, read_changes
from fieldmark.data.splits import SplitConfig

MODELS = ("FM501", "FM502", "FM601")


def read(root: Path) -> Gathered:
    return gather(root, preprocess=None, given=Given(), progress=SilentProgress())


def audited(
    gathered: Gathered, embedded: Any = None, *, ignore: Sequence[str] = MODELS, **changes: Any
) -> Audit:
    asked = {"splits": None, "split": SplitConfig(), "given": Given(), **changes}
    return audit_photos(gathered, embedded, ignore=ignore, progress=SilentProgress(), **asked)


def codes(audit: Audit) -> set[str]:
    return {finding.code for finding in audit.findings}


# What the checks look at


@pytest.fixture(scope="module")
def gathered(photos: Path) -> Gathered:
    return read(photos)


def test_muted_checks_are_not_run(gathered: Gathered) -> None:
    assert codes(audited(gathered)) == {"FM402"}
    muted = audited(gathered, ignore=("FM402", *MODELS))
    assert codes(muted) == set()
    assert muted.muted == ("FM402", *MODELS)


def test_without_features_the_checks_that_need_them_are_skipped(gathered: Gathered) -> None:
    found = audited(gathered, ignore=["FM601"])
    assert set(found.skipped) == {"FM501", "FM502"}
    assert found.classifier is None


def test_features_are_taken_in_the_order_of_the_catalog(gathered: Gathered) -> None:
    from fieldmark.stages import Embedded

    paths = [row.path for row in gathered.catalog.usable]
    generator = np.random.default_rng(0)
    shuffled = [paths[place] for place in generator.permutation(len(paths))]
    classes = ["cherry", "leaf", "sky"]
    features_MF = np.stack([np.eye(3)[classes.index(path.split("/")[0])] for path in shuffled])
    noise_MF = generator.normal(0, 0.01, features_MF.shape)
    embedded = Embedded(
        positions={path: place for place, path in enumerate(shuffled)},
        features_MF=(features_MF + noise_MF).astype(np.float32),
        key="made up by test_auditing",
    )
    found = audited(gathered, embedded, ignore=["FM601"])
    assert found.classifier is not None
    assert found.classifier.value == 1.0
    assert found.skipped == {}


def test_groups_of_the_user_are_those_of_the_audit(gathered: Gathered) -> None:
    assert audited(gathered).groups == GroupFacts(num_groups=36, num_grouped=0, largest=1)
    grouped = audited(gathered, split=SplitConfig(group_by="^([a-z]+)/0[0-4]"))
    assert grouped.groups == GroupFacts(num_groups=24, num_grouped=15, largest=5)


def test_a_split_file_is_checked_for_leaks(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    shutil.copy(root / "sky" / "00.png", root / "sky" / "copy.png")
    split = tmp_path / "split.csv"
    split.write_text("path,split\nsky/00.png,test\nsky/copy.png,train\nleaf/00.png,train\n")
    gathered = read(root)
    assert "FM305" not in codes(audited(gathered))
    found = audited(gathered, given=Given(split_file=split)).of_code("FM305")
    assert found is not None
    assert found.severity == "warning"
    assert found.evidence[0].paths == ("sky/00.png", "sky/copy.png")
    kept = audited(gathered, given=Given(split_file=split), split=SplitConfig(leaks="keep"))
    finding = kept.of_code("FM305")
    assert finding is not None
    assert finding.severity == "error"


def test_rotations_that_were_not_believed_are_told(gathered: Gathered) -> None:
    found = audited(gathered, num_rotations_ignored=7).of_code("FM107")
    assert found is not None
    assert "7 photos" in found.summary


# Labels in doubt


def catalog_of(paths: Iterable[str]) -> Catalog:
    rows = (
        CatalogRow(
            path=path,
            label=path.partition("/")[0],
            width=4,
            height=3,
            num_bytes=9,
            sha256="0" * 64,
            status="used",
            reason="",
        )
        for path in sorted(paths)
    )
    return Catalog(root=Path("photos"), rows=tuple(rows))


def gathered_of(catalog: Catalog) -> Gathered:
    return Gathered(
        before=catalog,
        catalog=catalog,
        changes=(),
        store=None,
        cues={},
        duplicates=Duplicates(exact=(), near=(), groups=()),
    )


def suspect(path: str, suggested: str, *, given: float = 0.1, other: float = 0.8) -> SuspectPhoto:
    return SuspectPhoto(
        path=path,
        label=path.partition("/")[0],
        suggested=suggested,
        label_probability=given,
        suggested_probability=other,
    )


def audit_of(
    *groups: tuple[str, ...], suspects: Sequence[SuspectPhoto] = (), code: str = "FM302"
) -> Audit:
    evidence = tuple(Evidence(paths=group) for group in groups)
    finding = Finding(code=code, severity="error", summary="", evidence=evidence)
    return Audit(
        num_photos=9,
        num_classes=3,
        data_digest="",
        groups=GroupFacts(num_groups=9, num_grouped=0, largest=1),
        findings=(finding,) if groups else (),
        suspects=tuple(suspects),
    )


def doubts(tmp_path: Path, audit: Audit) -> list[list[str]]:
    """Return the lines of `labels.csv` below its header."""
    paths = {path for finding in audit.findings for one in finding.evidence for path in one.paths}
    paths |= {one.path for one in audit.suspects}
    file = tmp_path / "labels.csv"
    number = write_labels(file, audit, gathered_of(catalog_of(paths)))
    with file.open(encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    assert tuple(header) == HEADER
    assert number == len(lines)
    return lines


def test_nothing_in_doubt_is_a_header_alone(tmp_path: Path) -> None:
    assert doubts(tmp_path, audit_of()) == []


def test_of_several_labels_that_of_most_copies_is_suggested_to_the_others(
    tmp_path: Path,
) -> None:
    lines = doubts(tmp_path, audit_of(("cat/1.png", "dog/1.png", "dog/2.png")))
    assert lines == [
        ["cat/1.png", "cat", "dog", "the same photo is dog/1.png", ""],
        ["dog/1.png", "dog", "", "the same photo is cat/1.png", ""],
        ["dog/2.png", "dog", "", "the same photo is cat/1.png", ""],
    ]


def test_of_two_copies_neither_says_which_label_is_wrong(tmp_path: Path) -> None:
    lines = doubts(tmp_path, audit_of(("cat/1.png", "dog/1.png"), ("ant/2.png", "dog/2.png")))
    assert [line[:3] for line in lines] == [
        ["cat/1.png", "cat", ""],
        ["dog/1.png", "dog", ""],
        ["ant/2.png", "ant", ""],
        ["dog/2.png", "dog", ""],
    ]


def test_what_a_photo_looks_like_goes_before_the_labels_of_its_copies(tmp_path: Path) -> None:
    audit = audit_of(("cat/1.png", "dog/1.png"), suspects=[suspect("cat/1.png", "owl")])
    lines = doubts(tmp_path, audit)
    assert [line[:3] for line in lines] == [
        ["cat/1.png", "cat", "owl"],
        ["dog/1.png", "dog", ""],
    ]


def test_doubted_labels_follow_in_their_order_with_both_probabilities(tmp_path: Path) -> None:
    suspects = [suspect("owl/9.png", "cat"), suspect("cat/5.png", "dog", given=0.304, other=0.696)]
    lines = doubts(tmp_path, audit_of(("cat/1.png", "dog/1.png"), suspects=suspects))
    assert lines[2:] == [
        ["owl/9.png", "owl", "cat", "looks like cat (80%), not owl (10%)", ""],
        ["cat/5.png", "cat", "dog", "looks like dog (70%), not cat (30%)", ""],
    ]


def test_nearly_the_same_photo_under_two_labels_is_in_doubt_too(tmp_path: Path) -> None:
    lines = doubts(tmp_path, audit_of(("cat/1.png", "dog/1.png"), code="FM304"))
    assert lines == [
        ["cat/1.png", "cat", "", "nearly the same photo is dog/1.png", ""],
        ["dog/1.png", "dog", "", "nearly the same photo is cat/1.png", ""],
    ]


def test_a_list_made_after_a_correction_can_be_edited_again(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,new_label,action\nsky/00.png,leaf,relabel\n")
    gathered = gather(photos, preprocess=None, given=Given(labels=file), progress=SilentProgress())
    doubted = replace(suspect("sky/00.png", "cherry"), label="leaf")
    assert write_labels(file, audit_of(suspects=[doubted]), gathered) == 1
    header, line = file.read_text("utf-8").splitlines()
    again = '"put right before; looks like cherry (80%), not leaf (10%)"'
    assert line == f"sky/00.png,sky,leaf,{again},relabel"
    assert read_changes(file, gathered.before) == gathered.changes
    file.write_text(f"{header}\n{line.replace(',leaf,', ',cherry,')}\n")
    (change,) = read_changes(file, gathered.before)
    assert (change.path, change.label, change.new_label) == ("sky/00.png", "sky", "cherry")


def test_other_findings_say_nothing_of_labels(tmp_path: Path) -> None:
    assert doubts(tmp_path, audit_of(("cat/1.png", "cat/2.png"), code="FM301")) == []


def test_the_list_can_be_edited_and_read_back(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    shutil.copytree(photos, root)
    shutil.copy(root / "sky" / "00.png", root / "leaf" / "copy.png")
    gathered = read(root)
    file = tmp_path / "labels.csv"
    assert write_labels(file, audited(gathered), gathered) == 2
    assert read_changes(file, gathered.catalog) == ()
    lines = file.read_text("utf-8").splitlines()
    righted = lines[1].replace("leaf,,", "leaf,sky,") + "relabel"
    file.write_text("\n".join([lines[0], righted, lines[2]]) + "\n")
    (change,) = read_changes(file, gathered.catalog)
    assert (change.path, change.label, change.new_label) == ("leaf/copy.png", "leaf", "sky")
    muted = audited(gathered, ignore=["FM302", *MODELS])
    assert write_labels(file, muted, gathered) == 0
