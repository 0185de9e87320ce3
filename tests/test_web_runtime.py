"""ONNX Runtime's files for browsers are those that were published, wherever they come from."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fieldmark import web_runtime
from fieldmark.base.errors import ExportError

CONTENTS = {"code.mjs": b"export {}", "code.wasm": b"\0asm"}


def package(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    """A small package in the place of the real one, and a cache of its own."""
    content = package(CONTENTS)
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")
    sums = {name: hashlib.sha256(one).hexdigest() for name, one in CONTENTS.items()}
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/npm")
    monkeypatch.setattr(web_runtime, "INTEGRITY", f"sha512-{digest}")
    monkeypatch.setattr(web_runtime, "FILES", sums)
    return content


def answering(monkeypatch: pytest.MonkeyPatch, content: bytes | Exception) -> list[str]:
    asked: list[str] = []

    def fetched(url: str, **_given: Any) -> bytes:
        asked.append(url)
        if isinstance(content, Exception):
            raise content
        return content

    monkeypatch.setattr(web_runtime, "_fetched", fetched)
    return asked


def test_the_package_is_downloaded_once(
    published: bytes, monkeypatch: pytest.MonkeyPatch, recorder: Any
) -> None:
    asked = answering(monkeypatch, published)
    assert web_runtime.runtime_files(None, progress=recorder) == CONTENTS
    assert web_runtime.runtime_files(None, progress=recorder) == CONTENTS
    assert len(asked) == 1
    assert asked[0].endswith("/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz")


def test_a_file_of_the_cache_that_was_changed_is_fetched_again(
    published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorder: Any
) -> None:
    asked = answering(monkeypatch, published)
    web_runtime.runtime_files(None, progress=recorder)
    next((tmp_path / "cache").rglob("code.wasm")).write_bytes(b"other")
    assert web_runtime.runtime_files(None, progress=recorder) == CONTENTS
    assert len(asked) == 2


def test_an_altered_package_is_refused_and_not_kept(
    published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorder: Any
) -> None:
    answering(monkeypatch, package({**CONTENTS, "code.mjs": b"evil"}))
    with pytest.raises(ExportError, match="altered on the way"):
        web_runtime.runtime_files(None, progress=recorder)
    assert not list(tmp_path.rglob("*.mjs"))


def test_without_a_network_the_message_says_how_to_do_without(
    published: bytes, monkeypatch: pytest.MonkeyPatch, recorder: Any
) -> None:
    answering(monkeypatch, OSError("no route to host"))
    with pytest.raises(ExportError, match=r"no route to host.*--ort DIR.*code\.mjs"):
        web_runtime.runtime_files(None, progress=recorder)


def test_files_may_be_given_by_hand(published: bytes, tmp_path: Path, recorder: Any) -> None:
    place = tmp_path / "onnxruntime-web/dist"
    place.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (place / name).write_bytes(content)
    for folder in (place, place.parent):
        assert web_runtime.runtime_files(folder, progress=recorder) == CONTENTS
    (place / "code.wasm").write_bytes(b"of another version")
    with pytest.raises(ExportError, match=r"lacks code\.wasm of onnxruntime-web"):
        web_runtime.runtime_files(place, progress=recorder)


def test_a_mirror_of_npm_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/npm/")
    address = "https://mirror.example/npm/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"
    assert web_runtime.package_url() == address


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no registry."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)


def test_npm_is_asked_for_its_registry(
    no_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho https://mirror.example/npm/\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    address = "https://mirror.example/npm/onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"
    assert web_runtime.package_url() == address


def test_without_npm_the_message_says_how_to_do_without(
    no_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"Install npm; or set npm_config_registry.*--ort DIR"):
        web_runtime.package_url()


def test_only_the_web_is_asked(monkeypatch: pytest.MonkeyPatch, recorder: Any) -> None:
    monkeypatch.setenv("npm_config_registry", "file:///etc")
    monkeypatch.setenv("FIELDMARK_CACHE", "/nonexistent")
    with pytest.raises(ExportError, match="must begin with https"):
        web_runtime.runtime_files(None, progress=recorder)
