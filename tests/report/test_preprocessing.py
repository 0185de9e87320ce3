"""Photos before and after, by the model's own preprocessing."""

import base64
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.executor import SerialExecutor
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import Preprocess
from fieldmark.report import preprocessing
from fieldmark.report.entries import Photo
from fieldmark.report.preprocessing import (
    CHANGES,
    MAX_AFTER_PX,
    PreprocessContent,
    preprocess_content,
    read_preprocess,
    read_views,
    view_of,
)

SMALL = Preprocess(size_px=50, interpolation="bilinear", antialias=False)


def save(root: Path, name: str, *, size: tuple[int, int] = (90, 60)) -> Photo:
    pixels = np.random.default_rng(len(name)).integers(0, 255, size=(size[1], size[0], 3))
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return Photo(path=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(";base64,")[2])))


def shown(*photos: Photo, preprocess: Preprocess | None = SMALL) -> PreprocessContent:
    named = tuple((photo.path, photo) for photo in photos)
    return PreprocessContent(preprocess=preprocess, steps=(), photos=named)


def steps(
    tmp_path: Path, preprocess: Preprocess, resolved: dict[str, Any] | None = None
) -> dict[str, str]:
    folder = RunFolder(tmp_path)
    write_json(folder.model_dir / "model.json", {"preprocess": preprocess.to_json()})
    content = preprocess_content(folder, resolved=resolved or {}, samples={})
    return {step.name: step.what for step in content.steps}


@pytest.mark.parametrize(
    "preprocess",
    [SMALL, Preprocess(size_px=64, prescale_px=32), Preprocess(size_px=40, resize="pad")],
)
def test_the_picture_after_is_what_the_network_sees_to_the_pixel(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    photo = save(tmp_path, "cat/1.png")
    view = view_of(tmp_path, photo, label="cat", preprocess=preprocess)
    assert view is not None
    content = (tmp_path / photo.path).read_bytes()
    expected = preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
    assert np.array_equal(np.asarray(opened(view.after.uri).convert("RGB")), expected)
    assert (view.side_px, view.is_enlarged) == (preprocess.size_px, True)


def test_the_picture_before_keeps_its_shape_and_tells_its_size(tmp_path: Path) -> None:
    photo = save(tmp_path, "1.png", size=(900, 600))
    view = view_of(tmp_path, photo, label="cat", preprocess=SMALL)
    assert view is not None
    assert view.size == (900, 600)
    assert (view.before.width, view.before.height) == (320, 213) == opened(view.before.uri).size


def test_a_large_input_is_shown_no_larger_than_a_page_can_show(tmp_path: Path) -> None:
    large = Preprocess(size_px=1024)
    view = view_of(tmp_path, save(tmp_path, "1.png"), label="cat", preprocess=large)
    assert view is not None
    assert (view.after.width, view.side_px) == (MAX_AFTER_PX, 1024)
    assert not view.is_enlarged
    assert len(view.after.uri) < 200_000


@pytest.mark.parametrize("orientation", ["exif", "stored"])
def test_both_pictures_are_turned_as_the_model_turns_them(tmp_path: Path, orientation: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 30), "red").save(tmp_path / "1.jpg", exif=exif)
    view = view_of(
        tmp_path,
        Photo(path="1.jpg", sha256=""),
        label="cat",
        preprocess=replace(SMALL, orientation=orientation),
    )
    assert view is not None
    assert (view.size[0] < view.size[1]) is (orientation == "exif")


def test_photos_that_are_gone_changed_or_broken_give_no_picture(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    photos = (
        Photo(path="gone.png", sha256=""),
        Photo(path="broken.png", sha256=""),
        Photo(path="../secret.png", sha256=""),
        replace(save(tmp_path, "changed.png"), sha256="0" * 64),
        save(tmp_path, "here.png"),
    )
    views = read_views(tmp_path, shown(*photos), executor=SerialExecutor())
    assert [view.path for view in views] == ["here.png"]


def test_without_photos_or_a_known_preprocessing_there_are_no_pictures(tmp_path: Path) -> None:
    photo = save(tmp_path, "1.png")
    assert read_views(None, shown(photo), executor=SerialExecutor()) == ()
    assert read_views(tmp_path / "moved", shown(photo), executor=SerialExecutor()) == ()
    unknown = shown(photo, preprocess=None)
    assert read_views(tmp_path, unknown, executor=SerialExecutor()) == ()


def test_the_pictures_have_a_bound_in_all(tmp_path: Path) -> None:
    content = shown(*(save(tmp_path, f"{i}.png") for i in range(4)))
    views = read_views(tmp_path, content, executor=SerialExecutor())
    assert len(views) == 4
    sizes = [len(view.before.uri) + len(view.after.uri) for view in views]
    room = sum(sizes[:2]) + 1
    fewer = read_views(tmp_path, content, executor=SerialExecutor(), max_total_bytes=room)
    assert [view.path for view in fewer] == ["0.png", "1.png"]


def test_a_few_photos_of_classes_spread_evenly_are_shown(tmp_path: Path) -> None:
    write_json(RunFolder(tmp_path).model_dir / "model.json", {"preprocess": SMALL.to_json()})
    samples = {f"c{i}": (Photo(path=f"c{i}/0.png", sha256=""),) for i in range(8)}
    content = preprocess_content(RunFolder(tmp_path), resolved={}, samples={**samples, "empty": ()})
    assert [label for label, _ in content.photos] == ["c0", "c2", "c4", "c6"]


def test_the_way_of_the_reference_is_told_step_by_step(tmp_path: Path) -> None:
    told = steps(tmp_path, SMALL)
    assert list(told) == ["Read", "Brought to one size", "Made numbers"]
    assert "turned upright" in told["Read"]
    assert told["Brought to one size"] == (
        "squeezed to a square of 50 × 50 pixels, whatever its shape (bilinear, looking at the "
        "nearest pixels alone)"
    )
    assert told["Made numbers"].endswith("divided by 255, which makes it 0 to 1")


def test_other_ways_are_told_as_they_are(tmp_path: Path) -> None:
    other = Preprocess(
        size_px=224,
        prescale_px=50,
        resize="pad",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        orientation="stored",
    )
    told = steps(tmp_path, other)
    assert "whatever its metadata says" in told["Read"]
    assert told["Brought to one size"].startswith("made to fit into 50 × 50 pixels as a whole")
    assert told["Brought to one size"].endswith("(bicubic)")
    assert told["Enlarged"].startswith("to 224 × 224 pixels")
    assert "0.5, 0.5, 0.5 are taken off" in told["Made numbers"]
    assert "divided by 0.25, 0.25, 0.25" in told["Made numbers"]


def test_what_is_altered_in_training_is_told_in_words(tmp_path: Path) -> None:
    augment = {
        "policy": "none",
        "flip_horizontal": True,
        "flip_vertical": True,
        "rotate_turns": 0.4,
        "crop_scale": [0.5, 1.0],
        "colour": 0.0,
        "test_views": 2,
    }
    told = steps(tmp_path, SMALL, {"augment": augment})
    assert told["In training only"] == (
        "altered at random each time: half of them mirrored left to right, half of them mirrored "
        "top to bottom, turned by up to 144° either way, cut down to a part of 50 % of the area or "
        "more"
    )
    assert "as it is and mirrored" in told["After training"]
    plain = steps(tmp_path, SMALL, {"augment": {"policy": "none", "crop_scale": [1.0, 1.0]}})
    assert plain["In training only"] == "left as it is"
    views_alone = steps(tmp_path, SMALL, {"augment": {"test_views": 4}})
    assert "In training only" not in views_alone


def test_every_kind_of_alteration_of_the_recipe_is_known() -> None:
    known = {*CHANGES, "policy", "crop_scale", "test_views"}
    assert set(AugmentConfig.__dataclass_fields__) == known
    assert set(preprocessing.VIEWS) == {2, 4, 8}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"preprocess": 3}', '{"preprocess": {"size_px": 50}}']
)
def test_a_model_that_does_not_say_is_no_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.json"
    assert read_preprocess(path) is None
    path.write_text(text)
    assert read_preprocess(path) is None
    path.write_text(json.dumps({"preprocess": SMALL.to_json()}))
    assert read_preprocess(path) == SMALL
