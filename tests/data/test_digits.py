import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from fieldmark.base.errors import DataError
from fieldmark.data import digits
from fieldmark.data.digits import write_digits


def pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("made") / "deep" / "digits")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the digits three, so that a test of what is in a folder takes no time."""
    every = digits._digits_by_path()
    some = {path: every[path] for path in sorted(every)[::800]}
    monkeypatch.setattr(digits, "_digits_by_path", lambda: some)


def test_the_folder_holds_all_1797_digits_in_ten_classes(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [*"0123456789"]
    labels = [int(path.parent.name) for path in sorted(pngs(written), key=lambda path: path.name)]
    assert labels == load_digits().target.tolist()
    assert len(labels) == 1797


def test_each_file_is_an_8x8_grey_png_with_the_values_spread_over_8_bits(written: Path) -> None:
    values = load_digits().images
    for path in pngs(written)[::37]:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
            index = int(path.stem.removeprefix("digit_"))
            assert np.abs(np.asarray(image) / 255 * 16 - values[index]).max() <= 16 / 255 / 2


def test_the_first_row_of_the_first_digit_is_as_computed_by_hand(written: Path) -> None:
    # scikit-learn's first row is 0 0 5 13 9 1 0 0; 5 * 255 / 16 = 79.7 and so on.
    with Image.open(written / "0" / "digit_0000.png") as image:
        assert np.asarray(image)[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_a_second_call_writes_nothing(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in pngs(written)}
    assert write_digits(written) == written
    assert {path: path.stat().st_mtime_ns for path in pngs(written)} == before


@pytest.mark.usefixtures("few")
def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    assert write_digits(tmp_path) == tmp_path
    assert len(pngs(tmp_path)) == 3


@pytest.mark.usefixtures("few")
def test_what_an_interruption_left_out_is_written_by_the_next_call(tmp_path: Path) -> None:
    write_digits(tmp_path)
    missing, *rest = pngs(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in rest}
    missing.unlink()
    write_digits(tmp_path)
    assert missing.exists()
    assert {path: path.stat().st_mtime_ns for path in rest} == kept


@pytest.mark.usefixtures("few")
def test_digits_that_were_compressed_anew_are_still_the_digits(tmp_path: Path) -> None:
    write_digits(tmp_path)
    path = pngs(tmp_path)[0]
    with Image.open(path) as image:
        image.save(path, compress_level=0)
    content = path.read_bytes()
    write_digits(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", ["cat.jpg", "0/cat.jpg", "10/digit_0000.png", "4/digit_9999.png"])
def test_a_folder_with_another_file_is_refused_by_name_and_left_alone(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"mine")
    refused = name if "10/" not in name else "10"
    with pytest.raises(DataError, match=f"something other than the digits: '{refused}'"):
        write_digits(tmp_path)
    assert [path.read_bytes() for path in pngs(tmp_path)] == [b"mine"]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("damage", ["truncated", "empty", "other pixels", "colour", "larger"])
def test_a_digit_that_was_changed_is_refused(tmp_path: Path, damage: str) -> None:
    write_digits(tmp_path)
    path = pngs(tmp_path)[1]
    content = path.read_bytes()
    with Image.open(path) as image:
        image.load()
        changed = {
            "other pixels": Image.new("L", (8, 8)),
            "colour": image.convert("RGB"),
            "larger": image.resize((16, 16)),
        }.get(damage)
    if changed is not None:
        changed.save(path)
    else:
        path.write_bytes(content[:50] if damage == "truncated" else b"")
    with pytest.raises(DataError, match=path.name):
        write_digits(tmp_path)


@pytest.mark.usefixtures("few")
def test_an_empty_folder_that_would_become_a_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match="'cats'"):
        write_digits(tmp_path)


@pytest.mark.usefixtures("few")
def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"\x00")
    write_digits(tmp_path)
    (tmp_path / "0" / ".DS_Store").write_bytes(b"\x00")
    write_digits(tmp_path)
    assert len(pngs(tmp_path)) == 5


@pytest.mark.usefixtures("few")
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "digits").write_bytes(b"mine")
    with pytest.raises(DataError, match="is a file; give a folder"):
        write_digits(tmp_path / "digits")
    assert (tmp_path / "digits").read_bytes() == b"mine"


@pytest.mark.usefixtures("few")
@pytest.mark.skipif(os.name != "posix", reason="a path below a file fails so on POSIX systems")
def test_a_folder_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot be written to .*: Not a directory\. Give"):
        write_digits(tmp_path / "file" / "digits")
