"""Photos of every odd kind: modes, formats, orientations and sizes, some of them cut off."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NUM_PHOTOS = 200
SIZES = (
    (1, 1),
    (1, 300),
    (300, 1),
    (7, 5),
    (32, 32),
    (33, 31),
    (64, 20),
    (67, 97),
    (90, 160),
    (131, 150),
    (640, 427),
)
"""In pixels. As many as have no divisor in common with `KINDS`, so that each kind has each size; a
network of 32 pixels wants JPEGs of the last four at a half, a quarter and an eighth."""
KINDS = (
    ("RGB", "JPEG"),
    ("L", "JPEG"),
    ("CMYK", "JPEG"),
    ("YCbCr", "JPEG"),
    ("RGB", "PNG"),
    ("RGBA", "PNG"),
    ("L", "PNG"),
    ("LA", "PNG"),
    ("P", "PNG"),
    ("1", "PNG"),
    ("I;16", "PNG"),
    ("P", "GIF"),
    ("RGB", "BMP"),
    ("RGB", "TIFF"),
    ("CMYK", "TIFF"),
    ("RGBA", "WEBP"),
    ("RGB", "WEBP"),
    ("RGB", "PPM"),
)
ORIENTATION_TAG = 274
CUT_EVERY = 20


def write_odd_photos(folder: Path) -> list[Path]:
    """Write `NUM_PHOTOS` into a folder, and return them in their order."""
    generator = np.random.default_rng(5)
    files = []
    for number in range(NUM_PHOTOS):
        files.append(folder / f"{number:03d}.{KINDS[number % len(KINDS)][1].lower()}")
        files[-1].write_bytes(_encoded(number, generator))
    return files


def _encoded(number: int, generator: np.random.Generator) -> bytes:
    """Return an odd photo as the bytes of a file; every twentieth is cut off in the middle."""
    mode, kind = KINDS[number % len(KINDS)]
    width, height = SIZES[number % len(SIZES)]
    base_3 = generator.integers(0, 256, 3)
    noise_HW3 = generator.normal(0, 30, (height, width, 3))
    image = Image.fromarray(np.clip(base_3 + noise_HW3, 0, 255).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    wishes: dict[str, Any] = {}
    if kind == "JPEG":
        wishes["progressive"] = number % 5 == 0
    if (mode, kind) == ("RGB", "JPEG"):
        wishes["subsampling"] = number % 3
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and mode not in ("I;16", "1"):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = 1 + number % 8
        wishes["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **wishes)
    content = buffer.getvalue()
    return content[: len(content) // 2] if number % CUT_EVERY == CUT_EVERY - 1 else content
