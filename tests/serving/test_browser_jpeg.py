"""A site decodes a JPEG at a part of its size to the bit as Python does."""

import base64
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark.data.images import decode

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.browser import chromium, static_host

SCRIPTS = Path(fieldmark.__file__).parent / "serving/page/browser"
PARTS = (2, 4, 8)
READ = """async ([content, part]) => {
  const { decodeReduced } = await import("./jpeg.js");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const { pixels, width, height } = decodeReduced(bytes, part);
  return [Array.from(pixels), width, height];
}"""
READ_PHOTO = """async ([content, reduceToPx]) => {
  const { readPhoto } = await import("./photo.js");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const photo = await readPhoto(new Blob([bytes]), { reduceToPx, turnUpright: true });
  return [photo.width, photo.height];
}"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A tab that can import the scripts of a site."""
    with chromium() as browser, static_host(SCRIPTS) as address:
        page = browser.new_page()
        page.goto(f"{address}/jpeg.js")
        yield page


def noise(width: int, height: int, *, spread: float = 40, mode: str = "RGB") -> Image.Image:
    """Return noise, the hardest to decode: nothing of it is smooth, and much is at its limits."""
    generator = np.random.default_rng(width * height)
    pixels_HW3 = generator.normal(generator.integers(0, 256, 3), spread, (height, width, 3))
    return Image.fromarray(np.clip(pixels_HW3, 0, 255).astype(np.uint8)).convert(mode)


def jpeg(image: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", **how)
    return buffer.getvalue()


def require_same_pixels(tab: Any, content: bytes) -> None:
    width, height = Image.open(io.BytesIO(content)).size
    for part in PARTS:
        values, *size = tab.evaluate(READ, [base64.b64encode(content).decode(), part])
        expected = decode(content, turn_upright=False, reduce_to_px=min(width, height) // part)
        assert expected.reduced_by == part
        assert [*expected.pixels_HW3.shape[1::-1]] == size
        found_HW3 = np.array(values, dtype=np.uint8).reshape(expected.pixels_HW3.shape)
        np.testing.assert_array_equal(found_HW3, expected.pixels_HW3)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("is_progressive", [False, True])
@pytest.mark.parametrize(
    ("width", "height", "quality"), [(96, 64, 75), (67, 101, 95), (50, 33, 20), (17, 130, 100)]
)
def test_colours_are_the_same_however_they_are_stored(
    tab: Any, width: int, height: int, quality: int, is_progressive: bool, subsampling: str
) -> None:
    how = {"quality": quality, "progressive": is_progressive, "subsampling": subsampling}
    require_same_pixels(tab, jpeg(noise(width, height), **how))


@pytest.mark.parametrize("sampling", ["411", "440"])
def test_rare_sampling_is_stretched_as_libjpeg_does(tab: Any, sampling: str) -> None:
    encoder = pytest.importorskip("simplejpeg")
    pixels_HW3 = np.ascontiguousarray(noise(75, 61))
    require_same_pixels(tab, encoder.encode_jpeg(pixels_HW3, colorsubsampling=sampling))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_inks_are_the_same(tab: Any, mode: str) -> None:
    require_same_pixels(tab, jpeg(noise(70, 45, mode=mode)))


def test_inks_stored_as_luma_and_rgb_stored_as_it_is_are_the_same(tab: Any) -> None:
    require_same_pixels(tab, jpeg(noise(70, 45), keep_rgb=True))
    for transform in (0, 1, 2):
        inks = bytearray(jpeg(noise(70, 45, mode="CMYK")))
        inks[inks.index(b"Adobe") + 11] = transform
        require_same_pixels(tab, bytes(inks))


@pytest.mark.parametrize("is_progressive", [False, True])
def test_restart_markers_begin_anew(tab: Any, is_progressive: bool) -> None:
    how = {"restart_marker_blocks": 3, "progressive": is_progressive}
    require_same_pixels(tab, jpeg(noise(90, 70), **how))


def size_read(tab: Any, content: bytes) -> list[int]:
    size: list[int] = tab.evaluate(READ_PHOTO, [base64.b64encode(content).decode(), 32])
    return size


def test_what_is_damaged_is_left_to_the_browser(tab: Any) -> None:
    content = jpeg(noise(90, 70), restart_marker_blocks=3)
    assert size_read(tab, content) == [45, 35]
    assert size_read(tab, content.replace(b"\xff\xd1", b"\xff\xd3", 1)) == [90, 70]


def test_what_its_maker_did_not_finish_is_left_to_the_browser(tab: Any) -> None:
    content = jpeg(noise(90, 70), progressive=True)
    assert size_read(tab, content) == [45, 35]
    last_scan = content.rindex(b"\xff\xda")
    assert size_read(tab, content[:last_scan] + b"\xff\xd9") == [90, 70]


def test_what_fills_up_between_markers_is_skipped(tab: Any) -> None:
    content = jpeg(noise(90, 70))
    assert size_read(tab, content[:-2] + b"\0\0\xff\xff\xd9") == [45, 35]


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def frame(*samplings: int, marker: int = 0xC0, side: int = 256) -> bytes:
    """Return the header of a square photo, a component for each sampling."""
    parts = b"".join(bytes((number, one, 0)) for number, one in enumerate(samplings))
    size = side.to_bytes(2, "big")
    return segment(marker, bytes((8,)) + size + size + bytes((len(samplings),)) + parts)


def scan(*numbers: int, tail: bytes = b"\x00\x3f\x00") -> bytes:
    parts = b"".join(bytes((number, 0)) for number in numbers)
    return segment(0xDA, bytes((len(numbers),)) + parts + tail)


WHOLE = segment(0xDB, bytes(65)) + segment(0xC4, bytes((0, 1, *[0] * 15, 0)))
HOSTILE = {
    "sampling of 0": frame(0, 0, 0) + scan(0, 1, 2),
    "sampling of 5": frame(0x51, 0x11, 0x11) + scan(0, 1, 2),
    "255 components": frame(*[0x11] * 255, marker=0xC2) + scan(0),
    "two of one name": segment(0xC0, bytes((8, 1, 0, 1, 0, 3, *(1, 0x11, 0) * 3))) + scan(1),
    "a frame that breaks off": segment(0xC0, bytes((8, 1, 0, 1, 0, 3, 1, 0x11, 0))) + scan(1),
    "coefficients without end": frame(*[0x11] * 3, marker=0xC2, side=13_000) + scan(0),
    "a scan of nothing": frame(0x11) + scan() * 50,
    "a scan of what is not there": frame(0x11) + scan(7),
    "a component twice": frame(0x11, 0x11, 0x11) + scan(0, 0),
    "a band from 0 on": frame(0x11, marker=0xC2) + scan(0),
    "bits beyond": frame(0x11, marker=0xC2) + scan(0, tail=b"\x00\x00\x0e"),
    "quantisers that break off": segment(0xDB, bytes(5)) + frame(0x11) + scan(0),
    "codes that break off": segment(0xC4, bytes((0, 9, *[0] * 15, 0))) + frame(0x11) + scan(0),
    "too many codes": segment(0xC4, bytes((16, 3, *[0] * 15, 1, 2, 3))) + frame(0x11) + scan(0),
    "a first of 200 bits": segment(0xC4, bytes((0, 1, *[0] * 15, 200))) + frame(0x11) + scan(0),
    "scans without end": WHOLE + frame(0x11, marker=0xC2) + scan(0, tail=b"\0\0\x21") * 500,
}
REFUSE = """async (content) => {
  const { decodeReduced } = await import("./jpeg.js");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const began = performance.now();
  try {
    decodeReduced(bytes, 2);
  } catch (error) {
    return [String(error), performance.now() - began];
  }
  return null;
}"""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_they_take_time_or_memory(tab: Any, name: str) -> None:
    content = b"\xff\xd8" + HOSTILE[name] + b"\xff\xd9"
    told, milliseconds = tab.evaluate(REFUSE, base64.b64encode(content).decode())
    assert told.startswith("Error: "), told
    assert milliseconds < 1000
