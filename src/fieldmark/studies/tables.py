"""`trials.csv` and `curves.csv`: everything that was measured, for a spreadsheet.

In: trials, and the keys of what was varied. Out: two files; what was not measured is an empty cell.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from fieldmark.base.files import write_csv
from fieldmark.studies.space import text_of
from fieldmark.studies.trials import Trial

BEFORE = ("number", "kind", "seed", "status", "attempts")
MEASURED = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
AFTER = ("overfitting_gap", "num_validation", "epochs", "epochs_planned", "seconds", "error")
CURVE_HEADER = ("number", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


def write_trials(path: Path, trials: Sequence[Trial], *, keys: Sequence[str]) -> None:
    """Write a row for each trial, its settings under their own names."""
    header = (*BEFORE, *keys, *MEASURED, *AFTER)
    write_csv(path, header=header, rows=(_row(trial, keys) for trial in trials))


def write_curves(path: Path, trials: Sequence[Trial]) -> None:
    """Write a row for each epoch of each trial."""
    write_csv(
        path,
        header=CURVE_HEADER,
        rows=(
            [trial.number, *(_cell(getattr(point, name)) for name in CURVE_HEADER[1:])]
            for trial in trials
            if trial.result is not None
            for point in trial.result.curve
        ),
    )


def _row(trial: Trial, keys: Sequence[str]) -> list[object]:
    before = [getattr(trial, name) for name in BEFORE]
    settings = [text_of(trial.settings[key]) if key in trial.settings else "" for key in keys]
    result = trial.result
    if result is None:
        return [*before, *settings, *[""] * (len(MEASURED) + len(AFTER) - 1), trial.error or ""]
    return [
        *before,
        *settings,
        *(_cell(getattr(result, name)) for name in MEASURED),
        _cell(result.train_accuracy - result.val_accuracy),
        result.num_validation,
        len(result.curve) or "",
        result.num_epochs or "",
        round(result.seconds, 3),
        trial.error or "",
    ]


def _cell(value: float) -> object:
    return value if math.isfinite(value) else ""
