"""What an accuracy would have been otherwise: with leaks, and with the labels as they were.

In: what a run has measured beside its own evaluation. Out: `Comparisons`, and `comparisons.json`.
Not covered: measuring any of it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder, check_schema
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import Estimate

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveSplit:
    """The same photos divided at random, without regard to copies."""

    clean: Estimate
    """Accuracy where photos that belong together stand on one side."""
    naive: Estimate
    """Accuracy where each photo is drawn on its own."""
    num_leaks: int
    """Test photos of the naive split that have a copy among its training photos."""
    num_test_clean: int
    num_test_naive: int
    method: str
    """How both were measured, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSplit:
    """A split that came with the photos, and what of its test photos was in training."""

    num_leaked: int
    """Test photos that have a copy among the training photos."""
    num_excluded: int
    """Photos that were left out for it."""
    all: Estimate
    """Accuracy over all test photos as they were given."""
    without_leaked: Estimate | None
    """Accuracy over those that have no copy in training; None where all have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """What the file of labels says of one photo."""

    path: str
    label: str
    """What the folder says."""
    new_label: str
    """What the file says; nothing where it excludes the photo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelComparison:
    """What corrected labels did to the accuracy."""

    file: str
    """The file that corrects them."""
    num_relabelled: int
    num_excluded: int
    changes: tuple[LabelChange, ...]
    as_it_was: Estimate
    """Accuracy when learned from the labels of the folder and judged by them: what would have been
    reported."""
    before: Estimate
    """Accuracy when learned from the labels of the folder, judged by the corrected ones."""
    after: Estimate
    """Accuracy when learned from the corrected ones, judged by them."""
    difference: Estimate
    """`after` less `before` on the same photos, -1 to 1."""
    num_test: int
    method: str
    """How both were measured, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """All that a run has compared itself with; None for what it had no reason to."""

    naive_split: NaiveSplit | None = None
    given_split: GivenSplit | None = None
    labels: LabelComparison | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of `comparisons.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: object, *, where: str = "comparisons.json") -> "Comparisons":
        """Read what `to_json` gave.

        Raises:
            RunError: the content is of a newer schema, or not what `to_json` writes.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        comparisons: Comparisons = from_plain(cls, content, where=where)
        return comparisons


def write_comparisons(folder: Path, comparisons: Comparisons) -> None:
    """Write `comparisons.json` into a run folder, atomically."""
    write_json(RunFolder(folder).comparisons_json, comparisons.to_json())


def read_comparisons(folder: Path) -> Comparisons:
    """Read `comparisons.json` of a run folder; a run that compared nothing has none.

    Raises:
        RunError: the file is there and is not JSON, is malformed or of a newer schema.
    """
    path = RunFolder(folder).comparisons_json
    return read_document(path, Comparisons.from_json) or Comparisons()
