"""Photos read once for several runs, and rotated ones as the run at hand reads them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark import photo_source
from fieldmark.base.errors import RunError
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Gathered, Given
from fieldmark.data.catalog import Catalog
from fieldmark.data.preprocess import Preprocess
from fieldmark.photo_source import PhotoSource

UPRIGHT = Preprocess(
    size_px=16, resize="squash", orientation="exif", mean=(0.5,) * 3, std=(0.5,) * 3
)
STORED = replace(UPRIGHT, orientation="stored")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two photos, half dark and half light; one of each notes a rotation."""
    exif = Image.Exif()
    exif[274] = 6
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        pixels_HW3 = np.zeros((24, 24, 3), np.uint8)
        pixels_HW3[:12] = 200 if label == "cat" else 100
        Image.fromarray(pixels_HW3).save(tmp_path / label / "0.png")
        Image.fromarray(pixels_HW3 + 1).save(tmp_path / label / "1.png", exif=exif)
    return tmp_path


def gathered(source: PhotoSource, folder: Path, preprocess: Preprocess = UPRIGHT) -> Gathered:
    return source.gather(folder, preprocess=preprocess, given=Given(), progress=SilentProgress())


def pixels_of(photos: Gathered, path: str = "cat/1.png") -> Any:
    assert photos.store is not None
    return photos.store.take([path])[0].copy()


def test_the_folder_is_read_for_the_first_run_only(folder: Path) -> None:
    source = PhotoSource()
    first = gathered(source, folder)
    assert gathered(source, folder) is first
    assert gathered(source, folder, STORED) is not first


def test_rotated_photos_are_as_the_run_at_hand_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PhotoSource()
    photos = gathered(source, folder)
    turned = pixels_of(photos)
    source.turn_upright()  # nothing was turned back yet
    back = source.turn_back(photos, STORED)
    as_stored = pixels_of(back)
    assert (as_stored == np.rot90(turned)).all()
    assert (as_stored != turned).any()

    def read_again(*_given: Any, **_named: Any) -> Gathered:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(photo_source, "turn_back", read_again)
        assert source.turn_back(gathered(source, folder), STORED) is back
    source.turn_upright()
    assert (pixels_of(gathered(source, folder)) == turned).all()
    assert (pixels_of(source.turn_back(photos, STORED)) == as_stored).all()


def test_photos_that_will_not_do_are_refused_as_soon_as_they_are_read(folder: Path) -> None:
    def refuse(catalog: Catalog) -> None:
        raise RunError(f"{len(catalog.rows)} others")

    with pytest.raises(RunError, match="4 others"):
        gathered(PhotoSource(check=refuse), folder)
