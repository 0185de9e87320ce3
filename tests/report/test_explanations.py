"""What the sections are about, in plain words."""

import re

from fieldmark.report.explanations import ABOUT
from fieldmark.report.sections import SECTIONS


def test_every_section_but_the_result_says_what_it_is_about() -> None:
    assert set(ABOUT) == {id_ for id_, _ in SECTIONS} - {"result"}


def test_one_or_two_sentences_are_enough() -> None:
    for text in ABOUT.values():
        assert 1 <= len(re.findall(r"[.?!](?:\s|$)", text)) <= 2, text
        assert text.endswith(".")
        assert len(text) < 260, text
