"""Small copies of photos."""

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.executor import SerialExecutor
from fieldmark.report import thumbnails
from fieldmark.report.entries import Photo
from fieldmark.report.thumbnails import Thumbnail, read_thumbnail, read_thumbnails


def save(
    root: Path, name: str, *, size: tuple[int, int] = (400, 300), exif: Image.Exif | None = None
) -> Photo:
    pixels = np.random.default_rng(5).integers(0, 255, size=(size[1], size[0], 3))
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, exif=exif or Image.Exif())
    return Photo(path=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def opened(thumbnail: Thumbnail | None) -> Image.Image:
    assert thumbnail is not None
    kind, _, code = thumbnail.uri.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(code)))


@pytest.mark.parametrize(
    ("size", "reduced"), [((400, 300), (149, 112)), ((900, 100), (208, 23)), ((32, 24), (32, 24))]
)
def test_a_thumbnail_fits_its_box_and_keeps_the_shape(
    tmp_path: Path, size: tuple[int, int], reduced: tuple[int, int]
) -> None:
    thumbnail = read_thumbnail(tmp_path, save(tmp_path, "cat/1.png", size=size))
    assert thumbnail is not None
    assert (thumbnail.width, thumbnail.height) == reduced == opened(thumbnail).size


def test_a_thumbnail_stands_upright_and_tells_no_place(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to stand upright
    exif[0x010E] = "my garden"
    photo = save(tmp_path, "cat/1.jpg", size=(400, 100), exif=exif)
    assert b"my garden" in (tmp_path / photo.path).read_bytes()
    image = opened(read_thumbnail(tmp_path, photo))
    assert image.height > image.width
    assert not image.getexif()


@pytest.mark.parametrize("turn", [True, False])
def test_thumbnails_are_turned_as_the_run_turned_its_photos(tmp_path: Path, turn: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = save(tmp_path, "cat/1.jpg", size=(400, 100), exif=exif)
    result = read_thumbnails(tmp_path, [photo], executor=SerialExecutor(), turn_upright=turn)
    image = result.images[photo.path]
    assert (image.height > image.width) is turn


def test_extreme_shapes_are_cut_for_display(tmp_path: Path) -> None:
    wide = read_thumbnail(tmp_path, save(tmp_path, "wide.png", size=(900, 100)))
    tall = read_thumbnail(tmp_path, save(tmp_path, "tall.png", size=(100, 900)))
    assert wide is not None
    assert tall is not None
    assert (tall.shape, wide.shape) == (thumbnails.MIN_SHAPE, thumbnails.MAX_SHAPE)


def test_a_photo_that_changed_since_the_run_is_not_shown(tmp_path: Path) -> None:
    photo = save(tmp_path, "1.png")
    assert read_thumbnail(tmp_path, photo) is not None
    assert read_thumbnail(tmp_path, Photo(path="1.png", sha256="0" * 64)) is None


def test_a_broken_file_is_counted_not_raised(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"not an image")
    photos = [Photo(path="1.png", sha256=""), Photo(path="gone.png", sha256="")]
    result = read_thumbnails(tmp_path, photos, executor=SerialExecutor())
    assert (result.num_missing, result.moved, result.images) == (2, False, {})


@pytest.mark.parametrize("path", ["../secret.png", "cat/../../secret.png", "/etc/secret.png"])
def test_nothing_outside_the_photos_folder_is_read(tmp_path: Path, path: str) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    secret = save(tmp_path, "secret.png")
    assert read_thumbnail(root, Photo(path=path, sha256=secret.sha256)) is None


def test_an_absolute_path_is_not_read_even_if_it_exists(tmp_path: Path) -> None:
    photo = save(tmp_path, "1.png")
    absolute = Photo(path=(tmp_path / "1.png").as_posix(), sha256=photo.sha256)
    assert read_thumbnail(tmp_path, absolute) is None


@pytest.mark.parametrize("known", [True, False])
def test_a_folder_out_of_reach_is_said_to_have_moved(tmp_path: Path, known: bool) -> None:
    root = tmp_path / "gone" if known else None
    result = read_thumbnails(root, [Photo(path="a", sha256="")], executor=SerialExecutor())
    assert result.moved


class CountingExecutor(SerialExecutor):
    """Counts what it was asked for, one item after another."""

    num_done = 0

    def map(self, function: Any, items: Any) -> Any:
        for item in items:
            self.num_done += 1
            yield function(item)


def test_when_space_runs_out_the_first_photos_stay_and_the_rest_is_not_read(
    tmp_path: Path,
) -> None:
    photos = [save(tmp_path, f"{i}.png") for i in range(6)]
    one = read_thumbnail(tmp_path, photos[0])
    assert one is not None
    executor = CountingExecutor()
    room = int(2.5 * len(one.uri))
    result = read_thumbnails(tmp_path, photos, executor=executor, max_total_bytes=room)
    assert list(result.images) == ["0.png", "1.png"]
    assert (result.num_missing, result.num_left_out) == (0, 4)
    assert executor.num_done == 3


def test_a_photo_shown_twice_is_read_once(tmp_path: Path) -> None:
    photo = save(tmp_path, "1.png")
    result = read_thumbnails(tmp_path, [photo, photo], executor=SerialExecutor())
    assert list(result.images) == ["1.png"]


def test_room_is_taken_by_every_place_where_a_photo_stands(tmp_path: Path) -> None:
    twice, once = save(tmp_path, "1.png"), save(tmp_path, "2.png")
    one = read_thumbnail(tmp_path, twice)
    assert one is not None
    room = 2 * len(one.uri)
    photos = [twice, once, twice]
    result = read_thumbnails(tmp_path, photos, executor=SerialExecutor(), max_total_bytes=room)
    assert list(result.images) == ["1.png"]
    assert (result.num_bytes, result.num_left_out) == (room, 1)
