"""On photos of every odd kind, whatever names them says the same of each.

The command line, the Python API, an exported file without PyTorch, and the server, which serves a
run as well as an exported file.
"""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark.evaluation.answer import Prediction
from fieldmark.run import Run

NUM_PHOTOS = 200
SIZES = ((1, 1), (1, 300), (300, 1), (7, 5), (32, 32), (33, 31), (64, 20), (90, 160), (640, 427))
KINDS = (
    ("RGB", "JPEG"),
    ("L", "JPEG"),
    ("CMYK", "JPEG"),
    ("YCbCr", "JPEG"),
    ("RGB", "PNG"),
    ("RGBA", "PNG"),
    ("L", "PNG"),
    ("LA", "PNG"),
    ("P", "PNG"),
    ("1", "PNG"),
    ("I;16", "PNG"),
    ("P", "GIF"),
    ("RGB", "BMP"),
    ("RGB", "TIFF"),
    ("CMYK", "TIFF"),
    ("RGBA", "WEBP"),
    ("RGB", "WEBP"),
    ("RGB", "PPM"),
)
ORIENTATION_TAG = 274
TOLERANCE = 1e-4
"""Of probabilities by ONNX Runtime beside those by PyTorch, as the export allows."""

CallMain = Callable[..., Any]
Shares = dict[str, float]


def encoded(number: int, generator: np.random.Generator) -> bytes:
    """Return an odd photo as the bytes of a file; every twentieth is cut off in the middle."""
    mode, kind = KINDS[number % len(KINDS)]
    width, height = SIZES[number % len(SIZES)]
    base_3 = generator.integers(0, 256, 3)
    noise_HW3 = generator.normal(0, 30, (height, width, 3))
    image = Image.fromarray(np.clip(base_3 + noise_HW3, 0, 255).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode != "RGB":
        image = image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    wishes: dict[str, Any] = {}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and mode not in ("I;16", "1"):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = 1 + number % 8
        wishes["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **wishes)
    content = buffer.getvalue()
    return content[: len(content) // 2] if number % 20 == 19 else content


@pytest.fixture(scope="module")
def odd_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos of every mode, orientation and shape, some of them damaged."""
    folder = tmp_path_factory.mktemp("odd")
    generator = np.random.default_rng(5)
    files = []
    for number in range(NUM_PHOTOS):
        files.append(folder / f"{number:03d}.{KINDS[number % len(KINDS)][1].lower()}")
        files[-1].write_bytes(encoded(number, generator))
    return files


@pytest.fixture(scope="module")
def by_python(finished_quick: Run, odd_photos: list[Path]) -> list[Prediction]:
    """What the Python API says, with all classes."""
    return finished_quick.predict(odd_photos, top_k=3)


@pytest.fixture(scope="module")
def exported(finished_quick: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same classifier as an ONNX file."""
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("exported") / "model.onnx"
    fieldmark.export(finished_quick, out=out)
    return out


def shares_of(prediction: Prediction) -> Shares:
    return dict(prediction.ranking)


def require_alike(
    found: Sequence[Shares], expected: Sequence[Prediction], *, tolerance: float
) -> None:
    assert len(found) == len(expected) == NUM_PHOTOS
    for shares, prediction in zip(found, expected, strict=True):
        assert shares == pytest.approx(shares_of(prediction), abs=tolerance), prediction.path


def test_the_photos_are_odd_and_most_can_be_read(by_python: list[Prediction]) -> None:
    damaged = sum(prediction.error is not None for prediction in by_python)
    assert 0 < damaged <= NUM_PHOTOS // 20
    assert {prediction.label for prediction in by_python if prediction.label} == {
        "cherry",
        "leaf",
        "sky",
    }


def test_the_command_line_says_what_python_says(
    call_main: CallMain,
    finished_quick: Run,
    odd_photos: list[Path],
    by_python: list[Prediction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "\n".join(map(str, odd_photos)).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    listed = call_main("predict", finished_quick.path, "-", "--format", "csv")
    folder = call_main(
        "predict", finished_quick.path, odd_photos[0].parent, "--output", tmp_path / "o.csv"
    )
    assert (listed.code, folder.code) == (0, 0)
    assert listed.out == (tmp_path / "o.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(listed.out, newline="")))
    assert [row["error"] or None for row in rows] == [one.error for one in by_python]
    found = [
        {row[f"class_{k}"]: float(row[f"confidence_{k}"]) for k in (1, 2, 3) if row["class_1"]}
        for row in rows
    ]
    assert found == [shares_of(prediction) for prediction in by_python]


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
    finished_quick: Run,
    odd_photos: list[Path],
    by_python: list[Prediction],
) -> None:
    place = finished_quick.path if served == "run" else request.getfixturevalue("exported")
    assert place is not None
    rows = list(answers_of_server(place, odd_photos))
    assert [row["error"] for row in rows] == [one.error for one in by_python]
    found = [{one["class"]: one["confidence"] for one in row["top"]} for row in rows]
    require_alike(found, by_python, tolerance=1e-6 if served == "run" else TOLERANCE)


def answers_of_server(place: Path, files: Sequence[Path]) -> Iterator[Any]:
    """Yield the server's answer for each photo, twenty photos a request."""
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    from fieldmark.serving.answering import open_answerer
    from fieldmark.serving.app import build_app
    from fieldmark.serving.batching import BatchConfig
    from fieldmark.serving.guards import guard_config
    from fieldmark.serving.lifecycle import Lifecycle
    from fieldmark.serving.service import Service, ServiceConfig

    config = ServiceConfig(batch=BatchConfig(max_batch=8, max_waiting=64), max_photos=20)
    service = Service(open_answerer(place), config)
    guard = guard_config("127.0.0.1", token=None)
    app = build_app(service, guard=guard, lifecycle=Lifecycle())
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for start in range(0, len(files), 20):
            chunk = files[start : start + 20]
            photos = [("photos", (file.name, file.read_bytes())) for file in chunk]
            response = client.post("/predict", params={"top_k": 3}, files=photos)
            assert response.status_code == 200, response.text
            yield from response.json()["photos"]
