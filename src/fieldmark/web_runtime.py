"""What computes in a browser: ONNX Runtime's WebAssembly, from its npm package.

In: a folder that holds it, what was installed with Fieldmark, the cache, or the network. Out: the
content of its two files, verified; what was fetched is kept in the cache.
A wheel of Fieldmark holds them where they could be had when it was built. `hatch_build.py` does
that with this module, so whatever it imports must need nothing but Python itself.
Not covered: licences on a site, which the installed package `onnxruntime` holds (`site_writing`).
"""

import base64
import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

from fieldmark.base.cache import CACHE_VARIABLE, cache_folder
from fieldmark.base.errors import ExportError
from fieldmark.base.files import HASH_BLOCK_BYTES, write_bytes
from fieldmark.base.progress import Progress

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
NAME = f"{PACKAGE} {VERSION}"
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZ"
    "ClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
"""Of the package, as npm states it."""
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""What is used of it, and the SHA-256 of each."""
SUBFOLDER = "dist"
"""Where they are in the package."""
VENDORED = f"vendored/{PACKAGE}"
"""Where they are in a wheel of Fieldmark, within its package."""
INSTALLED = Path(__file__).parent / VENDORED
"""The same where Fieldmark was installed from such a wheel; else nothing is there."""
REGISTRY_VARIABLE = "npm_config_registry"
"""Environment variable of npm that names its registry, such as a company's mirror."""
NPM_LIMIT_S = 30.0
"""How long npm may take to say which registry it uses."""
SILENCE_LIMIT_S = 20.0
"""How long the download may stand still."""
DOWNLOAD_LIMIT_S = 1800.0
"""How long it may take in all."""
MAX_BYTES = 1 << 27
"""Four times the package: what is larger than this is something else."""


class RuntimeMissingError(ExportError):
    """The files cannot be had; `reason` says why in a clause, without what to do about it."""

    def __init__(self, told: str, *, reason: str) -> None:
        super().__init__(told)
        self.reason = reason


def runtime_files(folder: Path | None, *, progress: Progress) -> Mapping[str, bytes]:
    """Return the content of the files in `FILES`, by name.

    Args:
        folder: holds them, such as `node_modules/onnxruntime-web` or its `dist`; None takes those
            installed with Fieldmark, else those of the cache, and downloads them where it has none.
        progress: shows the download.

    Raises:
        RuntimeMissingError: they are not there, are of another version, or cannot be downloaded.
    """
    if folder is not None:
        return _given(folder.expanduser())
    kept = _own_folder()
    for place in (INSTALLED, kept):
        found = _read(place)
        if len(found) == len(FILES):
            return found
    progress.start(NAME, total=None, unit="bytes")
    files = _unpacked(_downloaded(progress))
    with contextlib.suppress(OSError):  # without a cache it is downloaded again next time
        for name, content in files.items():
            write_bytes(kept / name, content)
    progress.finish("verified")
    return files


def _own_folder() -> Path:
    return cache_folder() / "web" / f"{PACKAGE}-{VERSION}"


def _given(folder: Path) -> Mapping[str, bytes]:
    found = max((_read(place) for place in (folder, folder / SUBFOLDER)), key=len)
    if len(found) == len(FILES):
        return found
    lacking = " and ".join(name for name in FILES if name not in found)
    reason = f"{folder} lacks {lacking} of {NAME}, or has them of another version"
    raise RuntimeMissingError(
        f"{reason}. Give the folder {SUBFOLDER} of exactly that version with --ort, or leave --ort "
        "out to have it downloaded.",
        reason=reason,
    )


def _not_obtained(reason: str, *, advice: str) -> RuntimeMissingError:
    told = (
        f"{NAME}, which computes in the browser, is neither installed with Fieldmark "
        f"nor in the cache, and {reason}. {advice}"
    )
    return RuntimeMissingError(told, reason=reason)


def _read(folder: Path) -> dict[str, bytes]:
    """Return those of the files that are there and as they should be."""
    found = {}
    for name, expected in FILES.items():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(content).hexdigest() == expected:
            found[name] = content
    return found


def package_url() -> str:
    """Return the address of the package in the registry that npm is told to use, or its own.

    Raises:
        RuntimeMissingError: no environment variable names a registry, nor does npm.
    """
    chosen = os.environ.get(REGISTRY_VARIABLE) or os.environ.get(REGISTRY_VARIABLE.upper())
    return f"{(chosen or _registry_of_npm()).rstrip('/')}/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"


def _registry_of_npm() -> str:
    npm = shutil.which("npm")
    told = ""
    if npm is not None:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(  # noqa: S603 - npm of this machine, and nothing of the user's
                [npm, "config", "get", "registry"],
                capture_output=True,
                check=True,
                encoding="utf-8",
                timeout=NPM_LIMIT_S,
            ).stdout.strip()
    if not told:
        raise _not_obtained(
            "npm is not installed to say where it is to be had",
            advice=f"Install npm; or set {REGISTRY_VARIABLE} to the address of a registry of npm "
            f"packages; or run 'npm install {PACKAGE}@{VERSION}' elsewhere and give that package's "
            "folder with --ort DIR.",
        )
    return told


def _downloaded(progress: Progress) -> bytes:
    url = package_url()
    try:
        content = _fetched(url, progress=progress)
    except Exception as error:  # of sockets, TLS, HTTP, or a proxy in between
        cause = str(error).strip().splitlines()
        raise _not_obtained(
            f"it could not be fetched from {url} ({type(error).__name__}: "
            f"{cause[0] if cause else 'no answer'})",
            advice="Connect to the network and run again; or unpack that file elsewhere and give "
            f"its folder with --ort DIR; or put its two files {' and '.join(FILES)} into "
            f"{_own_folder()} (environment variable {CACHE_VARIABLE}).",
        ) from error
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")
    if f"sha512-{digest}" != INTEGRITY:
        raise _not_obtained(
            f"what came from {url} is not as published: its checksum is sha512-{digest} "
            f"({len(content):,} bytes), so it was altered on the way, as some proxies do",
            advice="Nothing was kept. Run again from another network, or give the files with "
            "--ort DIR.",
        )
    return content


def _fetched(url: str, *, progress: Progress) -> bytes:
    from urllib.request import urlopen

    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{REGISTRY_VARIABLE} must begin with https://")
    began_s = time.monotonic()
    content = bytearray()
    # The scheme was looked at above.
    with urlopen(url, timeout=SILENCE_LIMIT_S) as response:  # noqa: S310
        while block := response.read(HASH_BLOCK_BYTES):
            content += block
            progress.advance(len(block))
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES:,} bytes came")
            if time.monotonic() - began_s > DOWNLOAD_LIMIT_S:
                raise TimeoutError(f"not complete after {DOWNLOAD_LIMIT_S:.0f} s")
    return bytes(content)


def _unpacked(package: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/{SUBFOLDER}/{name}")
            assert member is not None, "the package has this checksum, so its content is known"
            files[name] = member.read()
    return files
