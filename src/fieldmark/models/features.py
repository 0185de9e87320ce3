"""Features of photos, computed once and kept in the user's cache.

In: a `Predictor`, pixels and each photo's SHA-256. Out: `CachedFeatures`.
They are kept by what they derive from (the weights, the preprocessing, the arithmetic), photo by
photo, so that a changed recipe or a grown folder computes only what is new.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.cache import cache_folder, digest_of
from fieldmark.base.files import write_bytes
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor

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
    return digest_of(depends_on)


class FeatureCache:
    """The features kept under one key, read once."""

    def __init__(self, key: str) -> None:
        """Read what is kept under `key` (see `features_key`); a damaged file counts as empty."""
        self._path = cache_folder() / "features" / f"{key}.safetensors"
        self._known = _read(self._path)

    def __contains__(self, sha256: object) -> bool:
        return sha256 in self._known

    @property
    def known(self) -> frozenset[str]:
        """The SHA-256 of the photos whose features are kept."""
        return frozenset(self._known)

    def features(
        self,
        predictor: Predictor,
        pixels_MHWC: NDArray[np.uint8],
        *,
        sha256s: Sequence[str],
        rows_N: NDArray[np.int64] | None = None,
        on_batch: Callable[[int], None],
    ) -> CachedFeatures:
        """Return the features of photos, computing those that are not known yet.

        Args:
            predictor: computes them.
            pixels_MHWC: uint8.
            sha256s: the digests of the files of the photos wanted.
            rows_N: where their pixels are; None: in the order of `sha256s`. Not looked at for
                photos whose features are known.
            on_batch: told how many photos are done.

        A cache that cannot be written is done without.
        """
        new = np.array([i for i, sha256 in enumerate(sha256s) if sha256 not in self], np.int64)
        num_reused = len(sha256s) - len(new)
        on_batch(num_reused)
        if len(new):
            rows = new if rows_N is None else rows_N[new]
            computed = predictor.features(pixels_MHWC, rows_N=rows, on_batch=on_batch)
            self._known |= {sha256s[i]: row for i, row in zip(new, computed, strict=True)}
            _write(self._path, self._known)
        if not sha256s:
            return CachedFeatures(features_NF=predictor.features(pixels_MHWC[:0]), num_reused=0)
        features_NF = np.stack([self._known[sha256] for sha256 in sha256s])
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
