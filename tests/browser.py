"""Chromium for tests of pages, and servers for it to ask."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fieldmark import web_runtime
from fieldmark.base.cache import cache_folder
from fieldmark.base.errors import ExportError
from fieldmark.base.progress import SilentProgress

RUNTIME_VARIABLE = "FIELDMARK_TEST_ORT"
"""Names a folder with ONNX Runtime's files for browsers, where they are not in the user's cache."""
CACHED = cache_folder() / "web" / f"{web_runtime.PACKAGE}-{web_runtime.VERSION}"
"""As it is before the tests turn to a cache of their own."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Chromium with a camera that shows a test picture; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
    ]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def static_host(folder: Path) -> Iterator[str]:
    """Serve a folder as it is and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def live(app: Any, *, lifecycle: Any) -> Iterator[str]:
    """Serve Fieldmark's application on a free port and give its address."""
    import uvicorn

    from fieldmark.serving.lifecycle import Server

    config = uvicorn.Config(app, port=0, lifespan="on", log_config=None, ws="none")
    server = Server(config, lifecycle=lifecycle, drain_s=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def runtime_for_sites() -> Path:
    """Return a folder with ONNX Runtime's files for browsers; skip where there is none."""
    named = os.environ.get(RUNTIME_VARIABLE)
    for folder in [Path(named)] if named else [web_runtime.INSTALLED, CACHED]:
        with suppress(ExportError):
            web_runtime.runtime_files(folder, progress=SilentProgress())
            return folder
    pytest.skip(f"ONNX Runtime for browsers is not at hand: name its folder, {RUNTIME_VARIABLE}")
