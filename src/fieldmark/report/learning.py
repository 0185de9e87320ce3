"""Reads how learning went from the folder of a run.

In: the run folder, finished or not, of this Fieldmark or an older one. Out: `Learning`.
Not covered: what it looks like (`curves`) and what is said of it (`course`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from PIL import Image

from fieldmark.base.run_folder import RunFolder
from fieldmark.report.entries import (
    Choice,
    Epoch,
    Learning,
    Picture,
    RangeTest,
    Strength,
)
from fieldmark.report.run_files import is_true, number, read_optional_table, whole
from fieldmark.report.thumbnails import as_uri
from fieldmark.training.config import FROZEN

QUALITY = 82
MAX_PICTURE_BYTES = 8_000_000
"""A larger file is no picture of a batch; it is left out."""


def read_learning(folder: RunFolder, *, facts: Mapping[str, Any]) -> Learning:
    """Read the curves and what `run.json` says of the training; older runs say less.

    Args:
        folder: the run folder.
        facts: the content of its `run.json`.

    Raises:
        RunError: A table is malformed.
    """
    told = _mapping(facts.get("training"))
    return Learning(
        epochs=read_epochs(folder.history_csv),
        strengths=_strengths(folder.probe_csv),
        kept_epoch=_kept(told.get("kept_epoch")),
        stopped_early=str(told.get("stopped_early") or ""),
        choices=tuple(_choice(one) for one in _mappings(told.get("choices"))),
        lr=_rate(told.get("lr")),
        range_test=_range_test(folder.lr_range_csv, chosen=_rate(told.get("lr"))),
        augmentation=read_picture(folder.augmentation_png),
        is_frozen=facts.get("strategy") in FROZEN,
    )


def read_epochs(path: Path) -> tuple[Epoch, ...]:
    """Return the rows of `history.csv`; none where it is not there, NaN for absent columns.

    Raises:
        RunError: The table is malformed.
    """
    measured = [field.name for field in fields(Epoch) if field.name != "epoch"]
    return tuple(
        Epoch(epoch=whole(row, "epoch"), **{name: number(row, name) for name in measured})
        for row in read_optional_table(path, columns=("epoch",))
    )


def read_picture(path: Path) -> Picture | None:
    """Return a picture for the page; None where there is none, or none that can be read."""
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            return None
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            uri = as_uri(image.convert("RGBA"), quality=QUALITY)
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture(uri=uri, width=width, height=height)


def _strengths(path: Path) -> tuple[Strength, ...]:
    return tuple(
        Strength(
            l2=number(row, "l2"),
            train_loss=number(row, "train_loss"),
            train_accuracy=number(row, "train_accuracy"),
            val_loss=number(row, "val_loss"),
            val_accuracy=number(row, "val_accuracy"),
            chosen=is_true(row, "chosen"),
        )
        for row in read_optional_table(path, columns=("l2", "chosen"))
    )


def _range_test(path: Path, *, chosen: float | None) -> RangeTest | None:
    """Return the range test where one was made and has at least two rates to draw."""
    rows = read_optional_table(path, columns=("lr", "loss", "smoothed"))
    rows = [row for row in rows if 0 < number(row, "lr") < math.inf]
    if len(rows) < 2:
        return None
    return RangeTest(
        rates=tuple(number(row, "lr") for row in rows),
        losses=tuple(number(row, "loss") for row in rows),
        smoothed=tuple(number(row, "smoothed") for row in rows),
        chosen=chosen,
    )


def _rate(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def _choice(told: Mapping[str, Any]) -> Choice:
    return Choice(
        what=str(told.get("what") or ""),
        chosen=str(told.get("chosen") or ""),
        reason=str(told.get("reason") or ""),
    )


def _kept(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
