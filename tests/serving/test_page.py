"""The page shows what the server says, by mouse, keyboard, clipboard and camera."""

import csv
import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fieldmark.data.preprocess import Preprocess
from fieldmark.serving.app import build_app
from fieldmark.serving.batching import BatchConfig
from fieldmark.serving.guards import guard_config
from fieldmark.serving.lifecycle import Lifecycle
from fieldmark.serving.page_files import page_files
from fieldmark.serving.service import Service, ServiceConfig

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.browser import chromium, live

PAGE = Path(__file__).parents[2] / "src/fieldmark/serving/page"
HOSTILE = "<img src=x onerror=document.title='taken'>"
LONGEST_MS = 10_000
EXIF_ORIENTATION = 274


@contextmanager
def served(answerer: Any, *, token: str | None = None) -> Iterator[str]:
    """Serve a classifier on a free port and give its address."""
    batch = BatchConfig(max_batch=4, max_waiting=16)
    service = Service(answerer, ServiceConfig(batch=batch, max_photos=8, max_body_bytes=1 << 20))
    lifecycle = Lifecycle()
    app = build_app(service, guard=guard_config("127.0.0.1", token=token), lifecycle=lifecycle)
    with live(app, lifecycle=lifecycle) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An open tab; it fails the test where a script fails or another host is asked."""
    context = browser.new_context(permissions=["camera"], accept_downloads=True)
    tab = context.new_page()
    tab.set_default_timeout(LONGEST_MS)
    failures: list[str] = []
    asked: set[str] = set()
    tab.on("pageerror", lambda error: failures.append(str(error)))
    tab.on("request", lambda request: asked.add(request.url.partition("//")[2].partition("/")[0]))
    yield tab
    hosts = {host for host in asked if host and not host.startswith("127.0.0.1:")}
    context.close()
    assert not failures
    assert not {host for host in hosts if not host.startswith("data:")}


def give(page: Any, name: str, content: bytes) -> None:
    page.set_input_files("#files", [{"name": name, "mimeType": "image/png", "buffer": content}])


def until(page: Any, expression: str) -> None:
    """Wait for something to be true; the page's policy forbids to wait for it within the page."""
    end = time.monotonic() + LONGEST_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def test_a_photo_is_named_with_bars_and_the_evidence_for_each_class(
    colours: Any, page: Any, red: bytes
) -> None:
    with served(colours) as address:
        page.goto(address)
        give(page, "red.png", red)
        card = page.locator(".photo")
        assert card.locator("h2").inner_text() == "red 96.2 %"
        assert card.locator(".bars li").count() == 3
        assert "colours" in page.title()
        with page.expect_response("**/explain?class=green") as asked:
            card.locator("select").select_option("green")
        assert asked.value.ok
        card.locator("summary").click()
        page.wait_for_selector(".near li")
        assert card.locator(".near li").count() == 6
        assert page.locator("#status").inner_text() == "1 photo"


def test_doubt_and_bad_photos_are_told_in_words(
    colours: Any, page: Any, encode: Callable[..., bytes]
) -> None:
    with served(colours) as address:
        page.goto(address)
        give(page, "grey.png", encode((120, 110, 100)))
        page.wait_for_selector(".words")
        assert page.locator(".words").inner_text() == "Not sure: red or green."
        assert page.locator(".bars .doubted").count() == 2
        give(page, "notes.png", b"no photo")
        page.wait_for_selector(".bad .error")
        assert "cannot be read" in page.locator(".bad .error").inner_text()
        give(page, "huge.png", bytes((1 << 20) + 1))
        until(page, "document.querySelectorAll('.bad .error').length === 2")
        assert "1.0 MB at most" in page.locator(".bad .error").first.inner_text()


@pytest.mark.parametrize(("orientation", "is_wide"), [("exif", False), ("stored", True)])
def test_photos_are_shown_turned_just_where_the_model_turns_them(
    orientation: str, is_wide: bool, colours: Any, page: Any
) -> None:
    exif, content = Image.Exif(), io.BytesIO()
    exif[EXIF_ORIENTATION] = 6  # on its side
    Image.new("RGB", (40, 20), (250, 5, 5)).save(content, format="JPEG", exif=exif)
    colours.preprocess = Preprocess(size_px=8, orientation=orientation)  # type: ignore[arg-type]
    with served(colours) as address:
        page.goto(address)
        give(page, "turned.jpg", content.getvalue())
        page.wait_for_selector(".photo h2")
        until(page, "document.querySelector('.frame img').complete")
        shown = page.locator(".frame img").bounding_box()
        assert (shown["width"] > 1.5 * shown["height"]) is is_wide


def test_photos_added_before_the_token_are_answered_once_it_is_given(
    colours: Any, page: Any, red: bytes
) -> None:
    with served(colours, token="secret") as address:
        page.goto(address)
        page.wait_for_selector("#token:not([hidden])")
        give(page, "red.png", red)
        page.fill("#token-text", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector(".photo h2")
        assert page.locator(".photo .near").count() == 1


def test_the_table_says_confidences_as_the_cards_do(
    colours: Any, page: Any, encode: Callable[..., bytes]
) -> None:
    with served(colours) as address:
        page.goto(address)
        give(page, "a.png", encode((255, 0, 0)))
        page.wait_for_selector(".photo h2")
        page.click("#all summary")
        assert page.locator(".photo .share").inner_text() == "over 99.9 %"
        assert page.locator("#rows .num").inner_text() == "over 99.9 %"
        with page.expect_download() as download:
            page.click("#save")
        row = next(csv.DictReader(download.value.path().read_text("utf-8").splitlines()))
        assert 0.999 < float(row["confidence_1"]) < 1


def test_names_of_classes_and_files_are_shown_as_text(colours: Any, page: Any, red: bytes) -> None:
    colours.classes = (HOSTILE, "green", "blue")
    with served(colours) as address:
        page.goto(address)
        give(page, f"{HOSTILE}.png", red)
        page.wait_for_selector(".photo h2")
        page.click("#all summary")
        assert HOSTILE in page.locator(".photo h2").inner_text()
        assert HOSTILE in page.locator("#rows").inner_text()
        assert page.locator("img[src='x']").count() == 0
        assert page.title() != "taken"


def test_answers_are_downloaded_in_the_columns_of_predict(
    colours: Any, page: Any, red: bytes, blue: bytes, tmp_path: Path
) -> None:
    with served(colours) as address:
        page.goto(address)
        give(page, 'a "red", one.png', red)
        give(page, "blue.png", blue)
        until(page, "document.querySelectorAll('.photo h2').length === 2")
        with page.expect_download() as download:
            page.click("#save")
        assert download.value.suggested_filename == "colours.csv"
        download.value.save_as(tmp_path / "answers.csv")
    text = (tmp_path / "answers.csv").read_text("utf-8")
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows['a "red", one.png']["class_1"] == "red"
    assert rows["blue.png"]["class_1"] == "blue"
    assert float(rows["blue.png"]["confidence_1"]) == pytest.approx(250 / 260, abs=1e-6)
    header = text.splitlines()[0].split(",")
    assert header[:3] == ["path", "class_1", "confidence_1"]
    assert header[-5:] == ["set", "abstained", "unfamiliarity", "is_unfamiliar", "error"]


def test_everything_can_be_done_by_keyboard(colours: Any, page: Any, red: bytes) -> None:
    photo = {"name": "r.png", "mimeType": "image/png", "buffer": red}
    page.on("filechooser", lambda chooser: chooser.set_files([photo]))
    with served(colours) as address:
        page.goto(address)
        page.wait_for_selector("#choose")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "choose"
        page.keyboard.press("Enter")
        page.wait_for_selector(".photo h2")
        reached = set()
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("document.activeElement.id || document.activeElement.tagName")
            )
        assert {"use-camera", "save", "clear", "SELECT", "SUMMARY"} <= reached
        page.focus("#clear")
        page.keyboard.press("Enter")
        assert page.locator(".photo").count() == 0
        assert page.evaluate("document.activeElement.id") == "choose"


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_photos_are_taken_from_the_clipboard_and_from_drops(
    event: str, colours: Any, page: Any, blue: bytes
) -> None:
    script = """([event, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "b.png", { type: "image/png" }));
      const name = event === "paste" ? "clipboardData" : "dataTransfer";
      const kind = event === "paste" ? ClipboardEvent : DragEvent;
      document.dispatchEvent(new kind(event, { [name]: data, bubbles: true, cancelable: true }));
    }"""
    with served(colours) as address:
        page.goto(address)
        page.wait_for_selector("#drop:not([hidden])")
        page.evaluate(script, [event, list(blue)])
        page.wait_for_selector(".photo h2")
        assert page.locator(".photo h2").inner_text().startswith("blue")


def test_a_photo_is_taken_with_the_camera(colours: Any, page: Any) -> None:
    with served(colours) as address:
        page.goto(address)
        page.click("#use-camera")
        until(page, "document.getElementById('video').videoWidth > 0")
        page.click("#take")
        page.wait_for_selector(".photo h2")
        assert page.locator(".photo .path").inner_text() == "camera-1.jpg"
        assert not page.locator("#camera").is_visible()


def test_a_token_is_asked_for_and_taken_out_of_the_address(
    colours: Any, page: Any, red: bytes
) -> None:
    with served(colours, token="secret") as address:
        page.goto(address)
        page.wait_for_selector("#token:not([hidden])")
        page.fill("#token-text", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token:not([hidden])")
        page.fill("#token-text", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#drop:not([hidden])")
        page.goto("about:blank")
        page.evaluate("0")
        page.goto(f"{address}/#token=secret")
        page.wait_for_selector("#drop:not([hidden])")
        assert "secret" not in page.url
        give(page, "red.png", red)
        page.wait_for_selector(".photo h2")


def test_the_server_gives_each_file_that_the_page_asks_for() -> None:
    files = page_files()
    for name in ("/", "/app.js", "/asker.js", "/camera.js", "/card.js", "/style.css", "/table.js"):
        assert files[name].content
    assert "/worker.js" not in files, "what runs without a server is not the server's"


def test_the_page_names_no_other_host_and_writes_no_markup() -> None:
    for file in (*PAGE.rglob("*.js"), *PAGE.glob("*.html"), *PAGE.glob("*.css")):
        text = file.read_text("utf-8").replace("http://ns.adobe.com/xap/1.0/", "")
        assert "://" not in text, file.name
        assert "innerHTML" not in text, file.name
