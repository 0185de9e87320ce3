"""An exported site answers in the browser alone what Python answers."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import fieldmark
from fieldmark import exporting, onnx_writing, site_writing, web_runtime
from fieldmark.base.errors import ExportError, RecipeError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import chromium, runtime_for_sites, static_host

PAGE = Path(fieldmark.__file__).parent / "serving/page"


@pytest.fixture(scope="module")
def site(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sites") / "site"
    export = exporting.export(finished_quick, to="web", ort=runtime_for_sites(), out=place)
    assert export.num_bytes > 14e6
    assert export.parity is not None
    assert export.parity.is_exact
    return place


@pytest.fixture(scope="module")
def tab(site: Path) -> Iterator[Any]:
    """The site, open; the hosts that it asked are in `tab.hosts`."""
    with chromium() as browser, static_host(site) as address:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        page.goto(address)
        page.wait_for_selector("#drop:not([hidden])")
        page.hosts = hosts
        yield page


def test_the_page_answers_without_a_server(tab: Any, photos: Path) -> None:
    tab.set_input_files("#files", str(photos / "sky/00.png"))
    tab.wait_for_selector(".photo h2")
    assert tab.locator(".photo h2").inner_text().startswith("sky")
    assert "stay on this device" in tab.locator("#where").inner_text()
    assert all(host.startswith("127.0.0.1:") for host in tab.hosts)


def test_a_broken_photo_is_told(tab: Any, photos: Path) -> None:
    whole = (photos / "sky/00.png").read_bytes()
    for content in (whole[: len(whole) // 2], b"no photo"):
        broken = {"name": "broken.png", "mimeType": "image/png", "buffer": content}
        tab.click("#clear")
        tab.set_input_files("#files", [broken])
        tab.wait_for_selector(".bad .error")


def test_a_site_holds_licences_and_says_what_its_model_is(site: Path) -> None:
    assert "MIT License" in (site / "onnxruntime-licence.txt").read_text("utf-8")
    assert (site / "onnxruntime-notices.txt").stat().st_size > 0
    known = json.loads((site / "model.json").read_text("utf-8"))
    assert known["classes"] == ["cherry", "leaf", "sky"]
    assert "parity" not in known, "it names photos"
    assert not list(site.parent.glob(".fieldmark-*"))


@pytest.fixture
def pretended_runtime(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Stand-ins for ONNX Runtime's files, so that a site is written on any machine."""
    files = {name: f"// {name}".encode() for name in web_runtime.FILES}
    monkeypatch.setattr(web_runtime, "runtime_files", lambda *_, **__: files)
    return files


def test_a_site_has_the_page_what_asks_the_browser_the_runtime_and_the_model(
    finished_quick: Any, tmp_path: Path, pretended_runtime: dict[str, bytes]
) -> None:
    place = tmp_path / "site"
    export = exporting.export(finished_quick, to="web", out=place)
    found = {file.name: file.read_bytes() for file in place.iterdir()}
    assert export.num_bytes == sum(map(len, found.values()))
    for file in [*PAGE.iterdir(), *(PAGE / "browser").iterdir()]:
        if file.is_file() and file != PAGE / "asker.js":
            assert found[file.name] == file.read_bytes()
    assert found["asker.js"] == (PAGE / "browser/asker.js").read_bytes()
    assert pretended_runtime.items() <= found.items()
    assert {"onnxruntime-licence.txt", "onnxruntime-notices.txt"} <= found.keys()
    known = json.loads(found["model.json"])
    assert known["preprocess"]["orientation"] == "exif"
    assert fieldmark.load_exported(place / "model.onnx").form.takes == "any"


def test_a_missing_file_of_the_page_is_named_before_anything_is_compared(
    finished_quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writing, "prepare", lambda *_, **__: pytest.fail("it went on"))
    monkeypatch.setattr(site_writing, "IN_BROWSER", "nowhere")
    with pytest.raises(ExportError, match=r"page/nowhere, .*No such file.*Install Fieldmark"):
        exporting.export(finished_quick, to="web", out=tmp_path / "site")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(place: Path, *_: object) -> None:
        raise OSError(28, "No space left on device", str(place))

    monkeypatch.setattr(site_writing, "write_bytes", full)
    prepared: Any = SimpleNamespace(form=SimpleNamespace(to_json=dict))
    with pytest.raises(ExportError, match=r"No space left on device \(app.js\). Choose another"):
        site_writing.write_site(tmp_path / "site", prepared, name="a", files={"app.js": b""})
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_refused(finished_quick: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ExportError, match="nothing is ever overwritten"):
        exporting.export(finished_quick, to="web", out=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_site_takes_photos_of_any_size(finished_quick: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--input fixed is not for sites"):
        exporting.export(finished_quick, to="web", takes="fixed", out=tmp_path / "site")
