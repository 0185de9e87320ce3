"""The format is told by the content, and only raster formats on the list are ever opened."""

import io

import pytest
from PIL import Image

from fieldmark.data.formats import EXTENSIONS, UnreadableImage, open_undecoded, recognise


def encode(image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", sorted(EXTENSIONS))
def test_every_format_on_the_list_is_recognised_and_opened(kind: str) -> None:
    content = encode(kind)
    assert recognise(content) == kind
    assert open_undecoded(content, kind=kind).size == (8, 8)


@pytest.mark.parametrize("kind", ["EPS", "ICO", "TGA", "PCX", "PDF"])
def test_a_format_off_the_list_is_not_opened_though_pillow_writes_it(kind: str) -> None:
    with pytest.raises(UnreadableImage, match="not an image in a format that is read"):
        recognise(encode(kind))


def test_a_picture_with_several_in_one_file_is_the_jpeg_that_it_begins_with() -> None:
    buffer = io.BytesIO()
    image = Image.new("RGB", (8, 8), (200, 0, 0))
    image.save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert recognise(buffer.getvalue()) == "JPEG"
    assert open_undecoded(buffer.getvalue(), kind="JPEG").size == (8, 8)


def test_no_two_formats_share_an_extension() -> None:
    extensions = [name for names in EXTENSIONS.values() for name in names]
    assert len(extensions) == len(set(extensions))
    assert all(name.startswith(".") and name == name.lower() for name in extensions)


@pytest.mark.parametrize(
    "text", [b"Pictures of my dog", b"P5", b"P9 1 1", b"GIF88a", b"RIFF1234WAVE"]
)
def test_text_that_begins_almost_like_an_image_is_none(text: bytes) -> None:
    with pytest.raises(UnreadableImage, match="not an image"):
        recognise(text)
