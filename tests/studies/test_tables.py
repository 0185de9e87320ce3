"""`trials.csv` and `curves.csv`."""

import csv
import math
from pathlib import Path

from fieldmark.studies.tables import write_curves, write_trials
from fieldmark.studies.trials import EpochPoint, Trial, TrialResult

POINT = EpochPoint(
    epoch=1, train_loss=1.5, train_accuracy=0.5, val_loss=math.nan, val_accuracy=0.25
)
RESULT = TrialResult(
    num_validation=40,
    val_loss=0.5,
    val_accuracy=0.75,
    train_loss=0.25,
    train_accuracy=0.875,
    curve=(POINT,),
    seconds=1.23456,
    num_epochs=3,
)
TRIALS = [
    Trial(
        number=0,
        settings={"optim.lr": 1e-4, "optim.name": "sgd"},
        seed=5,
        kind="head",
        status="pruned",
        attempts=1,
        result=RESULT,
    ),
    Trial(
        number=1,
        settings={"optim.lr": 1e-3, "optim.name": "adam"},
        seed=5,
        kind="network",
        status="failed",
        attempts=3,
        error="out of memory, perhaps",
    ),
]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_trial_is_a_row_with_its_settings(tmp_path: Path) -> None:
    write_trials(tmp_path / "t.csv", TRIALS, keys=["optim.lr", "optim.name"])
    first, second = rows(tmp_path / "t.csv")
    assert first == {
        "number": "0",
        "kind": "head",
        "seed": "5",
        "status": "pruned",
        "attempts": "1",
        "optim.lr": "0.0001",
        "optim.name": "sgd",
        "val_accuracy": "0.75",
        "val_loss": "0.5",
        "train_accuracy": "0.875",
        "train_loss": "0.25",
        "overfitting_gap": "0.125",
        "num_validation": "40",
        "epochs": "1",
        "epochs_planned": "3",
        "seconds": "1.235",
        "error": "",
    }
    assert (second["status"], second["error"], second["val_loss"]) == (
        "failed",
        "out of memory, perhaps",
        "",
    )


def test_every_epoch_is_a_row(tmp_path: Path) -> None:
    write_curves(tmp_path / "c.csv", TRIALS)
    assert rows(tmp_path / "c.csv") == [
        {
            "number": "0",
            "epoch": "1",
            "train_loss": "1.5",
            "train_accuracy": "0.5",
            "val_loss": "",
            "val_accuracy": "0.25",
        }
    ]
