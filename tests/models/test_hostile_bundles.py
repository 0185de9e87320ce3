"""Bundles from elsewhere that mean harm are refused, each within a second, and nothing is run."""

import hashlib
import io
import json
import os
import pickle
import stat
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from fieldmark.base.errors import BundleError
from fieldmark.models.bundle import load_bundle, save_bundle, zip_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.run import load as load_run

LIMIT_S = 1.0
Harm = Callable[[Path], Path]


class _Program:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.fixture
def bundle(tmp_path: Path, make_classifier: Callable[..., Classifier]) -> Path:
    folder = tmp_path / "model"
    save_bundle(make_classifier(), folder, data_digest="d" * 64)
    return folder


def resigned(folder: Path, changes: dict[str, bytes]) -> Path:
    """Replace files of a bundle, and their sums with them."""
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    for name, content in changes.items():
        (folder / name).write_bytes(content)
        manifest["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def described(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((folder / "model.json").read_text("utf-8"))
    change(content)
    return resigned(folder, {"model.json": json.dumps(content).encode()})


def zipped(folder: Path) -> Path:
    file = folder.parent / "evil.fieldmark"
    zip_bundle(folder, file)
    return file


def with_part(folder: Path, part: zipfile.ZipInfo | str, content: bytes, **how: Any) -> Path:
    file = zipped(folder)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(part, content, **how)
    return file


def a_pickle(folder: Path) -> Path:
    file = folder.parent / "evil.fieldmark"
    file.write_bytes(pickle.dumps(_Program(folder.parent / "ran")))
    return file


def a_checkpoint(folder: Path) -> Path:
    file = folder.parent / "evil.pt"
    torch.save({"a": _Program(folder.parent / "ran")}, file)
    return file


def a_checkpoint_by_another_name(folder: Path) -> Path:
    return a_checkpoint(folder).rename(folder.parent / "evil.fieldmark")


def a_pickle_for_weights(folder: Path) -> Path:
    return resigned(folder, {"model.safetensors": pickle.dumps(_Program(folder.parent / "ran"))})


def a_path_upwards(folder: Path) -> Path:
    return with_part(folder, "../ran", b"x")


def a_path_upwards_by_windows(folder: Path) -> Path:
    return with_part(folder, "..\\ran", b"x")


def an_absolute_path(folder: Path) -> Path:
    return with_part(folder, str(folder.parent / "ran"), b"x")


def a_hidden_path(folder: Path) -> Path:
    file = zipped(folder)
    content = file.read_bytes()
    return _written(file, content.replace(b"MODEL_CARD.md", b"../ran\x00ARD.md"))


def a_link(folder: Path) -> Path:
    part = zipfile.ZipInfo("metrics.json")
    part.external_attr = (stat.S_IFLNK | 0o777) << 16
    return with_part(folder, part, b"/etc/passwd")


def a_part_twice(folder: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return with_part(folder, "model.json", b"{}")


def a_bomb(folder: Path) -> Path:
    zeros = bytes(200 << 20)
    return with_part(folder, "metrics.json", zeros, compress_type=zipfile.ZIP_DEFLATED)


def a_directory_without_end(folder: Path) -> Path:
    file = folder.parent / "evil.fieldmark"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(5_000):
            archive.writestr(f"{number}", b"")
    return file


def a_flipped_byte(folder: Path) -> Path:
    file = zipped(folder)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    return _written(file, bytes(content))


def a_truncated_file(folder: Path) -> Path:
    file = zipped(folder)
    return _written(file, file.read_bytes()[:-100])


def a_huge_header(folder: Path) -> Path:
    weights = (folder / "model.safetensors").read_bytes()
    return resigned(folder, {"model.safetensors": struct.pack("<Q", 1 << 60) + weights[8:]})


def a_deep_description(folder: Path) -> Path:
    return resigned(folder, {"model.json": b"[" * 1_000_000})


def a_network_without_end(folder: Path) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["architecture"]["backbone_args"] = {"layers": [10_000_000] * 4}

    return described(folder, change)


def a_network_that_is_too_wide(folder: Path) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["architecture"]["backbone_args"]["channels"] = [8, 8, 16, 4_000]

    return described(folder, change)


def buffers_without_end(folder: Path) -> Path:
    """Attention in windows of 128 x 128 places: a table of 2 GB a block, which no file holds."""

    def change(content: dict[str, Any]) -> None:
        content["architecture"]["backbone"] = "swin_tiny_patch4_window7_224"
        content["architecture"]["backbone_args"] = {
            "img_size": 512,
            "window_size": 128,
            "embed_dim": 8,
        }

    return described(folder, change)


def a_head_without_end(folder: Path) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["architecture"]["head"]["num_features"] = 1 << 40

    return described(folder, change)


def other_weights(folder: Path) -> Path:
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["head.bias"] = tensors["head.bias"][::-1].copy()
    return resigned(folder, {"model.safetensors": save(tensors)})


def weights_that_are_no_numbers(folder: Path) -> Path:
    tensors = load((folder / "model.safetensors").read_bytes())
    tensors["head.bias"] = np.full_like(tensors["head.bias"], np.nan)
    return resigned(folder, {"model.safetensors": save(tensors)})


def golden_photos_of_another_size(folder: Path) -> Path:
    tensors = load((folder / "golden.safetensors").read_bytes())
    tensors["pixels"] = tensors["pixels"][:, :-1]
    return resigned(folder, {"golden.safetensors": save(tensors)})


def a_pipe(folder: Path) -> Path:
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    return folder


def an_endless_file(folder: Path) -> Path:
    (folder / "MANIFEST.json").unlink()
    (folder / "MANIFEST.json").symlink_to("/dev/zero")
    return folder


def a_manifest_of_other_files(folder: Path) -> Path:
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    manifest["sha256"]["../../etc/passwd"] = "0" * 64
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def a_manifest_without_the_golden_photos(folder: Path) -> Path:
    manifest = json.loads((folder / "MANIFEST.json").read_text("utf-8"))
    del manifest["sha256"]["golden.safetensors"]
    (folder / "MANIFEST.json").write_text(json.dumps(manifest), "utf-8")
    return folder


def a_card_from_elsewhere(folder: Path) -> Path:
    (folder / "MODEL_CARD.md").unlink()
    (folder / "MODEL_CARD.md").symlink_to("/etc/passwd")
    return folder


def a_pipe_for_an_archive(folder: Path) -> Path:
    os.mkfifo(folder.parent / "evil.fieldmark")
    return folder.parent / "evil.fieldmark"


def a_directory_larger_than_its_end_says(folder: Path) -> Path:
    """The record for large archives, which is believed more than the end, tells the truth."""
    file = folder.parent / "evil.fieldmark"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(70_000):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    content = bytearray(file.read_bytes())
    struct.pack_into("<HHII", content, len(content) - 14, 1, 1, 46, 0)
    return _written(file, bytes(content))


def with_shape(folder: Path, shape: str) -> Path:
    header = f'{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": [0, 4]}}}}'.encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(4)
    return resigned(folder, {"model.safetensors": weights})


def a_shape_that_is_no_number(folder: Path) -> Path:
    return with_shape(folder, "[NaN]")


def a_shape_beyond_all_numbers(folder: Path) -> Path:
    return with_shape(folder, str([10**3999] * 600))


def a_manifest_of_no_version(folder: Path) -> Path:
    (folder / "MANIFEST.json").write_text('{"schema_version": 0, "sha256": {}}', "utf-8")
    return folder


def a_temperature_beyond_all_numbers(folder: Path) -> Path:
    return described(folder, lambda content: content.update(temperature=10**400))


def features_without_end(folder: Path) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["architecture"]["head"]["num_features"] = float("inf")

    return described(folder, change)


def no_classes(folder: Path) -> Path:
    return described(folder, lambda content: content.update(classes=[]))


def a_class_twice(folder: Path) -> Path:
    def change(content: dict[str, Any]) -> None:
        content["classes"] = content["classes"][:1] * len(content["classes"])

    return described(folder, change)


HARMS: dict[Harm, str] = {
    a_pickle: "can run any program when it is loaded; it was not opened",
    a_checkpoint: "can run any program when it is loaded; it was not opened",
    a_checkpoint_by_another_name: "a bundle only",
    a_pickle_for_weights: "no safetensors file",
    a_path_upwards: "holds '../ran'",
    a_path_upwards_by_windows: "ran'",
    an_absolute_path: "a bundle only",
    a_hidden_path: "a bundle only",
    a_link: "is a link",
    a_part_twice: "more than once",
    a_bomb: "compressed",
    a_directory_without_end: "5,000 parts",
    a_flipped_byte: "damaged",
    a_truncated_file: "the end of it is missing",
    a_huge_header: "header claims",
    a_deep_description: "cannot be read",
    a_network_without_end: "larger than its weights",
    a_network_that_is_too_wide: "larger than its weights",
    buffers_without_end: "larger than its weights",
    a_head_without_end: "malformed",
    other_weights: "stray by",
    weights_that_are_no_numbers: "stray by nan",
    golden_photos_of_another_size: "does not fit the model",
    a_pipe: "model.json is missing",
    an_endless_file: "is a link",
    a_card_from_elsewhere: "is a link",
    a_pipe_for_an_archive: "no plain file",
    a_directory_larger_than_its_end_says: "70,000 parts",
    a_shape_that_is_no_number: "no safetensors file",
    a_shape_beyond_all_numbers: "no safetensors file",
    a_manifest_of_no_version: "no schema_version",
    a_temperature_beyond_all_numbers: "malformed",
    features_without_end: "malformed",
    no_classes: "malformed",
    a_class_twice: "malformed",
    a_manifest_of_other_files: "must list the sums",
    a_manifest_without_the_golden_photos: "must list the sums",
}


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_bundle_that_means_harm_is_refused_at_once(
    harm: Harm, bundle: Path, make_classifier: Callable[..., Classifier]
) -> None:
    (bundle / "MODEL_CARD.md").write_text("A card.")
    load_bundle(bundle)  # before, it is as it should be
    place = harm(bundle)
    before_s = time.process_time()
    with pytest.raises(BundleError) as caught:
        load_bundle(load_run(place).bundle if place.is_file() else place)
    assert time.process_time() - before_s < LIMIT_S
    assert HARMS[harm] in str(caught.value)
    assert not (bundle.parent / "ran").exists()


@pytest.mark.parametrize(
    "suffix", [".pt", ".pth", ".pkl", ".keras", ".h5", ".joblib", ".npz", ".CKPT"]
)
def test_files_that_are_programs_are_refused_by_their_names(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"whatever")
    for opened in (load_bundle, load_run):
        with pytest.raises(BundleError, match="was not opened"):
            opened(file)


def test_an_archive_that_is_packed_or_encrypted_is_refused(bundle: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in bundle.iterdir():
            archive.write(file, file.name)
    packed = _written(tmp_path / "packed.fieldmark", buffer.getvalue())
    with pytest.raises(BundleError, match="encrypted or compressed"):
        load_bundle(packed)


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file
