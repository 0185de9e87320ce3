"""Features of photos, computed once and kept in the user's cache.

In: a `Predictor`, pixels and each photo's SHA-256. Out: features_NF.
They are kept by what they derive from (the weights, the preprocessing, the arithmetic), photo by
photo, so that a changed recipe or a grown folder computes only what is new.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.files import write_bytes
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

CACHE_VARIABLE = "FIELDMARK_CACHE"
"""Environment variable that names another folder for the cache."""
CACHE_VERSION = 1
"""Raised whenever the same inputs would give other features."""
COMPUTED_BY = ("torch", "timm", "pillow")
"""Packages of which another version may give other features of the same photo."""
CHECKSUM = "sha256_of_content"

# Legend for shape suffixes: M photos in store, N photos wanted, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFeatures:
    """features_NF (float32), and how many of them had been kept from before."""

    features_NF: NDArray[np.float32]
    num_reused: int


def cache_folder() -> Path:
    """Return the folder of the cache: FIELDMARK_CACHE, or `fieldmark` in the user's cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fieldmark"


def features_key(classifier: Classifier, *, weights_sha256: str, device: torch.device) -> str:
    """Return 32 hexadecimal digits that name everything that the features depend on."""
    architecture = classifier.architecture
    depends_on = {
        "version": CACHE_VERSION,
        "weights": weights_sha256,
        "backbone": architecture.backbone,
        "backbone_args": dict(architecture.backbone_args),
        "stages": architecture.stages,
        "feature_power": architecture.feature_power,
        "precision": architecture.precision,
        "preprocess": classifier.preprocess.to_json(),
        "versions": {name: version(name) for name in COMPUTED_BY},
        "device": _arithmetic(device),
    }
    text = json.dumps(depends_on, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def cached_features(
    predictor: Predictor,
    pixels_MHWC: NDArray[np.uint8],
    *,
    sha256s: Sequence[str],
    key: str,
    on_batch: Callable[[int], None],
) -> CachedFeatures:
    """Return the features of photos, computing those that are not in the cache.

    `sha256s` are the digests of the photos' files, in the order of `pixels_MHWC`. A cache file
    that cannot be read is computed anew; one that cannot be written is done without.
    """
    path = cache_folder() / "features" / f"{key}.safetensors"
    known = _read(path)
    new = np.array([i for i, digest in enumerate(sha256s) if digest not in known], dtype=np.int64)
    num_reused = len(sha256s) - len(new)
    on_batch(num_reused)
    if len(new):
        computed = predictor.features(pixels_MHWC, rows_N=new, on_batch=on_batch)
        known |= {sha256s[i]: row for i, row in zip(new, computed, strict=True)}
        _write(path, known)
    if not sha256s:
        return CachedFeatures(features_NF=predictor.features(pixels_MHWC), num_reused=0)
    features_NF = np.stack([known[digest] for digest in sha256s])
    return CachedFeatures(features_NF=features_NF, num_reused=num_reused)


def _arithmetic(device: torch.device) -> str:
    """Name what sums differ by in their last digits, for caches that several machines share."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the features kept in a file by digest; none where it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            checksum = (file.metadata() or {}).get(CHECKSUM)
            digests, features_NF = file.get_tensor("sha256"), file.get_tensor("features")
        if checksum != _checksum(digests, features_NF):
            return {}
        return dict(zip((bytes(row).hex() for row in digests), features_NF, strict=True))
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}


def _write(path: Path, known: Mapping[str, NDArray[np.float32]]) -> None:
    from safetensors.numpy import save

    digests = np.array([list(bytes.fromhex(digest)) for digest in known], dtype=np.uint8)
    features_NF: NDArray[np.float32] = np.stack(list(known.values()))
    tensors: dict[str, NDArray[Any]] = {"sha256": digests, "features": features_NF}
    content = save(tensors, metadata={CHECKSUM: _checksum(digests, features_NF)})
    try:
        write_bytes(path, content)
    except OSError:
        return


def _checksum(digests: NDArray[np.uint8], features_NF: NDArray[np.float32]) -> str:
    checksum = hashlib.sha256(digests.tobytes())
    checksum.update(np.ascontiguousarray(features_NF).data)
    return checksum.hexdigest()
