"""What a network looks at: kept in a file, told in sentences, drawn over photos."""

import base64
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark.audit.shortcuts import CueScore, ShortcutTest
from fieldmark.base.errors import RunError
from fieldmark.base.executor import SerialExecutor
from fieldmark.data.placement import Box
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.attention import attention_content, draw_attention
from fieldmark.report.attention_document import (
    Attention,
    ClassHeat,
    SeenPhoto,
    not_explained,
    read_attention,
    write_attention,
)
from fieldmark.report.card import write_card
from fieldmark.report.content import read_content
from fieldmark.report.entries import Photo
from fieldmark.report.render import write_report

INSIDE = Estimate(value=0.22, low=0.2, high=0.24)
AT_THE_EDGE = Estimate(value=0.6, low=0.55, high=0.65)
WHOLE = Box()
SERIAL = SerialExecutor()


def heat(name: str = "cat", *, share: float | None = 0.2, place: int = 0) -> ClassHeat:
    map_HW = np.full((4, 4), -1.0, dtype=np.float32)
    map_HW.flat[place] = 3.0
    return ClassHeat.of(map_HW, name=name, border_share=share)


def seen(path: str, *names: str, true: str = "cat", of_photo: Box = WHOLE) -> SeenPhoto:
    return SeenPhoto(
        photo=Photo(path=path, sha256=""),
        true=true,
        confidence=0.9,
        of_photo=of_photo,
        in_square=WHOLE,
        heats=tuple(heat(name, place=place) for place, name in enumerate(names or ("cat",))),
    )


def attention(
    *, mistakes: Sequence[SeenPhoto] = (), typical: Sequence[SeenPhoto] = (), **given: Any
) -> Attention:
    asked = {"border": INSIDE, "num_sampled": 32, "layers": ("layer4",), "why_not": "", **given}
    return Attention(mistakes=tuple(mistakes), typical=tuple(typical), **asked)


MIXED = attention(
    mistakes=[seen("cat/004.png", "dog", "cat")],
    typical=[seen("cat/009.png"), seen("dog/004.png", "dog", true="dog")],
)


def border_cue(test: ShortcutTest, *, skill: float) -> ShortcutTest:
    def of(score: CueScore) -> CueScore:
        is_it = score.title == "Border"
        accuracy = Estimate(value=0.8, low=0.75, high=0.85)
        return replace(score, key="border", skill=skill, accuracy=accuracy) if is_it else score

    return replace(test, cues=tuple(of(score) for score in test.cues))


# The file


def test_a_map_is_kept_to_a_255th_of_its_strongest_place() -> None:
    map_HW = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    kept = ClassHeat.of(map_HW, name="cat", border_share=None)
    expected_HW = np.maximum(map_HW, 0) / map_HW.max()
    assert kept.heat_HW.dtype == np.float32
    np.testing.assert_allclose(kept.heat_HW, expected_HW, atol=0.5 / 255 + 1e-6)
    against = ClassHeat.of(-np.abs(map_HW), name="cat", border_share=None)
    assert not against.heat_HW.any()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_attention(tmp_path) is None
    write_attention(tmp_path, MIXED)
    assert read_attention(tmp_path) == MIXED
    write_attention(tmp_path, not_explained("It has no places."))
    told = read_attention(tmp_path)
    assert told is not None
    assert (told.why_not, told.photos) == ("It has no places.", ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema version 2"),
        ({"typical": [{}]}, r"typical\[0\]: there is no photo"),
        ({"levels": "AAAA"}, r"heats\[0\]: levels holds 3 bytes for 4 x 4 places"),
        ({"levels": "%"}, "levels is no base64"),
        ({"heats": []}, "no map for the class named"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = MIXED.to_json()
    photo = content["mistakes"][0]
    for key, value in change.items():
        holder = {"levels": photo["heats"][0], "heats": photo}.get(key, content)
        holder[key] = value
    (tmp_path / "attention.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=message):
        read_attention(tmp_path)


def test_a_map_of_a_large_network_takes_little_room() -> None:
    kept = ClassHeat.of(np.ones((28, 28), dtype=np.float32), name="cat", border_share=0.36)
    assert len(kept.levels) == math.ceil(28 * 28 / 3) * 4
    assert set(base64.b64decode(kept.levels)) == {255}


# In words


def test_the_share_of_the_border_is_told_with_the_number_of_photos() -> None:
    content = attention_content(MIXED, shortcuts=None)
    assert content is not None
    assert content.border_sentence.startswith("It looks at the inside of the photos: 22.0")
    assert content.border_sentence.endswith("Measured on 32 test photos drawn at random.")
    assert (content.cue_sentence, content.warning) == ("", "")
    assert attention_content(None, shortcuts=None) is None


@pytest.mark.parametrize(
    ("border", "skill", "warns"),
    [(AT_THE_EDGE, 0.7, True), (INSIDE, 0.7, False), (AT_THE_EDGE, 0.1, False)],
)
def test_a_network_that_leans_on_a_telling_border_is_warned_of(
    shortcut_test: ShortcutTest, border: Estimate, skill: float, warns: bool
) -> None:
    content = attention_content(
        attention(typical=[seen("cat/009.png")], border=border),
        shortcuts=border_cue(shortcut_test, skill=skill),
    )
    assert content is not None
    assert "from the border alone" in content.cue_sentence
    assert ("looks there, too" in content.cue_sentence) is warns
    assert ("another background" in content.warning) is warns


# In pictures


def test_pictures_are_drawn_for_each_class_and_the_hot_place_is_where_it_was(
    quick_run: Path,
) -> None:
    content = attention_content(MIXED, shortcuts=None)
    drawn = draw_attention(photos_of(quick_run), content, executor=SERIAL)
    assert {path: len(one.overlays) for path, one in drawn.of.items()} == {
        "cat/004.png": 2,
        "cat/009.png": 1,
        "dog/004.png": 1,
    }
    assert all(one.plain.uri.startswith("data:image/webp") for one in drawn.of.values())
    first, second = drawn.of["cat/004.png"].overlays
    assert first.uri != second.uri
    assert drawn.num_left_out == 0


def test_the_part_that_the_network_sees_is_shown(quick_run: Path) -> None:
    middle = Box(left=0.125, top=0, right=0.875, bottom=1)
    content = attention_content(
        attention(typical=[seen("cat/009.png", of_photo=middle)]), shortcuts=None
    )
    assert content is not None
    assert content.shows_part
    drawn = draw_attention(photos_of(quick_run), content, executor=SERIAL)
    (picture,) = (one.plain for one in drawn.of.values())
    assert (picture.width, picture.height) == (24, 24)  # of 32 x 24


def test_pictures_stay_within_their_room_the_most_important_first(quick_run: Path) -> None:
    content = attention_content(MIXED, shortcuts=None)
    root = photos_of(quick_run)
    whole = draw_attention(root, content, executor=SERIAL)
    first = whole.of["cat/004.png"]
    room = sum(len(one.uri) for one in (first.plain, *first.overlays))
    drawn = draw_attention(root, content, executor=SERIAL, max_bytes=room)
    assert list(drawn.of) == ["cat/004.png"]
    assert drawn.num_left_out == 2


def test_photos_that_are_gone_changed_or_outside_are_not_drawn(quick_run: Path) -> None:
    changed = replace(seen("cat/009.png"), photo=Photo(path="cat/009.png", sha256="0" * 64))
    content = attention_content(
        attention(mistakes=[seen("gone.png"), seen("../x.png")], typical=[changed]), shortcuts=None
    )
    root = photos_of(quick_run)
    assert not draw_attention(root, content, executor=SERIAL).of
    assert not draw_attention(None, content, executor=SERIAL).of
    assert not draw_attention(root / "moved", content, executor=SERIAL).of


# On the page


def photos_of(run: Path) -> Path:
    return run.with_name(f"{run.name}-photos")


def section_of(page: str) -> str:
    return page.partition('<section id="attention"')[2].partition("</section>")[0]


def test_the_report_shows_mistakes_for_both_classes_and_typical_photos(
    make_run: Callable[..., Path], parse_page: Any
) -> None:
    run = make_run()
    write_attention(run, MIXED)
    page = write_report(run).read_text("utf-8")
    parsed = parse_page(section_of(page).partition(">")[2])
    assert parsed.errors == []
    assert [image["alt"] for image in parsed.all("img")] == [
        "The photo",
        "For dog",
        "For cat",
        *["The photo", "What speaks for it"] * 2,
    ]
    assert "is cat named dog 90.0" in parsed.text
    assert "2 of 3 classes" in parsed.text
    assert "layer4" in parsed.text
    assert write_report(run).read_text("utf-8") == page


def test_without_the_photos_the_section_keeps_its_numbers(make_run: Callable[..., Path]) -> None:
    run = make_run()
    write_attention(run, MIXED)
    shutil.rmtree(photos_of(run))
    section = section_of(write_report(run).read_text("utf-8"))
    assert "<img" not in section
    assert "since the photos have moved" in section
    assert "It looks at the inside" in section


def test_a_network_that_cannot_be_explained_has_no_section_and_the_reason_is_told(
    make_run: Callable[..., Path],
) -> None:
    run = make_run()
    write_attention(run, not_explained("There are <no> places."))
    page = write_report(run).read_text("utf-8")
    assert 'id="attention"' not in page
    assert "#attention" not in page
    assert "Where the network looks cannot be shown: There are &lt;no&gt; places." in page


def test_a_run_of_before_has_no_section(quick_run: Path) -> None:
    assert read_content(quick_run).attention is None
    page = write_report(quick_run).read_text("utf-8")
    assert 'id="attention"' not in page
    assert "cannot be shown" not in page


def test_leaning_on_the_border_is_a_limit_of_the_model_card(
    make_run: Callable[..., Path], shortcut_test: ShortcutTest
) -> None:
    run = make_run()
    warned = attention_content(
        attention(border=AT_THE_EDGE), shortcuts=border_cue(shortcut_test, skill=0.7)
    )
    content = replace(read_content(run), attention=warned)
    assert "before another background it may fail" in write_card(run, content=content).read_text()
