"""A wheel holds ONNX Runtime's files for browsers where they can be had; it is built anyway."""

import importlib.util
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from fieldmark import web_runtime

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import static_host
from tests.published_runtime import CONTENTS, package, publish, write_files

ROOT = Path(__file__).parents[1]
INTERFACE = "hatchling.builders.hooks.plugin.interface"
PLACE = "fieldmark/vendored/onnxruntime-web"
TARBALL = "onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"
Build = Callable[..., dict[str, bytes]]


@dataclass
class App:
    """Keeps what hatchling would print."""

    told: list[str] = field(default_factory=list)

    def display_info(self, text: str) -> None:
        self.told.append(text)

    display_warning = display_info

    def abort(self, text: str) -> NoReturn:
        raise SystemExit(text)


class StandIn:
    """Hatchling's interface, as far as it is used: hatchling is installed in builds alone."""

    def __init__(self, root: Path, app: App) -> None:
        self.root, self.app = str(root), app


@pytest.fixture
def app() -> App:
    """What was told."""
    return App()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The hook's module, where nothing says yet what to include."""
    for name in ("FIELDMARK_ORT", "FIELDMARK_VENDOR", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    parts = INTERFACE.split(".")
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[INTERFACE], "BuildHookInterface", StandIn, raising=False)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    publish(monkeypatch, empty=tmp_path)
    return loaded


@pytest.fixture
def build(module: ModuleType, app: App) -> Build:
    """Return a function that builds and gives what was included, by its place in the wheel."""

    def built(version: str = "standard") -> dict[str, bytes]:
        hook = module.VendorRuntime(ROOT, app)
        data: dict[str, dict[str, str]] = {"force_include": {}}
        hook.initialize(version, data)
        files = {to: Path(source).read_bytes() for source, to in data["force_include"].items()}
        hook.finalize(version, data, "some.whl")
        assert not any(Path(source).exists() for source in data["force_include"])
        return files

    return built


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A registry on this machine, with the package in the place where npm looks for it."""
    file = tmp_path / "registry" / TARBALL
    file.parent.mkdir(parents=True)
    file.write_bytes(package(CONTENTS))
    with static_host(tmp_path / "registry") as address:
        monkeypatch.setenv("npm_config_registry", address)
        yield file


def assert_complete(files: dict[str, bytes]) -> None:
    texts = {"LICENSE", "ThirdPartyNotices.txt"}
    assert files.keys() == {f"{PLACE}/{name}" for name in texts | CONTENTS.keys()}
    assert all(files[f"{PLACE}/{name}"] == content for name, content in CONTENTS.items())
    assert b"MIT License" in files[f"{PLACE}/LICENSE"]


def test_they_go_where_they_are_looked_for() -> None:
    assert Path(web_runtime.__file__).parents[1] / PLACE == web_runtime.INSTALLED


def test_files_of_a_folder_are_included_with_their_licences(
    build: Build, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDMARK_ORT", str(write_files(tmp_path / "given")))
    assert_complete(build())
    assert app.told == ["onnxruntime-web 1.30.0 is included, for 'fieldmark export --to web'."]


def test_where_there_is_no_room_for_them_the_wheel_is_built_without_them(
    build: Build, app: App, module: ModuleType, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry.is_file()

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "TemporaryDirectory", full)
    assert build() == {}
    assert "No space left on device" in app.told[0]


def test_files_of_a_registry_are_included(build: Build, registry: Path) -> None:
    assert_complete(build())
    registry.unlink()
    assert_complete(build())  # they were kept


def test_an_altered_package_is_not_included(build: Build, registry: Path, app: App) -> None:
    registry.write_bytes(package({**CONTENTS, "code.mjs": b"evil"}))
    assert build() == {}
    assert "its checksum is sha512-" in app.told[0]


def test_without_a_network_the_wheel_is_built_without_them_and_says_so(
    build: Build, app: App
) -> None:
    assert build() == {}
    (told,) = app.told
    assert told.startswith("This wheel is built without onnxruntime-web 1.30.0: it could not be")
    assert "'fieldmark export --to web' will fetch it" in told
    assert "FIELDMARK_ORT" in told


def test_without_npm_the_wheel_is_built_without_them(
    build: Build, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build() == {}
    assert "npm is not installed" in app.told[0]


def test_a_network_that_does_not_answer_holds_no_installation_up(
    build: Build, module: ModuleType, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: Any, **__: Any) -> NoReturn:
        time.sleep(60)
        raise AssertionError

    monkeypatch.setattr(web_runtime, "runtime_files", endless)
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    began_s = time.monotonic()
    assert build() == {}
    assert time.monotonic() - began_s < 10
    assert "it did not come within" in app.told[0]


def test_nothing_that_goes_wrong_with_them_fails_an_installation(
    build: Build, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(web_runtime, "runtime_files", homeless)
    assert build() == {}
    assert "RuntimeError: Could not determine home directory" in app.told[0]


def test_where_they_are_required_there_is_no_wheel_without_them(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDMARK_VENDOR", "required")
    with pytest.raises(SystemExit, match=r"cannot be included in the wheel: it could not be"):
        build()


def test_a_folder_that_was_named_must_hold_them(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path / "given")
    (folder / "code.wasm").write_bytes(b"of another version")
    monkeypatch.setenv("FIELDMARK_ORT", str(folder))
    with pytest.raises(SystemExit, match=r"given lacks code\.wasm of onnxruntime-web"):
        build()


def test_nothing_is_looked_for_where_it_shall_not_be(
    build: Build, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDMARK_ORT", str(write_files(tmp_path / "given")))
    assert build("editable") == {}
    monkeypatch.setenv("FIELDMARK_VENDOR", "never")
    assert build() == {}
    assert app.told == []


def test_a_choice_that_does_not_exist_is_refused(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDMARK_VENDOR", "always")
    with pytest.raises(SystemExit, match="Allowed: auto, required, never"):
        build()


def test_hatchling_builds_a_wheel_with_them_and_packs_the_hook_into_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hatchling", reason="hatchling is installed in builds alone")
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    publish(monkeypatch, empty=tmp_path)
    monkeypatch.delenv("FIELDMARK_VENDOR", raising=False)
    monkeypatch.setenv("FIELDMARK_ORT", str(write_files(tmp_path / "given")))
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(PLACE)]
        assert_complete({name: archive.read(name) for name in names})
    (source,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(source) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
    assert {"hatch_build.py", "licences/onnxruntime-web/LICENSE"} <= set(names)
