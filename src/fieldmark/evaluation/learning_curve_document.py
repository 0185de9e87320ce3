"""The accuracy by the number of training photos, as a document.

In: what `learning_curve` found. Out: `LearningCurve`, and `learning_curve.json`.
Not covered: finding it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder, check_schema
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.power_law import PowerLaw

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The accuracy that was measured at one number of training photos."""

    num_photos: int
    num_repeats: int
    """How many draws of so many photos it is the mean of."""
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is to be expected of more training photos of the same kind."""

    factor: int
    """How many times as many."""
    num_photos: int
    accuracy: Estimate
    gain: Estimate
    """How far that is above what was measured with all training photos; 0 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The accuracy on some test photos by the number of training photos."""

    num_test: int
    points: tuple[Point, ...]
    """The smallest number first; the last is of all training photos."""
    law: PowerLaw
    """Of the error, fitted to the points."""
    forecasts: tuple[Forecast, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Whether the smaller numbers of photos would have foretold what all of them gave."""

    num_photos: int
    foretold: Estimate
    """Fitted to all points but the last."""
    measured: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """Would more photos help, overall and for each class?"""

    overall: Curve
    per_class: Mapping[str, Curve]
    """The recall of each class by its own number of photos, the others having more, too. Classes
    with too few photos for a curve are not there."""
    backtest: Backtest | None
    """None where there are too few points for it."""
    method: str
    """How it was measured, in a sentence or two."""

    def to_json(self) -> dict[str, Any]:
        """Return the content of `learning_curve.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: object, *, where: str = "learning_curve.json") -> "LearningCurve":
        """Read what `to_json` gave.

        Raises:
            RunError: the content is of a newer schema, or not what `to_json` writes.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        curve: LearningCurve = from_plain(cls, content, where=where)
        return curve


def write_learning_curve(folder: Path, curve: LearningCurve) -> None:
    """Write `learning_curve.json` into a run folder, atomically."""
    write_json(RunFolder(folder).learning_curve_json, curve.to_json())


def read_learning_curve(folder: Path) -> LearningCurve | None:
    """Read `learning_curve.json` of a run folder; None for a run that measured none.

    Raises:
        RunError: the file is there and is not JSON, is malformed or of a newer schema.
    """
    return read_document(RunFolder(folder).learning_curve_json, LearningCurve.from_json)
