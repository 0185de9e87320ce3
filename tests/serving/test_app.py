"""Routes: photos in, answers out, and every refusal as an error in JSON."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from fieldmark.serving.app import HEAVY
from fieldmark.serving.lifecycle import Lifecycle


def is_refusal(response: Any, status: int, *, about: str) -> bool:
    content = response.json()
    assert response.status_code == status, content
    assert list(content) == ["error"]
    assert about in content["error"], content
    return True


def test_a_photo_as_the_body_is_answered_in_the_words_of_predict(
    client: TestClient, red: bytes
) -> None:
    response = client.post("/predict", params={"top_k": 2}, content=red)
    assert response.status_code == 200
    (photo,) = response.json()["photos"]
    assert photo["predicted"] == "red"
    assert photo["confidence"] == pytest.approx(250 / 260)
    assert [one["class"] for one in photo["top"]] == ["red", "green"]
    assert (photo["name"], photo["error"], photo["doubt"], photo["words"]) == (None, None, [], "")
    assert photo["abstained"] is False


def test_a_form_of_several_photos_is_answered_in_order(
    client: TestClient, red: bytes, blue: bytes
) -> None:
    files = [("photos", ("a.png", red)), ("other", ("b <i>.png", blue))]
    photos = client.post("/predict", files=files).json()["photos"]
    assert [(one["name"], one["predicted"]) for one in photos] == [
        ("a.png", "red"),
        ("b <i>.png", "blue"),
    ]


def test_doubt_is_said_in_words(client: TestClient, encode: Any) -> None:
    (photo,) = client.post("/predict", content=encode((100, 90, 0))).json()["photos"]
    assert photo["doubt"] == ["red", "green"]
    assert photo["words"] == "not sure: red or green"


def test_a_bad_photo_among_several_fails_alone(client: TestClient, red: bytes) -> None:
    files = [("p", ("a", red)), ("p", ("b", b"no picture")), ("p", ("c", red[:-30]))]
    response = client.post("/predict", files=files)
    assert response.status_code == 200
    good, none, damaged = response.json()["photos"]
    assert good["predicted"] == "red"
    for bad in (none, damaged):
        assert bad["predicted"] is None
        assert bad["top"] == []
        assert bad["error"]


def test_a_bad_photo_alone_is_refused_with_its_reason(client: TestClient, red: bytes) -> None:
    assert is_refusal(client.post("/predict", content=b"text"), 415, about="not an image")
    assert is_refusal(client.post("/predict", content=red[:-30]), 422, about="cannot be read")
    assert is_refusal(client.post("/predict"), 400, about="empty")


@pytest.mark.parametrize("given", ["0", "-1", "x", "1.5", "", "²", "9" * 30])
def test_a_number_of_classes_that_is_none_is_refused(
    client: TestClient, red: bytes, given: str
) -> None:
    response = client.post("/predict", params={"top_k": given}, content=red)
    assert is_refusal(response, 400, about="top_k")


def test_a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not(
    serving: Any, red: bytes
) -> None:
    with serving(max_body_bytes=len(red)) as client:
        assert client.post("/predict", content=red).status_code == 200
        assert is_refusal(client.post("/predict", content=red + b"1"), 413, about="larger")
        chunks = iter([red, b"1"])
        assert is_refusal(client.post("/predict", content=chunks), 413, about="larger")
        assert client.app_state["service"].bodies._num_held == 0


def test_too_many_photos_are_refused(client: TestClient, red: bytes) -> None:
    files = [("p", (str(number), red)) for number in range(9)]
    assert is_refusal(client.post("/predict", files=files), 413, about="more than the 8")


def test_forms_that_are_none_are_refused(client: TestClient) -> None:
    def sent(content: bytes, kind: str = "multipart/form-data; boundary=b") -> Any:
        return client.post("/predict", content=content, headers={"content-type": kind})

    assert is_refusal(sent(b"x", "multipart/form-data"), 400, about="boundary")
    assert is_refusal(sent(b"nonsense"), 400, about="form")
    assert is_refusal(sent(b"--b--\r\n"), 400, about="no file")
    whole = b'--b\r\nContent-Disposition: form-data; name="p"; filename="x"\r\n\r\nabc'
    assert is_refusal(sent(whole), 400, about="breaks off")


def test_an_address_in_a_form_is_never_fetched(client: TestClient) -> None:
    response = client.post("/predict", data={"url": "http://127.0.0.1:1/x.png"}, files={"p": b""})
    assert response.status_code in {400, 415}


def test_when_all_places_are_taken_it_says_so_and_when_to_come_again(
    serving: Any, colours: Any, red: bytes
) -> None:
    may_go, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        assert may_go.wait(10)

    colours.before_answer = wait
    with serving(max_waiting=2, max_photos=2, max_batch=1) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/predict", content=red) for _ in range(2)]
        assert begun.wait(10)
        while not client.app_state["service"].batcher.is_full:
            pass
        refused = client.post("/predict", content=red)
        assert is_refusal(refused, 503, about="Try again")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/v2/health/ready").status_code == 200
        may_go.set()
        assert [one.result(10).status_code for one in waiting] == [200, 200]
        assert client.post("/predict", content=red).status_code == 200
        assert client.app_state["service"].batcher.num_admitted == 0


def test_places_of_requests_that_failed_are_free_again(client: TestClient, red: bytes) -> None:
    for _ in range(40):  # more than there are places
        client.post("/predict", content=b"text")
    assert client.post("/predict", content=red).status_code == 200
    assert client.app_state["service"].batcher.num_admitted == 0


def test_a_photo_is_explained_for_the_class_asked_for(client: TestClient, red: bytes) -> None:
    response = client.post("/explain", params={"class": "blue"}, content=red)
    assert response.headers["content-type"] == "image/png"
    assert response.content.endswith(b"blue")
    wrong = client.post("/explain", params={"class": "<script>"}, content=red)
    assert is_refusal(wrong, 400, about="red, green, blue")
    assert is_refusal(client.post("/explain", content=b"no"), 415, about="not an image")


def test_a_bad_photo_is_refused_in_the_same_words_by_every_route(
    client: TestClient, encode: Any
) -> None:
    damaged = encode((1, 2, 3), size=(64, 64), kind="JPEG")[:300]
    for content, status in ((b"no", 415), (damaged, 422)):
        said = [client.post(place, content=content) for place in HEAVY]
        assert {answer.status_code for answer in said} == {status}
        (reason,) = {answer.json()["error"] for answer in said}
        assert reason.startswith("The photo cannot be read: ")
        assert reason.endswith(".")


def test_what_cannot_be_explained_or_shown_is_not_found(
    serving: Any, colours: Any, red: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(colours), "can_explain", False)
    monkeypatch.setattr(type(colours), "can_show_nearest", False)
    with serving() as client:
        assert is_refusal(client.post("/explain", content=red), 404, about="explained")
        assert is_refusal(client.post("/nearest", content=red), 404, about="not shown")


def test_training_photos_like_it_come_as_pictures_in_the_answer(
    client: TestClient, red: bytes
) -> None:
    photos = client.post("/nearest", params={"most": 2}, content=red).json()["photos"]
    thumbnail = "data:image/jpeg;base64," + base64.b64encode(b"jpeg").decode()
    assert photos == [{"class": "red", "similarity": 0.5, "thumbnail": thumbnail}] * 2
    assert is_refusal(
        client.post("/nearest", params={"most": 25}, content=red), 400, about="1 to 24"
    )


def test_about_says_what_is_served_and_what_may_be_asked(client: TestClient) -> None:
    about = client.get("/about").json()
    assert about["classes"] == ["red", "green", "blue"]
    assert about["can_explain"] is True
    assert about["orientation"] == "exif"
    assert about["limits"] == {"max_body_bytes": 32 << 20, "max_photos": 8, "max_waiting": 16}


def test_what_is_not_there_is_an_error_in_json(client: TestClient) -> None:
    assert is_refusal(client.get("/nothing"), 404, about="/nothing")
    assert is_refusal(client.get("/predict"), 405, about="GET")
    assert is_refusal(client.get("/../../etc/passwd"), 404, about="nothing")


def test_a_defect_is_an_error_in_json_without_its_trace(
    serving: Any, colours: Any, red: bytes
) -> None:
    def fail() -> None:
        raise RuntimeError("secret of the house")

    colours.before_answer = fail
    with serving() as client:
        client._transport.raise_server_exceptions = False
        response = client.post("/predict", content=red)
        assert is_refusal(response, 500, about="defect")
        assert "secret" not in response.text
        assert client.app_state["service"].batcher.num_admitted == 0


def test_one_that_is_being_stopped_is_not_ready_but_answers_and_says_goodbye(
    serving: Any, red: bytes
) -> None:
    life = Lifecycle()
    with serving(lifecycle=life) as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        life.stopping_since = 0.0
        assert is_refusal(client.get("/v2/health/ready"), 503, about="stopped")
        assert is_refusal(client.get("/v2/models/colours/ready"), 503, about="stopped")
        assert client.get("/v2/health/live").json() == {"live": True}
        response = client.post("/predict", content=red)
        assert response.status_code == 200
        assert response.headers["connection"] == "close"


def test_metrics_count_requests_photos_and_batches(client: TestClient, red: bytes) -> None:
    client.post("/predict", content=red)
    client.post("/predict", content=b"no")
    client.get("/some/where/else")
    text = client.get("/metrics").text
    assert 'fieldmark_requests_total{route="/predict",status="200"} 1.0' in text
    assert 'fieldmark_requests_total{route="/predict",status="415"} 1.0' in text
    assert 'fieldmark_requests_total{route="other",status="404"} 1.0' in text
    assert 'fieldmark_photos_total{outcome="answered"} 1.0' in text
    assert 'fieldmark_photos_total{outcome="bad"} 1.0' in text
    assert 'fieldmark_predicted_total{class="red"} 1.0' in text
    assert "fieldmark_batch_photos_sum 1.0" in text


def test_the_description_has_examples_and_no_page_that_loads_from_elsewhere(
    client: TestClient,
) -> None:
    described = client.get("/openapi.json").json()
    good = described["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    assert good["application/json"]["example"]["photos"][0]["words"] == "not sure: cat or dog"
    assert client.get("/docs").status_code == 404
