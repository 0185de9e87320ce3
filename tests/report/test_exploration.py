"""The page of an exploration: complete, safe, the same every time."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.audit.findings import Audit, Evidence, Finding, GroupFacts, SuspectPhoto
from fieldmark.audit.shortcuts import ShortcutTest
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cues import Cues, inspect
from fieldmark.data.images import decode
from fieldmark.data.splits import SplitRow, Splits
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.exploration import (
    exploration_content,
    sides_of,
    write_exploration,
)

ParsePage = Callable[[str], Any]
MAX_PAGE_BYTES = 3_000_000
HOSTILE = "<script>alert(1)</script> \"><img src=x onerror=y> 'a' {{ 7*7 }} &amp;".replace("/", "∕")


def write_photos(root: Path, *, classes: Sequence[str], per_class: int = 4) -> Catalog:
    generator = np.random.default_rng(2)
    rows = []
    for label in classes:
        for place in range(per_class):
            path = root / label / f"{place:02d} {label[:40]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels_HWC = generator.integers(0, 255, (24 + place, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels_HWC).save(path)
            rows.append(row_of(path, root=root))
    return Catalog(root=root, rows=tuple(sorted(rows, key=lambda row: row.path)))


def row_of(path: Path, *, root: Path, status: Any = "used") -> CatalogRow:
    content = path.read_bytes() if path.exists() else b""
    size = decode(content).image.size if status == "used" else None
    return CatalogRow(
        path=path.relative_to(root).as_posix(),
        label=path.parent.name,
        width=size and size[0],
        height=size and size[1],
        num_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        status=status,
        reason="" if status == "used" else "truncated: the PNG data ends early",
    )


def cues_of(catalog: Catalog) -> dict[str, Cues]:
    measured = {
        row.path: inspect((catalog.root / row.path).read_bytes()).cues for row in catalog.usable
    }
    return {path: cues for path, cues in measured.items() if cues is not None}


def audit_of(catalog: Catalog, *findings: Finding, **more: Any) -> Audit:
    return Audit(
        num_photos=len(catalog.usable),
        num_classes=len(catalog.classes),
        data_digest=catalog.digest,
        groups=GroupFacts(num_groups=10, num_grouped=4, largest=3),
        findings=findings,
        **more,
    )


def full_audit(catalog: Catalog, shortcut_test: ShortcutTest) -> Audit:
    paths = [row.path for row in catalog.usable]
    copies = (Evidence(paths=(paths[0], paths[-1]), detail="the same bytes"),)
    dark = tuple(Evidence(paths=(path,), detail="brightness 3") for path in paths)
    lost = tuple(Evidence(paths=(f"cat/{i}.png",), detail="ends early") for i in range(7))
    suspects = tuple(
        SuspectPhoto(
            path=path,
            label="cat",
            suggested="dog",
            label_probability=0.02,
            suggested_probability=0.97,
        )
        for path in paths[:3]
    )
    return audit_of(
        catalog,
        Finding(code="FM302", severity="error", summary="1 photo is both.", evidence=copies),
        Finding(code="FM102", severity="warning", summary="7 photos end early.", evidence=lost),
        Finding(code="FM501", severity="warning", summary="3 labels.", evidence=dark[:3]),
        Finding(code="FM601", severity="warning", summary="Size tells the class."),
        Finding(code="FM201", severity="info", summary="All are dark.", evidence=dark),
        muted=("FM203",),
        skipped={"FM502": "there are no features"},
        suspects=suspects,
        classifier=Estimate(value=0.99, low=0.98, high=1.0),
        shortcuts=shortcut_test,
    )


def write(folder: Path, catalog: Catalog, audit: Audit, **more: Any) -> str:
    asked = {"splits": None, **more}
    if "cues" not in asked:
        asked["cues"] = cues_of(catalog)
    return write_exploration(folder, catalog=catalog, audit=audit, **asked).read_text("utf-8")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return write_photos(tmp_path / "photos", classes=["cat", "dog", "fox"])


@pytest.fixture
def full(tmp_path: Path, catalog: Catalog, shortcut_test: ShortcutTest) -> str:
    audit = full_audit(catalog, shortcut_test)
    return write(tmp_path / "out", catalog, audit, labels_csv="labels.csv", command="explore it")


def test_the_page_is_written_where_it_was_asked_for(tmp_path: Path, catalog: Catalog) -> None:
    page = write_exploration(
        tmp_path / "new" / "out",
        catalog=catalog,
        cues=cues_of(catalog),
        audit=audit_of(catalog),
        splits=None,
    )
    assert page == tmp_path / "new" / "out" / "explore.html"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, catalog: Catalog) -> None:
    audit = audit_of(catalog)
    assert write(tmp_path / "a", catalog, audit) == write(tmp_path / "b", catalog, audit)


def test_every_tag_closes_every_id_is_unique_and_every_link_has_its_target(
    full: str, parse_page: ParsePage
) -> None:
    page = parse_page(full)
    assert page.errors == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    links = [attributes["href"] for attributes in page.all("a")]
    assert {"#FM302", "#FM201", "#labels", "#shortcuts"} <= set(links)
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_the_page_asks_for_nothing_and_runs_nothing(full: str, parse_page: ParsePage) -> None:
    page = parse_page(full)
    assert not page.all("script", "link", "iframe", "object", "embed", "base", "form")
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    sources = [attributes["src"] for attributes in page.all("img")]
    assert len(sources) > 12
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    for outside in ("http:", "https:", "@import", "url("):
        assert outside not in full
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_and_reasons_are_text_never_markup(
    tmp_path: Path, shortcut_test: ShortcutTest, parse_page: ParsePage
) -> None:
    catalog = write_photos(tmp_path / HOSTILE, classes=[HOSTILE, "dog"])
    catalog = replace(catalog, notes=(HOSTILE,))
    audit = full_audit(catalog, shortcut_test)
    first = replace(audit.findings[0], summary=HOSTILE, severity="error")
    named = replace(
        audit.findings[1], evidence=(Evidence(paths=(f"{HOSTILE}/x.png",), detail=HOSTILE),)
    )
    audit = replace(audit, findings=(first, named, *audit.findings[2:]), skipped={"FM502": HOSTILE})
    text = write(tmp_path / "out", catalog, audit, command=HOSTILE, labels_csv=HOSTILE)
    page = parse_page(text)
    assert page.errors == []
    assert not page.all("script")
    assert not [attributes for attributes in page.all("img") if "onerror" in attributes]
    assert page.text.count(HOSTILE) >= 8


def test_the_headline_counts_photos_classes_files_groups_and_findings(
    tmp_path: Path, catalog: Catalog, shortcut_test: ShortcutTest, parse_page: ParsePage
) -> None:
    broken = row_of(catalog.root / "cat" / "broken.png", root=catalog.root, status="excluded")
    audit = full_audit(catalog, shortcut_test)
    catalog = replace(catalog, rows=(*catalog.rows, broken))
    text = parse_page(write(tmp_path, catalog, audit)).text
    for told in ("12 Photos", "3 Classes", "13 Files met", "10 Groups"):
        assert told in text
    assert re.search(r"1 error 3 warnings 1 remark", text)
    assert "Until the errors are dealt with, no accuracy can be trusted." in text
    assert "Of 13 files met, 1 is left out." in text
    assert "4 photos stand in groups of at least two, the largest of 3" in text


def test_a_finding_says_what_it_means_what_to_do_and_where_to_read_on(
    full: str, parse_page: ParsePage
) -> None:
    text = parse_page(full).text
    assert "Error The same photo under two labels FM302 1 photo is both. What it means" in text
    assert "What to do Decide on one label for each" in text
    assert "docs/checks/FM302.md" in text
    assert "<code>fieldmark train --labels labels.csv</code>" in full


def test_the_files_that_were_lost_are_all_named(full: str, parse_page: ParsePage) -> None:
    text = parse_page(full).text
    assert all(f"cat/{i}.png ends early" in text for i in range(7))


def test_copies_are_shown_side_by_side_with_label_and_path(
    full: str, catalog: Catalog, parse_page: ParsePage
) -> None:
    card = full.split('id="FM302"')[1].partition("</article>")[0]
    page = parse_page(card.partition(">")[2])
    assert [attributes["title"] for attributes in page.all("img")] == [
        catalog.rows[0].path,
        catalog.rows[-1].path,
    ]
    assert "cat" in page.text
    assert "fox" in page.text
    assert "the same bytes" in page.text


def test_suspects_come_with_both_probabilities_and_with_the_way_to_correct_them(
    full: str, tmp_path: Path, parse_page: ParsePage
) -> None:
    text = parse_page(full).text.replace("\u00a0", " ")
    labels, photos = tmp_path / "out" / "labels.csv", tmp_path / "photos"
    assert "cat 2.0 % dog 97.0 %" in text
    assert f"Open {labels} in a spreadsheet" in text
    assert f"fieldmark train {photos} --labels {labels}" in text
    assert "relabel" in text


def test_the_file_of_labels_is_told_where_only_copies_put_labels_in_doubt(
    tmp_path: Path, catalog: Catalog, parse_page: ParsePage
) -> None:
    audit = audit_of(catalog, skipped={"FM501": "no features"})
    text = parse_page(write(tmp_path / "out", catalog, audit, labels_csv="labels.csv")).text
    assert "Labels were not checked: no features." in text
    assert f"Open {tmp_path / 'out' / 'labels.csv'} in a spreadsheet" in text


def test_without_a_file_of_labels_none_is_promised(
    tmp_path: Path, catalog: Catalog, shortcut_test: ShortcutTest, parse_page: ParsePage
) -> None:
    text = parse_page(write(tmp_path, catalog, full_audit(catalog, shortcut_test))).text
    assert "in a spreadsheet" not in text


def test_cues_stand_beside_chance_and_the_classifier(full: str, parse_page: ParsePage) -> None:
    text = parse_page(full).text.replace("\u00a0", " ")
    assert "The upright stroke is what always guessing the largest class gets: 30.0 %" in text
    assert "Image size Shortcut nothing but image size 70.0 % 65.0 to 75.0 %" in text
    assert "Camera nothing but camera It is the same for all photos." in text
    assert "A classifier that sees the whole photo 99.0 % 98.0 to 100 %" in text
    section = full.split('<section id="shortcuts"')[1].partition("</section>")[0]
    assert section.count('class="mark"') == section.count('class="whisker"') > 1


def test_checks_that_were_not_run_are_told_with_the_reason(
    full: str, parse_page: ParsePage
) -> None:
    text = parse_page(full).text
    assert "FM203 Blurred photos not run: muted with --ignore FM203" in text
    assert "FM502 Outliers not run: there are no features" in text
    assert "FM101 Unreadable files nothing found" in text


def test_a_clean_folder_says_what_was_looked_for(
    tmp_path: Path, catalog: Catalog, parse_page: ParsePage
) -> None:
    audit = audit_of(catalog, skipped={"FM601": "too few photos", "FM501": "no features"})
    page = parse_page(write(tmp_path, catalog, audit))
    assert "Nothing was found by 20 checks; 2 were not run." in page.text
    assert "looked for files that cannot be read" in page.text
    assert "was not measured: too few photos." in page.text
    assert "Labels were not checked: no features." in page.text
    unmuted = parse_page(write(tmp_path, catalog, audit_of(catalog))).text
    assert "No label is doubted" in unmuted


def test_muted_tests_are_said_to_be_muted(
    tmp_path: Path, catalog: Catalog, parse_page: ParsePage
) -> None:
    audit = audit_of(catalog, muted=("FM501", "FM601"))
    text = parse_page(write(tmp_path, catalog, audit)).text
    assert "since FM501 was muted" in text
    assert "since FM601 was muted" in text


def test_bars_tell_the_splits_apart_only_where_there_are_any(
    tmp_path: Path, catalog: Catalog, parse_page: ParsePage
) -> None:
    sides = ("train", "train", "validation", "test")
    rows = tuple(
        SplitRow(path=row.path, label=row.label, split=sides[place % 4], group=row.path)
        for place, row in enumerate(catalog.rows)
    )
    split = write(tmp_path, catalog, audit_of(catalog), splits=Splits(rows=rows))
    assert split.count('<i class="test" style="width:25.0%"></i>') == 3
    plain = write(tmp_path, catalog, audit_of(catalog))
    assert '<i class="test"' not in plain
    assert plain.count('<i class="elsewhere" style="width:100.0%"></i>') == 3


def test_the_layout_of_the_folder_is_a_split_where_nothing_else_is_said(catalog: Catalog) -> None:
    first, second = (replace(row, layout_split="test") for row in catalog.rows[:2])
    mixed = replace(catalog, rows=(first, second, *catalog.rows[2:]))
    assert sides_of(mixed, None) == {first.path: "test", second.path: "test"}
    told = SplitRow(path=first.path, label=first.label, split="train", group="")
    assert sides_of(mixed, Splits(rows=(told,))) == {first.path: "train", second.path: "test"}


def test_a_command_to_type_is_quoted_for_the_shell(
    tmp_path: Path, shortcut_test: ShortcutTest, parse_page: ParsePage
) -> None:
    catalog = write_photos(tmp_path / "my photos", classes=["cat", "dog"])
    audit = full_audit(catalog, shortcut_test)
    text = parse_page(write(tmp_path, catalog, audit, labels_csv="labels.csv")).text
    assert f"fieldmark train '{tmp_path / 'my photos'}' --labels" in text


def test_the_largest_class_stands_first(tmp_path: Path) -> None:
    catalog = write_photos(tmp_path / "photos", classes=["cat", "dog"])
    few = replace(catalog, rows=catalog.rows[2:])
    content = exploration_content(few, cues={}, audit=audit_of(few), splits=None)
    assert [(count.name, count.total) for count in content.counts] == [("dog", 4), ("cat", 2)]


@pytest.mark.parametrize("num_classes", [1, 25, 120])
def test_few_and_many_classes_are_shown(
    tmp_path: Path, num_classes: int, parse_page: ParsePage
) -> None:
    names = [f"species {i:03d}" for i in range(num_classes)]
    catalog = write_photos(tmp_path / "photos", classes=names, per_class=1)
    text = write(tmp_path, catalog, audit_of(catalog))
    page = parse_page(text)
    assert page.errors == []
    assert all(name in page.text for name in names)
    assert ("All 120 classes" in page.text) == (num_classes == 120)


def test_a_folder_without_a_usable_photo_has_a_page(tmp_path: Path, parse_page: ParsePage) -> None:
    (tmp_path / "photos").mkdir()
    catalog = Catalog(root=tmp_path / "photos", rows=())
    page = parse_page(write(tmp_path, catalog, audit_of(catalog)))
    assert page.errors == []
    assert "There is no photo that can be used" in page.text


def test_photos_that_are_gone_are_said_to_be_missing(
    tmp_path: Path, catalog: Catalog, parse_page: ParsePage
) -> None:
    cues: Mapping[str, Cues] = cues_of(catalog)
    (catalog.root / catalog.rows[0].path).unlink()
    text = parse_page(write(tmp_path, catalog, audit_of(catalog), cues=cues)).text
    assert "1 picture is missing" in text


def test_tables_pictures_and_figures_can_be_read_aloud(full: str, parse_page: ParsePage) -> None:
    page = parse_page(full)
    assert all("scope" in attributes for attributes in page.all("th"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("aria-hidden") == "true" for attributes in page.all("svg"))
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1
    assert max(after - before for before, after in pairwise(headings)) <= 1


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys, fieldmark.report.exploration\n"
        "print([m for m in ('torch', 'timm', 'matplotlib', 'sklearn', 'scipy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
