import hashlib
import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from fieldmark.audit.duplicates import Duplicates, NearPair, find_duplicates
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.cues import inspect


def picture(seed: int) -> Image.Image:
    """Return coloured clouds of 180x120 pixels."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (120, 180, 3), dtype=np.uint8))
    return ImageOps.autocontrast(noise.filter(ImageFilter.GaussianBlur(8)), cutoff=1)


def content(image: Image.Image, *, quality: int = 90, orientation: int | None = None) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def row(path: str, data: bytes, *, status: str = "used") -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=180,
        height=120,
        num_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        status=status,  # type: ignore[arg-type]
        reason="" if status == "used" else "truncated",
    )


def find(files: dict[str, bytes], *, excluded: tuple[str, ...] = ()) -> Duplicates:
    rows = [
        row(path, data, status="excluded" if path in excluded else "used")
        for path, data in files.items()
    ]
    measured = {path: inspect(data).cues for path, data in files.items() if path not in excluded}
    cues = {path: cue for path, cue in measured.items() if cue is not None}
    return find_duplicates(Catalog(root=Path("photos"), rows=tuple(rows)), cues)


def test_copies_and_near_duplicates_are_told_apart_and_grouped_together() -> None:
    original = content(picture(0))
    again = content(picture(0), quality=40)
    found = find(
        {
            "cat/1.jpg": original,
            "cat/2.jpg": content(picture(1)),
            "cat/3.jpg": again,
            "dog/1.jpg": original,
            "dog/2.jpg": content(picture(2)),
            "dog/3.jpg": again,
        }
    )
    assert found.exact == (("cat/1.jpg", "dog/1.jpg"), ("cat/3.jpg", "dog/3.jpg"))
    assert [(pair.first, pair.second, pair.turn) for pair in found.near] == [
        ("cat/1.jpg", "cat/3.jpg", "")
    ]
    assert found.near[0].similarity > 0.97
    assert found.groups == (("cat/1.jpg", "cat/3.jpg", "dog/1.jpg", "dog/3.jpg"),)


def test_near_duplicates_over_a_third_photo_form_one_group() -> None:
    half = picture(0).crop((9, 0, 180, 120))
    found = find(
        {
            "cat/a.jpg": content(half.crop((0, 6, 171, 120))),
            "cat/b.jpg": content(half),
            "cat/c.jpg": content(picture(0)),
        }
    )
    assert found.groups == (("cat/a.jpg", "cat/b.jpg", "cat/c.jpg"),)
    assert found.exact == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotation_noted_in_the_metadata_matches_the_one_applied(orientation: int) -> None:
    stored = picture(3)
    noted = content(stored, orientation=orientation)
    applied = content(ImageOps.exif_transpose(Image.open(io.BytesIO(noted))))
    found = find({"cat/noted.jpg": noted, "cat/applied.jpg": applied})
    assert [(pair.first, pair.second) for pair in found.near] == [
        ("cat/applied.jpg", "cat/noted.jpg")
    ]
    assert (found.near[0].turn == "") == (orientation == 1)


def test_a_mirrored_photo_is_named_so() -> None:
    found = find({"a/1.jpg": content(picture(4)), "b/1.jpg": content(ImageOps.mirror(picture(4)))})
    assert found.near == (
        NearPair(
            first="a/1.jpg",
            second="b/1.jpg",
            similarity=found.near[0].similarity,
            turn="mirrored",
        ),
    )


def test_the_order_of_the_rows_does_not_matter() -> None:
    files = {f"cat/{n}.jpg": content(picture(n)) for n in range(5)}
    files |= {f"dog/{n}.jpg": content(picture(n), quality=50) for n in range(3)}
    files |= {"dog/copy.jpg": files["cat/4.jpg"]}
    shuffled = list(files.items())
    random.Random(0).shuffle(shuffled)
    assert find(files) == find(dict(shuffled))
    assert len(find(files).groups) == 4


def test_files_that_take_no_part_are_passed_over() -> None:
    same = content(picture(0))
    files = {"cat/1.jpg": same, "cat/2.jpg": same}
    assert find(files, excluded=("cat/2.jpg",)) == Duplicates(exact=(), near=(), groups=())


def test_an_empty_folder_has_no_duplicates() -> None:
    assert find({}) == Duplicates(exact=(), near=(), groups=())


def test_a_photo_without_cues_is_a_defect() -> None:
    with pytest.raises(KeyError, match=r"cat/1\.jpg"):
        find_duplicates(Catalog(root=Path("photos"), rows=(row("cat/1.jpg", b"a"),)), {})


def test_photos_of_one_colour_with_strong_noise_are_all_different() -> None:
    rng = np.random.default_rng(0)
    files = {}
    for number in range(36):
        colour = [(190, 30, 50), (40, 150, 60), (70, 120, 210)][number % 3]
        pixels = (np.array(colour) + rng.normal(0, 25, (30, 40, 3))).clip(0, 255)
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        files[f"{number % 3}/{number}.png"] = buffer.getvalue()
    assert find(files) == Duplicates(exact=(), near=(), groups=())
