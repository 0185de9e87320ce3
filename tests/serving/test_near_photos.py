"""A bundle that holds thumbnails shows training photos by itself, those that their folder shows."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fieldmark
from fieldmark.base.errors import RunError
from fieldmark.models.bundle_photos import SIDE_PX
from fieldmark.serving.answering import open_answerer


@pytest.fixture(scope="module")
def packed(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run with thumbnails, in one file, far from the run and its photos."""
    out = tmp_path_factory.mktemp("packed") / "pets.fieldmark"
    fieldmark.export(finished_quick.path, to="bundle", with_thumbnails=True, out=out)
    return out


def asked(photos: Path) -> list[Path]:
    return sorted(photos.rglob("*.png"))[::7]


def test_it_shows_those_that_the_folder_shows(
    packed: Path, finished_quick: Any, photos: Path
) -> None:
    from_bundle = open_answerer(packed)
    from_folder = open_answerer(finished_quick.path, show_training_photos=True)
    assert from_bundle.can_show_nearest
    for file in asked(photos):
        pixels = from_bundle.decode(file.read_bytes())
        near = from_bundle.nearest(pixels, most=5)
        expected = from_folder.nearest(pixels, most=5)
        assert [one.label for one in near] == [one.label for one in expected]
        assert [one.similarity for one in near] == pytest.approx(
            [one.similarity for one in expected], abs=1e-3
        )


def test_the_server_answers_with_them_and_was_not_asked_to_show_any(
    packed: Path, serving: Any, photos: Path
) -> None:
    (file, *_) = asked(photos)
    with serving(answerer=open_answerer(packed)) as client:
        assert client.get("/about").json()["can_show_nearest"] is True
        answer = client.post("/nearest", params={"most": 3}, content=file.read_bytes())
        found = answer.json()["photos"]
    assert len(found) == 3
    for one in found:
        kind, _, content = one["thumbnail"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert (picture.format, max(picture.size) <= SIDE_PX) == ("JPEG", True)
    assert found[0]["class"] == file.parent.name


def test_asking_for_the_folder_of_a_bundle_alone_shows_what_is_in_it(packed: Path) -> None:
    assert open_answerer(packed, show_training_photos=True).can_show_nearest


def test_a_bundle_without_thumbnails_shows_none_and_says_how_to_have_them(
    finished_quick: Any, tmp_path: Path
) -> None:
    alone = shutil.copytree(finished_quick.bundle, tmp_path / "alone")
    assert not open_answerer(alone).can_show_nearest
    with pytest.raises(RunError, match="--with-thumbnails"):
        open_answerer(alone, show_training_photos=True)
