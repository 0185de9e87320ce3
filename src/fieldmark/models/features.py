"""Features of photos, computed once and kept in the user's cache.

In: a `Predictor`, pixels and each photo's SHA-256. Out: `CachedFeatures`.
They are kept by what they derive from (the weights, the preprocessing, the arithmetic), photo by
photo, so that a changed recipe or a grown folder computes only what is new; and while they are
computed, so that what was stopped goes on where it was.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
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

CACHE_VERSION = 3
"""Raised whenever the same inputs would give other features."""
COMPUTED_BY = ("torch", "timm", "pillow")
"""Packages of which another version may give other features of the same photo."""
CHECKSUM = "sha256_of_content"
KEEP_EVERY_S = 30.0
"""How often what is new is written; a killed process loses this much."""
MAX_SHARE_OF_WRITING = 0.05
"""Of the time in all: a large cache is written less often, since each time the whole of it is."""

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
        "flatten": architecture.head == "flatten",
        "views": architecture.views,
        "preprocess": classifier.preprocess.to_json(),
        "versions": {name: version(name) for name in COMPUTED_BY},
        "device": _arithmetic(device),
    }
    return digest_of(depends_on)


class FeatureCache:
    """The features kept under one key, read once."""

    def __init__(self, key: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read what is kept under `key` (see `features_key`); a damaged file counts as empty."""
        self._path = cache_folder() / "features" / f"{key}.safetensors"
        self._known = _read(self._path)
        self._clock = clock

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

        What is new is kept every half minute, and when this is stopped by any exception. A cache
        that cannot be written is done without.
        """
        new = np.array([i for i, sha256 in enumerate(sha256s) if sha256 not in self], np.int64)
        num_reused = len(sha256s) - len(new)
        on_batch(num_reused)
        if len(new):
            rows = new if rows_N is None else rows_N[new]
            batches = predictor.batches_of_features(pixels_MHWC, rows_N=rows)
            with closing(batches):
                self._add(batches, sha256s=[sha256s[i] for i in new], on_batch=on_batch)
        if not sha256s:
            return CachedFeatures(features_NF=predictor.features(pixels_MHWC[:0]), num_reused=0)
        features_NF = np.stack([self._known[sha256] for sha256 in sha256s])
        return CachedFeatures(features_NF=features_NF, num_reused=num_reused)

    def _add(
        self,
        batches: Iterable[NDArray[np.float32]],
        *,
        sha256s: Sequence[str],
        on_batch: Callable[[int], None],
    ) -> None:
        """Take in features as they come, and write what there is from time to time."""
        done, wait_s, written_s = 0, KEEP_EVERY_S, self._clock()
        try:
            for features_NF in batches:
                names = sha256s[done : done + len(features_NF)]
                self._known |= zip(names, features_NF, strict=True)
                done += len(features_NF)
                on_batch(len(features_NF))
                if (began_s := self._clock()) - written_s >= wait_s and done < len(sha256s):
                    _write(self._path, self._known)
                    written_s = self._clock()
                    wait_s = max(KEEP_EVERY_S, (written_s - began_s) / MAX_SHARE_OF_WRITING)
        finally:
            if done:
                _write(self._path, self._known)


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
