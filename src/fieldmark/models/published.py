"""Published weights: found on this machine, or downloaded once.

In: the name of a backbone. Out: the file with its weights.
Those of timm's backbones are on the model hub, which keeps them itself (see `weights`). Those of
Keras' networks are looked for where Keras keeps what it has downloaded, then in Fieldmark's own
cache, and their checksum is verified in both.
Not covered: reading the files (see `weights`, `keras_weights`).
"""

import hashlib
import http.client
import os
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread

from fieldmark.base.cache import CACHE_VARIABLE, cache_folder
from fieldmark.base.errors import WeightsError
from fieldmark.base.files import HASH_BLOCK_BYTES, sha256_of, write_bytes
from fieldmark.models.keras_weights import require_h5py
from fieldmark.models.names import known_of
from fieldmark.models.own_networks import OWN_NETWORKS, PublishedFile
from fieldmark.models.weights import WeightsFile, locate_on_hub

KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
"""The folder that keras.applications.resnet downloads from."""
KERAS_HOME = "KERAS_HOME"
"""Environment variable that names Keras' folder, which is ~/.keras otherwise."""
ANSWER_LIMIT_S = 8.0
"""How long the server may take to answer, looking up its name included; a person waits this long
at most where there is no network."""
SILENCE_LIMIT_S = 20.0
"""How long a download may stand still."""
DOWNLOAD_LIMIT_S = 3600.0
"""How long it may take in all: the largest file, of 235 MB, at half a megabit a second."""
MAX_BYTES = 1 << 29
"""More than twice the largest file: what is larger than this is something else."""


def published_weights(backbone: str) -> WeightsFile:
    """Return the published weights of a backbone, downloaded where they are not on this machine.

    Raises:
        RecipeError: there is no such backbone.
        WeightsError: there are no published weights, or they can be neither found nor fetched.
    """
    known, own = known_of(backbone), OWN_NETWORKS.get(backbone)
    if own is not None and own.published:
        require_h5py(Path(own.published[0].name))
        return locate_published(own.published, backbone=backbone)
    repository = known.get("hf_hub_id")
    if not repository:
        raise WeightsError(
            f"There are no pretrained weights for '{backbone}' to be downloaded. Choose another "
            "--backbone, give a file or folder with --weights PATH, or start from random weights "
            "with --weights none."
        )
    file_name = known.get("hf_hub_filename") or "model.safetensors"
    return locate_on_hub(str(repository), file_name=str(file_name), backbone=backbone)


def locate_published(files: Sequence[PublishedFile], *, backbone: str) -> WeightsFile:
    """Return one of `files` that is on this machine, or download the first of them.

    A file whose checksum differs is not used, whatever its name.

    Raises:
        WeightsError: none is here and the first cannot be downloaded, which shows within seconds;
            or what was downloaded is not the published file, or cannot be kept.
    """
    altered = []
    for folder in (keras_models_folder(), _own_folder()):
        for file in files:
            path = folder / file.name
            if _md5_of(path) == file.md5:
                return _found(path)
            if path.is_file():
                altered.append(path)
    return _downloaded(files[0], backbone=backbone, altered=altered)


def keras_models_folder() -> Path:
    """Return the folder in which Keras keeps the weights that it has downloaded."""
    return Path(os.environ.get(KERAS_HOME) or "~/.keras").expanduser() / "models"


def _own_folder() -> Path:
    return cache_folder() / "weights"


def _found(path: Path) -> WeightsFile:
    return WeightsFile(
        path=path, sha256=sha256_of(path), source=f"Keras' published ImageNet weights {path.name}"
    )


def _md5_of(path: Path) -> str | None:
    """Return the MD5 sum of a file, None where there is none that can be read."""
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as stream:
            while block := stream.read(HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _downloaded(file: PublishedFile, *, backbone: str, altered: Sequence[Path]) -> WeightsFile:
    url, path = KERAS_URL + file.name, _own_folder() / file.name
    try:
        content = _fetched(url)
    except Exception as error:  # of sockets, TLS, HTTP, or a proxy in between
        raise WeightsError(_unreachable(url, path, backbone, altered, error)) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != file.md5:
        raise WeightsError(
            f"What came from {url} is not the published file: its MD5 sum is {found} instead of "
            f"{file.md5} ({len(content):,} bytes). It was altered on the way, as some proxies do. "
            "Nothing was kept. Run again from another network, or give a Keras file with "
            "--weights PATH."
        )
    try:
        write_bytes(path, content)
    except OSError as error:
        raise WeightsError(
            f"The weights were downloaded, but cannot be kept at {path}: "
            f"{error.strerror or error}. Name a folder for Fieldmark's cache in the environment "
            f"variable {CACHE_VARIABLE}."
        ) from error
    return _found(path)


def _fetched(url: str) -> bytes:
    """Return what a server sends, complete; the time limits are those of the module."""
    began_s = time.monotonic()
    content = bytearray()
    with _answer(url) as response:
        expected = int(response.headers.get("Content-Length") or 0)
        while block := response.read(HASH_BLOCK_BYTES):
            content += block
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES:,} bytes came")
            if time.monotonic() - began_s > DOWNLOAD_LIMIT_S:
                raise TimeoutError(f"not complete after {DOWNLOAD_LIMIT_S:.0f} s")
    if len(content) < expected:
        raise ConnectionError(f"it broke off after {len(content):,} of {expected:,} bytes")
    return bytes(content)


def _answer(url: str) -> http.client.HTTPResponse:
    """Open a URL, within seconds also where looking up a name hangs, which no time limit ends."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    answers: Queue[http.client.HTTPResponse | Exception] = Queue()
    given_up = Event()

    def ask() -> None:
        try:
            # The address is the constant above, whose scheme is https.
            response = urlopen(url, timeout=SILENCE_LIMIT_S)  # noqa: S310
        except Exception as error:  # noqa: BLE001  (raised again in the thread that waits)
            if isinstance(error, HTTPError):  # it holds the page that came in its place
                error.close()
            answers.put(error)
            return
        answers.put(response)
        if given_up.is_set():
            response.close()

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_LIMIT_S)
    except Empty:
        given_up.set()
        raise TimeoutError(f"no answer within {ANSWER_LIMIT_S:.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _unreachable(
    url: str, path: Path, backbone: str, altered: Sequence[Path], error: Exception
) -> str:
    cause = str(error).strip().splitlines()
    of_altered = "".join(
        f" {found} is there, but is not the published file: its MD5 sum differs."
        for found in altered
    )
    return (
        f"The published weights of '{backbone}' ({path.name}) are not on this machine and could "
        f"not be fetched from {url} ({type(error).__name__}: {cause[0] if cause else 'no answer'})."
        f"{of_altered} Connect to the network and run again, or fetch that file elsewhere and put "
        f"it into {path.parent} or {keras_models_folder()}, or give another Keras file with "
        "--weights PATH, or start from random weights with --weights none."
    )
