from collections.abc import Callable
from typing import Any

import pytest

from fieldmark.audit import checks_classes
from fieldmark.data.splits import SplitConfig
from fieldmark.evaluation.intervals import wilson_interval

Make = Callable[..., Any]


def classes(photo: Make, **counts: int) -> list[Any]:
    return [photo(f"{name}/{n:04d}.jpg") for name, count in counts.items() for n in range(count)]


@pytest.mark.parametrize(
    ("rare", "common", "severity"),
    [(100, 299, None), (100, 300, "info"), (10, 99, "info"), (10, 100, "warning")],
)
def test_imbalance_is_told_from_three_and_serious_from_ten(
    rare: int, common: int, severity: str | None, photo: Make, survey_of: Make
) -> None:
    found = checks_classes.imbalance(survey_of(classes(photo, cat=common, owl=rare)))
    assert (found.severity if found else None) == severity


def test_imbalance_names_both_classes(photo: Make, survey_of: Make) -> None:
    found = checks_classes.imbalance(survey_of(classes(photo, cat=1200, dog=500, owl=100)))
    assert found is not None
    assert found.summary == (
        "The largest class, 'cat' with 1,200 photos, has 12 times those of the smallest, 'owl' "
        "with 100."
    )


def test_folder_without_two_classes_has_no_imbalance(photo: Make, survey_of: Make) -> None:
    assert checks_classes.imbalance(survey_of([])) is None
    assert checks_classes.imbalance(survey_of(classes(photo, cat=3))) is None


def test_class_with_fifty_photos_that_differ_is_large_enough(photo: Make, survey_of: Make) -> None:
    assert checks_classes.too_small(survey_of(classes(photo, cat=50, dog=60))) is None
    assert checks_classes.too_small(survey_of([])) is None


def test_weak_test_is_a_warning_with_the_interval_of_its_recall(
    photo: Make, survey_of: Make
) -> None:
    found = checks_classes.too_small(survey_of(classes(photo, cat=49, dog=60)))
    recall = wilson_interval(8, 9)
    assert found is not None
    assert found.severity == "warning"
    assert found.summary == (
        "Fewer than 10 photos to test with: 'cat' (about 9). With 8 of 9 right, the recall may be "
        f"anything from {100 * recall.low:.0f} % to {100 * recall.high:.0f} %."
    )
    larger_test = SplitConfig(test=0.3)
    photos = classes(photo, cat=49, dog=60)
    assert checks_classes.too_small(survey_of(photos, split=larger_test)) is None


def test_copies_count_as_one_photo(photo: Make, survey_of: Make) -> None:
    photos = classes(photo, cat=60, dog=60)
    groups = {f"cat/{n:04d}.jpg": str(n // 2) for n in range(60)}
    found = checks_classes.too_small(survey_of(photos, groups=groups))
    assert found is not None
    assert "'cat' (about 6)" in found.summary


def test_class_of_two_groups_is_an_error_with_its_photos(photo: Make, survey_of: Make) -> None:
    photos = classes(photo, cat=60, owl=4)
    groups = {"owl/0000.jpg": "burst", "owl/0001.jpg": "burst", "owl/0002.jpg": "burst"}
    found = checks_classes.too_small(survey_of(photos, groups=groups))
    assert found is not None
    assert found.severity == "error"
    assert "needs 3: 'owl' (2)." in found.summary
    assert [one.paths for one in found.evidence] == [("owl/0000.jpg",), ("owl/0003.jpg",)]


def test_without_validation_a_class_needs_two_groups(photo: Make, survey_of: Make) -> None:
    none = SplitConfig(validation=0)
    photos = classes(photo, cat=60, owl=3)
    groups = {"owl/0000.jpg": "burst", "owl/0001.jpg": "burst"}
    found = checks_classes.too_small(survey_of(photos, groups=groups, split=none))
    assert found is not None
    assert found.severity == "warning"
    groups["owl/0002.jpg"] = "burst"
    found = checks_classes.too_small(survey_of(photos, groups=groups, split=none))
    assert found is not None
    assert found.summary.startswith(
        "Too few photos that differ for training and test, which needs 2: 'owl' (1)."
    )
    # A split already made that has validation photos needs three all the same.
    sides = {one.path: "validation" if one.path.startswith("cat") else "train" for one in photos}
    found = checks_classes.too_small(survey_of(photos, groups=groups, split=none, sides=sides))
    assert found is not None
    assert "training, validation and test, which needs 3: 'owl' (1)." in found.summary


def test_given_test_photos_are_counted_not_guessed(photo: Make, survey_of: Make) -> None:
    photos = classes(photo, cat=60, dog=60)
    sides = {one.path: "test" if one.path[-5] in "12" else "train" for one in photos}
    assert checks_classes.too_small(survey_of(photos, sides=sides)) is None
    sides |= {f"cat/{n:04d}.jpg": "train" for n in range(60)}
    found = checks_classes.too_small(survey_of(photos, sides=sides))
    assert found is not None
    assert "'cat' (about 0). Of a class without any, nothing will be known." in found.summary
