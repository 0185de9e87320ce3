"""The page: complete, safe, the same every time, and readable by all."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fieldmark.audit.findings import Audit, Evidence, Finding, GroupFacts, write_findings
from fieldmark.audit.shortcuts import ShortcutTest
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.comparisons import (
    Comparisons,
    GivenSplit,
    LabelChange,
    LabelComparison,
    NaiveSplit,
    write_comparisons,
)
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.learning_curve_document import (
    Curve,
    Forecast,
    LearningCurve,
    Point,
    write_learning_curve,
)
from fieldmark.evaluation.power_law import PowerLaw
from fieldmark.report.render import write_report

MakeRun = Callable[..., Path]
ParsePage = Callable[[str], Any]

MAX_REPORT_BYTES = 2_500_000


def report(run: Path) -> str:
    return write_report(run).read_text("utf-8")


@pytest.fixture(scope="module")
def quick(quick_run: Path) -> str:
    return report(quick_run)


def test_the_report_lies_in_the_run_folder(make_run: MakeRun) -> None:
    run = make_run()
    assert write_report(run) == run / "report.html"
    assert (run / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("strategy", ["probe", "all"])
def test_the_same_run_gives_the_same_bytes(make_run: MakeRun, strategy: str) -> None:
    run = make_run(strategy=strategy, skill=1.0)
    assert report(run) == report(run)


def test_every_tag_closes_and_every_id_is_unique(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    assert page.errors == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert ids
    assert [name for name, times in ids.items() if times > 1] == []


def test_every_inner_link_has_its_target(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [a["href"] for a in page.all("a", "use")] + re.findall(r"url\((#[\w-]+)\)", quick)
    assert len(page.all("a")) >= 9
    assert {link.removeprefix("#") for link in links} <= ids


def test_the_page_asks_for_nothing_and_runs_nothing(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    assert not page.all("script", "link", "iframe", "object", "embed", "base", "form")
    assert not [name for _, attributes in page.elements for name in attributes if name[:2] == "on"]
    sources = [attributes["src"] for attributes in page.all("img")]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "http:" not in quick
    assert "https:" not in quick
    assert "@import" not in quick
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_names_are_text_never_markup_or_mathematics(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "$\\frac{1}{0}$", "{{ 7*7 }}"]
    text = report(
        make_run(
            classes=[name.replace("/", "∕") for name in names],
            skill=0.0,
            warnings=["<b>bold</b>"],
            excluded=[("a&<i>.txt", "<u>odd</u>")],
        )
    )
    page = parse_page(text)
    assert page.errors == []
    assert not page.all("script", "u", "i")
    assert not [attributes for attributes in page.all("img") if "onerror" in attributes]
    for name in names:
        assert name.replace("/", "∕") in page.text
    assert "<b>bold</b>" in page.text
    assert "<u>odd</u>" in page.text


def test_the_headline_says_what_the_accuracy_means(
    quick: str, quick_run: Path, parse_page: ParsePage
) -> None:
    text = parse_page(quick).text.replace("\u00a0", " ")
    evaluation = json.loads(RunFolder(quick_run).evaluation_json.read_text())
    accuracy, pair = evaluation["accuracy"]["value"], evaluation["most_confused"][0]
    assert f"{100 * accuracy:.1f} %" in text
    assert f"expect about {round(100 * accuracy)} to be named right" in text
    assert "12 test photos never used for learning" in text
    assert f"{pair['true']} taken for {pair['predicted']}: {pair['count']} of 4 photos" in text
    assert "2 min 3 s on CPU, 2 threads, float32" in text


def test_warnings_of_the_run_are_shown(make_run: MakeRun, parse_page: ParsePage) -> None:
    text = parse_page(report(make_run(warnings=["The class fox has few photos."]))).text
    assert "Please note: The class fox has few photos." in text


def test_a_run_that_did_not_finish_says_so(make_run: MakeRun, parse_page: ParsePage) -> None:
    run = make_run()
    record = json.loads(RunFolder(run).run_json.read_text())
    RunFolder(run).run_json.write_text(json.dumps({**record, "status": "interrupted"}))
    assert "This run is marked as “interrupted”." in parse_page(report(run)).text


def test_quick_shows_strengths_and_finetune_shows_epochs(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    quick, finetune = (parse_page(report(make_run(s, strategy=s))).text for s in ("probe", "all"))
    assert "Accuracy by strength" in quick
    assert "Accuracy over the epochs" not in quick
    assert "Accuracy over the epochs" in finetune
    assert "Best accuracy on validation photos" in finetune
    assert "Accuracy by strength" not in finetune


def test_a_run_without_curves_says_so(make_run: MakeRun, parse_page: ParsePage) -> None:
    assert "This run recorded no curves" in parse_page(report(make_run(with_curves=False))).text


def test_a_run_without_mistakes_says_so(make_run: MakeRun, parse_page: ParsePage) -> None:
    text = parse_page(report(make_run(skill=60.0))).text
    assert "There are none: every test photo was named right." in text
    assert "No test photo was named wrong." in text


def test_the_worst_mistakes_name_truth_and_answer(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    shown = [a["alt"] for a in page.all("img") if " named " in a["alt"]]
    assert shown
    for alt in shown:
        true, predicted = alt.removeprefix("Photo of ").split(" named ")
        assert true != predicted
        assert {true, predicted} <= {"cat", "dog", "fox"}


def test_the_sections_follow_the_work_with_the_result_first(
    quick: str, parse_page: ParsePage
) -> None:
    assert headings(parse_page(quick.partition("</nav>")[0])) == [
        "#result",  # to skip to the content
        "#result",
        "#photos",
        "#preprocessing",
        "#network",
        "#weights",
        "#optimizer",
        "#curves",
        "#scores",
        "#confidence",
        "#confusion",
        "#mistakes",
        "#classes",
        "#recipe",
        "#card",
        "#provenance",
    ]


def test_each_section_says_what_it_is_about(quick: str, parse_page: ParsePage) -> None:
    shown = [a for a in parse_page(quick).all("p") if a.get("class") == "about"]
    assert len(shown) == quick.count("<section") - 1
    assert "A network takes pictures of one size, as numbers." in parse_page(quick).text


def test_a_photo_stands_before_and_after_preprocessing(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    assert [a["alt"] for a in page.all("img") if a["alt"].endswith("as it is")] == [
        f"Photo of {name} as it is" for name in ("cat", "dog", "fox")
    ]
    after = [a for a in page.all("img") if a["alt"] == "The same photo as the network sees it"]
    assert [(a["width"], a["height"]) for a in after] == [("50", "50")] * 3
    assert all(a["class"] == "square enlarged" for a in after)
    assert "32 × 24 pixels" in page.text


def test_the_pair_most_often_mixed_up_is_shown_with_its_photos(
    quick: str, quick_run: Path, parse_page: ParsePage
) -> None:
    pair = json.loads(RunFolder(quick_run).evaluation_json.read_text())["most_confused"][0]
    page = parse_page(quick)
    (opened,) = [a["id"] for a in page.all("div") if "opened" in a.get("class", "").split()]
    shown = [a["alt"] for a in panel_of(quick, opened, parse_page).all("img")]
    assert shown == [f"Photo of {pair['true']} taken for {pair['predicted']}"] * pair["count"]
    assert f"{pair['true']} is taken for {pair['predicted']}: {pair['count']} of 4" in page.text


def panel_of(text: str, id_: str, parse_page: ParsePage) -> Any:
    """Return the panel of one cell of the matrix."""
    return parse_page("<div " + text.split(f'id="{id_}"')[1].partition("</ul>")[0] + "</ul></div>")


def test_every_number_of_the_matrix_opens_the_photos_behind_it(
    quick: str, quick_run: Path, parse_page: ParsePage
) -> None:
    evaluation = json.loads(RunFolder(quick_run).evaluation_json.read_text())
    matrix = quick.split('<table class="matrix')[1].partition("</table>")[0]
    opens = parse_page("<table" + matrix).all("a")
    counts = {
        f"#cell-{i}-{j}": count
        for i, row in enumerate(evaluation["confusion"])
        for j, count in enumerate(row)
        if count
    }
    assert [a["href"] for a in opens] == list(counts)
    assert len(counts) > 3
    for link, count in counts.items():
        panel = panel_of(quick, link[1:], parse_page)
        assert len(panel.all("li")) >= len(panel.all("img")) == count


def test_photos_of_the_matrix_stay_hidden_until_their_number_is_chosen(quick: str) -> None:
    rules = quick.partition("</style>")[0]
    assert ".cell { display: none;" in rules
    assert ".cell:target, .cell.opened { display: block; }" in rules


def test_the_least_sure_hits_and_each_class_are_shown(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    unsure = [a for a in page.all("img") if a["alt"].endswith("recognised, but not surely")]
    assert 0 < len(unsure) <= 12
    assert "Right, but least sure of it" in page.text
    for name in ("cat", "dog", "fox"):
        assert any(a["alt"] == f"Odd photo of {name}" for a in page.all("img"))
    assert "Most often taken for" in page.text


def test_the_page_says_how_much_room_its_photos_take(quick: str, parse_page: ParsePage) -> None:
    told = re.search(r"(\d+) small copies, ([\d.]+) MB; at most 5.0 MB", parse_page(quick).text)
    assert told
    assert len(quick) < 8_000_000


def test_the_learning_curve_has_a_section_where_it_was_measured(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run()
    assert "#more-photos" not in headings(parse_page(report(run)))
    write_learning_curve(run, LEARNING_CURVE)
    page = parse_page(report(run))
    assert page.errors == []
    assert "#more-photos" in headings(page)
    assert "Learning from twice as many photos (1,600 instead of 800)" in page.text
    assert "cat 800 90.0 % 80.0 to 95.0 % 92.0 %" in page.text
    assert "+2.0 points +1.0 to +3.0" in page.text


def test_the_model_card_stands_in_the_report(quick: str, parse_page: ParsePage) -> None:
    section = quick.split('<section id="card"')[1].partition("</section>")[0]
    page = parse_page("<section" + section + "</section>")
    assert page.errors == []
    assert "It says which of 3 classes a photo shows: cat, dog, fox." in page.text
    assert [part.get("open") for part in page.all("details")].count("") == 2


def test_a_run_without_a_model_folder_still_has_its_report(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run()
    shutil.rmtree(RunFolder(run).model_dir)
    page = parse_page(report(run))
    assert page.errors == []
    assert "#preprocessing" not in headings(page)


def test_moved_photos_are_told_in_one_line_and_the_rest_stays(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run(skill=1.0)
    shutil.rmtree(run.with_name("run-photos"))
    page = parse_page(report(run))
    assert not page.all("img")
    assert page.errors == []
    assert "Thumbnails are missing, since the photos have moved" in page.text
    assert "Of 100 new photos" in page.text


def test_a_single_missing_photo_is_counted(make_run: MakeRun, parse_page: ParsePage) -> None:
    run = make_run()
    (run.with_name("run-photos") / "cat" / "000.png").unlink()
    text = parse_page(report(run)).text
    assert "1 picture is missing, since this photo cannot be read, or has moved or changed." in text


def test_excluded_files_stand_with_their_reasons(make_run: MakeRun, parse_page: ParsePage) -> None:
    files = [(f"cat/{i:04d}.jpg", f"truncated after {i} bytes") for i in range(502)]
    page = parse_page(report(make_run(excluded=files)))
    assert "502 excluded files, and why" in page.text
    assert "truncated after 499 bytes" in page.text
    assert "truncated after 500 bytes" not in page.text
    assert "And 2 more files: see catalog.csv in the run folder." in page.text


def test_derived_settings_show_their_reason(quick: str, parse_page: ParsePage) -> None:
    assert "size_px 224 the size the pretrained network was trained at" in parse_page(quick).text


def test_the_network_sums_up(quick: str, parse_page: ParsePage) -> None:
    text = parse_page(quick).text
    assert "126,275 parameters in 6 layers; 6,147 of them are learned from these photos" in text


def test_long_class_tables_are_folded(make_run: MakeRun, parse_page: ParsePage) -> None:
    classes = [f"species {i:02d}" for i in range(24)]
    text = parse_page(report(make_run(classes=classes, per_class=5))).text
    assert "All 24 classes" in text


def test_tables_pictures_and_figures_can_be_read_aloud(quick: str, parse_page: ParsePage) -> None:
    page = parse_page(quick)
    assert all("scope" in attributes for attributes in page.all("th"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    for attributes in page.all("svg"):
        named = attributes.get("role") == "img" and attributes.get("aria-label")
        assert named or attributes.get("aria-hidden") == "true"
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    steps = [after - before for before, after in pairwise(headings)]
    assert headings.count(1) == 1
    assert max(steps) <= 1


def test_a_full_report_of_eight_classes_stays_small(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run(classes=[f"class {i}" for i in range(8)], per_class=40, skill=1.0)
    page = write_report(run)
    assert len(parse_page(page.read_text("utf-8")).all("img")) > 60
    assert page.stat().st_size < MAX_REPORT_BYTES


def test_neither_torch_nor_a_plotting_library_is_loaded() -> None:
    code = (
        "import sys, fieldmark.report.render\n"
        "print([m for m in ('torch', 'timm', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ESTIMATE = Estimate(value=0.989, low=0.98, high=0.995)
HIGHER = Estimate(value=0.996, low=0.99, high=0.999)
NOW = Estimate(value=0.9, low=0.8, high=0.95)
CURVE = Curve(
    num_test=50,
    points=tuple(Point(num_photos=size, num_repeats=1, accuracy=NOW) for size in (100, 800)),
    law=PowerLaw(floor=0.0, scale=1.0, power=0.3),
    forecasts=(
        Forecast(
            factor=2,
            num_photos=1600,
            accuracy=Estimate(value=0.92, low=0.85, high=0.97),
            gain=Estimate(value=0.02, low=0.01, high=0.03),
        ),
    ),
)
LEARNING_CURVE = LearningCurve(
    overall=CURVE, per_class={"cat": CURVE}, backtest=None, method="By hand."
)


def audit_of(shortcuts: ShortcutTest | None = None) -> Audit:
    copies = Evidence(paths=("cat/000.png", "dog/000.png"), detail="the same bytes")
    return Audit(
        num_photos=60,
        num_classes=3,
        data_digest="ab",
        groups=GroupFacts(num_groups=59, num_grouped=2, largest=2),
        findings=(
            Finding(code="FM302", severity="error", summary="1 is both.", evidence=(copies,)),
            Finding(code="FM601", severity="warning", summary="Size tells the class."),
            Finding(code="FM401", severity="info", summary="Cats are many."),
        ),
        shortcuts=shortcuts,
    )


def compared(labels: LabelComparison | None = None) -> Comparisons:
    return Comparisons(
        naive_split=NaiveSplit(
            clean=ESTIMATE,
            naive=HIGHER,
            num_leaks=17,
            num_test_clean=1380,
            num_test_naive=1381,
            method="Both with a linear classifier.",
        ),
        labels=labels,
    )


def relabelled(difference: Estimate) -> LabelComparison:
    return LabelComparison(
        file="labels.csv",
        num_relabelled=1,
        num_excluded=1,
        changes=(
            LabelChange(path="cat/001.png", label="cat", new_label="<b>dog</b>"),
            LabelChange(path="cat/002.png", label="cat", new_label=""),
        ),
        as_it_was=ESTIMATE,
        before=ESTIMATE,
        after=HIGHER,
        difference=difference,
        num_test=12,
        method="Both judged by the corrected labels.",
    )


def headings(page: Any) -> list[str]:
    return [attributes["href"] for attributes in page.all("a") if "#" in attributes["href"]]


def test_a_run_without_an_audit_has_no_empty_sections(quick: str, parse_page: ParsePage) -> None:
    links = headings(parse_page(quick))
    assert "#photos" in links
    assert not {"#findings", "#shortcuts", "#grouping", "#labels"} & set(links)


def test_findings_stand_in_the_report_and_the_serious_ones_beside_the_result(
    make_run: MakeRun, shortcut_test: ShortcutTest, parse_page: ParsePage
) -> None:
    run = make_run()
    write_findings(RunFolder(run).findings_json, audit_of(shortcut_test))
    text = report(run)
    page = parse_page(text)
    assert page.errors == []
    assert {"#findings", "#shortcuts", "#FM302"} <= set(headings(page))
    first = parse_page(text.split('<section id="photos"')[0]).text
    assert "1 is both." in first
    assert "Cats are many." not in first
    assert "1 error, 1 warning and 1 remark." in page.text
    assert "cat/ 000.png" in page.text
    assert "This classifier, from the whole photo" in page.text


def test_the_evidence_is_shown_as_pictures(make_run: MakeRun, parse_page: ParsePage) -> None:
    run = make_run(skill=60.0)
    write_findings(RunFolder(run).findings_json, audit_of())
    card = report(run).split('id="FM302"')[1].partition("</article>")[0]
    images = parse_page(card.partition(">")[2]).all("img")
    assert [attributes["title"] for attributes in images] == ["cat/000.png", "dog/000.png"]


def test_the_report_says_what_grouping_does(make_run: MakeRun, parse_page: ParsePage) -> None:
    run = make_run()
    write_comparisons(run, compared())
    text = parse_page(report(run)).text.replace("\u00a0", " ")
    told = "A split that ignores copies would have promised 99.6 %; kept apart it is 98.9 %."
    assert told in text
    assert "17 test photos of 1,381 would have had a copy among the photos learned from" in text
    assert "98.0 to 99.5 %" in text


def test_leaks_of_a_given_split_are_told(make_run: MakeRun, parse_page: ParsePage) -> None:
    run = make_run()
    given = GivenSplit(num_leaked=1, num_excluded=2, all=HIGHER, without_leaked=ESTIMATE)
    write_comparisons(run, Comparisons(given_split=given))
    text = parse_page(report(run)).text
    assert "1 test photo of the given split has a copy among the photos learned from" in text
    assert "2 photos were left out of training for it" in text
    assert "Without the leaked ones" in text


@pytest.mark.parametrize(
    ("low", "value", "high", "told"),
    [
        (-0.001, 0.006, 0.013, "cannot be told from no change"),
        (0.001, 0.006, 0.013, "lies above zero"),
        (-0.02, -0.01, -0.002, "lies below zero"),
    ],
)
def test_corrected_labels_are_listed_with_what_they_did(
    make_run: MakeRun, low: float, value: float, high: float, told: str, parse_page: ParsePage
) -> None:
    run = make_run()
    difference = Estimate(value=value, low=low, high=high)
    write_comparisons(run, compared(relabelled(difference)))
    page = parse_page(report(run))
    assert page.errors == []
    assert "1 photo was relabelled and 1 photo left out, as labels.csv says" in page.text
    assert told in page.text
    assert "cat/001.png cat <b>dog</b>" in page.text
    assert "cat/002.png cat left out" in page.text


def test_the_report_counts_groups_and_the_photos_in_them(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run()
    table = RunFolder(run).splits_csv
    lines = table.read_text().splitlines()
    groups = ["pair", "pair", *(f"g{i}" for i in range(len(lines) - 3))]
    grouped = [line + group for line, group in zip(lines[1:], groups, strict=True)]
    table.write_text("\n".join([lines[0], *grouped]) + "\n")
    text = parse_page(report(run)).text
    assert "59 in all, each kept on one side; 2 photos stand in one with others" in text
