from collections.abc import Callable
from typing import Any

import pytest

from fieldmark.audit.findings import Evidence, GroupFacts
from fieldmark.audit.survey import MAX_EVIDENCE, make_finding, severity_of, single, tally
from fieldmark.base.counting import counted, listed

Make = Callable[..., Any]


def evidence(count: int) -> list[Evidence]:
    return [Evidence(paths=(f"{n}.jpg",)) for n in range(count)]


def test_evidence_is_kept_up_to_the_cap_without_a_word() -> None:
    found = make_finding("FM203", "info", "Much.", evidence(MAX_EVIDENCE))
    assert found.summary == "Much."
    assert len(found.evidence) == MAX_EVIDENCE


def test_evidence_beyond_the_cap_is_dropped_and_the_summary_says_so() -> None:
    found = make_finding("FM203", "info", "Much.", evidence(MAX_EVIDENCE + 1))
    assert found.summary == "Much. Only the first 5,000 of 5,001 are listed."
    assert found.evidence == tuple(evidence(MAX_EVIDENCE))


def test_all_evidence_is_kept_where_there_is_no_cap() -> None:
    kept = make_finding("FM101", "info", "M.", evidence(MAX_EVIDENCE + 1), max_evidence=None)
    assert len(kept.evidence) == MAX_EVIDENCE + 1


def test_groups_are_counted_over_usable_photos_with_single_ones(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"cat/{n}.jpg") for n in range(6)]
    photos.append(photo("cat/lost.jpg", status="excluded"))
    groups = {"cat/0.jpg": "A", "cat/1.jpg": "A", "cat/2.jpg": "A", "cat/3.jpg": "B"}
    groups |= {"cat/lost.jpg": "B"}
    survey = survey_of(photos, groups=groups)
    assert survey.group_facts() == GroupFacts(num_groups=4, num_grouped=3, largest=3)
    assert survey_of([]).group_facts() == GroupFacts(num_groups=0, num_grouped=0, largest=0)


def test_judged_are_the_usable_photos_in_the_order_of_the_catalog(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo("b/1.jpg"), photo("a/1.jpg"), photo("a/0.jpg", status="excluded")]
    assert [path for path, _ in survey_of(photos).judged()] == ["a/1.jpg", "b/1.jpg"]


@pytest.mark.parametrize(("flawed", "severity"), [(1, "info"), (2, "warning")])
def test_one_photo_in_twenty_is_serious(
    flawed: int, severity: str, photo: Make, survey_of: Make
) -> None:
    survey = survey_of([photo(f"cat/{n}.jpg") for n in range(40)])
    assert severity_of(flawed, survey) == severity


def test_numbers_and_lists_read_as_people_write_them() -> None:
    assert counted(1, "photo") == "1 photo"
    assert counted(1234, "photo") == "1,234 photos"
    assert counted(2, "class", "classes") == "2 classes"
    assert tally(["b", "a", "c", "c"]) == "2 × c, 1 × a, 1 × b"
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_single_makes_one_piece_a_path_in_the_order_given() -> None:
    assert single({"b": "x", "a": "y"}) == (
        Evidence(paths=("b",), detail="x"),
        Evidence(paths=("a",), detail="y"),
    )
