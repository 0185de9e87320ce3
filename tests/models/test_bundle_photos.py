"""Training photos travel with a bundle as packed, and files that mean harm are refused at once."""

import io
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

from fieldmark.base.errors import BundleError
from fieldmark.models.bundle import load_bundle, save_bundle, zip_bundle
from fieldmark.models.bundle_files import FILES, PHOTOS
from fieldmark.models.bundle_photos import (
    MAX_BYTES,
    MAX_NUMBERS,
    MAX_PHOTOS,
    SIDE_PX,
    PackedPhotos,
    add_photos,
    load_photos,
    most_photos,
    photos_from_bytes,
    photos_to_bytes,
    thumbnail,
)
from fieldmark.models.classifier import Classifier
from fieldmark.models.nearness import units

LIMIT_S = 1.0
NUM_FEATURES, NUM_CLASSES = 16, 3
Tensors = dict[str, NDArray[Any]]


def picture(seed: int, *, width: int = 60, height: int = 40) -> Image.Image:
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def packed(num_photos: int = 5) -> PackedPhotos:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(num_photos, NUM_FEATURES)).astype(np.float32)
    return PackedPhotos(
        units_PF=units(features),
        classes_P=np.arange(num_photos, dtype=np.int64) % NUM_CLASSES,
        thumbnails=tuple(thumbnail(picture(seed)) for seed in range(num_photos)),
    )


def unpacked(content: bytes) -> PackedPhotos:
    return photos_from_bytes(
        content, num_features=NUM_FEATURES, num_classes=NUM_CLASSES, where="a file"
    )


def test_photos_come_back_as_they_were_packed() -> None:
    given = packed()
    found = unpacked(photos_to_bytes(given))
    assert found.thumbnails == given.thumbnails
    np.testing.assert_array_equal(found.classes_P, given.classes_P)
    np.testing.assert_allclose(found.units_PF, given.units_PF, atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(found.units_PF, axis=1), 1, rtol=1e-6)
    for place, unit_F in enumerate(given.units_PF):
        ((nearest, cosine),) = found.nearest(unit_F, most=1)
        assert nearest == place
        assert cosine == pytest.approx(1, abs=1e-4)


def test_a_thumbnail_is_small_and_holds_nothing_but_pixels() -> None:
    exif = Image.Exif()
    exif[274], exif[306], exif[315] = 6, "2026:01:01 00:00:00", "whoever took it"
    buffer = io.BytesIO()
    picture(0, width=400, height=200).save(
        buffer, format="JPEG", exif=exif, comment=b"at home", icc_profile=b"profile"
    )
    with Image.open(io.BytesIO(buffer.getvalue())) as photo:
        small = thumbnail(photo)
    with Image.open(io.BytesIO(small)) as found:
        assert (found.format, found.size) == ("JPEG", (SIDE_PX, SIDE_PX // 2))
        assert not found.getexif()
        assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    for trace in (b"Exif", b"whoever", b"at home", b"profile"):
        assert trace not in small
    assert len(thumbnail(picture(1, width=SIDE_PX, height=SIDE_PX))) < MAX_BYTES


def test_pictures_without_colours_or_with_alpha_become_thumbnails_too() -> None:
    for mode in ("L", "RGBA", "P", "1"):
        assert thumbnail(picture(0).convert(mode))[:2] == b"\xff\xd8"


def test_wide_features_leave_room_for_fewer_photos() -> None:
    assert most_photos(1_280) == MAX_PHOTOS
    assert most_photos(100_352) == 318
    assert most_photos(10**9) == 1


def bundle_of(classifier: Classifier, folder: Path) -> Path:
    save_bundle(classifier, folder, data_digest="d" * 64)
    return folder


def test_photos_are_listed_in_the_manifest_and_travel_in_one_file(
    tmp_path: Path, make_classifier: Callable[..., Classifier]
) -> None:
    classifier = make_classifier()
    folder = bundle_of(classifier, tmp_path / "model")
    assert load_photos(folder, classifier) is None
    digest = add_photos(folder, packed())
    listed = json.loads((folder / "MANIFEST.json").read_text("utf-8"))["sha256"]
    assert listed["training_photos.safetensors"] == digest
    zip_bundle(folder, tmp_path / "one.fieldmark")
    for place in (folder, tmp_path / "one.fieldmark"):
        found = load_photos(place, load_bundle(place))
        assert found is not None
        assert found.thumbnails == packed().thumbnails


def test_photos_that_are_not_listed_do_not_travel(
    tmp_path: Path, make_classifier: Callable[..., Classifier]
) -> None:
    folder = bundle_of(make_classifier(), tmp_path / "model")
    (folder / "training_photos.safetensors").write_bytes(photos_to_bytes(packed()))
    zip_bundle(folder, tmp_path / "one.fieldmark")
    assert b"training_photos" not in (tmp_path / "one.fieldmark").read_bytes()
    assert load_photos(folder, load_bundle(folder)) is None


def test_a_bundle_of_before_there_were_any_takes_none(
    tmp_path: Path, make_classifier: Callable[..., Classifier]
) -> None:
    folder = bundle_of(make_classifier(), tmp_path / "model")
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    (folder / "MANIFEST.json").write_text(json.dumps({**manifest, "schema_version": 3}))
    with pytest.raises(BundleError, match="older Fieldmark"):
        add_photos(folder, packed())


def test_photos_that_were_altered_are_refused_by_name(
    tmp_path: Path, make_classifier: Callable[..., Classifier]
) -> None:
    folder = bundle_of(make_classifier(), tmp_path / "model")
    add_photos(folder, packed())
    path = folder / "training_photos.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"training_photos\.safetensors is not the file"):
        load_bundle(folder)


# Files that mean harm


def tensors_of(num_photos: int = 5) -> Tensors:
    given = packed(num_photos)
    ends = np.cumsum([len(one) for one in given.thumbnails])
    return {
        "features": given.units_PF.astype(np.float16),
        "classes": given.classes_P,
        "offsets": np.array([0, *ends], dtype=np.int64),
        "thumbnails": np.frombuffer(b"".join(given.thumbnails), np.uint8),
    }


def with_thumbnail(content: bytes) -> bytes:
    return save(
        tensors_of(1)
        | {
            "offsets": np.array([0, len(content)], dtype=np.int64),
            "thumbnails": np.frombuffer(content, np.uint8),
        }
    )


def changed(**tensors: NDArray[Any]) -> bytes:
    return save(tensors_of() | tensors)


def offsets(*numbers: int) -> bytes:
    return changed(offsets=np.array(numbers, dtype=np.int64))


def without(name: str) -> bytes:
    tensors = tensors_of()
    del tensors[name]
    return save(tensors)


def with_value(value: float) -> bytes:
    features = tensors_of()["features"].copy()
    features[2, 3] = value
    return changed(features=features)


def jpeg(image: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", **how)
    return buffer.getvalue()


def claiming(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size than it has."""
    content = jpeg(picture(0))
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def many(num_photos: int) -> bytes:
    one = thumbnail(Image.linear_gradient("L").resize((SIDE_PX, SIDE_PX)))
    return save(
        {
            "features": np.ones((num_photos, NUM_FEATURES), np.float16),
            "classes": np.zeros(num_photos, np.int64),
            "offsets": np.arange(num_photos + 1, dtype=np.int64) * len(one),
            "thumbnails": np.frombuffer(one * num_photos, np.uint8),
        }
    )


def bfloat16() -> bytes:
    header = b'{"features": {"dtype": "BF16", "shape": [1, 16], "data_offsets": [0, 32]}}'
    return struct.pack("<Q", len(header)) + header + bytes(32)


HARMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no tensors": (lambda: b"nonsense", "no safetensors file"),
    "a header without end": (lambda: struct.pack("<Q", 1 << 62) + b"{}", "no safetensors file"),
    "numbers of another kind": (bfloat16, "malformed"),
    "no features": (lambda: without("features"), "it must hold features"),
    "no thumbnails": (lambda: without("thumbnails"), "it must hold features"),
    "something else beside": (lambda: changed(more=np.zeros(3)), "it must hold features"),
    "features of another type": (
        lambda: changed(features=np.ones((5, NUM_FEATURES), np.float64)),
        "features is float64",
    ),
    "features in a row": (
        lambda: changed(features=np.ones(5 * NUM_FEATURES, np.float16)),
        "features is float16",
    ),
    "features of another network": (
        lambda: changed(features=np.ones((5, 99), np.float16)),
        "99 features a photo, the classifier 16",
    ),
    "a feature that is no number": (lambda: with_value(np.nan), "not finite"),
    "a feature beyond all numbers": (lambda: with_value(np.inf), "not finite"),
    "no photos": (
        lambda: changed(features=np.ones((0, NUM_FEATURES), np.float16)),
        "0 photos, where 1 to 4,000",
    ),
    "too many photos": (lambda: many(MAX_PHOTOS + 1), "4,001 photos, where 1 to 4,000"),
    "fewer classes than photos": (
        lambda: changed(classes=np.zeros(4, np.int64)),
        "5 photos and 4 classes",
    ),
    "a class that there is not": (
        lambda: changed(classes=np.array([0, 1, 2, NUM_CLASSES, 0])),
        "class that the classifier does not have",
    ),
    "a class below nothing": (
        lambda: changed(classes=np.array([0, 1, 2, -1, 0])),
        "class that the classifier does not have",
    ),
    "offsets that end before": (lambda: offsets(0, 1, 2, 3, 4, 5), "its offsets"),
    "offsets beyond the end": (lambda: offsets(0, 1, 2, 3, 4, 1 << 60), "its offsets"),
    "too few offsets": (lambda: offsets(0), "its offsets"),
    "no offsets": (offsets, "its offsets"),
    "offsets that run backwards": (
        lambda: changed(offsets=tensors_of()["offsets"][[0, 2, 1, 3, 4, 5]]),
        "no bytes, or more than",
    ),
    "a thumbnail without bytes": (
        lambda: changed(offsets=tensors_of()["offsets"][[0, 1, 1, 3, 4, 5]]),
        "no bytes, or more than",
    ),
    "a thumbnail that is too large": (
        lambda: with_thumbnail(jpeg(picture(0, width=400, height=400), quality=95)),
        "no bytes, or more than",
    ),
    "a thumbnail that is text": (lambda: with_thumbnail(b"<script>alert(1)</script>"), "JPEG"),
    "a thumbnail that is a PNG": (
        lambda: with_thumbnail(b"\x89PNG\r\n\x1a\n" + b"\xff\xda" + bytes(99)),
        "no JPEG",
    ),
    "a thumbnail that breaks off": (lambda: with_thumbnail(jpeg(picture(0))[:-500]), "no JPEG"),
    "a thumbnail with too many pixels": (
        lambda: with_thumbnail(jpeg(Image.new("RGB", (SIDE_PX + 1, 4)))),
        "97 x 4 pixels",
    ),
    "a thumbnail that claims to be huge": (
        lambda: with_thumbnail(claiming(65_500, 65_500)),
        "JPEG",
    ),
    "a thumbnail of many scans": (
        lambda: with_thumbnail(jpeg(picture(0), progressive=True)),
        "one scan",
    ),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_file_that_means_harm_is_refused_at_once(name: str) -> None:
    make, told = HARMS[name]
    content = make()
    unpacked(photos_to_bytes(packed()))  # imports what takes long
    before_s = time.process_time()
    with pytest.raises(BundleError) as caught:
        unpacked(content)
    assert time.process_time() - before_s < LIMIT_S
    assert told in str(caught.value)
    assert str(caught.value).startswith("a file is malformed")


def test_as_many_photos_as_are_allowed_are_read_within_a_second() -> None:
    content = many(MAX_PHOTOS)
    before_s = time.process_time()
    assert len(unpacked(content).thumbnails) == MAX_PHOTOS
    assert time.process_time() - before_s < LIMIT_S


def test_a_file_is_no_larger_than_its_photos_may_be() -> None:
    largest = 2 * MAX_NUMBERS + MAX_PHOTOS * (MAX_BYTES + 16)
    (limit,) = [file.max_bytes for file in FILES if file.name == PHOTOS]
    assert largest <= limit
