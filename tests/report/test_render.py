"""The page: complete, safe, the same every time, and readable by all."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from fieldmark.base.run_folder import RunFolder
from fieldmark.report.render import scale_ceiling, scale_floor, write_report

MakeRun = Callable[..., Path]

VOID = {"meta", "img", "br", "hr", "input", "link"}
MAX_REPORT_BYTES = 2_500_000


class Page(HTMLParser):
    """The elements and the text of a page; `errors` tells tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.errors: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.errors += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


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


def test_every_tag_closes_and_every_id_is_unique(quick: str) -> None:
    page = Page(quick)
    assert page.errors == []
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert ids
    assert [name for name, times in ids.items() if times > 1] == []


def test_every_inner_link_has_its_target(quick: str) -> None:
    page = Page(quick)
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = [a["href"] for a in page.all("a", "use")] + re.findall(r"url\((#[\w-]+)\)", quick)
    assert len(page.all("a")) >= 9
    assert {link.removeprefix("#") for link in links} <= ids


def test_the_page_asks_for_nothing_and_runs_nothing(quick: str) -> None:
    page = Page(quick)
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


def test_names_are_text_never_markup_or_mathematics(make_run: MakeRun) -> None:
    names = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "$\\frac{1}{0}$", "{{ 7*7 }}"]
    text = report(
        make_run(
            classes=[name.replace("/", "∕") for name in names],
            skill=0.0,
            warnings=["<b>bold</b>"],
            excluded=[("a&<i>.txt", "<u>odd</u>")],
        )
    )
    page = Page(text)
    assert page.errors == []
    assert not page.all("script", "u", "i")
    assert not [attributes for attributes in page.all("img") if "onerror" in attributes]
    for name in names:
        assert name.replace("/", "∕") in page.text
    assert "<b>bold</b>" in page.text
    assert "<u>odd</u>" in page.text


def test_the_headline_says_what_the_accuracy_means(quick: str, quick_run: Path) -> None:
    text = Page(quick).text.replace("\u00a0", " ")
    evaluation = json.loads(RunFolder(quick_run).evaluation_json.read_text())
    accuracy, pair = evaluation["accuracy"]["value"], evaluation["most_confused"][0]
    assert f"{100 * accuracy:.1f} %" in text
    assert f"expect about {round(100 * accuracy)} to be named right" in text
    assert "12 test photos never used for learning" in text
    assert f"{pair['true']} taken for {pair['predicted']}: {pair['count']} of 4 photos" in text
    assert "2 min 3 s on CPU, 2 threads, float32" in text


def test_warnings_of_the_run_are_shown(make_run: MakeRun) -> None:
    text = Page(report(make_run(warnings=["The class fox has few photos."]))).text
    assert "Please note: The class fox has few photos." in text


def test_a_run_that_did_not_finish_says_so(make_run: MakeRun) -> None:
    run = make_run()
    record = json.loads(RunFolder(run).run_json.read_text())
    RunFolder(run).run_json.write_text(json.dumps({**record, "status": "interrupted"}))
    assert "This run is marked as “interrupted”." in Page(report(run)).text


def test_quick_shows_strengths_and_finetune_shows_epochs(make_run: MakeRun) -> None:
    quick, finetune = (Page(report(make_run(s, strategy=s))).text for s in ("probe", "all"))
    assert "Accuracy by strength" in quick
    assert "Accuracy over the epochs" not in quick
    assert "Accuracy over the epochs" in finetune
    assert "Best accuracy on validation photos" in finetune
    assert "Accuracy by strength" not in finetune


def test_a_run_without_curves_says_so(make_run: MakeRun) -> None:
    assert "This run recorded no curves" in Page(report(make_run(with_curves=False))).text


def test_a_run_without_mistakes_says_so(make_run: MakeRun) -> None:
    text = Page(report(make_run(skill=60.0))).text
    assert "There are none: every test photo was named right." in text
    assert "No test photo was named wrong." in text


def test_the_worst_mistakes_name_truth_and_answer(quick: str) -> None:
    page = Page(quick)
    shown = [a["alt"] for a in page.all("img") if " named " in a["alt"]]
    assert shown
    for alt in shown:
        true, predicted = alt.removeprefix("Photo of ").split(" named ")
        assert true != predicted
        assert {true, predicted} <= {"cat", "dog", "fox"}


def test_moved_photos_are_told_in_one_line_and_the_rest_stays(make_run: MakeRun) -> None:
    run = make_run(skill=1.0)
    shutil.rmtree(run.with_name("run-photos"))
    page = Page(report(run))
    assert not page.all("img")
    assert page.errors == []
    assert "Thumbnails are missing, since the photos have moved" in page.text
    assert "Of 100 new photos" in page.text


def test_a_single_missing_photo_is_counted(make_run: MakeRun) -> None:
    run = make_run()
    (run.with_name("run-photos") / "cat" / "000.png").unlink()
    text = Page(report(run)).text
    assert "1 thumbnail is missing, since this photo has moved or changed since the run." in text


def test_excluded_files_stand_with_their_reasons(make_run: MakeRun) -> None:
    files = [(f"cat/{i:04d}.jpg", f"truncated after {i} bytes") for i in range(502)]
    page = Page(report(make_run(excluded=files)))
    assert "502 excluded files, and why" in page.text
    assert "truncated after 499 bytes" in page.text
    assert "truncated after 500 bytes" not in page.text
    assert "And 2 more files: see catalog.csv in the run folder." in page.text


def test_derived_settings_show_their_reason(quick: str) -> None:
    assert "size_px 224 the size the pretrained network was trained at" in Page(quick).text


def test_the_network_sums_up(quick: str) -> None:
    text = Page(quick).text
    assert "126,275 parameters in 6 layers; 6,147 of them are learned from these photos" in text


def test_long_class_tables_are_folded(make_run: MakeRun) -> None:
    classes = [f"species {i:02d}" for i in range(24)]
    text = Page(report(make_run(classes=classes, per_class=5))).text
    assert "All 24 classes" in text


def test_tables_pictures_and_figures_can_be_read_aloud(quick: str) -> None:
    page = Page(quick)
    assert all("scope" in attributes for attributes in page.all("th"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    for attributes in page.all("svg"):
        named = attributes.get("role") == "img" and attributes.get("aria-label")
        assert named or attributes.get("aria-hidden") == "true"
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    steps = [after - before for before, after in pairwise(headings)]
    assert headings.count(1) == 1
    assert max(steps) <= 1


def test_a_full_report_of_eight_classes_stays_small(make_run: MakeRun) -> None:
    run = make_run(classes=[f"class {i}" for i in range(8)], per_class=40, skill=1.0)
    page = write_report(run)
    assert len(Page(page.read_text("utf-8")).all("img")) > 60
    assert page.stat().st_size < MAX_REPORT_BYTES


def test_neither_torch_nor_pyplot_is_loaded() -> None:
    code = (
        "import sys, fieldmark.report.render\n"
        "print([m for m in ('torch', 'timm', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("low", "floor"),
    [(0.993, 0.95), (0.94, 0.9), (0.9, 0.9), (0.87, 0.8), (0.05, 0.0), (1.0, 0.95)],
)
def test_scales_begin_at_a_round_number_below_all_intervals(low: float, floor: float) -> None:
    assert scale_floor([1.0, low]) == floor


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0.07, 0.1), (0.1, 0.1), (0.11, 0.2), (2.0, 2.0), (3.1, 5.0), (0.0, 1.0)]
)
def test_scales_of_losses_end_at_a_round_number(value: float, ceiling: float) -> None:
    assert scale_ceiling(value) == pytest.approx(ceiling)


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: str, ground: str, percent: float) -> str:
    share = percent / 100
    pairs = [(int(colour[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * c + (1 - share) * g):02x}" for c, g in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_every_ground_it_stands_on(quick: str, scheme: str) -> None:
    light, dark = re.findall(r":root \{([^}]*--page[^}]*)\}", quick)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for ground in ("page", "card"):
        for ink in ("ink", "muted", "accent", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["ink"], colours["note"]) >= 4.5
    assert contrast(colours["muted"], colours["sunken"]) >= 4.5
    for series in ("train", "validation", "test"):
        assert contrast(colours[series], colours["card"]) >= 3, series
    shades = re.findall(r"color-mix\(in srgb, var\(--(\w+)\) ([\d.]+)%, var\(--card\)\)", quick)
    assert len(shades) == 18
    for name, percent in shades:
        cell = mixed(colours[name], colours["card"], float(percent))
        assert contrast(colours["ink"], cell) >= 4.5, (name, percent)
