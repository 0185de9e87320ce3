"""On photos of every odd kind, whatever names them says the same of each.

The command line, the Python API, an exported file without PyTorch, the server (of a run as well as
of an exported file), its page in a browser, and a site on which the browser itself names them.
"""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.evaluation.answer import Prediction
from fieldmark.prediction_output import as_text
from fieldmark.run import Run

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser import chromium, live, runtime_for_sites, static_host
from tests.odd_photos import KINDS, NUM_PHOTOS, write_odd_photos

TOLERANCE = 1e-4
"""Of probabilities by ONNX Runtime beside those by PyTorch, as the export allows."""
UNREAD_BY_BROWSERS = {"PPM", "TIFF"}
"""Formats of which a site says that they are not read."""
LONGEST_MS = 60_000

ALIKE = {"cherry": (123, 120, 120), "leaf": (120, 123, 120), "sky": (120, 120, 123)}
RULES = (
    "split.validation=0.4",
    "abstain.coverage=0.9",
    "abstain.target_accuracy=0.5",
    "abstain.unfamiliar_rate=0.1",
)

CallMain = Callable[..., Any]
WritePhotos = Callable[..., Path]
TrainTiny = Callable[..., Run]
Shares = dict[str, float]


@pytest.fixture(scope="module")
def wary(
    tmp_path_factory: pytest.TempPathFactory, write_photos: WritePhotos, train_tiny: TrainTiny
) -> Run:
    """A finished run of classes that are hard to tell apart, which has rules for what it doubts."""
    folder = tmp_path_factory.mktemp("wary")
    photos = write_photos(folder / "photos", colours=ALIKE, count=30)
    return train_tiny(folder / "run", photos=photos, overrides=RULES)


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos of every mode, orientation and shape, some of them damaged."""
    return write_odd_photos(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def by_python(wary: Run, odd_photos: list[Path]) -> list[Prediction]:
    """What the Python API says, with all classes."""
    return wary.predict(odd_photos, top_k=3)


@pytest.fixture(scope="module")
def exported(wary: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same classifier as an ONNX file."""
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("exported") / "model.onnx"
    fieldmark.export(wary, out=out)
    return out


def shares_of(prediction: Prediction) -> Shares:
    return dict(prediction.ranking)


def require_alike(
    found: Sequence[Shares], expected: Sequence[Prediction], *, tolerance: float
) -> None:
    assert len(found) == len(expected) == NUM_PHOTOS
    for shares, prediction in zip(found, expected, strict=True):
        assert shares == pytest.approx(shares_of(prediction), abs=tolerance), prediction.path


def test_the_photos_are_odd_most_can_be_read_and_some_are_doubted(
    by_python: list[Prediction],
) -> None:
    damaged = sum(prediction.error is not None for prediction in by_python)
    assert 0 < damaged <= NUM_PHOTOS // 20
    assert {prediction.label for prediction in by_python if prediction.label} == {
        "cherry",
        "leaf",
        "sky",
    }
    assert {bool(prediction.doubt) for prediction in by_python} == {True, False}
    assert {prediction.is_unfamiliar for prediction in by_python} == {True, False, None}


def test_the_command_line_says_what_python_says(
    call_main: CallMain,
    wary: Run,
    odd_photos: list[Path],
    by_python: list[Prediction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "\n".join(map(str, odd_photos)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    listed = call_main("predict", wary.path, "-", "--format", "csv")
    folder = call_main("predict", wary.path, odd_photos[0].parent, "--output", tmp_path / "o.csv")
    assert (listed.code, folder.code) == (0, 0)
    assert listed.out == (tmp_path / "o.csv").read_text()
    rows = rows_of(listed.out)
    assert [row["error"] or None for row in rows] == [one.error for one in by_python]
    assert [shares_in(row) for row in rows] == [shares_of(one) for one in by_python]


def test_an_exported_file_says_what_python_says(
    exported: Path, odd_photos: list[Path], by_python: list[Prediction]
) -> None:
    told = fieldmark.load_exported(exported).predict(odd_photos, top_k=3)
    assert [one.error for one in told] == [one.error for one in by_python]
    require_alike([shares_of(one) for one in told], by_python, tolerance=TOLERANCE)
    for one, other in zip(told, by_python, strict=True):
        if one.unfamiliarity is not None:
            assert one.unfamiliarity == pytest.approx(other.unfamiliarity, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("served", ["run", "exported"])
def test_the_server_says_what_python_says(
    served: str,
    request: pytest.FixtureRequest,
    wary: Run,
    odd_photos: list[Path],
    by_python: list[Prediction],
) -> None:
    place = wary.path if served == "run" else request.getfixturevalue("exported")
    assert place is not None
    rows = list(answers_of_server(place, odd_photos))
    assert [row["error"] for row in rows] == [one.error for one in by_python]
    found = [{one["class"]: one["confidence"] for one in row["top"]} for row in rows]
    require_alike(found, by_python, tolerance=1e-6 if served == "run" else TOLERANCE)


def answers_of_server(place: Path, files: Sequence[Path]) -> Iterator[Any]:
    """Yield the server's answer for each photo, twenty photos a request."""
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    app, _ = app_of(place)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for start in range(0, len(files), 20):
            chunk = files[start : start + 20]
            photos = [("photos", (file.name, file.read_bytes())) for file in chunk]
            response = client.post("/predict", params={"top_k": 3}, files=photos)
            assert response.status_code == 200, response.text
            yield from response.json()["photos"]


def app_of(place: Path) -> tuple[Any, Any]:
    """Return the server's application for a run or an exported file, and its lifecycle."""
    from fieldmark.serving.answering import open_answerer
    from fieldmark.serving.app import build_app
    from fieldmark.serving.batching import BatchConfig
    from fieldmark.serving.guards import guard_config
    from fieldmark.serving.lifecycle import Lifecycle
    from fieldmark.serving.service import Service, ServiceConfig

    config = ServiceConfig(batch=BatchConfig(max_batch=8, max_waiting=64), max_photos=20)
    service = Service(open_answerer(place), config)
    lifecycle = Lifecycle()
    guard = guard_config("127.0.0.1", token=None)
    return build_app(service, guard=guard, lifecycle=lifecycle), lifecycle


@contextmanager
def page_of_server(run: Run) -> Iterator[str]:
    """Serve a run and give the address of its page."""
    pytest.importorskip("uvicorn")
    assert run.path is not None
    app, lifecycle = app_of(run.path)
    with live(app, lifecycle=lifecycle) as address:
        yield address


@contextmanager
def page_of_site(run: Run, place: Path) -> Iterator[str]:
    """Export a run as a site, serve its files and give its address."""
    fieldmark.export(run, to="web", ort=runtime_for_sites(), out=place / "site")
    with static_host(place / "site") as address:
        yield address


def rows_of_page(browser: Any, address: str, files: Sequence[Path]) -> list[dict[str, str]]:
    """Choose photos on a page, and return the rows of the table that it offers, in their order."""
    tab = browser.new_page()
    tab.set_default_timeout(LONGEST_MS)
    tab.goto(address)
    tab.wait_for_selector("#drop:not([hidden])")
    tab.set_input_files("#files", [str(file) for file in files])
    tab.locator("#status", has_text=f"{len(files)} photos").filter(has_not_text="of").wait_for()
    with tab.expect_download() as download:
        tab.click("#save")
    rows = rows_of(Path(download.value.path()).read_text("utf-8"))
    tab.close()
    found = {row["path"]: row for row in rows}
    return [found[file.name] for file in files]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def shares_in(row: Mapping[str, str]) -> Shares:
    return {row[f"class_{k}"]: float(row[f"confidence_{k}"]) for k in (1, 2, 3) if row["class_1"]}


def test_the_page_of_the_server_says_what_python_says(
    wary: Run, odd_photos: list[Path], by_python: list[Prediction]
) -> None:
    with chromium() as browser, page_of_server(wary) as address:
        rows = rows_of_page(browser, address, odd_photos)
    for row, wanted in zip(rows, rows_of(as_text(by_python, output_format="csv")), strict=True):
        require_same_row(row, wanted, tolerance=1e-6)
        assert bool(row["error"]) == bool(wanted["error"]), (row, wanted)
        assert wanted["error"] in row["error"]


def test_a_site_says_what_python_says_of_all_that_browsers_read(
    wary: Run, odd_photos: list[Path], by_python: list[Prediction], tmp_path: Path
) -> None:
    with chromium() as browser, page_of_site(wary, tmp_path) as address:
        rows = rows_of_page(browser, address, odd_photos)
    wanted = rows_of(as_text(by_python, output_format="csv"))
    for number, (row, expected) in enumerate(zip(rows, wanted, strict=True)):
        _, kind = KINDS[number % len(KINDS)]
        if kind in UNREAD_BY_BROWSERS:
            assert "browser" in row["error"], row
            assert "read" in row["error"], row
        else:
            require_same_row(row, expected, tolerance=TOLERANCE)
            assert bool(row["error"]) == bool(expected["error"]), (row, expected)


def require_same_row(
    row: Mapping[str, str], expected: Mapping[str, str], *, tolerance: float
) -> None:
    assert shares_in(row) == pytest.approx(shares_in(expected), abs=tolerance), row
    for column in ("class_1", "set", "abstained", "is_unfamiliar"):
        assert row[column] == expected[column], (row, expected)
