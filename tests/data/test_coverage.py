"""A class missing on a side is refused where it cannot be learned or tested, or else noted."""

import pytest

from fieldmark.base.errors import SplitError
from fieldmark.data.coverage import note_gaps, require_coverage, require_testable
from fieldmark.data.split_table import SplitRow, Splits


def splits(*placed: tuple[str, str, str], grouped_by: str | None = None) -> Splits:
    """Photos as (class, side, group)."""
    return Splits(
        rows=tuple(
            SplitRow(path=f"{label}/{number}", label=label, split=side, group=group)
            for number, (label, side, group) in enumerate(placed)
        ),
        grouped_by=grouped_by,
    )


WHOLE = [("cat", side, side) for side in ("train", "validation", "test")]


def test_nothing_is_said_of_a_class_on_every_side() -> None:
    require_coverage(splits(*WHOLE))
    assert note_gaps(splits(*WHOLE)) == []


@pytest.mark.parametrize(("side", "left"), [("train", "test"), ("test", "train")])
def test_an_empty_side_is_refused(side: str, left: str) -> None:
    with pytest.raises(SplitError, match=f"No photo is left for {side}"):
        require_coverage(splits(("cat", left, "a")))


def test_a_class_that_cannot_be_learned_is_refused() -> None:
    with pytest.raises(SplitError, match="No training photo of 'dog'"):
        require_coverage(splits(*WHOLE, ("dog", "test", "a")))


def test_too_few_photos_are_noted() -> None:
    small = splits(*WHOLE, ("dog", "train", "a"), ("dog", "test", "b"))
    assert note_gaps(small) == [
        "No validation photo of 'dog': too few photos, or the split gives it none."
    ]


def test_where_no_validation_photos_are_wanted_only_those_there_are_can_have_gaps() -> None:
    small = [("cat", "train", "a"), ("cat", "test", "b"), ("dog", "train", "c")]
    gap = "No {} photo of 'dog': too few photos, or the split gives it none."
    assert note_gaps(splits(*small), wants_validation=False) == [gap.format("test")]
    given = splits(*small, ("cat", "validation", "d"))
    found = note_gaps(given, wants_validation=False)
    assert found == [gap.format("validation"), gap.format("test")]


@pytest.mark.parametrize(("grouped_by", "more"), [(None, ""), ("g.csv:g", ", or of one group")])
def test_a_class_of_one_group_is_noted_as_that(grouped_by: str | None, more: str) -> None:
    alike = splits(*WHOLE, ("dog", "train", "a"), ("dog", "train", "a"), grouped_by=grouped_by)
    assert note_gaps(alike)[1] == (
        f"No test photo of 'dog': all its photos are (near-)copies of each other{more}."
    )


def test_a_class_of_one_photo_is_no_class_of_copies() -> None:
    assert note_gaps(splits(*WHOLE, ("dog", "train", "a")))[1] == (
        "No test photo of 'dog': too few photos, or the split gives it none."
    )


def test_a_class_of_exact_copies_is_refused_but_not_one_of_near_copies() -> None:
    alike = splits(*WHOLE, ("dog", "train", "a"), ("dog", "train", "a"))
    contents = {row.path: row.path for row in alike.rows}
    require_testable(alike, contents=contents)
    same = {row.path: row.label for row in alike.rows}
    with pytest.raises(SplitError, match="All photos of 'dog' are copies of one"):
        require_testable(alike, contents=same)
