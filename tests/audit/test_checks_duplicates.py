from collections.abc import Callable
from typing import Any

import pytest

from fieldmark.audit import checks_duplicates
from fieldmark.audit.duplicates import NearPair
from fieldmark.audit.findings import Finding
from fieldmark.data.splits import SplitConfig

Make = Callable[..., Any]

CHECKS = (
    checks_duplicates.copies_within,
    checks_duplicates.copies_under_two_labels,
    checks_duplicates.near_within,
    checks_duplicates.near_under_two_labels,
    checks_duplicates.across_the_split,
    checks_duplicates.contained_twice,
)


def near(first: str, second: str, similarity: float = 0.98, turn: str = "") -> NearPair:
    return NearPair(first=first, second=second, similarity=similarity, turn=turn)


def different(photo: Make, count: int = 20) -> list[Any]:
    return [photo(f"{label}/{n:02d}.jpg") for label in ("cat", "dog") for n in range(count)]


def groups_in(finding: Finding | None) -> list[tuple[str, ...]]:
    assert finding is not None
    return [one.paths for one in finding.evidence]


def codes_of(survey: Any) -> list[str]:
    return [found.code for check in CHECKS if (found := check(survey))]


def test_photos_that_all_differ_are_no_finding(photo: Make, survey_of: Make) -> None:
    sides = {
        one.path: "test" if one.path.endswith("1.jpg") else "train" for one in different(photo)
    }
    assert codes_of(survey_of(different(photo), sides=sides)) == []
    assert codes_of(survey_of([])) == []


def test_copies_within_a_class_are_told_by_group_largest_first(
    photo: Make, survey_of: Make
) -> None:
    copies = [photo(f"cat/{name}.jpg", content="c") for name in "cba"]
    copies += [photo("dog/x.jpg", content="d"), photo("dog/y.jpg", content="d")]
    survey = survey_of(different(photo, 40) + copies)
    found = checks_duplicates.copies_within(survey)
    assert groups_in(found) == [
        ("cat/a.jpg", "cat/b.jpg", "cat/c.jpg"),
        ("dog/x.jpg", "dog/y.jpg"),
    ]
    assert found is not None
    assert found.summary == (
        "3 photos repeat another of the same class byte for byte, in 2 groups."
    )
    assert found.severity == "info"
    assert codes_of(survey) == ["FM301"]


def test_copies_that_are_a_large_share_are_a_warning(photo: Make, survey_of: Make) -> None:
    copies = [photo(f"cat/c{n}.jpg", content="c") for n in range(4)]
    found = checks_duplicates.copies_within(survey_of(different(photo) + copies))
    assert found is not None
    assert found.severity == "warning"


def test_same_photo_under_two_labels_is_an_error_with_both_named(
    photo: Make, survey_of: Make
) -> None:
    torn = [photo("cat/x.jpg", content="x"), photo("dog/x.jpg", content="x")]
    torn += [photo("cat/y.jpg", content="x")]
    survey = survey_of(different(photo) + torn)
    found = checks_duplicates.copies_under_two_labels(survey)
    assert groups_in(found) == [("cat/x.jpg", "cat/y.jpg", "dog/x.jpg")]
    assert found is not None
    assert found.severity == "error"
    assert found.evidence[0].detail == "'cat' and 'dog'"
    assert found.summary.startswith("1 photo lies under two labels or more")
    assert codes_of(survey) == ["FM302"]


def test_near_duplicates_tied_by_pairs_are_one_group(photo: Make, survey_of: Make) -> None:
    pairs = [
        near("cat/02.jpg", "cat/03.jpg", 0.91),
        near("cat/00.jpg", "cat/01.jpg", 0.97, "mirrored"),
        near("cat/01.jpg", "cat/02.jpg", 0.99),
        near("dog/04.jpg", "dog/05.jpg", 0.95),
    ]
    survey = survey_of(different(photo), near=pairs)
    found = checks_duplicates.near_within(survey)
    assert groups_in(found) == [
        ("cat/00.jpg", "cat/01.jpg", "cat/02.jpg", "cat/03.jpg"),
        ("dog/04.jpg", "dog/05.jpg"),
    ]
    assert found is not None
    assert [one.detail for one in found.evidence] == [
        "mirrored, 91 to 99 % alike",
        "95 % alike",
    ]
    assert found.summary.startswith("6 photos in 2 groups show nearly the same picture")
    assert codes_of(survey) == ["FM303"]


def test_near_duplicates_under_two_labels_are_pairs_the_most_alike_first(
    photo: Make, survey_of: Make
) -> None:
    pairs = [
        near("cat/00.jpg", "dog/01.jpg", 0.9),
        near("cat/01.jpg", "dog/02.jpg", 0.98, "mirrored"),
    ]
    survey = survey_of(different(photo), near=pairs)
    found = checks_duplicates.near_under_two_labels(survey)
    assert groups_in(found) == [("cat/01.jpg", "dog/02.jpg"), ("cat/00.jpg", "dog/01.jpg")]
    assert found is not None
    assert found.evidence[0].detail == "mirrored, 98 % alike; 'cat' and 'dog'"
    assert found.severity == "warning"
    assert codes_of(survey) == ["FM304"]


@pytest.mark.parametrize(("leaks", "severity"), [("exclude", "warning"), ("keep", "error")])
def test_leaks_of_a_given_split_are_an_error_where_they_stay(
    leaks: Any, severity: str, photo: Make, survey_of: Make
) -> None:
    photos = [*different(photo), photo("cat/x.jpg", content="cat/07.jpg")]
    sides = {one.path: "test" if one.path.endswith("7.jpg") else "train" for one in photos}
    groups = {"cat/x.jpg": "A", "cat/07.jpg": "A", "dog/07.jpg": "B", "dog/01.jpg": "B"}
    survey = survey_of(photos, sides=sides, groups=groups, split=SplitConfig(leaks=leaks))
    found = checks_duplicates.across_the_split(survey)
    assert found is not None
    assert found.severity == severity
    assert groups_in(found) == [("cat/07.jpg", "cat/x.jpg"), ("dog/07.jpg", "dog/01.jpg")]
    assert "same bytes in training" in found.evidence[0].detail
    assert "rest of its group is in training" in found.evidence[1].detail
    assert "2 of 4 test photos have a copy" in found.summary
    assert ("flatters" in found.summary) == (leaks == "keep")


def test_leaks_into_validation_are_told_too(photo: Make, survey_of: Make) -> None:
    sides = {"cat/00.jpg": "validation", "cat/01.jpg": "train", "cat/02.jpg": "test"}
    groups = {"cat/00.jpg": "A", "cat/01.jpg": "A"}
    found = checks_duplicates.across_the_split(
        survey_of(different(photo), sides=sides, groups=groups)
    )
    assert found is not None
    assert found.summary.startswith("1 of 1 validation photo")


@pytest.mark.parametrize(
    ("leaks", "ending"),
    [("exclude", "left out."), ("keep", "kept, so the accuracy flatters.")],
)
def test_test_photos_that_are_known_from_validation_are_told(
    leaks: Any, ending: str, photo: Make, survey_of: Make
) -> None:
    sides = {"cat/00.jpg": "validation", "cat/01.jpg": "train", "cat/02.jpg": "test"}
    groups = {"cat/00.jpg": "A", "cat/02.jpg": "A"}
    survey = survey_of(different(photo), sides=sides, groups=groups, split=SplitConfig(leaks=leaks))
    found = checks_duplicates.across_the_split(survey)
    assert groups_in(found) == [("cat/02.jpg", "cat/00.jpg")]
    assert found is not None
    assert found.summary.startswith("1 of 1 test photo has a copy")
    assert found.summary.endswith(f"in validation; the copies there are {ending}")
    assert found.evidence[0].detail.endswith("the rest of its group is in validation")


def test_of_many_companions_few_are_listed_the_copy_among_them(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"cat/{n:04d}.jpg") for n in range(1000)]
    photos += [photo("cat/x.jpg", content="same"), photo("cat/y.jpg", content="same")]
    sides = {one.path: "train" if int(one.path[4:8]) % 2 else "test" for one in photos[:1000]}
    sides |= {"cat/x.jpg": "test", "cat/y.jpg": "train"}
    survey = survey_of(photos, sides=sides, groups=dict.fromkeys(sides, "A"))
    found = checks_duplicates.across_the_split(survey)
    assert found is not None
    first, second, *_ = found.evidence
    assert len(found.evidence) == 501
    assert first.paths[:3] == ("cat/x.jpg", "cat/y.jpg", "cat/0001.jpg")
    assert {len(one.paths) for one in found.evidence} == {1 + checks_duplicates.MAX_COMPANIONS}
    assert len(set(first.paths)) == len(first.paths)
    assert second.paths[:2] == ("cat/0000.jpg", "cat/0001.jpg")
    assert second.detail.endswith("; 496 more of its group are not listed")


def test_groups_on_one_side_or_without_a_given_split_are_no_leak(
    photo: Make, survey_of: Make
) -> None:
    groups = {"cat/00.jpg": "A", "cat/01.jpg": "A"}
    sides = {"cat/00.jpg": "train", "cat/01.jpg": "train", "cat/02.jpg": "test"}
    for given in ({}, sides):
        survey = survey_of(different(photo), sides=given, groups=groups)
        assert checks_duplicates.across_the_split(survey) is None


def archive(photo: Make, *folders: str, count: int = 10) -> list[Any]:
    """Return photos of two classes that lie in each folder at the same place."""
    return [
        photo(f"{folder}{label}/{n:02d}.jpg", content=f"{label}{n}")
        for folder in folders
        for label in ("cat", "dog")
        for n in range(count)
    ]


def test_folder_held_twice_is_told_in_place_of_its_copies(photo: Make, survey_of: Make) -> None:
    survey = survey_of(archive(photo, "natural/", "data/natural/", count=40))
    found = checks_duplicates.contained_twice(survey)
    assert found is not None
    assert found.severity == "error"
    assert groups_in(found)[0] == ("data/natural/cat/00.jpg", "natural/cat/00.jpg")
    assert found.summary == (
        "data/natural holds the same 80 photos as natural. Give PHOTOS/natural."
    )
    assert len(found.evidence) == 20
    assert codes_of(survey) == ["FM306"]


def test_folder_of_which_a_tenth_is_there_once_is_not_contained_twice(
    photo: Make, survey_of: Make
) -> None:
    photos = archive(photo, "a/", "b/")
    assert "FM306" in codes_of(survey_of(photos[:-2]))
    assert "FM306" not in codes_of(survey_of(photos[:-3]))


def test_classes_of_equal_content_are_not_taken_for_a_folder_held_twice(
    photo: Make, survey_of: Make
) -> None:
    photos = [photo(f"{label}/{n}.jpg", content=str(n)) for label in "ab" for n in range(10)]
    assert codes_of(survey_of(photos)) == ["FM302", "FM306"]


def test_copies_side_by_side_are_a_dataset_contained_twice_without_folders(
    photo: Make, survey_of: Make
) -> None:
    photos = different(photo, 10)
    photos += [photo(f"{one.path[:-4]} (1).jpg", content=one.path) for one in photos]
    survey = survey_of(photos)
    found = checks_duplicates.contained_twice(survey)
    assert found is not None
    assert found.summary == ("20 of 20 different photos are there at least twice: 40 files in all.")
    assert codes_of(survey) == ["FM306"]
