"""The files that trials learn from."""

from pathlib import Path

import numpy as np
import pytest

from fieldmark.base.errors import RunError
from fieldmark.studies.materials import (
    Materials,
    Reading,
    read_materials,
    write_array,
    write_materials,
)


def materials(folder: Path) -> Materials:
    return Materials(
        folder=folder,
        data_digest="ab",
        splits_digest="cd",
        classes=("cat", "dog"),
        num_train=3,
        labels_M=np.array([0, 1, 1, 0]),
        groups_M=np.array([0, 1, 1, 2]),
        readings={"key": Reading(orientation="exif", pixels="p.npy", features="f.npy")},
    )


def test_materials_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = materials(tmp_path)
    features_MF = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_array(tmp_path / "f.npy", features_MF)
    write_materials(written)
    found = read_materials(tmp_path)
    assert (found.classes, found.num_train, found.readings) == (
        written.classes,
        3,
        written.readings,
    )
    assert found.labels_M.tolist() == [0, 1, 1, 0]
    features = found.features_MF("key")
    assert features is not None
    assert np.array_equal(features, features_MF)


def test_there_are_rows_to_learn_from_and_to_judge_by_and_none_to_test(tmp_path: Path) -> None:
    rows = materials(tmp_path).rows
    assert [rows[name].tolist() for name in ("train", "validation", "test")] == [[0, 1, 2], [3], []]


@pytest.mark.parametrize("rows", [None, [5, 0, 2], []])
def test_rows_are_written_in_the_order_asked_for(tmp_path: Path, rows: list[int] | None) -> None:
    array = np.random.default_rng(0).integers(0, 255, (200, 3, 4), dtype=np.uint8)
    write_array(tmp_path / "a.npy", array, rows)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array if rows is None else array[rows])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_a_folder_without_them_or_with_half_of_them_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="which makes it anew"):
        read_materials(tmp_path)
    write_materials(materials(tmp_path))
    (tmp_path / "labels.npy").write_bytes(b"half")
    with pytest.raises(RunError, match="which makes it anew"):
        read_materials(tmp_path)
