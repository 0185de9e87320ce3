"""ONNX Runtime's files for browsers are those that were published, wherever they come from."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fieldmark import web_runtime
from fieldmark.base.errors import ExportError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.published_runtime import CONTENTS, package, publish, write_files


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    """A small package in the place of the real one, and a cache of its own."""
    monkeypatch.setenv("npm_config_registry", "https://mirror.example/npm")
    return publish(monkeypatch, empty=tmp_path)


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


def test_what_is_installed_with_fieldmark_comes_before_the_cache_and_the_network(
    published: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorder: Any
) -> None:
    asked = answering(monkeypatch, published)
    installed = write_files(web_runtime.INSTALLED)
    assert web_runtime.runtime_files(None, progress=recorder) == CONTENTS
    assert asked == []
    assert not (tmp_path / "cache").exists()
    (installed / "code.wasm").write_bytes(b"damaged")
    for _ in range(2):
        assert web_runtime.runtime_files(None, progress=recorder) == CONTENTS
    assert len(asked) == 1, "the cache comes before the network"


def test_a_folder_given_by_hand_comes_before_what_is_installed(
    published: bytes, tmp_path: Path, recorder: Any
) -> None:
    write_files(web_runtime.INSTALLED)
    with pytest.raises(ExportError, match=r"lacks code\.mjs and code\.wasm"):
        web_runtime.runtime_files(tmp_path / "elsewhere", progress=recorder)


def test_nothing_but_python_is_needed_to_import_it() -> None:
    source = Path(web_runtime.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); import fieldmark.web_runtime"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)


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
    place = write_files(tmp_path / "onnxruntime-web/dist")
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
