"""The shortcut test, laid out for a page."""

from dataclasses import replace

from fieldmark.audit.shortcuts import ShortcutTest, describe_shortcuts
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.shortcuts import ShortcutContent, shortcut_content

ACCURACY = Estimate(value=0.95, low=0.9, high=0.98)


def content_of(test: ShortcutTest, *, classifier: Estimate | None = ACCURACY) -> ShortcutContent:
    content = shortcut_content(test, classifier=classifier)
    assert content is not None
    return content


def test_where_nothing_was_measured_nothing_is_shown() -> None:
    assert shortcut_content(None, classifier=ACCURACY) is None


def test_cues_stand_by_kind_the_one_that_goes_furthest_first(shortcut_test: ShortcutTest) -> None:
    content = content_of(shortcut_test)
    of_file, of_picture = content.kinds
    assert [cue.title for cue in of_file[1]] == ["Image size", "File size", "Camera"]
    assert [cue.title for cue in of_picture[1]] == ["Border"]
    assert of_file[1][0].given_away == ("cat",)
    assert [cue.title for cue in of_file[1] if cue.is_shortcut] == ["Image size"]
    assert (content.chance, content.classifier) == (shortcut_test.chance, ACCURACY)


def test_a_cue_that_was_not_measured_has_a_note_and_no_column(shortcut_test: ShortcutTest) -> None:
    content = content_of(shortcut_test)
    assert content.kinds[0][1][2].note == "It is the same for all photos."
    assert [cue.title for cue in content.measured] == ["Image size", "File size", "Border"]
    assert content.classes == ("cat", "dog")


def test_it_says_what_the_test_says(shortcut_test: ShortcutTest) -> None:
    told = tuple(describe_shortcuts(shortcut_test, None))
    assert told
    assert content_of(shortcut_test, classifier=None).sentences == told


def test_without_a_shortcut_it_says_how_far_the_best_cue_goes(shortcut_test: ShortcutTest) -> None:
    weak = tuple(cue for cue in shortcut_test.cues if cue.title != "Image size")
    (sentence,) = content_of(replace(shortcut_test, cues=weak)).sentences
    assert sentence.startswith("No shortcut was found")
    assert "Border goes furthest, with 40.0\u00a0% right" in sentence
    none = tuple(cue for cue in shortcut_test.cues if cue.note)
    (sentence,) = content_of(replace(shortcut_test, cues=none)).sentences
    assert "No cue could be measured" in sentence
