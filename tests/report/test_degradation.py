"""What is said, drawn and tabled of damaged photos."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.degrade import KINDS
from fieldmark.evaluation.degradation_document import Curve, Degradation, SamplePhoto, Step
from fieldmark.evaluation.intervals import Estimate, wilson_interval
from fieldmark.report.card import card_of
from fieldmark.report.content import read_content
from fieldmark.report.degradation import (
    MAX_CLASS_LINES,
    DegradationContent,
    degradation_content,
    loss_shade,
)
from fieldmark.report.degradation_wording import loss_points
from fieldmark.report.matrix import NUM_SHADES
from fieldmark.report.render import write_report

MakeRun = Callable[..., Path]
NUM_EACH = 50


def around(value: float, *, by: float = 0.03) -> Estimate:
    return Estimate(value=value, low=value - by, high=value + by)


def step(strength: int, right: Mapping[str, int], *, clean: float, confidence: float) -> Step:
    total = NUM_EACH * len(right)
    accuracy = wilson_interval(sum(right.values()), total)
    return Step(
        strength=strength,
        amount=strength / 10,
        told=f"{strength} of ten",
        accuracy=accuracy,
        drop=around(clean - accuracy.value),
        confidence=confidence,
        num_right=right,
        num_named=right,
    )


def damage(
    rights: Mapping[str, Mapping[str, tuple[int, ...]]] | None = None,
    *,
    confidence: float = 0.5,
    sample: SamplePhoto | None = None,
    keys: tuple[str, ...] = ("noise", "jpeg"),
) -> Degradation:
    """Counts of right answers by kind and class, 50 photos each; noise costs dogs most."""
    rights = rights or {
        "noise": {"cat": (50, 48, 45, 40, 30), "dog": (45, 30, 20, 10, 5)},
        "jpeg": {"cat": (50, 50, 50, 50, 49), "dog": (48, 48, 48, 48, 48)},
    }
    classes = list(next(iter(rights.values())))
    clean = {name: 50 if place == 0 else 48 for place, name in enumerate(classes)}
    before = sum(clean.values()) / (NUM_EACH * len(classes))
    curves = []
    for kind in KINDS:
        if kind.key not in keys:
            continue
        by_class = rights.get(kind.key) or rights["jpeg"]
        steps = tuple(
            step(
                strength,
                {name: by_class[name][strength - 1] for name in classes},
                clean=before,
                confidence=confidence,
            )
            for strength in range(1, 6)
        )
        mean = sum(one.drop.value for one in steps) / len(steps)
        curves.append(
            Curve(
                key=kind.key,
                title=kind.title,
                what=kind.what,
                source=kind.source,
                steps=steps,
                drop=around(mean, by=0.01),
            )
        )
    drops = {
        name: around(
            clean[name] / NUM_EACH
            - sum(one.num_right[name] for curve in curves for one in curve.steps)
            / (5 * len(curves) * NUM_EACH)
        )
        for name in classes
    }
    return Degradation(
        num_photos=NUM_EACH * len(classes),
        num_test=400,
        seed=3,
        side_px=224,
        num_of_class=dict.fromkeys(classes, NUM_EACH),
        undamaged=step(0, clean, clean=before, confidence=confidence),
        curves=tuple(curves),
        drop_of_class=drops,
        sample=sample or SamplePhoto(path="cat/1.png", sha256="ab" * 32, label="cat"),
    )


def content(found: Degradation | None = None) -> DegradationContent:
    laid_out = degradation_content(found or damage())
    assert laid_out is not None
    return laid_out


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def harmless() -> Degradation:
    same = {"cat": (50,) * 5, "dog": (48,) * 5}
    return damage({"noise": same, "jpeg": same})


def test_where_nothing_was_damaged_nothing_is_said() -> None:
    assert degradation_content(None) is None


def test_the_first_sentence_tells_the_most_harmful_kind_at_its_middle_strength() -> None:
    told = plain(content().sentence)
    # Of 98 undamaged, 95, 78, 65, 50 and 35 are left: 33.4 fewer on average.
    assert told == (
        "Noise harms most: at strength 3 (3 of ten) 65.0 % are named right (55.3 to 73.6 %) "
        "instead of 98.0 %, and the mean loss over its strengths is 33.4 points (32.4 to 34.4)."
    )


def test_the_class_that_suffers_most_is_named_with_its_worst_kind() -> None:
    remark = plain(content().remarks[0])
    assert remark.startswith("The class that suffers most is dog: it loses ")
    assert "most under noise, where 44.0 % of its photos are found instead of 96.0 %" in remark


def test_what_hardly_harms_is_named() -> None:
    found = damage()
    noise, jpeg = found.curves
    last = replace(jpeg.steps[-1], drop=Estimate(value=0.0, low=-0.01, high=0.01))
    mild = replace(jpeg, steps=(*jpeg.steps[:-1], last))
    told = content(replace(found, curves=(noise, mild)))
    assert "Even at its strongest, this costs less than 2 points: jpeg compression." in told.remarks


def test_where_chance_would_explain_it_all_no_kind_is_blamed() -> None:
    told = content(harmless())
    assert told.sentence == ("No damage costs accuracy that can be told from chance on 100 photos.")
    assert not any("suffers most" in remark for remark in told.remarks)


def test_being_sure_and_wrong_is_told() -> None:
    told = [plain(remark) for remark in content(damage(confidence=0.9)).remarks]
    assert (
        "It does not notice: under noise at strength 5 it is 90.0 % sure on average, and right in "
        "35.0 % of cases."
    ) in told
    assert not any("notice" in remark for remark in content(damage(confidence=0.4)).remarks)


@pytest.mark.parametrize(("named", "is_told"), [(90, True), (60, False), (74, False)])
def test_a_class_that_nearly_everything_is_taken_for_is_named(named: int, *, is_told: bool) -> None:
    found = damage()
    noise, jpeg = found.curves
    last = replace(noise.steps[-1], num_named={"cat": 100 - named, "dog": named})
    told = content(replace(found, curves=(replace(noise, steps=(*noise.steps[:-1], last)), jpeg)))
    sentence = (
        f"Under noise at strength 5 it names {named}.0 % of all photos dog, which 50.0 % are: that "
        "dog is found then means little."
    )
    assert (sentence in map(plain, told.remarks)) == is_told


def test_the_method_says_how_many_photos_at_which_size() -> None:
    assert content().method == (
        "Measured on 100 of 400 test photos, each class by its share, damaged at 224 pixels before "
        "anything else is done to them; seed 3."
    )


def test_kinds_and_classes_come_by_their_losses() -> None:
    told = content()
    assert [row.name for row in told.kinds] == ["Noise", "JPEG compression"]
    assert [row.name for row in told.classes] == ["dog", "cat"]
    assert told.kind_titles == ("Noise", "JPEG compression")
    noise = told.kinds[0]
    assert [cell.share for cell in noise.cells] == [0.95, 0.78, 0.65, 0.5, 0.35]
    dog = told.classes[0]
    assert [cell.share for cell in dog.cells] == pytest.approx([110 / 250, 240 / 250])
    assert (dog.num_photos, dog.undamaged) == (50, 0.96)
    assert plain(dog.cells[0].title) == (
        "dog, noise, strength by strength: 90 %, 60 %, 40 %, 20 %, 10 %"
    )


@pytest.mark.parametrize("loss", [-0.2, 0.0, 0.004])
def test_what_loses_nothing_has_no_shade(loss: float) -> None:
    assert loss_shade(loss) == ""


def test_shades_grow_with_the_loss() -> None:
    levels = [int(loss_shade(loss / 100)[1:]) for loss in range(1, 101)]
    assert levels == sorted(levels)
    assert levels[0] == 1
    assert levels[-1] == NUM_SHADES


def test_each_kind_has_a_curve_with_its_interval_and_a_line_for_each_class() -> None:
    for card in content().cards:
        svg = card.chart.svg
        assert svg.count("<circle") == 6
        assert svg.count('class="band test"') == 1
        assert svg.count('class="line weakest"') == 1
        assert svg.count('class="line each"') == 1
        assert svg.count('class="line test"') == 1
        assert "undamaged: named right 98.0" in svg
        assert card.told == ("1 of ten", "3 of ten", "5 of ten")
    assert "Weakest class: dog." in content().cards[0].chart.caption


def test_all_curves_have_the_same_height() -> None:
    ticks = [re.findall(r">(\d+) %<", card.chart.svg) for card in content().cards]
    assert ticks[0] == ticks[1]
    assert "100" in ticks[0]


def test_with_many_classes_only_the_weakest_has_its_line() -> None:
    names = [f"class {place:02d}" for place in range(MAX_CLASS_LINES + 1)]
    by_class = {name: (50, 48, 45, 40, place + 5) for place, name in enumerate(names)}
    (card,) = content(damage({"noise": by_class}, keys=("noise",))).cards
    assert card.chart.svg.count('class="line each"') == 0
    assert card.chart.svg.count('class="line weakest"') == 1
    assert "Thin" not in content(damage({"noise": by_class}, keys=("noise",))).key


def test_without_a_mistake_no_class_is_the_weakest() -> None:
    (card,) = content(damage({"noise": {"cat": (50,) * 5}}, keys=("noise",))).cards
    assert "Weakest" not in card.chart.caption
    assert "weakest" not in card.chart.svg


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (Estimate(value=0.123, low=0.1, high=0.15), "12.3 points (10.0 to 15.0)"),
        (Estimate(value=0.0, low=-0.02, high=0.02), "0.0 points (\u22122.0 to 2.0)"),
        (Estimate(value=-0.0001, low=-0.001, high=0.0), "0.0 points (\u22120.1 to 0.0)"),
    ],
)
def test_losses_are_told_in_points(loss: Estimate, told: str) -> None:
    assert loss_points(loss) == told


def with_damage(run: Path, found: Degradation) -> Path:
    write_json(RunFolder(run).degradation_json, found.to_json())
    return run


def a_photo(run: Path) -> SamplePhoto:
    cat = read_content(run).photos.samples["cat"][0]
    return SamplePhoto(path=cat.path, sha256=cat.sha256, label="cat")


def test_the_page_shows_curves_tables_and_the_photo(make_run: MakeRun, parse_page: Any) -> None:
    run = make_run()
    with_damage(run, damage(sample=a_photo(run)))
    page = parse_page(write_report(run).read_text("utf-8"))
    assert page.errors == []
    assert "Damaged photos" in page.text
    alts = [image["alt"] for image in page.all("img") if "under" in image.get("alt", "")]
    assert len(alts) == 2 * 3
    assert "The photo of cat under noise: 5 of ten" in alts
    assert "One photo of cat at strength 1, 3 and 5." in page.text


def test_where_the_photo_has_gone_the_page_says_so(make_run: MakeRun, parse_page: Any) -> None:
    run = with_damage(make_run(), damage())
    page = parse_page(write_report(run).read_text("utf-8"))
    assert page.errors == []
    assert "The photo that would be shown under each kind has moved or changed." in page.text


def test_photos_that_moved_are_taken_from_where_they_are(make_run: MakeRun) -> None:
    run = make_run()
    with_damage(run, damage(sample=a_photo(run)))
    moved = run.with_name("moved")
    run.with_name("run-photos").rename(moved)
    assert "has moved or changed" in write_report(run).read_text("utf-8")
    assert "has moved or changed" not in write_report(run, photos=moved).read_text("utf-8")


def test_a_run_that_was_not_damaged_has_no_such_section(quick_run: Path) -> None:
    page = write_report(quick_run).read_text("utf-8")
    assert 'id="degradation"' not in page


def test_names_are_escaped(make_run: MakeRun, parse_page: Any) -> None:
    run = make_run()
    odd = {"<b>cat": (50, 48, 45, 40, 30), "d&g": (45, 30, 20, 10, 5)}
    with_damage(run, damage({"noise": odd}, keys=("noise",)))
    page = parse_page(write_report(run).read_text("utf-8"))
    assert page.errors == []
    assert "<b>cat" in page.text


def test_the_card_tells_what_was_measured_in_place_of_what_was_not(make_run: MakeRun) -> None:
    run = make_run()
    before = {part.title: part for part in card_of(read_content(run)).parts}
    assert any("noise, blur, strong" in bullet for bullet in before["Limits"].bullets)
    assert "Damaged photos" not in before
    after = {part.title: part for part in card_of(read_content(with_damage(run, damage()))).parts}
    assert not any("noise, blur, strong" in bullet for bullet in after["Limits"].bullets)
    assert any(
        "Not measured: other damage to photos (blur, resolution, brightness" in bullet
        for bullet in after["Limits"].bullets
    )
    part = after["Damaged photos"]
    assert part.paragraphs[0].startswith("Noise harms most")
    (table,) = part.tables
    assert table.header == ("Kind", "Undamaged", *(f"Strength {place}" for place in range(1, 6)))
    assert [plain(cell) for cell in table.rows[0]] == [
        "Noise",
        "98.0 %",
        "95.0 %",
        "78.0 %",
        "65.0 %",
        "50.0 %",
        "35.0 %",
    ]
