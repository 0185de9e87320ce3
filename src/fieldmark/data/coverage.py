"""Which classes are missing on a side of a split: refused where it matters, noted elsewhere.

In: splits. Out: notes, or one `SplitError`.
Not covered: why a given split is as it is (`leaks`).
"""

from collections.abc import Mapping

from fieldmark.base.errors import SplitError
from fieldmark.data.split_table import TEST, TRAIN, VALIDATION, Splits, name_classes


def require_coverage(splits: Splits) -> None:
    """Refuse splits from which nothing can be learned, or nothing be said of the result.

    Raises:
        SplitError: no photo for training or test, or a class without training photos.
    """
    for side in (TRAIN, TEST):
        if not splits.paths(side):
            raise SplitError(f"No photo is left for {side}{_crowded(splits)}.")
    if unlearned := _missing(splits, TRAIN):
        raise SplitError(
            f"No training photo of {name_classes(unlearned)}, though there are photos of it on "
            "other sides. Add some to the training photos, or remove the class."
        )


def require_testable(splits: Splits, *, contents: Mapping[str, str]) -> None:
    """Refuse a class all of whose photos are copies of one, where no split is given.

    Args:
        splits: the splits made.
        contents: the SHA-256 of each photo, by path.

    Raises:
        SplitError: names the classes.
    """
    untested = _missing(splits, TEST)
    digests: dict[str, set[str]] = {}
    for row in splits.rows:
        digests.setdefault(row.label, set()).add(contents[row.path])
    if copied := [label for label in untested if len(digests[label]) == 1]:
        raise SplitError(
            f"All photos of {name_classes(copied)} are copies of one, so none is left to test "
            "with. Add different photos, or remove the class."
        )


def note_gaps(splits: Splits, *, wants_validation: bool = True) -> list[str]:
    """Say which classes have no validation or no test photo, and why as far as that shows.

    Where there are no validation photos at all, that is worth no word unless some are wanted.
    """
    groups: dict[str, list[str]] = {}
    for row in splits.rows:
        groups.setdefault(row.label, []).append(row.group)
    alike = {label for label, of in groups.items() if len(of) > 1 and len(set(of)) == 1}
    notes = []
    sides = (VALIDATION, TEST) if wants_validation or splits.paths(VALIDATION) else (TEST,)
    for side in sides:
        missing = _missing(splits, side)
        single = [label for label in missing if side == TEST and label in alike]
        if single:
            or_group = "" if splits.grouped_by is None else ", or of one group"
            notes.append(
                f"No {side} photo of {name_classes(single)}: all its photos are (near-)copies of "
                f"each other{or_group}."
            )
        if others := [label for label in missing if label not in single]:
            notes.append(
                f"No {side} photo of {name_classes(others)}: too few photos, or the split gives "
                "it none."
            )
    return notes


def _crowded(splits: Splits) -> str:
    """Say why so few groups may be the cause, and what to do."""
    if splits.num_groups > len(splits.rows) / 2:
        return ". Add photos, or change the split"
    return (
        f": the {len(splits.rows):,} photos form only {splits.num_groups:,} groups of copies, "
        "near-duplicates or photos that you group yourself, and a group is never torn apart. Add "
        "photos that differ, or group them otherwise"
    )


def _missing(splits: Splits, side: str) -> list[str]:
    return [label for label, of in splits.class_counts().items() if not of[side]]
