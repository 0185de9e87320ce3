"""Reading how learning went, also from runs that say less."""

import base64
import io
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_csv
from fieldmark.base.run_folder import RunFolder
from fieldmark.report.learning import read_epochs, read_learning, read_picture
from fieldmark.training.tally import HISTORY_HEADER

CHOICE = {"what": "precision", "chosen": "float32", "reason": "no faster otherwise"}


def learning_of(folder: Path, **training: Any) -> Any:
    return read_learning(RunFolder(folder), facts={"training": training})


def write_range(folder: Path, rows: list[tuple[object, ...]]) -> None:
    write_csv(RunFolder(folder).lr_range_csv, header=("lr", "loss", "smoothed"), rows=rows)


def test_the_history_of_an_older_run_is_read_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,lr,train_loss,val_loss\n1,0.001,0.5,nan\n2,0.001,0.4,\n")
    first, second = read_epochs(path)
    assert (first.epoch, first.train_loss, second.train_loss) == (1, 0.5, 0.4)
    assert math.isnan(first.val_loss)
    assert math.isnan(second.val_loss)
    assert math.isnan(second.train_top_k)


def test_every_column_of_the_history_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    numbers = range(1, len(HISTORY_HEADER) + 1)
    write_csv(path, header=HISTORY_HEADER, rows=[numbers])
    (epoch,) = read_epochs(path)
    assert [getattr(epoch, name) for name in HISTORY_HEADER] == list(numbers)
    assert {field.name for field in fields(epoch)} == set(HISTORY_HEADER)


def test_a_damaged_history_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,lr\n1\n")
    with pytest.raises(RunError, match=r"history\.csv, line 2"):
        read_epochs(path)


@pytest.mark.parametrize("facts", [{}, {"training": None}, {"training": "odd"}])
def test_a_run_that_says_nothing_of_its_training_is_enough(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    learning = read_learning(RunFolder(tmp_path), facts=facts)
    assert not any((learning.epochs, learning.strengths, learning.choices))
    assert not any((learning.kept_epoch, learning.range_test, learning.augmentation))
    assert learning.stopped_early == ""


def test_what_was_chosen_is_read_with_its_reason(tmp_path: Path) -> None:
    learning = learning_of(tmp_path, kept_epoch=3, stopped_early="no gain", choices=[CHOICE, "odd"])
    (choice,) = learning.choices
    assert (choice.what, choice.chosen, choice.reason) == tuple(CHOICE.values())
    assert (learning.kept_epoch, learning.stopped_early) == (3, "no gain")


def test_the_range_test_is_read_with_the_rate_chosen(tmp_path: Path) -> None:
    write_range(tmp_path, [(1e-5, 2.0, 2.0), (1e-4, 1.0, 1.5), (1e-3, "inf", "nan")])
    test = learning_of(tmp_path, lr=1e-4).range_test
    assert test.rates == (1e-5, 1e-4, 1e-3)
    assert test.smoothed[:2] == (2.0, 1.5)
    assert math.isinf(test.losses[2])
    assert test.chosen == 1e-4


@pytest.mark.parametrize("chosen", [None, 0, -1.0, "fast", math.inf])
def test_a_rate_that_is_none_is_not_marked(tmp_path: Path, chosen: object) -> None:
    write_range(tmp_path, [(1e-5, 2.0, 2.0), (1e-4, 1.0, 1.5)])
    assert learning_of(tmp_path, lr=chosen).range_test.chosen is None


def test_rates_without_a_logarithm_and_single_ones_are_not_drawn(tmp_path: Path) -> None:
    write_range(tmp_path, [(0.0, 2.0, 2.0), (1e-4, 1.0, 1.5)])
    assert learning_of(tmp_path).range_test is None


def test_the_picture_is_embedded_in_its_size_and_keeps_its_ground(tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    sheet.paste((200, 10, 10, 255), (0, 0, 20, 20))
    path = tmp_path / "augmentation.png"
    sheet.save(path)
    picture = read_picture(path)
    assert picture is not None
    assert (picture.width, picture.height) == (40, 20)
    kind, _, code = picture.uri.partition(",")
    assert kind == "data:image/webp;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(code))).convert("RGBA")
    pixel = shown.getpixel((10, 10))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 150
    assert pixel[3] == 255
    assert shown.getpixel((35, 10))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"x" * 40])
def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "augmentation.png"
    path.write_bytes(content)
    assert read_picture(path) is None
    assert read_picture(tmp_path / "none.png") is None
