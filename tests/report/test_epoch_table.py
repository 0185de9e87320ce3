"""Every epoch in numbers."""

import math
from dataclasses import replace

from fieldmark.report.entries import Epoch
from fieldmark.report.epoch_table import MAX_ROWS, epoch_table


def epoch(number: int, **scores: float) -> Epoch:
    return Epoch(
        **{  # type: ignore[arg-type]
            "epoch": number,
            "lr": 3e-5,
            "train_loss": 0.5,
            "train_accuracy": 0.875,
            "seconds": 2.0,
            **scores,
        }
    )


def test_only_what_was_scored_has_a_column() -> None:
    table = epoch_table([epoch(1, test_loss=0.25), epoch(2, test_loss=0.125)], kept_epoch=2)
    assert table is not None
    assert table.groups == (("Training", ("Loss", "Accuracy")), ("Test", ("Loss",)))
    assert table.starts == (0, 2, 3)
    assert [row.cells for row in table.rows] == [
        ("0.5000", "87.5\u00a0%", "0.2500", "2.0 s"),
        ("0.5000", "87.5\u00a0%", "0.1250", "2.0 s"),
    ]
    assert [(row.epoch, row.rate, row.is_kept) for row in table.rows] == [
        (1, "3·10⁻⁵", False),
        (2, "3·10⁻⁵", True),
    ]


def test_a_cell_without_a_number_has_a_dash() -> None:
    table = epoch_table([epoch(1), epoch(2, val_accuracy=0.5, seconds=math.nan)], kept_epoch=None)
    assert table is not None
    assert table.groups[1] == ("Validation", ("Accuracy",))
    assert [row.cells[-2:] for row in table.rows] == [("–", "2.0 s"), ("50.0\u00a0%", "–")]


def test_thresholded_scores_are_told_from_the_others() -> None:
    scored = epoch(1, train_precision=0.5, train_thresholded_precision=0.75)
    table = epoch_table([scored], kept_epoch=None)
    assert table is not None
    assert table.groups[0][1][2:] == ("Precision", "Precision > 50 %")
    assert table.rows[0].cells[2:4] == ("50.0\u00a0%", "75.0\u00a0%")


def test_times_that_were_not_taken_have_no_column() -> None:
    table = epoch_table([replace(epoch(1), seconds=math.nan)], kept_epoch=None)
    assert table is not None
    assert not table.has_times
    assert len(table.rows[0].cells) == 2


def test_of_many_epochs_the_last_ones_are_shown() -> None:
    table = epoch_table([epoch(i + 1) for i in range(MAX_ROWS + 7)], kept_epoch=None)
    assert table is not None
    assert (len(table.rows), table.num_left_out, table.rows[0].epoch) == (MAX_ROWS, 7, 8)


def test_without_epochs_there_is_no_table() -> None:
    assert epoch_table([], kept_epoch=None) is None
