"""A small package in the place of ONNX Runtime's for browsers, for tests without a network."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from fieldmark import web_runtime

CONTENTS = {"code.mjs": b"export {}", "code.wasm": b"\0asm"}


def package(contents: dict[str, bytes]) -> bytes:
    """Return a package of npm with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_files(folder: Path) -> Path:
    """Write the files into a folder, which is made, and return it."""
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


def publish(monkeypatch: pytest.MonkeyPatch, *, empty: Path) -> bytes:
    """Let the package be the one that is looked for, with a cache and nothing installed.

    Args:
        monkeypatch: for as long as it lasts.
        empty: a folder for the cache, and for what is installed.

    Returns:
        The package.
    """
    content = package(CONTENTS)
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")
    sums = {name: hashlib.sha256(one).hexdigest() for name, one in CONTENTS.items()}
    monkeypatch.setenv("FIELDMARK_CACHE", str(empty / "cache"))
    monkeypatch.setattr(web_runtime, "INSTALLED", empty / "installed")
    monkeypatch.setattr(web_runtime, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setattr(web_runtime, "FILES", sums)
    return content
