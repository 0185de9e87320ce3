"""Real images that need no network: scikit-learn's handwritten digits as PNG files.

In: a folder. Out: the 1,797 images of 8x8 grey pixels in one subfolder per digit, ready for use
as a folder of photos. The images are those of the UCI "Optical Recognition of Handwritten Digits"
test set (Alpaydin and Kaynak, 1998), which scikit-learn bundles.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fieldmark.base.errors import DataError

DARKEST = 16
"""scikit-learn's digits count, in each 4x4 block of a bitmap, the 0 to 16 pixels that are set."""

SIZE_PX = 8


def write_digits(folder: Path) -> Path:
    """Write the handwritten digits as `folder/<digit>/digit_<index>.png` and return `folder`.

    What is there already is kept, so a second call writes nothing and one after an interruption
    writes the rest. Hidden files (`.DS_Store`) are passed over.

    Args:
        folder: A folder that is missing, empty, or holds digits written before.

    Raises:
        DataError: `folder` is a file, holds something else, or cannot be written to.
    """
    images = _digits_by_path()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"'{folder}' is a file; give a folder for the digits.")
    try:
        present = _present(folder, images)
        for path in images.keys() - present:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[path]).save(folder / path)
    except OSError as error:
        raise DataError(
            f"The digits cannot be written to '{folder}': {error.strerror or error}. "
            "Give a folder that you may write to, on a disk with 8 MB to spare."
        ) from error
    return folder


def _digits_by_path() -> dict[Path, NDArray[np.uint8]]:
    """Return every image (8x8, uint8, 0 to 255) by its path within the folder."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels_NHW = np.rint(digits.images * (255 / DARKEST)).astype(np.uint8)
    return {
        Path(str(label), f"digit_{index:04d}.png"): pixels_HW
        for index, (label, pixels_HW) in enumerate(zip(digits.target, pixels_NHW, strict=True))
    }


def _present(folder: Path, images: dict[Path, NDArray[np.uint8]]) -> set[Path]:
    """Return which of `images` the folder holds; anything else in it is refused."""
    subfolders = {path.parent for path in images}
    present = set()
    for entry in sorted(folder.rglob("*")):
        path = entry.relative_to(folder)
        if entry.name.startswith(".") or (path in subfolders and entry.is_dir()):
            continue
        if path not in images or not _shows(entry, images[path]):
            raise DataError(
                f"'{folder}' holds something other than the digits: '{path.as_posix()}'. "
                "Delete it, or give a folder that is empty or does not exist yet."
            )
        present.add(path)
    return present


def _shows(file: Path, pixels_HW: NDArray[np.uint8]) -> bool:
    """Return whether `file` is a grey image of exactly these pixels, however it is compressed."""
    try:
        with Image.open(file) as image:
            return (
                image.mode == "L"
                and image.size == (SIZE_PX, SIZE_PX)
                and np.array_equal(np.asarray(image), pixels_HW)
            )
    except (OSError, SyntaxError, ValueError):
        return False
