"""The Open Inference Protocol: tensors in, tensors out."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

INFER = "/v2/models/colours/infer"


def asked(name: str, shape: list[int], datatype: str, data: Any, **more: Any) -> dict[str, Any]:
    return {
        "inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data}],
        **more,
    }


def files(*contents: bytes, **more: Any) -> dict[str, Any]:
    data = [base64.b64encode(content).decode() for content in contents]
    return asked("files", [len(data)], "BYTES", data, **more)


def outputs(response: Any) -> dict[str, Any]:
    content = response.json()
    assert response.status_code == 200, content
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in content["outputs"]}


def test_server_model_and_health_are_as_the_protocol_has_them(client: TestClient) -> None:
    assert set(client.get("/v2").json()) == {"name", "version", "extensions"}
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/models/colours/ready").json() == {"name": "colours", "ready": True}
    model = client.get("/v2/models/colours").json()
    assert model == client.get("/v2/models/colours/versions/1").json()
    assert model["versions"] == ["1"]
    assert model["inputs"][0] == {"name": "pixels", "datatype": "UINT8", "shape": [-1, 8, 8, 3]}
    assert model["outputs"][0] == {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]}


@pytest.mark.parametrize("place", ["/v2/models/other", "/v2/models/colours/versions/2"])
def test_another_model_or_version_is_not_found(client: TestClient, place: str) -> None:
    assert client.get(place).status_code == 404
    assert client.get(f"{place}/ready").status_code == 404
    assert list(client.post(f"{place}/infer", json=files(b"x")).json()) == ["error"]


def test_files_pixels_and_images_of_a_photo_give_the_same(client: TestClient, red: bytes) -> None:
    photo_HW3 = np.asarray(Image.open(io.BytesIO(red)))
    pixels_SS3 = np.asarray(Image.open(io.BytesIO(red)).resize((8, 8)))
    given = [
        files(red, id="mine"),
        asked("images", [1, *photo_HW3.shape], "UINT8", photo_HW3[None].tolist()),  # nested
        asked("pixels", [1, 8, 8, 3], "UINT8", pixels_SS3.ravel().tolist()),  # in a row
    ]
    answers = [client.post(INFER, json=one) for one in given]
    assert answers[0].json()["id"] == "mine"
    assert "id" not in answers[1].json()
    for response in answers:
        found = outputs(response)
        assert found["label"].tolist() == ["red"]
        np.testing.assert_allclose(found["probabilities"], [[250 / 260, 5 / 260, 5 / 260]])


def test_a_bad_file_fails_alone(client: TestClient, red: bytes, blue: bytes) -> None:
    found = outputs(client.post(INFER, json=files(red, b"none", blue)))
    assert found["label"].tolist() == ["red", "", "blue"]
    assert found["probabilities"][1].tolist() == [0, 0, 0]
    assert [bool(text) for text in found["error"]] == [False, True, False]


def test_only_the_outputs_asked_for_are_given(client: TestClient, red: bytes) -> None:
    response = client.post(INFER, json=files(red, outputs=[{"name": "label"}]))
    assert list(outputs(response)) == ["label"]
    wrong = client.post(INFER, json=files(red, outputs=[{"name": "logits"}]))
    assert wrong.status_code == 400
    assert "probabilities" in wrong.json()["error"]


GOOD = asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 192)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"inputs": NaN}',
        {},
        {"inputs": []},
        {"inputs": [1]},
        {"inputs": GOOD["inputs"] * 2},
        {**GOOD, "id": 7},
        {**GOOD, "outputs": 1},
        {**GOOD, "outputs": ["label"]},
        asked("photo", [1], "BYTES", [""]),
        asked("pixels", [1, 8, 8, 3], "FP32", [0] * 192),
        asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 191),
        asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 191 + [256]),
        asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 191 + [-1]),
        asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 191 + [0.5]),
        asked("pixels", [1, 8, 8, 3], "UINT8", [0] * 191 + [10**30]),
        asked("pixels", [1, 8, 8, 3], "UINT8", [True] * 192),
        asked("pixels", [1, 8, 8, 3], "UINT8", ["0"] * 192),
        asked("pixels", [1, 8, 8, 3], "UINT8", [[0], [0, 0]]),
        asked("pixels", [1, 8, 8, 3], "UINT8", "0"),
        asked("pixels", [1, 9, 8, 3], "UINT8", [0] * 216),
        asked("images", [1, 0, 8, 3], "UINT8", []),
        asked("images", [1, 1 << 60, 1 << 60, 3], "UINT8", [0]),
        asked("images", [8, 8, 3], "UINT8", [0] * 192),
        asked("images", [1, 10**4000, 10**4000, 3], "UINT8", [0]),
        asked("images", [1] * 100_000, "UINT8", [0]),
        asked("images", [1, 1, 1, 3], "UINT8", ["x" * 1_000_000] + [""] * 100_000),
        asked("images", [1, 1, 1, 3], "UINT8", [[]] * 100_000),
        asked("images", [1, 1, 1, 3], "UINT8", [[[[0, 0, [0]]]]]),
        asked("images", [1.0, 8, 8, 3], "UINT8", [0] * 192),  # type: ignore[list-item]
        asked("files", [2], "BYTES", ["AAAA"]),
        asked("files", [1], "BYTES", ["no base64!"]),
        asked("files", [1], "BYTES", ["é"]),
        asked("files", [1], "BYTES", [5]),
        asked("files", [1, 1], "BYTES", [["AAAA"]]),
    ],
)
def test_what_is_malformed_is_refused_with_what_is_allowed(client: TestClient, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    response = client.post(INFER, content=content)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    assert client.app_state["service"].batcher.num_admitted == 0


def test_too_many_photos_are_refused(client: TestClient, red: bytes) -> None:
    assert client.post(INFER, json=files(*[red] * 9)).status_code == 413
